"""What is taken from a resource that was sent along: where to read it again, and hints that save a round trip."""

from __future__ import annotations

import re
from typing import Any

from fhir_adapter.codes import Json
from fhir_adapter.errors import MalformedNotification
from fhir_adapter.notifications.model import Kind, Notification, Relative

__all__ = ["focus_on", "patient_of", "version_of"]

# FHIR R4 datatypes.html#id; a version that is none would only spoil the keys made from it.
_VERSION = re.compile(r"[A-Za-z0-9\-.]{1,64}\Z")


def focus_on(resource: Json, relative: Relative) -> Notification:
    """Return the notification that a resource sent by itself is.

    Raises
    ------
    MalformedNotification
        When it has no id to be read again by.
    """
    identifier = resource.get("id")
    focus = relative(f"{resource['resourceType']}/{identifier}") if isinstance(identifier, str) else None
    if focus is None:
        raise MalformedNotification("the resource has no valid id, so it cannot be read again")
    return Notification(Kind.FOCUS, focus, version_of(resource), patient_of(resource, relative))


def version_of(resource: Json) -> str | None:
    """Return meta.versionId (FHIR R4 resource.html#Meta), when it is one."""
    meta = resource.get("meta")
    return version_id(meta.get("versionId")) if isinstance(meta, dict) else None


def version_id(value: Any) -> str | None:
    """Return a version id; some servers write the number they count by as a number."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and _VERSION.match(value) else None


def patient_of(resource: Json, relative: Relative) -> str | None:
    """Return ``Patient/id`` a resource is about, when it says so by a reference into this tenant."""
    if resource.get("resourceType") == "Patient":
        return relative(f"Patient/{resource.get('id', '')}")
    for key in ("subject", "patient"):
        element = resource.get(key)
        reference = element.get("reference") if isinstance(element, dict) else None
        target = relative(reference) if isinstance(reference, str) else None
        if target and target.startswith("Patient/"):
            return target
    return None
