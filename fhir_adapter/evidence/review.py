"""A person's word on a result, as one transaction: confirmed, or rejected with a reason.

What is always written is a Provenance of its own, with the person as ``verifier``: who, when, which version of the
result they saw, and why. Where the EHR lets the person change results, a confirmed one becomes ``final`` beside it, and
either carries a tag and a note; a rejected one keeps its status, because a judgement against it makes it no error of
the record. A rejection is no DetectedIssue, which EHRs show as an alert, and no Task, which waits for somebody to do
something.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import uuid5

from fhir_adapter.codes import BEDSIDE, PROVENANCE_PARTICIPANT, REVIEW, V3_DATA_OPERATION, Json, coding, concept
from fhir_adapter.evidence.attest import PRACTITIONER, attest
from fhir_adapter.evidence.check import check
from fhir_adapter.evidence.labels import label_elements

__all__ = ["confirmation", "rejection"]

CONFIRMED, REJECTED = "confirmed", "rejected"


def confirmation(
    results: Sequence[Json],
    practitioner: str,
    now: datetime,
    *,
    organization: str,
    note: str = "Confirmed.",
    changeable: frozenset[str] = frozenset(),
) -> Json:
    """Return the transaction that confirms the results of one answer.

    Parameters
    ----------
    results : sequence of dict
        As the person saw them; each update is bound to its version (FHIR R4 http.html#concurrency), so that the EHR
        refuses the whole with 412 when one has changed meanwhile.
    practitioner : str
        ``Practitioner/{id}`` or ``PractitionerRole/{id}`` of the person.
    now : datetime
        With a time zone.
    organization : str
        On whose behalf; the EHR's own name.
    note : str
    changeable : frozenset of str
        Types of resources that the person may update at the EHR.

    Raises
    ------
    ValueError
        The reference names no practitioner, or a result was withdrawn and cannot be confirmed.
    InvalidResourceError
        What would be written is not valid FHIR R4.
    """
    changed = [
        _tagged(attest(result, practitioner, now, organization=organization, note=note).resource, CONFIRMED)
        for result in results
        if result["resourceType"] in changeable
    ]
    record = _record(results, practitioner, now, organization, CONFIRMED, bool(changed))
    return _transaction([*changed, record])


def rejection(
    results: Sequence[Json],
    practitioner: str,
    now: datetime,
    *,
    organization: str,
    reason: Json,
    changeable: frozenset[str] = frozenset(),
) -> Json:
    """Return the transaction that says that a person rejects the results of one answer, and why.

    Parameters
    ----------
    reason : dict
        CodeableConcept with a text.
    results, practitioner, now, organization, changeable
        As of :func:`confirmation`.

    Raises
    ------
    ValueError
        The reference names no practitioner, or the reason has no text.
    InvalidResourceError
    """
    if not reason.get("text"):
        raise ValueError("a rejection needs its reason in words")
    who = {"reference": practitioner}
    note = {"authorReference": who, "time": now.isoformat(timespec="seconds"), "text": reason["text"]}
    changed = []
    for result in results:
        if result["resourceType"] in changeable:
            out = _tagged(label_elements(result), REJECTED)
            if result["resourceType"] != "DiagnosticReport":  # which has no place for a note
                out["note"] = [*out.get("note", []), note]
            check(out)
            changed.append(out)
    record = _record(results, practitioner, now, organization, REJECTED, bool(changed))
    record["reason"] = [reason]
    check(record)
    return _transaction([*changed, record])


def _tagged(resource: Json, decision: str) -> Json:
    """A result carries the newest decision only."""
    meta = resource.setdefault("meta", {})
    meta["tag"] = [tag for tag in meta.get("tag", []) if tag.get("system") != REVIEW] + [coding(REVIEW, decision)]
    return resource


def _record(
    results: Sequence[Json], practitioner: str, now: datetime, organization: str, decision: str, changes: bool
) -> Json:
    """The Provenance of the decision; the same person's on the same versions is one and the same."""
    if not PRACTITIONER.match(practitioner):
        raise ValueError("only a Practitioner or PractitionerRole can review a result")
    seen = [_at_version(result) for result in results]
    activity = ("UPDATE", "revise") if changes else ("APPEND", "append")
    record: Json = {
        "resourceType": "Provenance",
        "id": str(uuid5(BEDSIDE, "|".join((decision, practitioner, *sorted(seen))))),
        "meta": {"tag": [coding(REVIEW, decision)]},
        "target": [{"reference": f"{result['resourceType']}/{result['id']}"} for result in results],
        "recorded": now.isoformat(timespec="milliseconds"),
        "activity": concept(V3_DATA_OPERATION, *activity, text=f"Result of an AI {decision} by a person"),
        "agent": [
            {
                "type": concept(PROVENANCE_PARTICIPANT, "verifier", "Verifier"),
                "who": {"reference": practitioner},
                "onBehalfOf": {"display": organization},
            }
        ],
        "entity": [{"role": "source", "what": {"reference": reference}} for reference in seen],
    }
    check(record)
    return record


def _at_version(result: Json) -> str:
    version = result.get("meta", {}).get("versionId")
    return f"{result['resourceType']}/{result['id']}" + (f"/_history/{version}" if version else "")


def _transaction(resources: Sequence[Json]) -> Json:
    return {"resourceType": "Bundle", "type": "transaction", "entry": [_put(resource) for resource in resources]}


def _put(resource: Json) -> Json:
    request = {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}
    version = resource.get("meta", {}).get("versionId")
    if version:
        request["ifMatch"] = f'W/"{version}"'
    return {"resource": resource, "request": request}
