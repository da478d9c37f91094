"""What is found in a store: studies, series and instances, each as far as the answer tells (PS3.18, 10.6.3)."""

from __future__ import annotations

from dataclasses import dataclass

from fhir_adapter.codes import Json
from fhir_adapter.dicomweb.uids import InstancePath

__all__ = ["Frame", "InstanceRow", "SeriesRow", "StudyRow", "number_of", "text_of"]


@dataclass(frozen=True)
class StudyRow:
    """A study.

    Parameters
    ----------
    study : str
        Study Instance UID.
    modalities : tuple of str
        Modalities in Study (0008,0061).
    series, instances : int or None
        How many, None when it is not told.
    """

    study: str
    modalities: tuple[str, ...] = ()
    series: int | None = None
    instances: int | None = None


@dataclass(frozen=True)
class SeriesRow:
    """A series.

    Parameters
    ----------
    study, series : str
        UIDs.
    modality : str or None
        Modality (0008,0060).
    number : int or None
        Series Number (0020,0011).
    body_part, laterality : str or None
        Body Part Examined (0018,0015) and Laterality (0020,0060); many servers do not tell them.
    instances : int or None
        How many, None when it is not told.
    """

    study: str
    series: str
    modality: str | None = None
    number: int | None = None
    body_part: str | None = None
    laterality: str | None = None
    instances: int | None = None


@dataclass(frozen=True)
class InstanceRow:
    """An instance.

    Parameters
    ----------
    path : InstancePath
        Where it is.
    sop_class : str or None
        SOP Class UID (0008,0016).
    number : int or None
        Instance Number (0020,0013).
    frames : int or None
        Number of Frames (0028,0008), None where there is one or it is not told.
    """

    path: InstancePath
    sop_class: str | None = None
    number: int | None = None
    frames: int | None = None


@dataclass(frozen=True)
class Frame:
    """One frame as it is stored.

    Parameters
    ----------
    number : int
        From 1.
    data : bytes
        Without encapsulation: a codestream, or pixels in little endian order where it is not compressed.
    transfer_syntax : str or None
        Transfer Syntax UID, None when it is not told.
    """

    number: int
    data: bytes
    transfer_syntax: str | None


def series_order(row: SeriesRow) -> tuple[int, str]:
    """Key to sort series by: Series Number and UID."""
    return (row.number or 0, row.series)


def instance_order(row: InstanceRow) -> tuple[str, int, str]:
    """Key to sort instances by: series, Instance Number and UID."""
    return (row.path.series, row.number or 0, row.path.instance)


def text_of(dataset: Json, tag: str) -> str | None:
    """Return the first value of an element of the DICOM JSON model (PS3.18, F.2) as text, None when it has none."""
    values = _values(dataset, tag)
    return str(values[0]).strip() or None if values and isinstance(values[0], str | int | float) else None


def number_of(dataset: Json, tag: str) -> int | None:
    """Return the first value of an element as an integer, None when it is none; IS may come as text."""
    text = text_of(dataset, tag)
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def texts_of(dataset: Json, tag: str) -> tuple[str, ...]:
    """Return every value of an element that is text."""
    return tuple(value for value in _values(dataset, tag) if isinstance(value, str))


def items_of(dataset: Json, tag: str) -> list[Json]:
    """Return the items of a sequence."""
    return [item for item in _values(dataset, tag) if isinstance(item, dict)]


def _values(dataset: Json, tag: str) -> list[object]:
    element = dataset.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []
