"""Agents and entities of an AuditEvent, as IHE BALP slices them."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from fhir_adapter.codes import (
    AUDIT_ENTITY_TYPE,
    BALP_ENTITY_TYPE,
    DICOM,
    OBJECT_ROLE,
    RESOURCE_TYPES,
    V3_PARTICIPATION_TYPE,
    Json,
    coding,
    concept,
)

__all__ = [
    "RECEIVES",
    "RECIPIENT",
    "RUNS",
    "SENDS",
    "beside",
    "data",
    "patient",
    "patients",
    "query",
    "request",
    "user",
]

SENDS = concept(DICOM, "110153", "Source Role ID")
RECEIVES = concept(DICOM, "110152", "Destination Role ID")
RUNS = concept(DICOM, "110150", "Application")
RECIPIENT = concept(V3_PARTICIPATION_TYPE, "IRCP", "information recipient")


def user(reference: str) -> Json:
    """The person who asks and is shown the answer."""
    return {"type": RECIPIENT, "who": {"reference": reference}, "requestor": True}


def patient(reference: str) -> Json:
    """Whose record it was."""
    return {
        "what": {"reference": reference},
        "type": coding(AUDIT_ENTITY_TYPE, "1", "Person"),
        "role": coding(OBJECT_ROLE, "1", "Patient"),
    }


def patients(references: str | Sequence[str]) -> list[Json]:
    """Whose records they were, one entity each."""
    return [patient(each) for each in ([references] if isinstance(references, str) else references)]


def query(asked: str) -> Json:
    """What was searched for, in base64."""
    return {
        "type": coding(AUDIT_ENTITY_TYPE, "2", "System Object"),
        "role": coding(OBJECT_ROLE, "24", "Query"),
        "query": base64.b64encode(asked.encode()).decode(),
    }


def data(reference: str) -> Json:
    """The one resource an event is about: BALP allows one of this type."""
    return {
        "what": {"reference": reference},
        "type": coding(AUDIT_ENTITY_TYPE, "2", "System Object"),
        "role": coding(OBJECT_ROLE, "4", "Domain Resource"),
    }


def beside(reference: str) -> Json:
    """A further resource, typed by its kind."""
    kind = reference.partition("/")[0]
    return {
        "what": {"reference": reference},
        "type": coding(RESOURCE_TYPES, kind, kind),
        "role": coding(OBJECT_ROLE, "4", "Domain Resource"),
    }


def request(request_id: str) -> Json:
    """What made us act: the id of the event or request (BALP, X-Request-Id)."""
    return {"what": {"identifier": {"value": request_id}}, "type": coding(BALP_ENTITY_TYPE, "XrequestId")}
