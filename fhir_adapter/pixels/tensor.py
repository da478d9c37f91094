"""From a data set to the tensor that a model was trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import FileDataset

from fhir_adapter.dicomfile import Limits, PixelLayout, sound
from fhir_adapter.pixels.colour import Colour, Palette
from fhir_adapter.pixels.decoding import decode_frame
from fhir_adapter.pixels.intensity import brightness_of
from fhir_adapter.pixels.resize import Rows, resize
from fhir_adapter.pixels.spec import PixelSpec
from fhir_adapter.pixels.stored import Stored

__all__ = ["Picture", "picture", "pictures"]

Array = np.ndarray[Any, np.dtype[Any]]
_DEFAULT = Limits()


@dataclass(frozen=True)
class Picture:
    """One frame as a model sees it, and how it came to be.

    Parameters
    ----------
    tensor : numpy.ndarray, shape (channels, rows, columns), dtype float32
        Ready for the model, but for the batch dimension.
    frame : int
        From 0.
    source : {"file", "lut", "percentile", "contract", "none"}
        Who said what the window is.
    window : (float, float) or None
        Its bounds in modality units.
    inverted : bool
        Whether MONOCHROME1 was turned over.
    area : (int, int, int, int)
        First row, first column, rows and columns of the frame that the tensor shows, for drawing on it.
    placed : (int, int, int, int)
        The same of the tensor: where it shows them, when black was added around.
    """

    tensor: Array
    frame: int
    source: str
    window: tuple[float, float] | None
    inverted: bool
    area: tuple[int, int, int, int]
    placed: tuple[int, int, int, int]


def pictures(dataset: FileDataset, spec: PixelSpec, limits: Limits = _DEFAULT) -> Iterator[Picture]:
    """Yield every frame, one at a time; see :func:`picture`."""
    for frame in range(PixelLayout.of(dataset, limits).frames):
        yield picture(dataset, spec, frame, limits)


@sound("pixels")
def picture(dataset: FileDataset, spec: PixelSpec, frame: int = 0, limits: Limits = _DEFAULT) -> Picture:
    """Turn one frame into a tensor.

    Parameters
    ----------
    dataset : pydicom.dataset.FileDataset
        As :func:`fhir_adapter.dicomfile.read_dicom` returns it.
    spec : PixelSpec
        What the model wants.
    frame : int
        From 0.
    limits : Limits
        What decoding may cost.

    Returns
    -------
    Picture

    Raises
    ------
    DicomDamaged
        When the pixels cannot be decoded or their description is not sound.
    DicomUnsupported
        For a transfer syntax, photometric interpretation or table that is not read here.
    DicomTooLarge
        Beyond a limit.
    ConfigurationError
        When there is no such frame.
    """
    layout = PixelLayout.of(dataset, limits)
    decoded = decode_frame(dataset, layout, frame)
    area, size, place = _geometry(layout, spec)
    where = (slice(area[0], area[0] + area[2]), slice(area[1], area[1] + area[3]))
    source, window, inverted, scale, offset = "none", None, False, 1.0, 0.0
    channels = 1
    if decoded.photometric.startswith("MONOCHROME"):
        stored = Stored(decoded, layout.signed, where)
        chosen = brightness_of(dataset, layout, stored, spec, frame)
        mapping, source, window, inverted = chosen.mapping, chosen.source, chosen.window, chosen.inverted
        scale, offset = mapping.scale, mapping.offset

        def rows(first: int, last: int) -> Array:
            return mapping.rows(stored, first, last)

        read: Rows = rows
    else:
        channels = spec.channels
        coloured = (
            Palette(dataset, decoded, where, channels)
            if decoded.photometric == "PALETTE COLOR"
            else Colour.of(decoded, layout, where, channels)
        )
        read = coloured.rows
    out = resize(read, channels, (area[2], area[3]), (place[2], place[3]), spec.filter)
    tensor = _finished(out, spec, scale, offset, size, place)
    return Picture(tensor, frame, source, window, inverted, area, place)


Area = tuple[int, int, int, int]


def _geometry(layout: PixelLayout, spec: PixelSpec) -> tuple[Area, tuple[int, int], Area]:
    """What is taken of the frame, the size of the tensor, and where in it that is placed."""
    rows, columns = layout.rows, layout.columns
    size = spec.size or (rows, columns)
    area, place = (0, 0, rows, columns), (0, 0, *size)
    # ratio of the tensor over that of the frame, in whole numbers
    wide, tall = size[1] * rows, size[0] * columns
    if spec.fit == "crop" and wide != tall:
        kept = (rows, max(1, round(wide / size[0]))) if wide < tall else (max(1, round(tall / size[1])), columns)
        area = ((rows - kept[0]) // 2, (columns - kept[1]) // 2, *kept)
    elif spec.fit == "pad" and wide != tall:
        shown = (max(1, round(wide / columns)), size[1]) if wide < tall else (size[0], max(1, round(tall / rows)))
        place = ((size[0] - shown[0]) // 2, (size[1] - shown[1]) // 2, *shown)
    return area, size, place


def _finished(out: Array, spec: PixelSpec, scale: float, offset: float, size: tuple[int, int], place: Area) -> Array:
    """Scale and offset that were left for now, range, black around, normalisation."""
    if 1e-30 < abs(scale) < 1:
        # 8 bits over a window of all of them are value / 255, to the last bit, as whoever trained on arrays has them
        out /= np.float32(1 / scale)
    else:
        out *= np.float32(scale)
    out += np.float32(offset)
    if spec.intensity == "modality" and spec.clip is None and len(out) == 1:
        black = float(out.min())
    else:
        # rounding, and the overshoot of the bicubic kernel
        np.clip(out, 0, 1, out=out)
        black, white = spec.range
        out *= np.float32(white - black)
        out += np.float32(black)
    tensor = _placed(out, size, place, black)
    if len(tensor) < spec.channels:
        tensor = np.repeat(tensor, spec.channels, axis=0)
    mean, std = spec.mean or (0.0,), spec.std or (1.0,)
    for channel in range(len(tensor) if spec.mean or spec.std else 0):
        tensor[channel] -= np.float32(mean[channel % len(mean)])
        tensor[channel] /= np.float32(std[channel % len(std)])
    return tensor


def _placed(out: Array, size: tuple[int, int], place: Area, black: float) -> Array:
    if out.shape[1:] == size:
        return out
    framed = np.full((len(out), *size), black, np.float32)
    framed[:, place[0] : place[0] + place[2], place[1] : place[1] + place[3]] = out
    return framed
