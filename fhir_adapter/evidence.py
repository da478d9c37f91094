"""A model's answer as FHIR R4 resources with their evidence, in one transaction.

Observation (horizons and curve), RiskAssessment, Device (the model) and Provenance, labelled as made by AI
(AI Transparency on FHIR). Ids are UUIDv5 of tenant, subject, input versions and model digest, so that the same
event written twice, or by two workers at once, is one result. Everything is checked by the R4B models of
``fhir.resources`` before it leaves, and is ``preliminary`` until a person confirms it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid5

from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError

from fhir_adapter.codes import (
    ABSTENTION_REASON,
    AI_ASSERTED,
    AI_DEVICE_TYPE,
    AI_KIND,
    BEDSIDE,
    DATA_ABSENT_REASON,
    MODEL_IDENTIFIER,
    MODEL_TAG,
    OBSERVATION_CATEGORY,
    PROVENANCE_PARTICIPANT,
    RESULT_CODE,
    RESULT_IDENTIFIER,
    UCUM,
    Json,
    coding,
    concept,
)
from fhir_adapter.errors import InvalidResourceError
from fhir_adapter.prediction import (
    Abstention,
    AbstentionReason,
    Contribution,
    ModelIdentity,
    Prediction,
    ResultContext,
    SurvivalCurve,
)

__all__ = ["Evidence", "check", "device_id", "evidence_of", "result_query"]

ABSENT = {
    AbstentionReason.MISSING_INPUT: ("unknown", "Unknown"),
    AbstentionReason.IMPLAUSIBLE_INPUT: ("error", "Error"),
    AbstentionReason.UNIT_NOT_CONVERTIBLE: ("unsupported", "Unsupported"),
    AbstentionReason.OUTSIDE_POPULATION: ("not-applicable", "Not Applicable"),
    AbstentionReason.NO_INDEX_TIME: ("unknown", "Unknown"),
}
MILLISECONDS_PER_DAY = 86_400_000
NAMED_CONTRIBUTIONS = 4


@dataclass(frozen=True)
class Evidence:
    """What is to be written for one answer.

    Parameters
    ----------
    result : str
        The main resource: ``RiskAssessment/id``, or ``Observation/id`` for an abstention.
    observation : str
        ``Observation/id``; its presence in the EHR means that this answer was written before.
    bundle : dict
        The transaction, PUTs only.
    """

    result: str
    observation: str
    bundle: Json


def device_id(model: ModelIdentity) -> str:
    """Return the id of the Device that stands for a model file."""
    return str(uuid5(BEDSIDE, f"device|{model.digest}"))


def result_query(model: ModelIdentity, patient: str) -> str:
    """Return the search for this model's earlier results on a patient."""
    identifier = patient.removeprefix("Patient/")
    return f"Observation?patient={identifier}&_tag={MODEL_TAG}|{model.name}&_count=200"


def result_key(context: ResultContext, model: ModelIdentity) -> str:
    """Return what makes a result one and the same."""
    inputs = sorted(set(context.fingerprints))
    return "|".join([context.tenant, context.patient, context.encounter or "", *inputs, model.digest])


def evidence_of(
    answer: Prediction | Abstention,
    context: ResultContext,
    model: ModelIdentity,
    *,
    device_known: bool = False,
    now: datetime | None = None,
) -> Evidence:
    """Build and check the transaction for one answer.

    Parameters
    ----------
    answer : Prediction or Abstention
        What the model said.
    context : ResultContext
        Whom it is about and what it was read from.
    model : ModelIdentity
        Who said it.
    device_known : bool
        Leave the Device out, because the EHR has it.
    now : datetime, optional
        Time of recording.

    Raises
    ------
    InvalidResourceError
        When a resource is not valid FHIR R4; nothing is written then.
    """
    key = result_key(context, model)
    ids = {kind: str(uuid5(BEDSIDE, f"{kind}|{key}")) for kind in ("Observation", "RiskAssessment", "Provenance")}
    if isinstance(answer, Prediction):
        results = [
            _observation(answer, context, model, ids["Observation"]),
            _risk_assessment(answer, context, model, ids),
        ]
    else:
        results = [_abstention(answer, context, model, ids["Observation"])]
    resources = [] if device_known else [device(model, context.organization)]
    resources += [*results, _provenance(results, context, model, ids["Provenance"], now or datetime.now(UTC))]
    for resource in resources:
        check(resource)
    main = results[-1]
    return Evidence(
        result=f"{main['resourceType']}/{main['id']}",
        observation=f"Observation/{ids['Observation']}",
        bundle={
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [
                {
                    "fullUrl": f"urn:uuid:{resource['id']}",
                    "resource": resource,
                    "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"},
                }
                for resource in resources
            ],
        },
    )


def check(resource: Json) -> None:
    """Check a resource we are about to write.

    Structure and cardinalities by the R4B model; ``ras-2`` (RiskAssessment: probability up to 100, a percentage)
    by hand, since the models do not evaluate invariants.

    Raises
    ------
    InvalidResourceError
        Naming elements and rules; never a value.
    """
    kind = str(resource.get("resourceType"))
    try:
        get_fhir_model_class(kind).model_validate(resource)
    except ValidationError as error:
        places = sorted({".".join(map(str, issue["loc"])) + ": " + issue["type"] for issue in error.errors()})
        raise InvalidResourceError(f"{kind} is not valid FHIR R4 ({'; '.join(places)})") from None
    for prediction in resource.get("prediction", []):
        if not 0 <= prediction.get("probabilityDecimal", 0) <= 100:
            raise InvalidResourceError("RiskAssessment.prediction breaks ras-2: probability above 100 percent")


def device(model: ModelIdentity, organization: str) -> Json:
    """Return the Device of a model (AI Transparency on FHIR, AI-Device)."""
    kind = "Rule-Based-Systems" if model.kind == "allocation" else "Machine-Learning-Models"
    return {
        "resourceType": "Device",
        "id": device_id(model),
        "meta": {"tag": [coding(MODEL_TAG, model.name)]},
        "extension": [{"url": AI_KIND, "valueCodeableConcept": concept(AI_DEVICE_TYPE, kind)}],
        "identifier": [{"system": MODEL_IDENTIFIER, "value": f"{model.name}|{model.version}|{model.digest}"}],
        "status": "active",
        "manufacturer": organization,
        "deviceName": [{"name": model.title, "type": "user-friendly-name"}],
        "modelNumber": model.name,
        "type": concept(AI_DEVICE_TYPE, "Artificial-Intelligence"),
        "version": [{"value": model.version}],
        "note": [{"text": model.status}],
    }


def _labelled(kind: str, identifier: str, model: ModelIdentity) -> Json:
    return {
        "resourceType": kind,
        "id": identifier,
        "meta": {"security": [AI_ASSERTED], "tag": [coding(MODEL_TAG, model.name)]},
    }


def _about(context: ResultContext) -> Json:
    about: Json = {"subject": {"reference": context.patient}}
    if context.encounter:
        about["encounter"] = {"reference": context.encounter}
    return about


def _common_observation(context: ResultContext, model: ModelIdentity, identifier: str) -> Json:
    resource = {
        **_labelled("Observation", identifier, model),
        "identifier": [{"system": RESULT_IDENTIFIER, "value": identifier}],
        "status": "preliminary",
        "category": [concept(OBSERVATION_CATEGORY, "survey", "Survey")],
        "code": concept(RESULT_CODE, model.name, model.title, f"Predicted risk: {model.outcome_text}"),
        **_about(context),
        "method": {"text": f"{model.title} {model.version}"},
        "device": {"reference": f"Device/{device_id(model)}"},
    }
    if context.index_time:
        resource["effectiveDateTime"] = context.index_time.isoformat()
    observed = [source.reference for source in context.sources if source.reference.startswith("Observation/")]
    if observed:
        resource["derivedFrom"] = [{"reference": reference} for reference in observed]
    return resource


def percent(probability: float) -> float:
    """Return a probability as a percentage, with the digits a double carries safely."""
    return round(probability * 100, 12)


def _observation(answer: Prediction, context: ResultContext, model: ModelIdentity, identifier: str) -> Json:
    components: list[Json] = [
        {
            "code": concept(
                RESULT_CODE,
                f"risk-{risk.days:g}d",
                text=f"Probability of {model.outcome_text} within {risk.days:g} days",
            ),
            "valueQuantity": {"value": percent(risk.probability), "unit": "%", "system": UCUM, "code": "%"},
        }
        for risk in answer.risks
    ]
    if answer.curve:
        components.append(
            {
                "code": concept(RESULT_CODE, "survival-curve", text="Predicted survival, percent"),
                "valueSampledData": sampled(answer.curve),
            }
        )
    return {**_common_observation(context, model, identifier), "component": components}


def sampled(curve: SurvivalCurve) -> Json:
    """Return a survival curve as SampledData in percent (FHIR R4 datatypes.html#SampledData)."""
    return {
        "origin": {"value": 0, "unit": "%", "system": UCUM, "code": "%"},
        "period": curve.step_days * MILLISECONDS_PER_DAY,
        "dimensions": 1,
        "data": " ".join(f"{100 * value:.4f}" for value in curve.survival),
    }


def _risk_assessment(answer: Prediction, context: ResultContext, model: ModelIdentity, ids: dict[str, str]) -> Json:
    resource: Json = {
        **_labelled("RiskAssessment", ids["RiskAssessment"], model),
        "identifier": [{"system": RESULT_IDENTIFIER, "value": ids["RiskAssessment"]}],
        "status": "preliminary",
        "method": {"text": f"{model.title} {model.version}"},
        "code": concept(RESULT_CODE, model.name, model.title),
        **_about(context),
        "performer": {"reference": f"Device/{device_id(model)}"},
        "basis": [
            {"reference": f"Observation/{ids['Observation']}"},
            *({"reference": source.reference} for source in context.sources),
        ],
        "prediction": [
            {
                "outcome": {**model.outcome, "text": model.outcome_text},
                "probabilityDecimal": percent(risk.probability),
                "whenRange": {
                    "low": {"value": 0, "unit": "d", "system": UCUM, "code": "d"},
                    "high": {"value": risk.days, "unit": "d", "system": UCUM, "code": "d"},
                },
            }
            for risk in answer.risks
        ],
        "note": [{"text": model.status}],
    }
    if context.index_time:
        resource["occurrenceDateTime"] = context.index_time.isoformat()
    rationale = rationale_of(answer.contributions)
    if rationale:
        for prediction in resource["prediction"]:
            prediction["rationale"] = rationale
    return resource


def rationale_of(contributions: tuple[Contribution, ...]) -> str:
    """Return what moved the prediction most, in words; empty when nothing is known."""
    named = [item for item in contributions if item.effect != 0][:NAMED_CONTRIBUTIONS]
    return "; ".join(
        f"{item.display} {item.value} {'raises' if item.effect > 0 else 'lowers'} the risk ({item.effect:+.2f})"
        for item in named
    )


def _abstention(answer: Abstention, context: ResultContext, model: ModelIdentity, identifier: str) -> Json:
    code, display = ABSENT[answer.reason]
    absent = concept(DATA_ABSENT_REASON, code, display, text=f"No prediction. {answer.detail}")
    absent["coding"].append(coding(ABSTENTION_REASON, answer.reason.value))
    return {
        **_common_observation(context, model, identifier),
        "dataAbsentReason": absent,
        "note": [{"text": f"No prediction. {answer.detail}"}],
    }


def _provenance(
    results: list[Json], context: ResultContext, model: ModelIdentity, identifier: str, now: datetime
) -> Json:
    """AI Transparency on FHIR, AI-Provenance: reason AIAST, one agent that is the AI, its inputs as sources."""
    resource: Json = {
        "resourceType": "Provenance",
        "id": identifier,
        "meta": {"tag": [coding(MODEL_TAG, model.name)]},
        "target": [{"reference": f"{result['resourceType']}/{result['id']}"} for result in results],
        "recorded": now.isoformat(timespec="milliseconds"),
        "reason": [{"coding": [AI_ASSERTED]}],
        "agent": [
            {
                "type": concept(PROVENANCE_PARTICIPANT, "author", "Author"),
                "role": [concept(AI_DEVICE_TYPE, "Artificial-Intelligence")],
                "who": {"reference": f"Device/{device_id(model)}"},
                "onBehalfOf": {"display": context.organization},
            }
        ],
    }
    if context.sources:
        resource["entity"] = [{"role": "source", "what": {"reference": source.reference}} for source in context.sources]
    return resource
