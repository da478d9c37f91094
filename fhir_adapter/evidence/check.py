"""The last look at a resource before it leaves: structure by the R4B models, and the rules they do not evaluate.

The models of ``fhir.resources`` know elements, types and cardinalities. Required bindings and invariants of what we
write are looked at by hand here: FHIRPath would cost more than everything else together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError

from fhir_adapter.codes import UCUM, Json
from fhir_adapter.errors import InvalidResourceError

__all__ = ["check"]

OBSERVATION_STATUS = frozenset(
    {"registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error", "unknown"}
)
REPORT_STATUS = frozenset(
    {"registered", "partial", "preliminary", "final", "amended", "corrected", "appended", "cancelled"}
    | {"entered-in-error", "unknown"}
)
TASK_STATUS = frozenset(
    {"draft", "requested", "received", "accepted", "rejected", "ready", "cancelled", "in-progress", "on-hold", "failed"}
    | {"completed", "entered-in-error"}
)
TASK_INTENT = frozenset(
    {"unknown", "proposal", "plan", "order", "original-order", "reflex-order", "filler-order", "instance-order"}
    | {"option"}
)
# Required bindings (FHIR R4 terminologies.html#required), by resource type and element.
BINDINGS: dict[str, dict[str, frozenset[str]]] = {
    "Observation": {"status": OBSERVATION_STATUS},
    "RiskAssessment": {"status": OBSERVATION_STATUS},
    "DiagnosticReport": {"status": REPORT_STATUS},
    "Device": {"status": frozenset({"active", "inactive", "entered-in-error", "unknown"})},
    "DocumentReference": {"status": frozenset({"current", "superseded", "entered-in-error"})},
    "Task": {
        "status": TASK_STATUS,
        "intent": TASK_INTENT,
        "priority": frozenset({"routine", "urgent", "asap", "stat"}),
    },
    "AuditEvent": {"action": frozenset("CRUDE"), "outcome": frozenset({"0", "4", "8", "12"})},
}
ENTITY_ROLES = frozenset({"derivation", "revision", "quotation", "source", "removal"})
TO_THE_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def check(resource: Json) -> None:
    """Check a resource we are about to write.

    Raises
    ------
    InvalidResourceError
        Naming elements and rules; never a value.
    """
    kind = str(resource.get("resourceType"))
    try:
        model = get_fhir_model_class(kind)
    except ValueError:
        raise InvalidResourceError("the resourceType is none of FHIR R4") from None
    try:
        model.model_validate(resource)
    except ValidationError as error:
        places = sorted({".".join(map(str, issue["loc"])) + ": " + issue["type"] for issue in error.errors()})
        raise InvalidResourceError(f"{kind} is not valid FHIR R4 ({'; '.join(places)})") from None
    for element, codes in BINDINGS.get(kind, {}).items():
        if element in resource and resource[element] not in codes:
            raise InvalidResourceError(f"{kind}.{element} is not in its required value set")
    for broken in RULES.get(kind, _nothing)(resource):
        raise InvalidResourceError(f"{kind} breaks {broken}")


def _nothing(_resource: Json) -> Iterator[str]:
    yield from ()


def _value(element: Json) -> Any:
    return next((content for name, content in element.items() if name.startswith("value")), None)


def _codes(concept: Any) -> set[tuple[Any, Any]]:
    codings = concept.get("coding", []) if isinstance(concept, dict) else []
    return {(item.get("system"), item.get("code")) for item in codings}


def _observation(resource: Json) -> Iterator[str]:
    """FHIR R4 observation.html#invs, and US Core Observation Clinical Result."""
    value = _value(resource)
    absent = "dataAbsentReason" in resource
    components = resource.get("component", [])
    if absent and value is not None:
        yield "obs-6: dataAbsentReason beside a value"
    own = _codes(resource.get("code"))
    if value is not None and any(own & _codes(part.get("code")) for part in components):
        yield "obs-7: a value beside a component of the same code"
    if "effectiveDateTime" in resource and not TO_THE_DAY.match(str(resource["effectiveDateTime"])):
        yield "us-core-1: effectiveDateTime must be given to the day"
    if value is None and not absent and not components and not resource.get("hasMember"):
        yield "us-core-2: neither a value, dataAbsentReason, component nor hasMember"
    for part in (resource, *components):
        if part.get("valueQuantity", {}).get("system", UCUM) != UCUM:
            yield "us-core-3: a Quantity must be in UCUM"


def _risk_assessment(resource: Json) -> Iterator[str]:
    """FHIR R4 riskassessment.html#invs."""
    for prediction in resource.get("prediction", []):
        if not 0 <= prediction.get("probabilityDecimal", 0) <= 100:
            yield "ras-2: probability above 100 percent"
        bounds = prediction.get("probabilityRange", {})
        for bound in (bounds.get("low"), bounds.get("high")):
            if bound and (bound.get("code") != "%" or not 0 <= bound.get("value", 0) <= 100):
                yield "ras-1: low and high must be percentages"


def _diagnostic_report(resource: Json) -> Iterator[str]:
    """US Core DiagnosticReport for Report and Note Exchange."""
    for element in ("category", "subject"):
        if not resource.get(element):
            yield f"US Core: {element} is missing"
    told = resource.get("status") in {"partial", "preliminary", "final", "amended", "corrected", "appended"}
    if told and not any(name.startswith("effective") for name in resource):
        yield "us-core-10: effective[x] must be present"
    if not resource.get("result") and not resource.get("conclusion"):
        yield "the rule that a report holds a result or a conclusion"


def _provenance(resource: Json) -> Iterator[str]:
    """FHIR R4 provenance.html#bnd, and US Core Provenance."""
    for agent in resource.get("agent", []):
        who = str(agent.get("who", {}).get("reference", ""))
        if who.startswith(("Device/", "Practitioner/")) and not agent.get("onBehalfOf"):
            yield "provenance-1: an agent that is a Device or Practitioner acts on behalf of an organization"
    if any(entity.get("role") not in ENTITY_ROLES for entity in resource.get("entity", [])):
        yield "the required binding of entity.role"


def _audit_event(resource: Json) -> Iterator[str]:
    """FHIR R4 auditevent.html#invs."""
    if any("name" in entity and "query" in entity for entity in resource.get("entity", [])):
        yield "sev-1: an entity with both name and query"
    if sum(agent.get("requestor") is True for agent in resource.get("agent", [])) != 1:
        yield "the rule that exactly one agent is the requestor"


RULES: dict[str, Callable[[Json], Iterator[str]]] = {
    "Observation": _observation,
    "RiskAssessment": _risk_assessment,
    "DiagnosticReport": _diagnostic_report,
    "Provenance": _provenance,
    "AuditEvent": _audit_event,
}
