"""Look-up tables of a data set (PS3.3, C.11.1.1.1 and C.11.2.1.1): modality, values of interest, palette."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from fhir_adapter.dicomfile import DicomDamaged, DicomUnsupported
from fhir_adapter.pixels.frameinfo import numbers

__all__ = ["Lut", "palette", "read_lut"]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Lut:
    """A table and the input value that its first entry belongs to; values outside take the nearest entry.

    Parameters
    ----------
    first : int
        First input value mapped.
    entries : numpy.ndarray, shape (n,), dtype uint16
        Outputs.
    bits : int
        Of the outputs.
    """

    first: int
    entries: Array
    bits: int

    def apply(self, values: Array) -> Array:
        """Look up rounded values."""
        at = np.clip(np.rint(values).astype(np.int64) - self.first, 0, len(self.entries) - 1)
        return self.entries[at]


def read_lut(item: Dataset, signed: bool) -> Lut:
    """Read an item of Modality LUT Sequence or VOI LUT Sequence.

    Parameters
    ----------
    signed : bool
        Whether the values it is applied to may be negative, which is how its second descriptor is meant.
    """
    return _lut(item, "LUTDescriptor", "LUTData", signed)


def palette(dataset: Dataset) -> tuple[Lut, Lut, Lut]:
    """Read the three palette colour tables (PS3.3, C.7.6.3.1.5).

    Raises
    ------
    DicomUnsupported
        When they are segmented.
    """
    colours = ("Red", "Green", "Blue")
    if any(f"Segmented{colour}PaletteColorLookupTableData" in dataset for colour in colours):
        raise DicomUnsupported("a segmented palette")
    red, green, blue = (
        _lut(dataset, f"{colour}PaletteColorLookupTableDescriptor", f"{colour}PaletteColorLookupTableData", False)
        for colour in colours
    )
    return red, green, blue


def _lut(dataset: Dataset, descriptor: str, data: str, signed: bool) -> Lut:
    described = numbers(dataset, descriptor)
    if len(described) != 3:
        raise DicomDamaged(f"{descriptor} does not have three values")
    count, first, bits = (int(value) for value in described)
    count = count & 0xFFFF or 65536
    first &= 0xFFFF
    if signed and first >= 32768:
        first -= 65536
    if not 8 <= bits <= 16:
        raise DicomDamaged(f"{descriptor} names {bits} bits")
    return Lut(first, _entries(dataset, data, count, bits), bits)


def _entries(dataset: Dataset, keyword: str, count: int, bits: int) -> Array:
    value = dataset.get(keyword)
    if isinstance(value, int):
        value = [value]
    if value is None or isinstance(value, str) or not value:
        raise DicomDamaged(f"{keyword} is missing")
    if not isinstance(value, bytes | memoryview):
        entries = np.array([int(item) for item in value], np.int64) & 0xFFFF
        # eight-bit entries may be packed two to a word (PS3.3, C.7.6.3.1.6)
        if len(entries) * 2 == count + count % 2 and bits == 8:
            entries = np.stack([entries & 0xFF, entries >> 8], axis=1).reshape(-1)
    elif len(value) >= 2 * count:
        order = ">" if dataset.original_encoding[1] is False else "<"
        entries = np.frombuffer(value[: 2 * count], f"{order}u2")
    else:
        entries = np.frombuffer(value, np.uint8)
    if len(entries) < count:
        raise DicomDamaged(f"{keyword} is shorter than its descriptor says")
    return entries[:count].astype(np.uint16)
