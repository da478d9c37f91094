"""R5 resources in the R4 shape, as far as we read them: everything after the parser knows R4 only."""

from __future__ import annotations

from typing import Any

from fhir_adapter.codes import Json
from fhir_adapter.errors import MalformedNotification

__all__ = ["normalise_r5"]

# FHIR R5 and R4 valueset-encounter-status.html. An encounter that was discontinued has no counterpart in R4.
_STATUS = {
    "on-hold": "onleave",
    "discharged": "finished",
    "completed": "finished",
    "discontinued": "unknown",
}
_R4_ONLY = ("period", "hospitalization", "classHistory", "statusHistory")


def normalise_r5(resource: Json) -> Json:
    """Return an R5 resource in the shape of R4; the resource itself is left as it is.

    Encounter (FHIR R5 encounter.html): class, a list of CodeableConcept, becomes R4's one Coding; actualPeriod
    becomes period; status takes R4's codes; admission becomes hospitalization; subjectStatus and the planned dates,
    which R4 has no place for, are left out. Other types are the same in both as far as we read them.

    Raises
    ------
    MalformedNotification
        An Encounter that says R5 but has the shape of R4: what else it says cannot be trusted to mean what R5
        means.
    """
    if resource.get("resourceType") != "Encounter":
        return resource
    classes = resource.get("class", [])
    if not isinstance(classes, list) or any(name in resource for name in _R4_ONLY):
        raise MalformedNotification("an Encounter in an R5 notification has the shape of R4 (class, period)")
    renamed = {"actualPeriod": "period", "admission": "hospitalization"}
    dropped = ("class", "subjectStatus", "plannedStartDate", "plannedEndDate")
    out = {renamed.get(name, name): value for name, value in resource.items() if name not in dropped}
    code = next(_codings(classes), None)
    if code is not None:
        out["class"] = code
    status = resource.get("status")
    if isinstance(status, str):
        out["status"] = _STATUS.get(status, status)
    return out


def _codings(concepts: list[Any]) -> Any:
    for concept in concepts:
        codings = concept.get("coding") if isinstance(concept, dict) else None
        if isinstance(codings, list):
            yield from (coding for coding in codings if isinstance(coding, dict))
