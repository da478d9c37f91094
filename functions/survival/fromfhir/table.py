"""From a folder of exported NDJSON to a table of patients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

import numpy as np

from fhir_adapter.bulk.state import read_state
from fhir_adapter.codes import Json
from fhir_adapter.features import AppliesIf, Features, Input, Record, applies_if_from, feature_rows, input_from
from fhir_adapter.features.lines import NdjsonError, exported_base, resources_in
from fhir_adapter.features.ndjson import records_from_resources
from fhir_adapter.features.record import moment
from fhir_adapter.terminology import load_terminology
from functions.survival.data import SurvivalTable
from functions.survival.data.columns import HALF_A_DAY
from functions.survival.fromfhir.errors import ExportUnusable
from functions.survival.fromfhir.followup import FollowUp, FollowUps, Key
from functions.survival.fromfhir.outcome import Outcome, outcome_from

__all__ = ["FromExport", "as_recorded", "table_from_export"]

# Encounter.status of what has not taken place (FHIR R4 valueset-encounter-status.html).
_NOT_BEGUN = frozenset({"planned", "cancelled", "entered-in-error"})


@dataclass(frozen=True)
class FromExport:
    """A training table, and who is not in it.

    Parameters
    ----------
    table : SurvivalTable
        A row a patient, ordered by Patient.id.
    left_out : dict of str to int
        How many patients, by the reason.
    """

    table: SurvivalTable
    left_out: dict[str, int]


@dataclass(frozen=True)
class _Start:
    """Where the prediction of one patient would begin: with its inputs, or why there are none."""

    at: datetime | None
    values: tuple[float, ...] | None
    reason: str = ""


def table_from_export(
    directory: Path,
    contract: Mapping[str, Any],
    package_folder: Path,
    *,
    base: str | None = None,
    time_zone: tzinfo = UTC,
) -> FromExport:
    """Read an export into the table that a model is trained on.

    Time zero is the start of a patient's first Encounter at which the model would have answered: its inputs are read
    as they were then, by the contract, and a later death does not hide them. The outcome and what competes with it are
    the first of the events that ``training: outcome`` names; who has neither is followed until their last contact.

    Parameters
    ----------
    directory : Path
        Holds ``*.ndjson`` as ``bedside export`` writes it.
    contract : mapping
        ``model.yaml`` as read.
    package_folder : Path
        The package's folder; its ``terminology`` is used.
    base : str, optional
        FHIR base of the server that exported, for absolute references, where no ``export.json`` says so.
    time_zone : tzinfo
        Of dates without a time.

    Returns
    -------
    FromExport
        Times in days; an event on the day of time zero counts as half a day.

    Raises
    ------
    ExportUnusable
        The contract does not say what the outcome is, or nobody is left.
    ConfigurationError
        An input is declared wrongly.
    NdjsonError
        The folder holds no finished export that can be read.
    """
    outcome = outcome_from(contract)
    inputs, applies_if = _declared(contract, package_folder)
    base = base or exported_base(directory)
    files = sorted(path for path in directory.glob("*.ndjson") if not path.name.startswith("errors."))
    if not files:
        raise NdjsonError("the folder holds no *.ndjson file")
    follow_ups = FollowUps(outcome, base, _deleted(files), time_zone)
    records = records_from_resources(
        follow_ups.noting(resource for path in files for resource in resources_in(path)),
        inputs,
        applies_if,
        base=base,
        admitted=lambda encounter: _may_start(encounter, outcome),
        time_zone=time_zone,
    )
    starts = _starts(records, inputs, applies_if)
    until = _exported_at(directory) if outcome.censoring == "export" else None
    return _table(tuple(item.name for item in inputs), starts, follow_ups, outcome, until, time_zone)


def as_recorded(table: SurvivalTable, contract: Mapping[str, Any]) -> SurvivalTable:
    """Return a table as serving would see it, so that a model is trained on what it will be given.

    What the contract reads as absent when it is not on record is 0; a row without an input for which the model
    abstains is left out.

    Parameters
    ----------
    table : SurvivalTable
        Where NaN stands for what is not known.
    contract : mapping
        ``model.yaml`` as read; its inputs are the table's columns.
    """
    policy = np.array([declared.get("missing") for declared in contract["inputs"]])
    x = np.where(np.isnan(table.x) & (policy == "absent"), 0.0, table.x)
    answered = ~np.isnan(x[:, policy == "refuse"]).any(axis=1)
    return replace(table, x=x).take(np.flatnonzero(answered))


def _declared(contract: Mapping[str, Any], package_folder: Path) -> tuple[tuple[Input, ...], AppliesIf]:
    terminology = load_terminology(package_folder / "terminology")
    inputs = tuple(input_from(item, terminology) for item in contract["inputs"])
    return inputs, applies_if_from(contract.get("applies_if", {}), terminology)


def _deleted(files: list[Path]) -> frozenset[Key]:
    """Return what the server deleted (Bulk Data Access 2.0, manifest ``deleted``: files of nothing but Bundles)."""
    found = set()
    for path in files:
        for bundle in resources_in(path):
            if bundle["resourceType"] != "Bundle":
                break
            for entry in bundle.get("entry") or []:
                request = entry.get("request") or {}
                kind, _, identity = str(request.get("url", "")).partition("/")
                if request.get("method") == "DELETE":
                    found.add((kind, identity))
    return frozenset(found)


def _exported_at(directory: Path) -> datetime:
    state = read_state(directory)
    at = moment(((state.manifest if state else None) or {}).get("transactionTime"))
    if at is None:
        raise ExportUnusable("censoring is 'export', and no export.json in the folder says when the export ran")
    return at


def _may_start(encounter: Json, outcome: Outcome) -> bool:
    kind = encounter.get("class")
    code = kind.get("code") if isinstance(kind, dict) else None
    return encounter.get("status") not in _NOT_BEGUN and (not outcome.encounters or code in outcome.encounters)


def _starts(records: Iterator[Record], inputs: tuple[Input, ...], applies_if: AppliesIf) -> dict[str, _Start]:
    """Return the first start with all inputs of each patient, else the first reason why there is none."""
    starts: dict[str, _Start] = {}
    for row in feature_rows((_alive(record) for record in records), inputs, applies_if):
        if isinstance(row.answer, Features):
            start = _Start(row.index_time, tuple(value.value for value in row.answer.values))
        else:
            start = _Start(row.index_time, None, row.answer.reason.value)
        known = starts.get(row.patient)
        if known is None or _rank(start) < _rank(known):
            starts[row.patient] = start
    return starts


def _alive(record: Record) -> Record:
    """Return a record as it was at time zero: whether the patient died later was not known then."""
    patient = {name: value for name, value in record.patient.items() if not name.startswith("deceased")}
    return replace(record, patient=patient)


def _rank(start: _Start) -> tuple[bool, bool, float]:
    return start.values is None, start.at is None, start.at.timestamp() if start.at else 0.0


def _table(
    names: tuple[str, ...],
    starts: dict[str, _Start],
    follow_ups: FollowUps,
    outcome: Outcome,
    until: datetime | None,
    time_zone: tzinfo,
) -> FromExport:
    known = follow_ups.of_patients()
    left_out: Counter[str] = Counter("no encounter" for patient in known if patient not in starts)
    rows: list[tuple[float, ...]] = []
    ends: list[tuple[float, str]] = []
    for patient in sorted(starts):
        start = starts[patient]
        if start.values is None or start.at is None:
            left_out[start.reason] += 1
            continue
        end = _end(known.get(patient, FollowUp()), start.at, outcome, until, time_zone)
        if isinstance(end, str):
            left_out[end] += 1
            continue
        rows.append(start.values)
        ends.append(end)
    if not rows:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items()))
        raise ExportUnusable(f"nobody in this export can be trained on{f': {reasons}' if reasons else ''}")
    kinds = np.array([kind for _, kind in ends])
    table = SurvivalTable(
        names=names,
        x=np.array(rows, dtype=np.float64),
        event=kinds == "outcome",
        time=np.array([time for time, _ in ends], dtype=np.float64),
        competing=kinds == "competing",
    )
    return FromExport(table, dict(sorted(left_out.items())))


def _end(
    known: FollowUp, start: datetime, outcome: Outcome, until: datetime | None, time_zone: tzinfo
) -> tuple[float, str] | str:
    """Return the days to the end of a patient's follow-up and what it was, or why there is none."""
    if known.undated:
        return "an event without a date"
    died = known.death.since(start, time_zone) if known.death else None
    if died is not None and died < 0:
        return "died before time zero"
    events = [(day.since(start, time_zone), "outcome") for day in known.outcome]
    events += [(day.since(start, time_zone), "competing") for day in known.competing]
    if any(days < 0 for days, _ in events):
        return "the outcome, or what competes with it, was before time zero"
    if died is not None:
        kind = "outcome" if outcome.events.death else "competing" if outcome.competing.death else "censored"
        events.append((died, kind))
    last = until or known.last
    followed = (last - start).total_seconds() / 86400.0 if last else 0.0
    if until is not None:
        events = [event for event in events if event[0] <= followed]
    # of two on one day the outcome counts
    first = min(events, key=lambda event: (event[0], event[1] != "outcome"), default=(followed, "censored"))
    if first[1] == "censored" and first[0] <= 0:
        return "no contact after time zero"
    return (first[0] or HALF_A_DAY, first[1])
