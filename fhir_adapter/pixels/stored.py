"""The stored values of one monochrome frame, handed out some rows at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from fhir_adapter.dicomfile import DicomUnsupported
from fhir_adapter.pixels.decoding import Decoded

__all__ = ["Stored"]

Array = np.ndarray[Any, np.dtype[Any]]
# Pixels that percentiles are taken of: more of them move a window by less than a grey level.
SAMPLE = 1 << 18


class Stored:
    """Stored values of one frame, with the bits that do not count removed.

    Parameters
    ----------
    decoded : Decoded
        A frame of one sample per pixel.
    signed : bool
        Pixel Representation.
    area : (slice, slice)
        Rows and columns that are wanted.
    """

    def __init__(self, decoded: Decoded, signed: bool, area: tuple[slice, slice]) -> None:
        self.bits, self._shift, self._signed = decoded.bits, decoded.shift, signed
        samples = decoded.samples[area]
        self._float = samples.dtype.kind == "f"
        self._size = 8 * samples.dtype.itemsize
        self._samples = samples if samples.dtype.isnative else samples.astype(samples.dtype.newbyteorder("="))
        self._scratch: Array = np.empty(0, np.float32)
        self._whole: Array = np.empty(0)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self._samples.shape
        return rows, columns

    def scratch(self, shape: tuple[int, ...]) -> Array:
        """Return an array to be overwritten; the same memory each time."""
        count = shape[0] * shape[1]
        if len(self._scratch) < count:
            self._scratch = np.empty(count, np.float32)
        return self._scratch[:count].reshape(shape)

    def values(self, first: int, last: int) -> Array:
        """Return rows of values, shape (rows, columns)."""
        return self._valued(self._samples[first:last])

    def codes(self, first: int, last: int) -> Array:
        """Return rows of values by their bits, from 0: what :meth:`all_values` is indexed by."""
        raw = self._samples[first:last].view(f"u{self._size // 8}")
        if self._shift:
            raw = raw >> self._shift
        return raw & ((1 << self.bits) - 1) if self.bits < self._size else raw

    def all_values(self) -> Array:
        """Return every value there can be, by its bits.

        Raises
        ------
        DicomUnsupported
            When that is more than 65,536.
        """
        if self._float or self.bits > 16:
            raise DicomUnsupported("a look-up table or sigmoid over values of more than 16 bits")
        if not len(self._whole):
            codes = np.arange(1 << self.bits, dtype=np.float64)
            if self._signed:
                codes[1 << self.bits - 1 :] -= 1 << self.bits
            self._whole = codes
        return self._whole

    def sample(self, padding: tuple[float, float] | None) -> Array:
        """Return values on a regular grid, without padding, shape (n,), dtype float64."""
        rows, columns = self.shape
        step = max(1, round((rows * columns / SAMPLE) ** 0.5))
        values = self._valued(self._samples[step // 2 :: step, step // 2 :: step]).astype(np.float64).reshape(-1)
        values = values[np.isfinite(values)] if self._float else values
        return values if padding is None else values[(values < padding[0]) | (values > padding[1])]

    def extremes(self, padding: tuple[float, float]) -> tuple[float, float]:
        """Return the lowest and the highest value that is no padding; zeros when there is none."""
        low, high = np.inf, -np.inf
        for first in range(0, self.shape[0], 256):
            values = self.values(first, first + 256)
            kept = values[(values < padding[0]) | (values > padding[1])]
            if len(kept):
                low, high = min(low, float(kept.min())), max(high, float(kept.max()))
        return (low, high) if low <= high else (0.0, 0.0)

    def _valued(self, samples: Array) -> Array:
        if self._float:
            return samples
        raw = samples.view(f"{'i' if self._signed else 'u'}{self._size // 8}")
        unused = self._size - self.bits - self._shift
        if not self._signed:
            raw = raw >> self._shift if self._shift else raw
            return raw & ((1 << self.bits) - 1) if unused else raw
        # an arithmetic shift to the right takes the sign along
        raw = raw << unused if unused else raw
        return raw >> (unused + self._shift) if unused or self._shift else raw
