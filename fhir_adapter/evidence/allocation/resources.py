"""The resources of a plan: recommended placement, risk of having no bed, proposal, and summary of a ward."""

from __future__ import annotations

from fhir_adapter.codes import OBSERVATION_CATEGORY, RESULT_CODE, RESULT_IDENTIFIER, Json, concept
from fhir_adapter.evidence.allocation.objects import Placement, PlanContext, WardSummary
from fhir_adapter.evidence.device import device_id
from fhir_adapter.evidence.labels import confidence, labelled, percent, quantity
from fhir_adapter.evidence.results import method_of
from fhir_adapter.evidence.times import period_of
from fhir_adapter.prediction import ModelIdentity

__all__ = ["OPEN", "placement_observation", "proposal_of", "shortage_risk", "ward_observation"]

PLACEMENT, SUMMARY, SHORTAGE, PROPOSAL = "recommended-placement", "ward-summary", "no-suitable-bed", "bed-placement"
# A proposal nobody has answered.
OPEN = "requested"


def placement_observation(placement: Placement, context: PlanContext, model: ModelIdentity) -> Json:
    """Return the Observation that recommends a place, for a stay."""
    identifier = context.id("Observation", placement.key)
    found: Json = {
        **labelled("Observation", identifier, model),
        "identifier": [
            {"system": RESULT_IDENTIFIER, "value": identifier},
            {"system": RESULT_IDENTIFIER, "value": f"stay|{placement.key}"},
        ],
        "status": "preliminary",
        "category": [concept(OBSERVATION_CATEGORY, "procedure", "Procedure")],
        "code": concept(RESULT_CODE, PLACEMENT, text="Recommended placement"),
        "subject": {"reference": placement.patient},
        "effectiveDateTime": context.now.isoformat(),
        "method": method_of(model),
        "device": {"reference": f"Device/{device_id(model)}"},
        "valueString": placement.told,
        "note": [{"text": placement.why}, {"text": model.status}],
    }
    if placement.encounter:
        found["encounter"] = {"reference": placement.encounter}
    return found


def shortage_risk(placement: Placement, context: PlanContext, model: ModelIdentity, observed: str) -> Json:
    """Return the RiskAssessment of having no suitable bed, by horizon."""
    identifier = context.id("RiskAssessment", placement.key)
    predictions = []
    for risk in placement.risks:
        prediction: Json = {
            "outcome": {"text": model.outcome_text},
            "probabilityDecimal": percent(risk.probability),
            "whenPeriod": period_of(context.now, risk.days),
            "rationale": "Share of simulated courses in which no suitable bed was free by then; see the model card.",
        }
        stated = confidence(risk)
        predictions.append({"extension": stated, **prediction} if stated else prediction)
    found: Json = {
        **labelled("RiskAssessment", identifier, model),
        "identifier": [{"system": RESULT_IDENTIFIER, "value": identifier}],
        "status": "preliminary",
        "method": method_of(model),
        "code": concept(RESULT_CODE, SHORTAGE, text="Risk of having no suitable bed"),
        "subject": {"reference": placement.patient},
        "occurrenceDateTime": context.now.isoformat(),
        "performer": {"reference": f"Device/{device_id(model)}"},
        "basis": [{"reference": observed}],
        "prediction": predictions,
        "note": [{"text": model.status}],
    }
    if placement.encounter:
        found["encounter"] = {"reference": placement.encounter}
    return found


def proposal_of(placement: Placement, context: PlanContext, model: ModelIdentity, observed: str) -> Json:
    """Return the Task that proposes a room to a clinician.

    Raises
    ------
    ValueError
        There is no room to propose.
    """
    if placement.room is None:
        raise ValueError("a proposal names a room")
    identifier = context.id("Task", placement.key)
    found: Json = {
        **labelled("Task", identifier, model),
        "identifier": [{"system": RESULT_IDENTIFIER, "value": identifier}],
        "status": OPEN,
        "intent": "proposal",
        "priority": placement.urgency,
        "code": concept(RESULT_CODE, PROPOSAL, text="Proposed bed placement"),
        "description": placement.told,
        "for": {"reference": placement.patient},
        "authoredOn": context.now.isoformat(timespec="seconds"),
        "requester": {"reference": f"Device/{device_id(model)}"},
        "location": {"reference": placement.room},
        "executionPeriod": {
            "start": placement.start.isoformat(timespec="seconds"),
            "end": placement.end.isoformat(timespec="seconds"),
        },
        "reasonReference": {"reference": observed},
        "note": [{"text": placement.why}, {"text": model.status}],
    }
    if placement.encounter:
        found["encounter"] = {"reference": placement.encounter}
    focus = placement.focus or placement.encounter
    if focus:
        found["focus"] = {"reference": focus}
    return found


def ward_observation(summary: WardSummary, context: PlanContext, model: ModelIdentity) -> Json:
    """Return the Observation that sums a ward up."""
    identifier = context.id("Observation", summary.ward)
    return {
        **labelled("Observation", identifier, model),
        "identifier": [{"system": RESULT_IDENTIFIER, "value": identifier}],
        "status": "preliminary",
        "category": [concept(OBSERVATION_CATEGORY, "procedure", "Procedure")],
        "code": concept(RESULT_CODE, SUMMARY, text="Plan of a ward"),
        "subject": {"reference": summary.ward, "display": summary.name},
        "effectiveDateTime": context.now.isoformat(),
        "method": method_of(model),
        "device": {"reference": f"Device/{device_id(model)}"},
        "component": [
            {"code": concept(RESULT_CODE, code, text=words), "valueQuantity": quantity(value, unit)}
            for code, words, value, unit in summary.numbers
        ],
        "note": [*({"text": text} for text in summary.notes), {"text": model.status}],
    }
