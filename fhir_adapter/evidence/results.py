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
from fhir_adapter.evidence.components import components
from fhir_adapter.evidence.device import device_id
from fhir_adapter.evidence.labels import confidence, labelled, percent
from fhir_adapter.evidence.rationale import competing_rationale, rationale_of
from fhir_adapter.evidence.times import period_of
from fhir_adapter.prediction import (
    Abstention,
    AbstentionReason,
    ModelIdentity,
    Prediction,
    ResultContext,
    RiskAtHorizon,
)

__all__ = ["about", "abstention", "common_observation", "method_of", "observation", "risk_assessment"]

ABSENT = {
    AbstentionReason.MISSING_INPUT: ("unknown", "Unknown"),
    AbstentionReason.IMPLAUSIBLE_INPUT: ("error", "Error"),
    AbstentionReason.UNIT_NOT_CONVERTIBLE: ("unsupported", "Unsupported"),
    AbstentionReason.NO_INDEX_TIME: ("unknown", "Unknown"),
    AbstentionReason.NOT_COMPUTABLE: ("error", "Error"),
    AbstentionReason.STUDY_INCOMPLETE: ("unknown", "Unknown"),
    AbstentionReason.NO_PIXELS: ("unknown", "Unknown"),
    AbstentionReason.NO_WAVEFORM: ("unknown", "Unknown"),
    AbstentionReason.GAPS: ("unknown", "Unknown"),
    AbstentionReason.NOT_DICOM: ("error", "Error"),
    AbstentionReason.DAMAGED: ("error", "Error"),
    AbstentionReason.TOO_LARGE: ("unsupported", "Unsupported"),
    AbstentionReason.TOO_MANY_IMAGES: ("unsupported", "Unsupported"),
    AbstentionReason.UNSUPPORTED: ("unsupported", "Unsupported"),
    AbstentionReason.PATIENT_MISMATCH: ("error", "Error"),
}
# Whatever else stands against an answer says that the patient or the image is not one of the model's.
NOT_THE_MODELS = ("not-applicable", "Not Applicable")
# FHIR R4 observation.html: what Observation.derivedFrom may refer to.
DERIVED_FROM = frozenset(
    {"DocumentReference", "ImagingStudy", "Media", "QuestionnaireResponse", "Observation", "MolecularSequence"}
)


def method_of(model: ModelIdentity) -> Json:
    """Return algorithm and version as a CodeableConcept."""
    return concept(MODEL_METHOD, f"{model.name}-{model.version}", text=f"{model.title} {model.version}")


def _told(model: ModelIdentity) -> str:
    return model.outcome_text if model.kind == "diagnosis" else f"Predicted risk: {model.outcome_text}"


def about(context: ResultContext) -> Json:
    """Return whom a result is about."""
    found: Json = {"subject": {"reference": context.patient}}
    if context.encounter:
        found["encounter"] = {"reference": context.encounter}
    return found


def common_observation(context: ResultContext, model: ModelIdentity, identifier: str) -> Json:
    """Return what every Observation of an answer, and of an abstention, shares.

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
        **labelled("Observation", identifier, model, context.about),
        "identifier": [{"system": RESULT_IDENTIFIER, "value": identifier}],
        "status": "preliminary",
        "category": [concept(OBSERVATION_CATEGORY, "procedure", "Procedure")],
        "code": concept(RESULT_CODE, model.name, model.title, _told(model)),
        **about(context),
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
    """Return the Observation of a prediction: components for the horizons, the curve, its band and its median."""
    return {
        **common_observation(context, model, identifier),
        "note": [{"text": model.status}],
        "component": components(answer, model),
    }


def risk_assessment(answer: Prediction, context: ResultContext, model: ModelIdentity, ids: dict[str, str]) -> Json:
    """Return the RiskAssessment of a prediction: one RiskAssessment.prediction a horizon.

    Where another event can come first, its own follow, one a horizon, with that event as their outcome and a
    rationale that says what they are; the predicted event's come before them.

    ``probabilityDecimal`` is a percentage (ras-2). ``occurrence`` is the data cut-off: the clinical time of the
    newest source, or time zero where no source has one; when it was worked out is Provenance.recorded.
    """
    resource: Json = {
        **labelled("RiskAssessment", ids["RiskAssessment"], model, context.about),
        "identifier": [{"system": RESULT_IDENTIFIER, "value": ids["RiskAssessment"]}],
        "status": "preliminary",
        "method": method_of(model),
        "code": concept(RESULT_CODE, model.name, model.title),
        **about(context),
        "performer": {"reference": f"Device/{device_id(model)}"},
        "basis": [
            {"reference": f"Observation/{ids['Observation']}"},
            *({"reference": source.reference} for source in context.sources),
        ],
        "prediction": _predictions(answer, model, context.index_time),
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


def _predictions(answer: Prediction, model: ModelIdentity, start: datetime | None) -> list[Json]:
    outcome, rationale = {**model.outcome, "text": model.outcome_text}, rationale_of(answer)
    found = [_prediction(risk, outcome, rationale, start) for risk in answer.risks]
    if answer.competing:
        other, rationale = {**model.competing, "text": model.competing_text}, competing_rationale(model)
        found += [_prediction(risk, other, rationale, start) for risk in answer.competing.risks]
    return found


def _prediction(risk: RiskAtHorizon, outcome: Json, rationale: str, start: datetime | None) -> Json:
    prediction: Json = {"outcome": outcome, "probabilityDecimal": percent(risk.probability)}
    if start:
        prediction["whenPeriod"] = period_of(start, risk.days)
    if rationale:
        prediction["rationale"] = rationale
    stated = confidence(risk)
    return {"extension": stated, **prediction} if stated else prediction


def abstention(answer: Abstention, context: ResultContext, model: ModelIdentity, identifier: str) -> Json:
    """Return the Observation that says why there is no prediction."""
    code, display = ABSENT.get(answer.reason, NOT_THE_MODELS)
    absent = concept(DATA_ABSENT_REASON, code, display, text=f"No prediction. {answer.detail}")
    absent["coding"].append(coding(ABSTENTION_REASON, answer.reason.value))
    return {
        **common_observation(context, model, identifier),
        "dataAbsentReason": absent,
        "note": [{"text": f"No prediction. {answer.detail}"}],
    }
