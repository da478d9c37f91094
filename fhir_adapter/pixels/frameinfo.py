"""Which transformation belongs to which frame: functional groups before the data set's own (PS3.3, C.7.6.16)."""

from __future__ import annotations

from typing import Any, cast

from pydicom.dataset import Dataset

from fhir_adapter.dicomfile import DicomDamaged

__all__ = ["frame_attributes", "number", "numbers"]


def frame_attributes(dataset: Dataset, index: int, group: str, keyword: str) -> Dataset:
    """Return the data set that holds an attribute for one frame.

    Parameters
    ----------
    index : int
        Frame, from 0.
    group : str
        Keyword of the functional group's sequence, such as ``FrameVOILUTSequence``.
    keyword : str
        Of the attribute looked for.

    Returns
    -------
    pydicom.dataset.Dataset
        The item of the frame's own group, of the shared group, or the data set itself.
    """
    for sequence, position in (("PerFrameFunctionalGroupsSequence", index), ("SharedFunctionalGroupsSequence", 0)):
        groups = dataset.get(sequence)
        if not groups:
            continue
        if position >= len(groups):
            raise DicomDamaged(f"{sequence} has fewer items than there are frames")
        items = groups[position].get(group)
        if items and keyword in items[0]:
            return cast(Dataset, items[0])
    return dataset


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """Return the values of a numeric attribute; none when it is absent or empty.

    Raises
    ------
    DicomDamaged
        When a value is not a finite number.
    """
    value: Any = dataset.get(keyword)
    if value is None or value == "":
        return []
    try:
        # pydicom keeps what it cannot convert as text or bytes
        found = [float(item) for item in ([value] if isinstance(value, str | int | float) else list(value))]
    except (TypeError, ValueError, OverflowError):
        raise DicomDamaged(f"{keyword} is not a number") from None
    if not all(-1e300 < item < 1e300 for item in found):
        raise DicomDamaged(f"{keyword} is not a finite number")
    return found


def number(dataset: Dataset, keyword: str) -> float | None:
    """Return the first value of a numeric attribute, or None."""
    found = numbers(dataset, keyword)
    return found[0] if found else None
