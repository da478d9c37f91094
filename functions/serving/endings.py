"""How an event ends: its outcome, and the endings without an answer.

The focus may be gone, or the patient may be none of the model's. Where a subscription asks several models, most
patients belong to one of them, and an abstention by each of the others would fill the record with what nobody asked:
such an ending is on record in the ledger and not in the EHR, except that what the model said earlier is withdrawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fhir_adapter.client import FhirClient
from fhir_adapter.codes import Json
from fhir_adapter.evidence.supersede import REPORTED_TYPES, Earlier, is_ours, watch_queries, withdrawal
from fhir_adapter.prediction import Abstention, AbstentionReason
from fhir_adapter.tenants import Tenant
from fhir_adapter.writing import Written, write
from functions.serving.events import Event
from functions.serving.package import ModelPackage
from functions.serving.reading import Gone, Read, types_of
from functions.serving.trail import Trail

__all__ = [
    "Outcome",
    "is_result",
    "moved",
    "pass_over",
    "passes_over",
    "rivals",
    "version_of",
    "watched",
    "withdraw",
]

GONE = "What it was about is no longer in the record."
# What says that the patient is not the model's, or leaves it open.
NOT_OURS = frozenset({AbstentionReason.OUTSIDE_POPULATION, AbstentionReason.NO_INDEX_TIME})
# Of a model that looks at images: the study has none of its kind. Any other refusal is told, the patient's age too.
NOT_SEEN = frozenset({AbstentionReason.NO_SUITABLE_IMAGE})


@dataclass(frozen=True)
class Outcome:
    """How an event ended.

    Parameters
    ----------
    outcome : str
        ``predicted``, ``abstained``, ``duplicate`` when the result was there already, ``withdrawn`` when the focus
        is gone and its results were marked, ``not-applicable`` when one of several models passes the patient over,
        ``ignored`` when the focus is one of our own resources or asks for nothing.
    result : str
        ``RiskAssessment/id``, ``DiagnosticReport/id`` or ``Observation/id``; the focus when nothing was answered.
    reason : str or None
        The abstention's code.
    written : int
        Resources written.
    replaced : int
        Older results marked ``entered-in-error``.
    focus_version : str or None
        Version of the focus, where the EHR's results do not tell that it was answered: it was passed over, or
        the result is about something else.
    """

    outcome: Literal["predicted", "abstained", "duplicate", "withdrawn", "not-applicable", "ignored"]
    result: str
    reason: str | None
    written: int
    replaced: int = 0
    focus_version: str | None = None


def watched(bundle: Json, package: ModelPackage, patient: str, focus: str | None = None) -> Json:
    """Let a transaction end with a look at this model's results (GET comes last: R4 http.html#trules).

    Parameters
    ----------
    focus : str, optional
        ``Type/id``, to look at as well. A model that passes over leaves nothing in the record by which a slower
        worker, with an older state at hand, could see that it was overtaken; the focus shows it.
    """
    urls = [*watch_queries(package.identity.name, patient, types_of(package))]
    if focus:
        kind, _, identifier = focus.partition("/")
        urls.append(f"{kind}?_id={identifier}&_elements=id,meta")
    looks = [{"request": {"method": "GET", "url": url}} for url in urls]
    return {**bundle, "entry": [*bundle["entry"], *looks]}


def rivals(written: Written, keys: Sequence[str], about: str | None) -> bool:
    """Return whether results of others are live beside the ones with these keys."""
    results = [found for found in written.found if is_result(found)]
    return bool(Earlier(tuple(results)).replaced_by(keys, about))


def is_result(resource: Json) -> bool:
    """Return whether a resource of ours is a result, not the Device, its card or the Provenance.

    A watched focus is none either: it may be a report or a value of somebody else's.
    """
    return resource.get("resourceType") in REPORTED_TYPES and is_ours(resource)


def version_of(resource: Json) -> str | None:
    """Return meta.versionId as text."""
    version = (resource.get("meta") or {}).get("versionId")
    return str(version) if version else None


def moved(written: Written, focus: Json) -> bool:
    """Return whether the focus has got another version since it was read."""
    mine = version_of(focus)
    for found in written.found:
        if (found.get("resourceType"), found.get("id")) == (focus.get("resourceType"), focus.get("id")):
            return mine is not None and version_of(found) not in (None, mine)
    return False


def withdraw(event: Event, tenant: Tenant, client: FhirClient, gone: Gone) -> tuple[Outcome, bool]:
    """The focus is gone: mark what was said about it, or say that there was nothing.

    What single values were part of stays: the others of that day are still there.
    """
    live = gone.earlier.replaced_by((), event.focus)
    if not live:
        if event.deleted:
            return Outcome("ignored", event.focus or "", None, 0), True
        raise gone.error
    bundle = withdrawal(live, GONE, tenant.organization)
    write(client, bundle)
    return Outcome("withdrawn", event.focus or "", None, len(bundle["entry"]), len(live)), True


def passes_over(answer: Abstention, package: ModelPackage) -> bool:
    """Return whether one of several models has nothing to say to this patient's record."""
    return answer.reason in (NOT_SEEN if package.looks else NOT_OURS)


def pass_over(
    answer: Abstention, read: Read, client: FhirClient, package: ModelPackage, trail: Trail
) -> tuple[Outcome, bool]:
    """Write nothing, but withdraw what this model said earlier about the focus."""
    focus = f"{read.focus.get('resourceType')}/{read.focus.get('id')}"
    live = read.earlier.replaced_by((), read.scope)
    outcome = Outcome("not-applicable", focus, answer.reason.value, 0, focus_version=version_of(read.notified))
    if not live:
        trail.keep()
        return outcome, True
    bundle = withdrawal(live, f"The model does not apply any more. {answer.detail}", trail.tenant.organization)
    main = f"{live[0]['resourceType']}/{live[0]['id']}"
    written = write(client, watched(trail.along(bundle, main), package, read.patient, focus))
    trail.written()
    outcome = replace(outcome, written=len(bundle["entry"]), replaced=len(live))
    return outcome, not (rivals(written, (), read.scope) or moved(written, read.focus))
