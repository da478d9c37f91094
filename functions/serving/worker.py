"""The one path of an event: read (one batch), features, model, evidence, write (one transaction).

Two round trips to the EHR when the notification tells whose record it is; one more when it does not, and one for
every further page of a long record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from fhir_adapter.client import BatchAnswer, FhirClient
from fhir_adapter.codes import Json
from fhir_adapter.errors import FhirRejected, FhirUnavailable
from fhir_adapter.evidence import device_id, evidence_of, result_query
from fhir_adapter.features import Features, Record, extract, index_time_of, queries
from fhir_adapter.notifications import patient_of
from fhir_adapter.prediction import Abstention, AbstentionReason, Prediction, ResultContext
from fhir_adapter.references import source_of
from fhir_adapter.tenants import Tenant
from functions.serving.errors import EventRejected
from functions.serving.events import Event
from functions.serving.package import ModelPackage

__all__ = ["Outcome", "answer_event"]

Predict = Callable[[Features], Prediction]
NOT_AN_ADMISSION = frozenset({"planned", "cancelled", "entered-in-error"})


@dataclass(frozen=True)
class Outcome:
    """How an event ended.

    Parameters
    ----------
    outcome : str
        ``predicted``, ``abstained``, or ``duplicate`` when the result was there already.
    result : str
        ``RiskAssessment/id`` or ``Observation/id``.
    reason : str or None
        The abstention's code.
    written : int
        Resources written.
    """

    outcome: Literal["predicted", "abstained", "duplicate"]
    result: str
    reason: str | None
    written: int


@dataclass(frozen=True)
class _Read:
    record: Record
    patient: str
    earlier: frozenset[str]
    device_known: bool


def answer_event(event: Event, tenant: Tenant, client: FhirClient, package: ModelPackage, predict: Predict) -> Outcome:
    """Answer one event and write the answer back.

    Raises
    ------
    FhirUnavailable
        Worth another try.
    FhirRejected, EventRejected, InvalidResourceError
        Not worth one.
    """
    read = _read(event, client, package)
    index_time = index_time_of(read.record.encounter)
    answer = _answer(read.record, index_time, package, predict)
    features, result = answer
    context = _context(read, tenant, index_time, features)
    evidence = evidence_of(result, context, package.identity, device_known=read.device_known)
    reason = result.reason.value if isinstance(result, Abstention) else None
    if evidence.observation in read.earlier:
        return Outcome("duplicate", evidence.result, reason, 0)
    client.transaction(evidence.bundle)
    outcome: Literal["predicted", "abstained"] = "abstained" if reason else "predicted"
    return Outcome(outcome, evidence.result, reason, len(evidence.bundle["entry"]))


def _answer(
    record: Record, index_time: datetime | None, package: ModelPackage, predict: Predict
) -> tuple[Features | None, Prediction | Abstention]:
    encounter = record.encounter or {}
    if encounter.get("status") in NOT_AN_ADMISSION:
        detail = f"The encounter's status is {encounter['status']}."
        return None, Abstention(AbstentionReason.OUTSIDE_POPULATION, detail)
    if index_time is None:
        return None, Abstention(AbstentionReason.NO_INDEX_TIME, "The encounter has no period.start.")
    features = extract(package.inputs, package.applies_if, record, index_time)
    if isinstance(features, Abstention):
        return None, features
    return features, predict(features)


def _context(read: _Read, tenant: Tenant, index_time: datetime | None, features: Features | None) -> ResultContext:
    """A prediction depends on what its values came from; an abstention on everything that was looked at."""
    record = read.record
    base = [source_of(record.patient)]
    if record.encounter:
        base.append(source_of(record.encounter))
    if features is not None:
        sources = tuple(dict.fromkeys([*base, *features.sources]))
        fingerprints = tuple(source.fingerprint for source in sources)
    else:
        sources = tuple(base)
        looked_at = [source_of(resource) for resource in (*record.observations, *record.conditions)]
        fingerprints = tuple(source.fingerprint for source in (*base, *looked_at))
    encounter = f"Encounter/{record.encounter['id']}" if record.encounter else None
    return ResultContext(tenant.name, tenant.organization, read.patient, encounter, index_time, sources, fingerprints)


def _read(event: Event, client: FhirClient, package: ModelPackage) -> _Read:
    focus = event.focus or ""
    if not focus.startswith(package.focus + "/"):
        raise EventRejected(f"{package.identity.name} answers {package.focus} notifications, not this type")
    patient = event.patient
    if patient is None:
        patient = _patient(client.read(focus), client)
    read = _read_batch(focus, patient, client, package)
    named = _patient(read.record.encounter or {}, client)
    if named != patient:
        # the hint was wrong or outdated: what the EHR says now counts
        read = _read_batch(focus, named, client, package)
    return read


def _patient(encounter: Json, client: FhirClient) -> str:
    patient = patient_of(encounter, client.relative)
    if patient is None:
        raise EventRejected("the focus names no patient of this EHR")
    return patient


def _read_batch(focus: str, patient: str, client: FhirClient, package: ModelPackage) -> _Read:
    device = f"Device/{device_id(package.identity)}"
    observations, conditions = queries(patient, package.inputs, package.applies_if)
    answers = client.batch([focus, patient, observations, conditions, result_query(package.identity, patient), device])
    encounter, person, observed, diagnosed = (_needed(answer) for answer in answers[:4])
    earlier = answers[4].resource if answers[4].status == 200 else None
    return _Read(
        record=Record(
            patient=person,
            encounter=encounter,
            observations=tuple(_only(client.complete(observed), "Observation")),
            conditions=tuple(_only(client.complete(diagnosed), "Condition")),
        ),
        patient=patient,
        earlier=frozenset(f"Observation/{found.get('id')}" for found in (client.complete(earlier) if earlier else [])),
        device_known=answers[5].status == 200,
    )


def _needed(answer: BatchAnswer) -> Json:
    if answer.status in (408, 425, 429) or answer.status >= 500:
        raise FhirUnavailable(f"the FHIR server answered {answer.status} inside a batch", answer.status)
    if answer.status >= 400 or answer.resource is None:
        raise FhirRejected(f"the FHIR server answered {answer.status} inside a batch", answer.status)
    return answer.resource


def _only(resources: list[Json], kind: str) -> list[Json]:
    return [resource for resource in resources if resource.get("resourceType") == kind]
