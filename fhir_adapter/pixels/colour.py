"""Pictures in colour: every photometric interpretation becomes RGB or luma (PS3.3, C.7.6.3.1.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from fhir_adapter.dicomfile import DicomUnsupported, PixelLayout
from fhir_adapter.pixels.decoding import Decoded
from fhir_adapter.pixels.lut import palette

__all__ = ["Colour", "Palette"]

Array = np.ndarray[Any, np.dtype[Any]]

# ITU-R BT.601 luma, and full-range YCbCr to RGB as PS3.3 gives it.
LUMA = np.array([[0.299, 0.587, 0.114]], np.float32)
FROM_YBR = np.array([[1, 0, 1.402], [1, -0.114 * 1.772 / 0.587, -0.299 * 1.402 / 0.587], [1, 1.772, 0]], np.float32)


@dataclass(frozen=True)
class Colour:
    """Three samples per pixel, to brightness in [0, 1].

    Parameters
    ----------
    samples : numpy.ndarray, shape (rows, columns, 3)
        Unsigned.
    bits : int
        Of a sample.
    ybr : bool
        Luminance and chrominance instead of red, green, blue.
    channels : int
        1 for luma, 3 for RGB.
    """

    samples: Array
    bits: int
    ybr: bool
    channels: int

    @classmethod
    def of(cls, decoded: Decoded, layout: PixelLayout, area: tuple[slice, slice], channels: int) -> Colour:
        """Check and wrap a decoded frame.

        Raises
        ------
        DicomUnsupported
            For signed samples, or more than 16 bits.
        """
        if layout.signed or decoded.bits > 16 or decoded.shift:
            raise DicomUnsupported("colour with signed samples, more than 16 bits or shifted ones")
        return cls(decoded.samples[area], decoded.bits, decoded.photometric != "RGB", channels)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.samples.shape[0], self.samples.shape[1]

    def rows(self, first: int, last: int) -> Array:
        """Return rows, shape (channels, rows, columns), dtype float32, in [0, 1]."""
        part = self.samples[first:last].astype(np.float32)
        if self.ybr:
            part[:, :, 1:] -= 1 << self.bits - 1
            part = part @ FROM_YBR.T
            np.clip(part, 0, (1 << self.bits) - 1, out=part)
        part *= np.float32(1 / ((1 << self.bits) - 1))
        return _channels(part, self.channels)


class Palette:
    """One index per pixel into three tables, to brightness in [0, 1]."""

    def __init__(self, dataset: Dataset, decoded: Decoded, area: tuple[slice, slice], channels: int) -> None:
        if decoded.bits > 16 or decoded.shift:
            raise DicomUnsupported("a palette over more than 16 bits or shifted ones")
        codes = np.arange(1 << decoded.bits)
        self._table = np.stack(
            [(lut.apply(codes) / ((1 << lut.bits) - 1)).astype(np.float32) for lut in palette(dataset)], axis=1
        )
        self._samples = decoded.samples[area]
        self._channels = channels

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self._samples.shape[0], self._samples.shape[1]

    def rows(self, first: int, last: int) -> Array:
        """Return rows, shape (channels, rows, columns), dtype float32, in [0, 1]."""
        codes = self._samples[first:last].astype(np.int64) & (len(self._table) - 1)
        return _channels(self._table[codes], self._channels)


def _channels(part: Array, channels: int) -> Array:
    if channels == 1:
        part = part @ LUMA.T
    return np.ascontiguousarray(part.transpose(2, 0, 1))
