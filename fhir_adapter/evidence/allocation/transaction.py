"""A plan as one transaction: what is new, what holds, and what no longer does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fhir_adapter.codes import Json
from fhir_adapter.evidence.allocation.objects import Placement, PlanContext, WardSummary
from fhir_adapter.evidence.allocation.resources import (
    OPEN,
    placement_observation,
    proposal_of,
    shortage_risk,
    ward_observation,
)
from fhir_adapter.evidence.check import check
from fhir_adapter.evidence.device import device, model_card
from fhir_adapter.evidence.provenance import provenance
from fhir_adapter.evidence.supersede import UNCONFIRMED, superseding
from fhir_adapter.prediction import ModelIdentity, ResultContext

__all__ = ["plan_evidence", "updating"]

SETTLED = frozenset({"accepted", "ready", "in-progress", "on-hold"})


def plan_evidence(
    placements: Sequence[Placement], summaries: Sequence[WardSummary], context: PlanContext, model: ModelIdentity
) -> Json | None:
    """Build and check the transaction of a plan.

    Returns
    -------
    dict or None
        None when this very plan was written before.

    Raises
    ------
    InvalidResourceError
        A resource is not valid FHIR R4; nothing is written then.
    """
    summaries_built = [ward_observation(item, context, model) for item in summaries]
    there = {_key(result) for result in context.results}
    if summaries_built and all(_key(item) in there for item in summaries_built):
        return None
    results: list[Json] = list(summaries_built)
    kept: set[str] = set()
    for placement in placements:
        results += _of_placement(placement, context, model, kept)
    concerned = {item.ward for item in summaries} | {item.patient for item in placements}
    replaced = [result for result in context.results if _replaced(result, concerned, kept, context)]
    cancelled = [_cancelled(task) for task in context.tasks if _lapsed(task, concerned, kept, context)]
    about = ResultContext(context.tenant, context.organization, "", None, context.now, context.sources, ())
    written = provenance(results, about, model, context.id("Provenance"), context.now)
    new = [*([] if context.device_known else _model(model, context)), *results, written]
    for resource in new:
        check(resource)
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [_put(resource) for resource in new]}
    whole = superseding(bundle, replaced)
    return {**whole, "entry": [*whole["entry"], *cancelled]}


def _of_placement(placement: Placement, context: PlanContext, model: ModelIdentity, kept: set[str]) -> Iterable[Json]:
    """What is new of a placement: its result and risk, and a proposal where something is to be done."""
    same = next((item for item in context.results if _says(item, placement)), None)
    observed = f"Observation/{same['id']}" if same else f"Observation/{context.id('Observation', placement.key)}"
    if same:
        kept.add(observed)
    else:
        yield placement_observation(placement, context, model)
    if placement.risks:
        yield shortage_risk(placement, context, model, observed)
    if placement.kind in ("move", "place"):
        standing = next((task for task in context.tasks if _proposes(task, placement)), None)
        if standing:
            kept.add(f"Task/{standing['id']}")
        else:
            yield proposal_of(placement, context, model, observed)


def _key(resource: Json) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _model(model: ModelIdentity, context: PlanContext) -> list[Json]:
    card = [model_card(model, context.organization, context.now)] if model.card else []
    return [*card, device(model, context.organization)]


def _subject(resource: Json) -> str:
    return str((resource.get("subject") or {}).get("reference"))


def _says(result: Json, placement: Placement) -> bool:
    """Whether a live result of an earlier plan says the same of the same stay."""
    identifiers = {item.get("value") for item in result.get("identifier") or []}
    return (
        result["resourceType"] == "Observation"
        and result.get("status") in UNCONFIRMED
        and f"stay|{placement.key}" in identifiers
        and result.get("valueString") == placement.told
    )


def _proposes(task: Json, placement: Placement) -> bool:
    """Whether a Task proposes the same already; one that was rejected counts, so that it is not asked twice."""
    return (
        task.get("status") in (OPEN, "rejected", *SETTLED)
        and (task.get("for") or {}).get("reference") == placement.patient
        and (task.get("location") or {}).get("reference") == placement.room
    )


def _replaced(result: Json, concerned: set[str], kept: set[str], context: PlanContext) -> bool:
    subject = _subject(result)
    gone = subject.startswith("Patient/") and subject not in context.patients
    return result.get("status") in UNCONFIRMED and _key(result) not in kept and (subject in concerned or gone)


def _lapsed(task: Json, concerned: set[str], kept: set[str], context: PlanContext) -> bool:
    patient = str((task.get("for") or {}).get("reference"))
    return (
        task.get("status") == OPEN
        and _key(task) not in kept
        and (patient in concerned or patient not in context.patients)
    )


def _cancelled(task: Json) -> Json:
    changed = {**task, "status": "cancelled", "statusReason": {"text": "A newer plan does not propose it."}}
    check(changed)
    return updating(changed)


def _put(resource: Json) -> Json:
    return {
        "fullUrl": f"urn:uuid:{resource['id']}",
        "resource": resource,
        "request": {"method": "PUT", "url": _key(resource)},
    }


def updating(resource: Json) -> Json:
    """Return the entry that updates a resource over the version that was read, and no other."""
    request = {"method": "PUT", "url": _key(resource)}
    version = (resource.get("meta") or {}).get("versionId")
    if version:
        request["ifMatch"] = f'W/"{version}"'
    return {"resource": resource, "request": request}
