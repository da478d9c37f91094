"""When a study may be read: whether it is there and stands still, what we added to it ourselves left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fhir_adapter.codes import Json
from fhir_adapter.dicomweb import ImageStore, SeriesRow
from fhir_adapter.imaging_study import Decision, GateState, StudyCounts, StudyGate
from fhir_adapter.prediction import Abstention, AbstentionReason
from fhir_adapter.structured_report import SC_SERIES, SR_SERIES
from fhir_adapter.tenants import Tenant
from functions.serving.errors import StudyNotReady
from functions.serving.events import Event

__all__ = ["Look", "is_added", "look_at"]

# Series that Bedside adds, by Modality and Series Number; no model reads a series of either kind.
ADDED = frozenset({("SR", SR_SERIES), ("OT", SC_SERIES)})
LEAST_SECONDS = 1.0


def is_added(row: SeriesRow) -> bool:
    """Return whether a series is one that results are stored in."""
    return (row.modality, row.number) in ADDED


@dataclass(frozen=True)
class Look:
    """What a look at a study said.

    Parameters
    ----------
    counts : StudyCounts
        Without what we added.
    state : GateState
        To be kept.
    refused : Abstention or None
        Why the study is not read although its time is up; None when it is to be read.
    """

    counts: StudyCounts
    state: GateState
    refused: Abstention | None = None


def look_at(
    event: Event, study: Json, uid: str, store: ImageStore, state: GateState | None, tenant: Tenant, now: datetime
) -> Look | tuple[StudyNotReady, GateState]:
    """Look at a study.

    Parameters
    ----------
    event : Event
        Since when it is waited for.
    study : dict
        The ImagingStudy.
    uid : str
        Study Instance UID.
    state : GateState or None
        Of the look before.

    Returns
    -------
    Look, or (StudyNotReady, GateState)
        The latter when the event is to come again; the state is to be kept all the same.
    """
    rows = store.series(uid)
    counted = {row.series: _count(row, store) for row in rows}
    own = {row.series for row in rows if is_added(row)}
    counts = _counts({series: number for series, number in counted.items() if series not in own})
    gate = StudyGate(timedelta(seconds=tenant.study_stable_seconds), timedelta(seconds=tenant.study_patience_seconds))
    verdict = gate.look(state, now, counts, _promised(study, _counts(counted), own))
    if verdict.decision is not Decision.WAIT:
        return Look(counts, verdict.state)
    waited = timedelta(milliseconds=event.age_ms(now))
    if waited >= gate.stable + timedelta(seconds=tenant.study_patience_seconds):
        detail = f"The study was waited for, and is not complete: {verdict.reason}."
        return Look(counts, verdict.state, Abstention(AbstentionReason.STUDY_INCOMPLETE, detail))
    seconds = max((verdict.look_again or gate.stable).total_seconds(), LEAST_SECONDS)
    return StudyNotReady(f"the study is not ready: {verdict.reason}", seconds), verdict.state


def _count(row: SeriesRow, store: ImageStore) -> int:
    return len(store.instances(row.study, row.series)) if row.instances is None else row.instances


def _counts(counted: Mapping[str, int]) -> StudyCounts:
    return StudyCounts(tuple(sorted(counted.items())))


def _promised(study: Json, held: StudyCounts, own: set[str]) -> Json:
    """What the resource promises of others' series: a synchronised one counts those we added, too."""
    promised = dict(study)
    for element, number in (("numberOfSeries", len(held.series)), ("numberOfInstances", held.instances)):
        if own and isinstance(promised.get(element), int) and number >= promised[element]:
            del promised[element]
    series: Sequence[Json] = [item for item in study.get("series") or () if isinstance(item, dict)]
    promised["series"] = [item for item in series if str(item.get("uid", "")).removeprefix("urn:oid:") not in own]
    return promised
