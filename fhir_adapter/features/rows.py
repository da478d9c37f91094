"""From records to rows: one row for each admission, with its values and their sources, or the reason why not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from fhir_adapter.codes import Json
from fhir_adapter.features.extract import Features, extract
from fhir_adapter.features.inputs import AppliesIf, Input
from fhir_adapter.features.record import Record, Selection, index_time_of
from fhir_adapter.features.store import Store
from fhir_adapter.prediction import Abstention, AbstentionReason

__all__ = ["Row", "feature_rows", "is_admission", "records_of"]

# v3-ActCode ActInpatientEncounterCode: inpatient, acute and non-acute.
INPATIENT = frozenset({"IMP", "ACUTE", "NONAC"})
NOT_AN_ADMISSION = frozenset({"planned", "cancelled", "entered-in-error"})


@dataclass(frozen=True)
class Row:
    """What a model would be given for one admission.

    Parameters
    ----------
    patient, encounter : str
        Relative references.
    index_time : datetime or None
        Time zero.
    answer : Features or Abstention
        The declared inputs, or why there are none.
    """

    patient: str
    encounter: str | None
    index_time: datetime | None
    answer: Features | Abstention


def feature_rows(records: Iterable[Record], inputs: Sequence[Input], applies_if: AppliesIf) -> Iterator[Row]:
    """Yield one row for each record, in its order; nothing is held back."""
    for record in records:
        index_time = index_time_of(record.encounter, record.time_zone)
        if index_time is None:
            reason = AbstentionReason.NO_INDEX_TIME
            answer: Features | Abstention = Abstention(reason, "The encounter has no period.start.")
        else:
            answer = extract(inputs, applies_if, record, index_time)
        encounter = f"Encounter/{record.encounter.get('id')}" if record.encounter else None
        yield Row(f"Patient/{record.patient.get('id')}", encounter, index_time, answer)


def is_admission(encounter: Json) -> bool:
    """Return whether an Encounter is an inpatient stay that has begun (FHIR R4 encounter.html)."""
    kind = encounter.get("class")
    inpatient = isinstance(kind, dict) and kind.get("code") in INPATIENT
    return inpatient and encounter.get("status") not in NOT_AN_ADMISSION


def collect(
    store: Store,
    selection: Selection,
    admitted: Callable[[Json], bool],
    resource: Json,
    key: str,
    patient: str | None,
) -> None:
    """Put what the model needs of one resource into a store; one that belongs to no patient is passed over."""
    picked = selection.pick(resource)
    if picked is None or patient is None or (picked["resourceType"] == "Encounter" and not admitted(resource)):
        return
    store.put(key, patient, picked)


def records_of(store: Store, selection: Selection, time_zone: tzinfo = UTC) -> Iterator[Record]:
    """Yield a record for each admission in a store.

    An admission whose Patient is not there gives a record with an empty Patient: it ends in an abstention that can
    be seen, where leaving it out could not.
    """
    for patient, encounter in store.encounters():
        person = store.patient(patient) or {"resourceType": "Patient", "id": patient.rsplit("/", 1)[-1]}
        yield selection.record(person, encounter, store.resources(patient), time_zone)
