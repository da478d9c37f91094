"""Elements of plain resources, read with patience: what is not as the standard has it is as good as not there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from fhir_adapter.codes import Json
from fhir_adapter.features.record import moment

__all__ = ["codes_of", "codings", "hours", "items", "part", "reference", "told"]


def items(resource: Json, name: str) -> Iterator[Json]:
    """Yield the objects of a list element; a single object counts as a list of one."""
    found: Any = resource.get(name)
    for item in found if isinstance(found, list) else [found]:
        if isinstance(item, dict):
            yield item


def part(resource: Json, name: str) -> Json:
    """Return an object element, empty when it is none."""
    found = resource.get(name)
    return found if isinstance(found, dict) else {}


def codings(resource: Json, name: str) -> Iterator[tuple[str, str]]:
    """Yield (system, code) of an element of type CodeableConcept or Coding, one or several."""
    for concept in items(resource, name):
        for coding in [concept, *items(concept, "coding")]:
            if isinstance(coding.get("code"), str):
                yield str(coding.get("system", "")), coding["code"]


def codes_of(resource: Json, name: str) -> set[str]:
    """Return the codes of an element, whatever system they are of."""
    return {code for _, code in codings(resource, name)}


def reference(element: Json, name: str) -> str | None:
    """Return ``Type/id`` of a Reference, from a relative, absolute or versioned one."""
    found = part(element, name).get("reference")
    if not isinstance(found, str) or found.startswith(("#", "urn:")):
        return None
    parts = found.split("/_history/")[0].rstrip("/").split("/")
    return "/".join(parts[-2:]) if len(parts) >= 2 else None


def hours(text: Any, now: datetime) -> float | None:
    """Return a time as hours from now; None when it is none."""
    found = moment(text) if isinstance(text, str) else None
    return (found - now).total_seconds() / 3600 if found is not None else None


def told(resource: Json) -> str:
    """Return ``Type/id``."""
    return f"{resource.get('resourceType')}/{resource.get('id')}"
