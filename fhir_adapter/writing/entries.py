"""Entries of a transaction: what kind each is, and the forms it takes on servers that can do less."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlencode

from fhir_adapter.codes import BEDSIDE_OID, RESULT_IDENTIFIER, Json, coding

__all__ = ["anonymous", "is_new", "is_search", "name_of", "renamed", "without_id"]


def is_search(entry: Json) -> bool:
    """Return whether an entry looks instead of writing."""
    return bool(entry["request"]["method"] == "GET")


def is_new(entry: Json) -> bool:
    """Return whether an entry writes a resource of ours that may not be there yet."""
    request = entry["request"]
    return request["method"] == "PUT" and "ifMatch" not in request


def anonymous(entry: Json) -> Json:
    """A PUT with our id as a conditional create (FHIR R4 http.html#ccreate)."""
    resource = entry["resource"]
    kind, identifier = resource["resourceType"], next(_identifiers(resource), None)
    if identifier:
        condition = urlencode({"identifier": f"{_escaped(identifier['system'])}|{_escaped(identifier['value'])}"})
    else:
        key = str(resource["id"])
        meta = resource.get("meta") or {}
        tags = [*(meta.get("tag") or []), coding(RESULT_IDENTIFIER, key)]
        resource = {**resource, "meta": {**meta, "tag": tags}}
        condition = urlencode({"_tag": f"{RESULT_IDENTIFIER}|{key}"})
    return {
        "fullUrl": entry.get("fullUrl") or f"urn:uuid:{resource['id']}",
        "resource": resource,
        "request": {"method": "POST", "url": quote(kind), "ifNoneExist": condition},
    }


def _identifiers(resource: Json) -> Iterator[Json]:
    given = resource.get("identifier")
    for item in given if isinstance(given, list) else []:
        if str(item.get("system", "")).startswith(BEDSIDE_OID):
            yield item


def _escaped(text: str) -> str:
    """Escape a search value (FHIR R4 search.html#escaping)."""
    for special in "\\|,$":
        text = text.replace(special, "\\" + special)
    return text


def name_of(entry: Json) -> str:
    """Return what we call a resource, ``Type/id``."""
    resource = entry["resource"]
    return f"{resource['resourceType']}/{resource.get('id', '')}"


def without_id(entry: Json, resource: Json) -> Json:
    """A created resource gets its id from the server."""
    if entry["request"]["method"] != "POST":
        return resource
    return {key: value for key, value in resource.items() if key != "id"}


def renamed(resource: Any, new_name: Callable[[str], str | None]) -> Any:
    """Return a copy of a resource with its literal references renamed.

    Parameters
    ----------
    new_name : callable
        The new name of a reference, or None to leave it.
    """
    if isinstance(resource, dict):
        return {
            key: (new_name(value) or value)
            if key == "reference" and isinstance(value, str)
            else renamed(value, new_name)
            for key, value in resource.items()
        }
    if isinstance(resource, list):
        return [renamed(item, new_name) for item in resource]
    return resource
