"""Rows of a store as a DICOMweb server tells them, in DICOM JSON (PS3.18, 10.6.3 and I.2, F)."""

from __future__ import annotations

from typing import Any

from fhir_adapter.codes import Json
from fhir_adapter.dicomweb import InstanceRow, SeriesRow, StoreOutcome, StudyRow
from fhir_adapter.dicomweb.rows import text_of

__all__ = ["instance", "make_absolute", "series", "sop_instance", "store_response", "study"]


def study(row: StudyRow) -> Json:
    """Return a row of a search for studies."""
    return _dataset(
        ("0020000D", "UI", [row.study]),
        ("00080061", "CS", list(row.modalities)),
        ("00201206", "IS", [row.series]),
        ("00201208", "IS", [row.instances]),
    )


def series(row: SeriesRow) -> Json:
    """Return a row of a search for series."""
    return _dataset(
        ("0020000D", "UI", [row.study]),
        ("0020000E", "UI", [row.series]),
        ("00080060", "CS", [row.modality]),
        ("00200011", "IS", [row.number]),
        ("00180015", "CS", [row.body_part]),
        ("00200060", "CS", [row.laterality]),
        ("00201209", "IS", [row.instances]),
    )


def instance(row: InstanceRow) -> Json:
    """Return a row of a search for instances."""
    return _dataset(
        ("0020000D", "UI", [row.path.study]),
        ("0020000E", "UI", [row.path.series]),
        ("00080018", "UI", [row.path.instance]),
        ("00080016", "UI", [row.sop_class]),
        ("00200013", "IS", [row.number]),
        ("00280008", "IS", [row.frames]),
    )


def store_response(outcome: StoreOutcome) -> Json:
    """Return a Store Instances Response."""
    stored = [_dataset(("00081155", "UI", [path.instance])) for path in outcome.stored]
    failed = [
        _dataset(("00081155", "UI", [failure.path.instance]), ("00081197", "US", [failure.reason]))
        for failure in outcome.failed
    ]
    return _dataset(("00081198", "SQ", failed), ("00081199", "SQ", stored))


def sop_instance(dataset: Json) -> str:
    """Return the SOP Instance UID."""
    return text_of(dataset, "00080018") or ""


def make_absolute(dataset: Any, base: str) -> None:
    """Put a URL before every ``BulkDataURI`` of a data set, in place."""
    for element in dataset.values():
        if "BulkDataURI" in element:
            element["BulkDataURI"] = base + element["BulkDataURI"]
        if element.get("vr") == "SQ":
            for item in element.get("Value", []):
                make_absolute(item, base)


def _dataset(*elements: tuple[str, str, list[Any]]) -> Json:
    found: Json = {}
    for tag, vr, given in elements:
        values = [value for value in given if value is not None]
        found[tag] = {"vr": vr, **({"Value": values} if values else {})}
    return found
