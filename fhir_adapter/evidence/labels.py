"""Saying which part of a resource an AI made, and how sure it was (AI Transparency on FHIR, DS4P).

What the worker writes is made by the AI as a whole, so one label on the resource says it all. Labels on elements
begin to matter when a person adds something of their own: see :mod:`~fhir_adapter.evidence.attest`.
"""

from __future__ import annotations

import copy

from fhir_adapter.codes import (
    ABOUT_TAG,
    AI_ASSERTED,
    AI_CONFIDENCE,
    INLINE_LABEL,
    INLINE_LABELS,
    MODEL_TAG,
    UCUM,
    Json,
    coding,
)
from fhir_adapter.prediction import ModelIdentity, RiskAtHorizon

__all__ = ["confidence", "label_elements", "labelled", "percent", "quantity"]

AI_MADE = {
    "Observation": ("component", "dataAbsentReason", "valueQuantity", "interpretation"),
    "RiskAssessment": ("prediction",),
}
# Of a primitive type, whose extensions lie beside it (FHIR R4 json.html#primitive).
AI_MADE_PRIMITIVES = {"DiagnosticReport": ("conclusion",)}


def percent(probability: float) -> float:
    """Return a probability as a percentage, with the digits a double carries safely."""
    return round(probability * 100, 12)


def quantity(value: float, unit: str) -> Json:
    """Return a Quantity in a UCUM unit that is written like its code (FHIR R4 datatypes.html#Quantity)."""
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def labelled(kind: str, identifier: str, model: ModelIdentity, about: str | None = None) -> Json:
    """Return the beginning of a resource that is made by AI as a whole.

    Parameters
    ----------
    about : str, optional
        What the result is about, where that is not its encounter.
    """
    tags = [coding(MODEL_TAG, model.name), *([coding(ABOUT_TAG, about)] if about else [])]
    return {"resourceType": kind, "id": identifier, "meta": {"security": [AI_ASSERTED], "tag": tags}}


def label_elements(resource: Json) -> Json:
    """Return a result whose AI-made elements carry the label themselves (DS4P, inline security labels).

    The resource keeps its own label, and says that there are others inside.
    """
    out = copy.deepcopy(resource)
    for name in AI_MADE.get(str(out.get("resourceType")), ()):
        found = out.get(name)
        for element in found if isinstance(found, list) else [found] if found else []:
            _label(element)
    for name in AI_MADE_PRIMITIVES.get(str(out.get("resourceType")), ()):
        if name in out:
            _label(out.setdefault(f"_{name}", {}))
    security = out.setdefault("meta", {}).setdefault("security", [])
    if INLINE_LABELS not in security:
        security.append(INLINE_LABELS)
    return out


def _label(element: Json) -> None:
    extensions = element.setdefault("extension", [])
    if not any(item.get("url") == INLINE_LABEL for item in extensions):
        extensions.append({"url": INLINE_LABEL, "valueCoding": AI_ASSERTED})


def confidence(risk: RiskAtHorizon) -> list[Json]:
    """Return the AIconfidence extension of a risk, as a Range in percent; empty when the model states none.

    A probability of an event is the result itself and not the confidence in it, so it is never repeated here.
    """
    if risk.interval is None:
        return []
    low, high = (quantity(percent(bound), "%") for bound in risk.interval)
    return [{"url": AI_CONFIDENCE, "valueRange": {"low": low, "high": high}}]
