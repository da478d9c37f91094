"""Value sets as plain sets of codes (FHIR R4 valueset.html): from their expansion, or where every code is listed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_adapter.codes import Json
from fhir_adapter.errors import ConfigurationError
from fhir_adapter.terminology.codesets import CodeSet, Token

__all__ = ["codes_of"]


def codes_of(value_set: Json) -> CodeSet:
    """Return every code of a ValueSet resource.

    Raises
    ------
    ConfigurationError
        When it is not known in full: no expansion and no plain list, or a partial expansion. A model that reads
        half a value set would take the other half for absent.
    """
    name = str(value_set.get("url") or value_set.get("id") or "?")
    expansion = value_set.get("expansion")
    try:
        tokens = _expanded(name, expansion) if expansion else _listed(name, value_set["compose"])
    except (AttributeError, KeyError, TypeError):
        raise ConfigurationError(f"value set {name}: it has neither an expansion nor a list of codes") from None
    if not tokens:
        raise ConfigurationError(f"value set {name}: it holds no code")
    return CodeSet(frozenset(tokens))


def _expanded(name: str, expansion: Json) -> set[Token]:
    entries = list(_contained(expansion.get("contains") or []))
    limited = any(
        item.get("name") == "limitedExpansion" and item.get("valueBoolean") for item in expansion.get("parameter") or []
    )
    total = expansion.get("total")
    if limited or expansion.get("offset") or (total is not None and len(entries) < int(total)):
        raise ConfigurationError(f"value set {name}: its expansion is partial; expand it in full")
    return {(str(item["system"]), str(item["code"])) for item in entries if "code" in item and not item.get("abstract")}


def _contained(entries: list[Json]) -> Iterator[Json]:
    for item in entries:
        yield item
        yield from _contained(item.get("contains") or [])


def _listed(name: str, compose: Json) -> set[Token]:
    included = {token for part in compose["include"] for token in _part(name, part)}
    excluded = {token for part in compose.get("exclude") or [] for token in _part(name, part)}
    return included - excluded


def _part(name: str, part: dict[str, Any]) -> set[Token]:
    if "filter" in part or "valueSet" in part or "concept" not in part:
        raise ConfigurationError(f"value set {name}: it is defined by rules; store its expansion ($expand) instead")
    return {(str(part["system"]), str(item["code"])) for item in part["concept"]}
