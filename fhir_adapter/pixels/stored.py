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
        self._scratch: dict[str, Array] = {}
        self._whole: Array = np.empty(0)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self._samples.shape
        return rows, columns

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest value that the bits can hold."""
        if self._float:
            return -np.inf, np.inf
        low = -(1 << self.bits - 1) if self._signed else 0
        return float(low), float(low + (1 << self.bits) - 1)

    def scratch(self, shape: tuple[int, ...], kind: str = "f4") -> Array:
        """Return an array to be overwritten; the same memory each time.

        A fresh array of this size would be fresh pages of the system, which cost more than what is done with them.
        """
        count = shape[0] * shape[1]
        found = self._scratch.get(kind)
        if found is None or len(found) < count:
            found = self._scratch[kind] = np.empty(count, kind)
        return found[:count].reshape(shape)

    def values(self, first: int, last: int) -> Array:
        """Return rows of values, shape (rows, columns); to be used before the next are asked for."""
        return self._valued(self._samples[first:last])

    def clipped(self, values: Array, low: int, high: int) -> Array:
        """Return what :meth:`values` returned with whole numbers as bounds, which is quicker than with others."""
        return np.clip(values, low, high, out=self.scratch(values.shape, values.dtype.str))

    def codes(self, first: int, last: int) -> Array:
        """Return rows of values by their bits, from 0: what :meth:`all_values` is indexed by."""
        raw = self._samples[first:last].view(f"u{self._size // 8}")
        codes = self.scratch(raw.shape, "p")
        np.copyto(codes, raw)
        if self._shift:
            codes >>= self._shift
        if self.bits < self._size:
            codes &= (1 << self.bits) - 1
        return codes

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
        if not unused and not self._shift:
            return raw
        if not self._signed and not self._shift and raw.size and raw.max() < 1 << self.bits:
            # as good as always: unused bits are zero since overlays in them were retired (PS3.5, 8.1.2)
            return raw
        out = self.scratch(raw.shape, raw.dtype.str)
        if self._signed:
            # an arithmetic shift to the right takes the sign along
            np.left_shift(raw, unused, out=out)
            np.right_shift(out, unused + self._shift, out=out)
        else:
            np.right_shift(raw, self._shift, out=out)
            np.bitwise_and(out, (1 << self.bits) - 1, out=out)
        return out
