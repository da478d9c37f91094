"""SMART scopes: whether what was granted covers what was asked for (SMART App Launch 2.2, Scopes)."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import parse_qsl

__all__ = ["missing_scopes"]

# Version 1 names in the letters of version 2.
LETTERS = {"read": "rs", "write": "cud", "*": "cruds"}


def missing_scopes(wanted: Iterable[str], granted: Iterable[str]) -> tuple[str, ...]:
    """Return the wanted scopes that the granted ones do not cover, letter by letter.

    A server may grant ``system/Observation.rs`` in one scope, in two, as ``system/*.rs`` or as version 1
    ``system/Observation.read``. A scope that was narrowed by a search parameter covers only its like.
    """
    have = [found for found in map(_parts, granted) if found]
    missing = []
    for scope in wanted:
        parts = _parts(scope)
        if parts is None or not _covered(parts, have):
            missing.append(scope)
    return tuple(missing)


_Parts = tuple[str, str, str, frozenset[tuple[str, str]]]


def _parts(scope: str) -> _Parts | None:
    level, _, rest = scope.partition("/")
    kind, dot, rights = rest.partition(".")
    letters, _, query = rights.partition("?")
    if level not in ("system", "user", "patient") or not dot or not letters:
        return None
    return level, kind, LETTERS.get(letters, letters), frozenset(parse_qsl(query, keep_blank_values=True))


def _covered(wanted: _Parts, have: list[_Parts]) -> bool:
    level, kind, letters, query = wanted
    granted: set[str] = set()
    for other_level, other_kind, other_letters, other_query in have:
        if other_level == level and other_kind in (kind, "*") and other_query <= query:
            granted |= set(other_letters)
    return set(letters) <= granted
