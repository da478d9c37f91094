"""What a granted scope lets one do (SMART App Launch 2.2, Scopes for requesting FHIR resources)."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["is_resource_scope", "level_of"]

_RESOURCE = re.compile(r"(patient|user)/([A-Z][A-Za-z]{1,63})\.(?=[cruds])(c?r?u?d?s?)\Z")


def is_resource_scope(scope: str) -> bool:
    """Return whether a scope opens resources; wildcards and narrowed ones are not granted here."""
    return bool(_RESOURCE.match(scope))


def level_of(scopes: Iterable[str], kind: str, letter: str) -> str | None:
    """Return ``user``, ``patient`` or None: how far the scopes open an interaction with a resource type.

    Parameters
    ----------
    letter : {"c", "r", "u", "d", "s"}
    """
    found = {
        match[1] for scope in scopes if (match := _RESOURCE.match(scope)) and match[2] == kind and letter in match[3]
    }
    return "user" if "user" in found else "patient" if found else None
