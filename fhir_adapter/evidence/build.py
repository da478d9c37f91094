"""One answer as one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid5

from fhir_adapter.codes import BEDSIDE, MODEL_TAG, Json
from fhir_adapter.evidence.check import check
from fhir_adapter.evidence.device import device, model_card
from fhir_adapter.evidence.diagnosis import diagnosis_observations, diagnosis_report, diagnosis_risks, risky
from fhir_adapter.evidence.provenance import provenance
from fhir_adapter.evidence.results import abstention, observation, risk_assessment
from fhir_adapter.prediction import Abstention, Diagnosis, ModelIdentity, Prediction, ResultContext

__all__ = ["Answer", "Evidence", "evidence_of", "result_key", "result_query"]

Answer = Prediction | Diagnosis | Abstention


@dataclass(frozen=True)
class Evidence:
    """What is to be written for one answer.

    Parameters
    ----------
    result : str
        The main resource: ``RiskAssessment/id``, ``DiagnosticReport/id`` for a diagnosis, or ``Observation/id`` for an
        abstention.
    observation : str
        ``Observation/id``, the first of several; its presence in the EHR means that this answer was written before.
    bundle : dict
        The transaction, PUTs only.
    """

    result: str
    observation: str
    bundle: Json


def result_query(model: ModelIdentity, patient: str) -> str:
    """Return the search for this model's earlier results on a patient."""
    identifier = patient.removeprefix("Patient/")
    return f"Observation?patient={identifier}&_tag={MODEL_TAG}|{model.name}&_count=200"


def result_key(context: ResultContext, model: ModelIdentity) -> str:
    """Return what makes a result one and the same."""
    inputs = sorted(set(context.fingerprints))
    return "|".join([context.tenant, context.patient, context.scope or "", *inputs, model.digest])


def evidence_of(
    answer: Answer,
    context: ResultContext,
    model: ModelIdentity,
    *,
    device_known: bool = False,
    card_known: bool | None = None,
    replaces: tuple[str, ...] = (),
    now: datetime | None = None,
) -> Evidence:
    """Build and check the transaction for one answer.

    Parameters
    ----------
    answer : Prediction, Diagnosis or Abstention
        What the model said.
    context : ResultContext
        Whom it is about and what it was read from.
    model : ModelIdentity
        Who said it.
    device_known : bool
        Leave the Device out, because the EHR has it.
    card_known : bool, optional
        Leave the model card out, because the EHR has it. When it has the Device and not this card, both are written,
        since the Device refers to its card. None: as the Device.
    replaces : tuple of str
        References of earlier results that this one revises.
    now : datetime, optional
        Time of recording.

    Raises
    ------
    InvalidResourceError
        When a resource is not valid FHIR R4; nothing is written then.
    """
    now = now or datetime.now(UTC)
    key = result_key(context, model)
    results = _results(answer, context, model, key, now)
    resources = [
        *_about_the_model(model, context.organization, device_known, card_known, now),
        *results,
        provenance(results, context, model, _id("Provenance", key), now, replaces),
    ]
    for resource in resources:
        check(resource)
    main = results[-1]
    return Evidence(
        result=f"{main['resourceType']}/{main['id']}",
        observation=next(f"Observation/{found['id']}" for found in results if found["resourceType"] == "Observation"),
        bundle={"resourceType": "Bundle", "type": "transaction", "entry": [_put(resource) for resource in resources]},
    )


def _id(name: str, key: str) -> str:
    return str(uuid5(BEDSIDE, f"{name}|{key}"))


def _results(answer: Answer, context: ResultContext, model: ModelIdentity, key: str, now: datetime) -> list[Json]:
    """The results of an answer, the main one last."""
    if isinstance(answer, Abstention):
        return [abstention(answer, context, model, _id("Observation", key))]
    if isinstance(answer, Prediction):
        ids = {kind: _id(kind, key) for kind in ("Observation", "RiskAssessment")}
        return [observation(answer, context, model, ids["Observation"]), risk_assessment(answer, context, model, ids)]
    names = [*(item.name for item in answer.findings), *(item.name for item in answer.measurements)]
    found = diagnosis_observations(answer, context, model, [_id(f"Observation|{name}", key) for name in names])
    risks = [diagnosis_risks(answer, context, model, _id("RiskAssessment", key), found)] if risky(answer) else []
    return [*found, *risks, diagnosis_report(answer, context, model, _id("DiagnosticReport", key), found, now)]


def _about_the_model(
    model: ModelIdentity, organization: str, device_known: bool, card_known: bool | None, now: datetime
) -> list[Json]:
    """What is written once a model: first the card, since the Device refers to it."""
    if not model.card:
        return [] if device_known else [device(model, organization)]
    if card_known is None:
        card_known = device_known
    if not card_known:
        return [model_card(model, organization, now), device(model, organization)]
    return [] if device_known else [device(model, organization)]


def _put(resource: Json) -> Json:
    return {
        "fullUrl": f"urn:uuid:{resource['id']}",
        "resource": resource,
        "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"},
    }
