"""A person confirms a result: the result becomes final, and its Provenance gains a verifier.

Pure functions: resources as the EHR holds them in, resources to be written out. The AI's part of the result is not
touched; it is labelled element by element from then on, since the resource now holds words of a person too.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fhir_adapter.codes import PROVENANCE_PARTICIPANT, Json, concept
from fhir_adapter.evidence.check import check
from fhir_adapter.evidence.labels import label_elements

__all__ = ["Attestation", "attest", "attestation", "verified"]

PRACTITIONER = re.compile(r"Practitioner(Role)?/[A-Za-z0-9\-.]{1,64}\Z")
# FHIR R4 valueset-observation-status.html: a result that was final and is confirmed again has been amended.
NEXT = {
    "registered": "final",
    "preliminary": "final",
    "final": "amended",
    "amended": "amended",
    "corrected": "amended",
    "unknown": "final",
}


@dataclass(frozen=True)
class Attestation:
    """A confirmed result.

    Parameters
    ----------
    resource : dict
        Its next version: ``final``, or ``amended`` when it was final before.
    agent : dict
        The person, as Provenance.agent of type ``verifier``.
    """

    resource: Json
    agent: Json


def attest(
    resource: Json, practitioner: str, now: datetime, *, organization: str = "", note: str = "Confirmed."
) -> Attestation:
    """Confirm a result.

    Parameters
    ----------
    resource : dict
        Observation, RiskAssessment or DiagnosticReport as the EHR holds it; left as it is.
    practitioner : str
        ``Practitioner/{id}`` or ``PractitionerRole/{id}`` of the person.
    now : datetime
        When, with a time zone.
    organization : str
        On whose behalf (US Core Provenance wants it); the EHR's own name.
    note : str
        What the person says about it, as an Annotation of theirs.

    Raises
    ------
    ValueError
        The reference names no practitioner, or the result was withdrawn and cannot be confirmed.
    InvalidResourceError
        What would be written is not valid FHIR R4.
    """
    if not PRACTITIONER.match(practitioner):
        raise ValueError("only a Practitioner or PractitionerRole can attest")
    kind, status = resource.get("resourceType"), str(resource.get("status"))
    if kind not in ("Observation", "RiskAssessment", "DiagnosticReport"):
        raise ValueError("only an Observation, a RiskAssessment or a DiagnosticReport can be attested")
    if status not in NEXT:
        raise ValueError(f"a result of status {status} cannot be attested")
    who = {"reference": practitioner}
    out = label_elements(resource)
    out["status"] = NEXT[status]
    if kind != "DiagnosticReport":  # which has no place for a note
        annotation = {"authorReference": who, "time": now.isoformat(timespec="seconds"), "text": note}
        out["note"] = [*out.get("note", []), annotation]
    person = {"Observation": "performer", "DiagnosticReport": "resultsInterpreter"}.get(kind)
    if person and who not in out.get(person, []):
        out[person] = [*out.get(person, []), who]
    check(out)
    agent: Json = {"type": concept(PROVENANCE_PARTICIPANT, "verifier", "Verifier"), "who": who}
    if organization:
        agent["onBehalfOf"] = {"display": organization}
    return Attestation(out, agent)


def verified(provenance: Json, agent: Json) -> Json:
    """Return the Provenance with a further agent; the same person is named once."""
    out = copy.deepcopy(provenance)
    if not any(item.get("type") == agent["type"] and item.get("who") == agent["who"] for item in out["agent"]):
        out["agent"].append(agent)
    check(out)
    return out


def attestation(
    results: Sequence[Json],
    provenance: Json,
    practitioner: str,
    now: datetime,
    *,
    organization: str,
    note: str = "Confirmed.",
) -> Json:
    """Return the transaction that confirms results and names who did (FHIR R4 http.html#concurrency).

    Every update is bound to the version that the person saw: when a result has changed meanwhile, the EHR refuses the
    whole transaction with 412, and nothing is confirmed.
    """
    confirmed = [attest(result, practitioner, now, organization=organization, note=note) for result in results]
    resources = [item.resource for item in confirmed]
    if confirmed:
        resources.append(verified(provenance, confirmed[0].agent))
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [_update(resource) for resource in resources],
    }


def _update(resource: Json) -> Json:
    request = {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}
    version = resource.get("meta", {}).get("versionId")
    if version:
        request["ifMatch"] = f'W/"{version}"'
    return {"resource": resource, "request": request}
