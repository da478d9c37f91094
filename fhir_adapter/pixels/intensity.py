"""From stored values to brightness: modality transformation, window or table, inversion, padding.

Both kinds of transformation are written so that little is done per pixel. A *ramp* (rescale and linear window) clips
stored values and leaves scale and offset for after resizing, where they cost nothing: an affine map commutes with a
filter whose weights sum to one. A *table* holds the result for every stored value there is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from pydicom.dataset import Dataset

from fhir_adapter.dicomfile import DicomDamaged, DicomUnsupported, PixelLayout
from fhir_adapter.pixels.frameinfo import frame_attributes, number, numbers
from fhir_adapter.pixels.lut import Lut, read_lut
from fhir_adapter.pixels.spec import PixelSpec, Window
from fhir_adapter.pixels.stored import Stored

__all__ = ["Brightness", "Mapping", "Ramp", "Table", "brightness_of"]

Array = np.ndarray[Any, np.dtype[Any]]
INFINITE = float("inf")


class Mapping(Protocol):
    """What turns stored values into floating-point numbers, some rows at a time."""

    scale: float
    offset: float

    def rows(self, stored: Stored, first: int, last: int) -> Array:
        """Return rows `first` to `last`, shape (channels, rows, columns), dtype float32.

        Brightness is ``scale * value + offset``. The array may be used again by the next call.
        """


@dataclass
class Ramp:
    """Clips stored values; `scale` and `offset` come afterwards."""

    low: float
    high: float
    scale: float
    offset: float
    padding: tuple[float, float] | None = None
    instead: float = 0.0

    def rows(self, stored: Stored, first: int, last: int) -> Array:
        """See :class:`Mapping`."""
        values = stored.values(first, last)
        out = stored.scratch(values.shape)
        padded = None
        if self.padding is not None:
            padded = (values >= self.padding[0]) & (values <= self.padding[1])
        least, most = stored.bounds
        low, high = max(self.low, least), min(self.high, most)
        clips = low > least or high < most
        whole = clips and low <= high and low.is_integer() and high.is_integer()
        np.copyto(out, stored.clipped(values, int(low), int(high)) if whole else values, casting="unsafe")
        if clips and not whole:
            np.clip(out, self.low, self.high, out=out)
        if padded is not None:
            out[padded] = self.instead
        return out[None]


@dataclass
class Table:
    """Looks stored values up by their bits."""

    entries: Array
    scale: float = 1.0
    offset: float = 0.0

    def rows(self, stored: Stored, first: int, last: int) -> Array:
        """See :class:`Mapping`."""
        codes = stored.codes(first, last)
        out = stored.scratch(codes.shape)
        # the codes are masked, so "clip" never clips; it spares a check of every index
        self.entries.take(codes, out=out, mode="clip")
        return out[None]


@dataclass(frozen=True)
class Brightness:
    """How stored values become brightness, and where that came from.

    Parameters
    ----------
    mapping : Mapping
        The map.
    source : {"file", "lut", "percentile", "contract", "none"}
        Who said what the window is.
    window : (float, float) or None
        Its bounds in modality units.
    inverted : bool
        Whether MONOCHROME1 was turned over.
    """

    mapping: Mapping
    source: str
    window: tuple[float, float] | None
    inverted: bool


@dataclass(frozen=True)
class _Modality:
    slope: float = 1.0
    intercept: float = 0.0
    lut: Lut | None = None

    def apply(self, values: Array) -> Array:
        if self.lut is not None:
            return self.lut.apply(values).astype(np.float64)
        return values * self.slope + self.intercept


def brightness_of(dataset: Dataset, layout: PixelLayout, stored: Stored, spec: PixelSpec, index: int) -> Brightness:
    """Choose the map for one monochrome frame.

    Raises
    ------
    DicomDamaged
        When the transformations in the file are not sound.
    DicomUnsupported
        When the file names no window and the contract has no fallback; for tables over more than 16 bits.
    """
    inverted = layout.photometric == "MONOCHROME1" and spec.intensity != "modality"
    padding = _padding(dataset, layout)
    if spec.intensity == "raw":
        low = -float(1 << layout.bits_stored - 1) if layout.signed else 0.0
        bounds = (low, low + float((1 << layout.bits_stored) - 1))
        return Brightness(_ramp(bounds, inverted, padding), "none", None, inverted)
    modality = _modality(dataset, layout, index)
    if spec.intensity == "modality":
        return Brightness(_in_units(stored, modality, spec, padding), "none", spec.clip, False)
    table, window, source = _values_of_interest(dataset, layout, spec, index)
    if table is None and window is None:
        bounds = _percentiles(stored, modality, spec, padding)
        return Brightness(_linear(stored, modality, bounds, inverted, padding), "percentile", bounds, inverted)
    shape = table or window
    if shape is not None and (isinstance(shape, Lut) or shape.function == "SIGMOID"):
        return Brightness(_curve(stored, modality, shape, inverted, padding), source, None, inverted)
    assert window is not None
    bounds = window.bounds
    return Brightness(_linear(stored, modality, bounds, inverted, padding), source, bounds, inverted)


def _modality(dataset: Dataset, layout: PixelLayout, index: int) -> _Modality:
    holder = frame_attributes(dataset, index, "PixelValueTransformationSequence", "RescaleSlope")
    if holder is dataset and (tables := dataset.get("ModalityLUTSequence")):
        return _Modality(lut=read_lut(tables[0], layout.signed))
    slope, intercept = number(holder, "RescaleSlope"), number(holder, "RescaleIntercept")
    if slope == 0:
        raise DicomDamaged("RescaleSlope is zero")
    return _Modality(1.0 if slope is None else slope, intercept or 0.0)


def _values_of_interest(
    dataset: Dataset, layout: PixelLayout, spec: PixelSpec, index: int
) -> tuple[Lut | None, Window | None, str]:
    """The first table, else the first window, that applies to the frame; the contract's window before both."""
    if spec.window == "percentiles":
        return None, None, "percentile"
    if spec.window is not None:
        return None, spec.window, "contract"
    holder = frame_attributes(dataset, index, "FrameVOILUTSequence", "VOILUTSequence")
    if tables := holder.get("VOILUTSequence"):
        # after rescaling, values may be negative whatever was stored
        return read_lut(tables[0], layout.signed or (number(dataset, "RescaleIntercept") or 0) < 0), None, "lut"
    holder = frame_attributes(dataset, index, "FrameVOILUTSequence", "WindowCenter")
    centers, widths = numbers(holder, "WindowCenter"), numbers(holder, "WindowWidth")
    if not centers or not widths:
        return None, None, "percentile"
    function = str(holder.get("VOILUTFunction") or "LINEAR")
    try:
        return None, Window(centers[0], widths[0], function), "file"
    except ValueError:
        raise DicomDamaged("WindowWidth or VOILUTFunction is not sound (PS3.3, C.11.2.1.2)") from None


def _padding(dataset: Dataset, layout: PixelLayout) -> tuple[float, float] | None:
    """Stored values that stand for no image (PS3.3, C.7.5.1.1.2)."""
    first = number(dataset, "PixelPaddingValue")
    if first is None:
        return None
    last = number(dataset, "PixelPaddingRangeLimit")
    low, high = sorted((first, first if last is None else last))
    if layout.signed and low >= 1 << layout.bits_stored - 1:
        # written as unsigned by many
        low, high = low - (1 << layout.bits_allocated), high - (1 << layout.bits_allocated)
    return low, high


def _linear(
    stored: Stored,
    modality: _Modality,
    bounds: tuple[float, float],
    inverted: bool,
    padding: tuple[float, float] | None,
) -> Mapping:
    """A linear window, as a ramp over stored values where the modality transformation is one itself."""
    low, high = bounds
    if modality.lut is not None or not high > low:
        return _curve(stored, modality, bounds, inverted, padding)
    ends = sorted(((low - modality.intercept) / modality.slope, (high - modality.intercept) / modality.slope))
    return _ramp((ends[0], ends[1]), inverted != (modality.slope < 0), padding)


def _ramp(ends: tuple[float, float], falling: bool, padding: tuple[float, float] | None) -> Ramp:
    """From stored values between `ends` to [0, 1]; padding becomes black."""
    low, high = ends
    width = high - low
    black = high if falling else low
    covered = padding is not None and (padding[0] >= high if falling else padding[1] <= low)
    ramp = Ramp(low, high, 1 / width, -low / width, None if covered else padding, black)
    return replace(ramp, scale=-ramp.scale, offset=1 - ramp.offset) if falling else ramp


def _in_units(stored: Stored, modality: _Modality, spec: PixelSpec, padding: tuple[float, float] | None) -> Mapping:
    """The modality's units; padding becomes the lowest that is allowed or there."""
    if spec.clip is not None:
        return _linear(stored, modality, spec.clip, False, padding)
    if modality.lut is not None:
        values = modality.apply(stored.all_values())
        return Table(_blackened(values, stored, padding, float(values.min())))
    ramp = Ramp(-INFINITE, INFINITE, modality.slope, modality.intercept, padding)
    if padding is not None:
        low, high = stored.extremes(padding)
        ramp.instead = high if modality.slope < 0 else low
    return ramp


def _curve(
    stored: Stored,
    modality: _Modality,
    shape: Lut | Window | tuple[float, float],
    inverted: bool,
    padding: tuple[float, float] | None,
) -> Table:
    values = modality.apply(stored.all_values())
    if isinstance(shape, Lut):
        result = shape.apply(values) / ((1 << shape.bits) - 1)
    elif isinstance(shape, Window):
        with np.errstate(over="ignore"):
            result = 1 / (1 + np.exp(-4 * (values - shape.center) / shape.width))
    elif shape[1] > shape[0]:
        result = (np.clip(values, *shape) - shape[0]) / (shape[1] - shape[0])
    else:
        result = (values > shape[0]).astype(np.float64)
    return Table(_blackened(1 - result if inverted else result, stored, padding, 0.0))


def _blackened(result: Array, stored: Stored, padding: tuple[float, float] | None, black: float) -> Array:
    if padding is not None:
        values = stored.all_values()
        result = np.where((values >= padding[0]) & (values <= padding[1]), black, result)
    return result.astype(np.float32)


def _percentiles(
    stored: Stored, modality: _Modality, spec: PixelSpec, padding: tuple[float, float] | None
) -> tuple[float, float]:
    if spec.fallback is None:
        raise DicomUnsupported("the file names no window, and the model's contract has none for it")
    sample = stored.sample(padding)
    if not len(sample):
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(modality.apply(sample), spec.fallback))
    return (low, high) if high > low else (low, low + 1.0)
