"""References: form, target type, and whether what must be here is here (FHIR R4 references.html)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.validator.definitions import Definitions

LOCAL = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(/_history/[A-Za-z0-9\-.]{1,64})?")
CONDITIONAL = re.compile(r"([A-Z][A-Za-z]+)\?\S+")
ABSOLUTE = re.compile(r"https?://\S+")
URN = re.compile(r"urn:(uuid:[0-9a-fA-F-]{36}|oid:[0-2](\.(0|[1-9]\d*))+)")


@dataclass(frozen=True)
class Scope:
    """What references, ``%resource`` and ``%rootResource`` mean at one place.

    Parameters
    ----------
    resource : dict
        The nearest resource.
    root : dict
        The same, or the one that contains it.
    bundle : dict, optional
        Resources by the ``fullUrl`` of the Bundle around.
    """

    resource: Mapping[str, Any]
    root: Mapping[str, Any]
    bundle: Mapping[str, Any] = field(default_factory=dict)

    def contained(self, identifier: str) -> Mapping[str, Any] | None:
        """Return a contained resource; ``#`` alone is the container itself."""
        if not identifier:
            return self.root
        inside = self.root.get("contained")
        found = [item for item in inside if isinstance(item, dict)] if isinstance(inside, list) else []
        return next((item for item in found if item.get("id") == identifier), None)

    def find(self, reference: str) -> Mapping[str, Any] | None:
        """Return what a reference leads to, where it is in this resource or its Bundle."""
        if reference.startswith("#"):
            return self.contained(reference[1:])
        found_here: Mapping[str, Any] | None = self.bundle.get(reference.partition("/_history/")[0])
        return found_here


def in_bundle(bundle: Mapping[str, Any]) -> dict[str, Any]:
    """Return a Bundle's resources by their ``fullUrl``, and by ``Type/id`` where that is its end."""
    entries = bundle.get("entry")
    found = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    here: dict[str, Any] = {}
    for entry in found:
        url, resource = entry.get("fullUrl"), entry.get("resource")
        if isinstance(url, str) and isinstance(resource, dict):
            here[url] = resource
            if ABSOLUTE.fullmatch(url):
                here.setdefault("/".join(url.split("/")[-2:]), resource)
    return here


def wrong_with(
    reference: Mapping[str, Any], targets: frozenset[str], scope: Scope, definitions: Definitions
) -> Iterator[str]:
    """Say what is wrong with a Reference.

    Parameters
    ----------
    reference : dict
        A Reference.
    targets : frozenset of str
        Resource types it may lead to; empty for any.
    scope : Scope
    definitions : Definitions

    Yields
    ------
    str
    """
    literal = reference.get("reference")
    kind: str | None = None
    if isinstance(literal, str) and literal:
        kind, complaint = _kind(literal, scope, definitions)
        if complaint:
            yield complaint
    said = reference.get("type")
    if isinstance(said, str) and said in definitions.resource_names:
        if kind and kind != said:
            yield "Reference.type differs from what the reference leads to"
        kind = kind or said
    if kind and targets and kind not in targets:
        yield f"a reference to {kind}, where only {', '.join(sorted(targets))} may be"


def _kind(literal: str, scope: Scope, definitions: Definitions) -> tuple[str | None, str | None]:
    """Return the type that a reference leads to, where that can be known, and what is wrong with it."""
    if literal.startswith("#"):
        found = scope.contained(literal[1:])
        return (str(found.get("resourceType")), None) if found else (None, "nothing contained has this id")
    if found := scope.find(literal):
        return str(found.get("resourceType")), None
    if URN.fullmatch(literal):
        return None, None
    if match := LOCAL.fullmatch(literal) or CONDITIONAL.fullmatch(literal):
        kind = match.group(1)
        return (kind, None) if kind in definitions.resource_names else (None, "a reference to no resource type of R4")
    if ABSOLUTE.fullmatch(literal):
        match = re.search(rf"/{LOCAL.pattern}$", literal)
        return (match.group(1), None) if match and match.group(1) in definitions.resource_names else (None, None)
    return None, "neither Type/id, nor an absolute URL, nor urn:uuid, nor a fragment"


def wrong_with_entry(entry: Mapping[str, Any], kind: object) -> Iterator[str]:
    """Say where a Bundle entry disagrees with its resource (FHIR R4 bundle.html#bundle-unique, http.html#update).

    Parameters
    ----------
    entry : dict
        ``Bundle.entry``.
    kind : object
        ``Bundle.type``.

    Yields
    ------
    str
    """
    resource = entry.get("resource")
    if not isinstance(resource, dict):
        return
    local = f"{resource.get('resourceType')}/{resource.get('id')}"
    full_url = entry.get("fullUrl")
    named = isinstance(full_url, str) and re.search(rf"^https?://.*/{LOCAL.pattern}$", full_url) and "id" in resource
    if named and not str(full_url).endswith(f"/{local}"):
        yield "fullUrl disagrees with the resource's type and id"
    request = entry.get("request")
    if kind not in {"transaction", "batch"} or not isinstance(request, dict):
        return
    method, url = request.get("method"), request.get("url")
    if method == "PUT" and isinstance(url, str) and "?" not in url and url != local:
        yield "request.url of a PUT disagrees with the resource's type and id"
    if method == "POST" and "$" not in str(url) and url != resource.get("resourceType"):
        yield "request.url of a POST is not the resource's type"
