"""The results themselves: Observation (US Core clinical result), RiskAssessment, and the abstention."""

from __future__ import annotations

from datetime import datetime

from fhir_adapter.codes import (
    ABSTENTION_REASON,
    DATA_ABSENT_REASON,
    MODEL_METHOD,
    OBSERVATION_CATEGORY,
    RESULT_CODE,
    RESULT_IDENTIFIER,
    Json,
    coding,
    concept,
)
from fhir_adapter.evidence.device import device_id
from fhir_adapter.evidence.labels import confidence, labelled, percent, quantity
from fhir_adapter.evidence.times import period_of
from fhir_adapter.prediction import (
    Abstention,
    AbstentionReason,
    Contribution,
    ModelIdentity,
    Prediction,
    ResultContext,
    RiskAtHorizon,
    SurvivalCurve,
)

__all__ = ["CURVE", "abstention", "observation", "percent", "rationale_of", "risk_assessment", "risk_code", "sampled"]

ABSENT = {
    AbstentionReason.MISSING_INPUT: ("unknown", "Unknown"),
    AbstentionReason.IMPLAUSIBLE_INPUT: ("error", "Error"),
    AbstentionReason.UNIT_NOT_CONVERTIBLE: ("unsupported", "Unsupported"),
    AbstentionReason.OUTSIDE_POPULATION: ("not-applicable", "Not Applicable"),
    AbstentionReason.NO_INDEX_TIME: ("unknown", "Unknown"),
}
# FHIR R4 observation.html: what Observation.derivedFrom may refer to.
DERIVED_FROM = frozenset(
    {"DocumentReference", "ImagingStudy", "Media", "QuestionnaireResponse", "Observation", "MolecularSequence"}
)
MILLISECONDS_PER_DAY = 86_400_000
NAMED_CONTRIBUTIONS = 4
CURVE = "survival-curve"


def method_of(model: ModelIdentity) -> Json:
    """Return algorithm and version as a CodeableConcept."""
    return concept(MODEL_METHOD, f"{model.name}-{model.version}", text=f"{model.title} {model.version}")


def risk_code(days: float) -> str:
    """Return the code of the component that holds the risk within so many days."""
    return f"risk-{days:g}d"


def _about(context: ResultContext) -> Json:
    about: Json = {"subject": {"reference": context.patient}}
    if context.encounter:
        about["encounter"] = {"reference": context.encounter}
    return about


def _common_observation(context: ResultContext, model: ModelIdentity, identifier: str) -> Json:
    """What a prediction and an abstention share.

    - category: of the value set that US Core binds for clinical results (laboratory, exam, therapy, imaging,
      procedure, vital-signs, activity), ``procedure`` is the one for results worked out outside laboratory and
      imaging; ``survey`` is not in it.
    - code: LOINC has codes of named scores (79423-0: ten-year risk by the Pooled Cohort Equations) and none for the
      probability of death after an infarction or for the output of a model at large, so the code is our own with a
      text (US Core: a local code only if no suitable LOINC exists).
    - the profile is followed and not claimed in meta.profile: it asks for a US Core Patient, for which the EHR
      answers.
    - performer cannot be a Device in R4: the model is Observation.device.
    - focus is left out, because the subject is what the result is about. There is no interpretation: nothing is
      called high or low before a person has looked.
    """
    resource = {
        **labelled("Observation", identifier, model),
        "identifier": [{"system": RESULT_IDENTIFIER, "value": identifier}],
        "status": "preliminary",
        "category": [concept(OBSERVATION_CATEGORY, "procedure", "Procedure")],
        "code": concept(RESULT_CODE, model.name, model.title, f"Predicted risk: {model.outcome_text}"),
        **_about(context),
        "method": method_of(model),
        "device": {"reference": f"Device/{device_id(model)}"},
    }
    effective = context.index_time or context.data_until
    if effective:
        resource["effectiveDateTime"] = effective.isoformat()
    observed = [source.reference for source in context.sources if source.reference.partition("/")[0] in DERIVED_FROM]
    if observed:
        resource["derivedFrom"] = [{"reference": reference} for reference in observed]
    return resource


def observation(answer: Prediction, context: ResultContext, model: ModelIdentity, identifier: str) -> Json:
    """Return the Observation of a prediction: a component for every horizon, and one for the curve."""
    components = [_component(risk, model) for risk in answer.risks]
    if answer.curve:
        components.append(
            {
                "code": concept(RESULT_CODE, CURVE, text="Predicted survival, percent"),
                "valueSampledData": sampled(answer.curve),
            }
        )
    return {
        **_common_observation(context, model, identifier),
        "note": [{"text": model.status}],
        "component": components,
    }


def _component(risk: RiskAtHorizon, model: ModelIdentity) -> Json:
    component: Json = {
        "code": concept(
            RESULT_CODE,
            risk_code(risk.days),
            text=f"Probability of {model.outcome_text} within {risk.days:g} days",
        ),
        "valueQuantity": quantity(percent(risk.probability), "%"),
    }
    stated = confidence(risk)
    return {"extension": stated, **component} if stated else component


def sampled(curve: SurvivalCurve) -> Json:
    """Return a survival curve as SampledData in percent (FHIR R4 datatypes.html#SampledData)."""
    return {
        "origin": quantity(0, "%"),
        "period": curve.step_days * MILLISECONDS_PER_DAY,
        "dimensions": 1,
        "data": " ".join(f"{100 * value:.4f}" for value in curve.survival),
    }


def risk_assessment(answer: Prediction, context: ResultContext, model: ModelIdentity, ids: dict[str, str]) -> Json:
    """Return the RiskAssessment of a prediction.

    ``probabilityDecimal`` is a percentage (ras-2). ``occurrence`` is the data cut-off: the clinical time of the
    newest source, or time zero where no source has one; when it was worked out is Provenance.recorded.
    """
    resource: Json = {
        **labelled("RiskAssessment", ids["RiskAssessment"], model),
        "identifier": [{"system": RESULT_IDENTIFIER, "value": ids["RiskAssessment"]}],
        "status": "preliminary",
        "method": method_of(model),
        "code": concept(RESULT_CODE, model.name, model.title),
        **_about(context),
        "performer": {"reference": f"Device/{device_id(model)}"},
        "basis": [
            {"reference": f"Observation/{ids['Observation']}"},
            *({"reference": source.reference} for source in context.sources),
        ],
        "prediction": [
            _prediction(risk, model, rationale_of(answer.contributions), context.index_time) for risk in answer.risks
        ],
        "note": [{"text": model.status}],
    }
    occurrence = context.data_until or context.index_time
    if occurrence:
        resource["occurrenceDateTime"] = occurrence.isoformat()
    if context.condition:
        resource["condition"] = {"reference": context.condition}
    if model.mitigation:
        resource["mitigation"] = model.mitigation
    return resource


def _prediction(risk: RiskAtHorizon, model: ModelIdentity, rationale: str, start: datetime | None) -> Json:
    prediction: Json = {
        "outcome": {**model.outcome, "text": model.outcome_text},
        "probabilityDecimal": percent(risk.probability),
    }
    if start:
        prediction["whenPeriod"] = period_of(start, risk.days)
    if rationale:
        prediction["rationale"] = rationale
    stated = confidence(risk)
    return {"extension": stated, **prediction} if stated else prediction


def rationale_of(contributions: tuple[Contribution, ...]) -> str:
    """Return what moved the prediction most, in words; empty when nothing is known."""
    named = [item for item in contributions if item.effect != 0][:NAMED_CONTRIBUTIONS]
    return "; ".join(
        f"{item.display} {item.value} {'raises' if item.effect > 0 else 'lowers'} the risk ({item.effect:+.2f})"
        for item in named
    )


def abstention(answer: Abstention, context: ResultContext, model: ModelIdentity, identifier: str) -> Json:
    """Return the Observation that says why there is no prediction."""
    code, display = ABSENT[answer.reason]
    absent = concept(DATA_ABSENT_REASON, code, display, text=f"No prediction. {answer.detail}")
    absent["coding"].append(coding(ABSTENTION_REASON, answer.reason.value))
    return {
        **_common_observation(context, model, identifier),
        "dataAbsentReason": absent,
        "note": [{"text": f"No prediction. {answer.detail}"}],
    }
