"""What happens at an EHR when a hook fires: the body of the call, with the drafts that a person has on the screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

__all__ = ["HOOKS", "body_of", "context_of", "filled"]

Json = dict[str, Any]
HOOKS = {
    "patient-view": "Chart opened",
    "order-select": "Order selected",
    "appointment-book": "Visit booked",
    "encounter-discharge": "Discharge",
}
LOINC = "http://loinc.org"
# Something for each of the survival models to recognise.
ORDERED = (("8867-4", "Heart rate"), ("1975-2", "Bilirubin.total in Serum or Plasma"))


def context_of(hook: str, user: str, patient: str, encounter: str | None) -> Json:
    """Return the context of a hook (hooks/*.md of CDS Hooks 2.0)."""
    context: Json = {"userId": user, "patientId": patient}
    if encounter:
        context["encounterId"] = encounter
    if hook == "order-select":
        drafts = [_order(index, patient, code, display) for index, (code, display) in enumerate(ORDERED)]
        context["selections"] = [f"ServiceRequest/{draft['id']}" for draft in drafts]
        context["draftOrders"] = _bundle(drafts)
    elif hook == "appointment-book":
        context["appointments"] = _bundle([_appointment(patient)])
    return context


def body_of(hook: str, context: Json, fhir_base: str, authorization: Json, prefetch: Json | None) -> Json:
    """Return the body of a call."""
    body: Json = {"hook": hook, "hookInstance": str(uuid4()), "context": context}
    body |= {"fhirServer": fhir_base, "fhirAuthorization": authorization}
    return body if prefetch is None else {**body, "prefetch": prefetch}


def filled(template: str, context: Mapping[str, Any]) -> str | None:
    """Return a prefetch query, None when it asks for something that is not in the context."""
    for name in ("userId", "patientId", "encounterId"):
        token = "{{context." + name + "}}"
        if token in template:
            if not context.get(name):
                return None
            template = template.replace(token, str(context[name]))
    return None if "{{" in template else template


def _order(index: int, patient: str, code: str, display: str) -> Json:
    return {
        "resourceType": "ServiceRequest",
        "id": f"draft-{index + 1}",
        "status": "draft",
        "intent": "order",
        "subject": {"reference": f"Patient/{patient}"},
        "code": {"coding": [{"system": LOINC, "code": code, "display": display}]},
    }


def _appointment(patient: str) -> Json:
    return {
        "resourceType": "Appointment",
        "id": "draft-visit",
        "status": "proposed",
        "participant": [{"actor": {"reference": f"Patient/{patient}"}, "status": "tentative"}],
    }


def _bundle(resources: list[Json]) -> Json:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": item} for item in resources]}
