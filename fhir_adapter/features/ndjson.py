"""Records from what ``$export`` gives: NDJSON files by resource type (FHIR Bulk Data Access 2.0)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, tzinfo
from pathlib import Path

from fhir_adapter.codes import Json
from fhir_adapter.features.inputs import AppliesIf, Input
from fhir_adapter.features.lines import NdjsonError, exported_base, resources_in
from fhir_adapter.features.record import Record, Selection
from fhir_adapter.features.rows import collect, is_admission, records_of
from fhir_adapter.features.store import KINDS, DiskStore, Store
from fhir_adapter.references import relative_reference

__all__ = ["records_from_ndjson", "records_from_resources"]


def records_from_ndjson(
    folder: Path,
    inputs: Sequence[Input],
    applies_if: AppliesIf,
    *,
    base: str | None = None,
    admitted: Callable[[Json], bool] = is_admission,
    time_zone: tzinfo = UTC,
) -> Iterator[Record]:
    """Yield a record for each admission in a folder of ``*.ndjson`` files.

    The files are read once, line by line. What the model needs goes into a SQLite file in a temporary directory of
    mode 0700, which is removed with the iterator; memory does not grow with the export.

    Parameters
    ----------
    base : str, optional
        FHIR base of the server that exported, for absolute references; an export by
        :mod:`fhir_adapter.bulk` has it on record.
    admitted : callable
        Which Encounters count as admissions.
    time_zone : tzinfo
        Of dates without a time.

    Raises
    ------
    NdjsonError
        No files, an unfinished export, a line that is not a FHIR resource, or an absolute reference while the base is
        not known.
    """
    known = exported_base(folder)
    files = sorted(path for path in folder.glob("*.ndjson") if not path.name.startswith("errors."))
    if not files:
        raise NdjsonError("the folder holds no *.ndjson file")
    resources = (resource for path in files for resource in resources_in(path))
    yield from records_from_resources(
        resources, inputs, applies_if, base=base or known, admitted=admitted, time_zone=time_zone
    )


def records_from_resources(
    resources: Iterable[Json],
    inputs: Sequence[Input],
    applies_if: AppliesIf,
    *,
    base: str | None = None,
    admitted: Callable[[Json], bool] = is_admission,
    time_zone: tzinfo = UTC,
) -> Iterator[Record]:
    """Yield a record for each admission in a stream of resources of one server, as `records_from_ndjson` does."""
    selection = Selection.of(inputs, applies_if)
    with DiskStore() as store:
        for resource in resources:
            kind = resource.get("resourceType")
            if kind in KINDS:
                patient = str(resource.get("id")) if kind == "Patient" else _patient(resource, base)
                collect(store, selection, admitted, resource, str(resource.get("id")), patient)
            elif kind == "Bundle":
                _deleted(resource, store)
        yield from records_of(store, selection, time_zone)


def _patient(resource: Json, base: str | None) -> str | None:
    subject = resource.get("subject")
    reference = subject.get("reference") if isinstance(subject, dict) else None
    if not isinstance(reference, str):
        return None
    if "://" in reference and base is None:
        raise NdjsonError("references are absolute: say which FHIR base the export came from")
    found = relative_reference(base or "", reference)
    return found.removeprefix("Patient/") if found and found.startswith("Patient/") else None


def _deleted(bundle: Json, store: Store) -> None:
    """Forget what the server deleted since the export before (Bulk Data Access 2.0, manifest ``deleted``)."""
    for entry in bundle.get("entry") or []:
        request = entry.get("request") or {}
        kind, _, key = str(request.get("url", "")).partition("/")
        if request.get("method") == "DELETE" and kind in KINDS:
            store.drop(kind, key)
