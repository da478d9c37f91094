"""People answer a proposal: it becomes theirs, or it is not made again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from fhir_adapter.codes import MODEL_TAG, PROVENANCE_PARTICIPANT, Json, concept
from fhir_adapter.evidence.allocation.resources import OPEN
from fhir_adapter.evidence.allocation.transaction import updating
from fhir_adapter.evidence.attest import PRACTITIONER, verified
from fhir_adapter.evidence.check import check

__all__ = ["accepted", "rejected"]


def accepted(
    task: Json, practitioner: str, now: datetime, *, organization: str, provenance_known: Json | None = None
) -> Json:
    """Return the transaction by which a clinician accepts a proposal; it becomes theirs to carry out.

    Parameters
    ----------
    task : dict
        As the EHR holds it.
    practitioner : str
        ``Practitioner/{id}`` or ``PractitionerRole/{id}``.
    organization : str
        On whose behalf.
    provenance_known : dict, optional
        The plan's Provenance, which gains the person as its verifier.

    Raises
    ------
    ValueError
        The reference names no practitioner, or the Task is no open proposal of ours.
    """
    return _answered(task, "accepted", practitioner, now, "Accepted.", organization, provenance_known)


def rejected(task: Json, practitioner: str, now: datetime, reason: str, *, organization: str) -> Json:
    """Return the transaction by which a clinician rejects a proposal; the same is not proposed again.

    Raises
    ------
    ValueError
        As :func:`accepted`, or there is no reason.
    """
    if not reason:
        raise ValueError("who rejects a proposal says why")
    return _answered(task, "rejected", practitioner, now, reason, organization, None)


def _answered(
    task: Json, status: str, practitioner: str, now: datetime, note: str, organization: str, known: Json | None
) -> Json:
    if not PRACTITIONER.match(practitioner):
        raise ValueError("only a Practitioner or PractitionerRole can answer a proposal")
    tags: Iterable[Mapping[str, object]] = (task.get("meta") or {}).get("tag") or []
    ours = any(tag.get("system") == MODEL_TAG for tag in tags)
    if not ours or task.get("intent") != "proposal" or task.get("status") != OPEN:
        raise ValueError("not an open proposal of ours")
    who = {"reference": practitioner}
    annotation = {"authorReference": who, "time": now.isoformat(timespec="seconds"), "text": note}
    changed = {
        **task,
        "status": status,
        "owner": who,
        "lastModified": now.isoformat(timespec="seconds"),
        "note": [*task.get("note", []), annotation],
    }
    if status == "rejected":
        changed["statusReason"] = {"text": note}
    check(changed)
    entries = [updating(changed)]
    if known is not None:
        agent = {
            "type": concept(PROVENANCE_PARTICIPANT, "verifier", "Verifier"),
            "who": who,
            "onBehalfOf": {"display": organization},
        }
        entries.append(updating(verified(known, agent)))
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}
