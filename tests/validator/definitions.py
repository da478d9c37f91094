"""HL7's definitions of FHIR R4 as checking needs them, from ``r4.json``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("r4.json")


@dataclass(frozen=True)
class Kind:
    """One type that an element may have.

    Parameters
    ----------
    code : str
        ``Quantity``, ``code``, ``Observation.component``.
    profile : str
        The same, or ``SimpleQuantity`` and the like.
    targets : frozenset of str
        Resource types that a Reference may lead to; empty for any.
    """

    code: str
    profile: str
    targets: frozenset[str]


@dataclass(frozen=True)
class Element:
    """One element of a type (FHIR R4 elementdefinition.html).

    Parameters
    ----------
    name : str
        Without ``[x]``.
    minimum : int
    repeats : bool
        Whether JSON has an array.
    maximum : int or None
    kinds : dict
        JSON property -> type; several for ``[x]``.
    binding : str or None
        Required value set.
    invariants : tuple of str
    """

    name: str
    minimum: int
    maximum: int | None
    kinds: dict[str, Kind]
    binding: str | None
    invariants: tuple[str, ...]

    @property
    def repeats(self) -> bool:
        """Whether JSON has an array (FHIR R4 json.html#repeat)."""
        return self.maximum != 1


@dataclass(frozen=True)
class Type:
    """A resource, a type of data, or a part of either.

    Parameters
    ----------
    name : str
    kind : str
        ``resource``, ``complex-type`` or ``backbone``.
    elements : tuple of Element
        With those of its bases.
    invariants : tuple of str
        With those of its bases.
    """

    name: str
    kind: str
    elements: tuple[Element, ...]
    invariants: tuple[str, ...]

    @cached_property
    def properties(self) -> dict[str, Element]:
        """Elements by their JSON property."""
        return {name: element for element in self.elements for name in element.kinds}


@dataclass(frozen=True)
class Invariant:
    """A rule in FHIRPath (FHIR R4 conformance-rules.html#constraints).

    Parameters
    ----------
    key : str
        ``obs-6``; with ``@path`` where R4 uses a key more than once.
    severity : str
        ``error`` or ``warning``.
    human : str
    expression : str
    """

    key: str
    severity: str
    human: str
    expression: str


class Definitions:
    """Everything in ``r4.json``.

    Parameters
    ----------
    content : dict
        What :mod:`tests.validator.extract` wrote.
    """

    def __init__(self, content: dict[str, Any]) -> None:
        self.primitives: dict[str, str | None] = content["primitives"]
        self.value_sets: dict[str, dict[str, frozenset[str]] | None] = {
            url: codes and {system: frozenset(found) for system, found in codes.items()}
            for url, codes in content["value_sets"].items()
        }
        self.invariants = {key: Invariant(key, **found) for key, found in content["invariants"].items()}
        self._raw: dict[str, Any] = content["types"]
        self.type = lru_cache(maxsize=None)(self._type)

    @cached_property
    def type_names(self) -> frozenset[str]:
        """Names of every type, parts included."""
        return frozenset(self._raw)

    @cached_property
    def resource_names(self) -> frozenset[str]:
        """Names of the resources that can exist (not Resource and DomainResource)."""
        resources = {name for name, found in self._raw.items() if found["kind"] == "resource"}
        return frozenset(resources - {"Resource", "DomainResource"})

    def _type(self, name: str) -> Type:
        raw = self._raw[name]
        base = self.type(raw["base"]) if "base" in raw else None
        elements = {element.name: element for element in base.elements} if base else {}
        elements |= {found.name: found for found in map(self._element, raw["elements"], raw["elements"].values())}
        invariants = (*(base.invariants if base else ()), *raw.get("invariants", ()))
        return Type(name, raw["kind"], tuple(elements.values()), invariants)

    @staticmethod
    def _element(name: str, raw: dict[str, Any]) -> Element:
        stem = name.removesuffix("[x]")
        kinds = {
            stem if stem == name else f"{stem}{code[0].upper()}{code[1:]}": Kind(
                code, narrowed.get("profile", code), frozenset(narrowed.get("targets", ()))
            )
            for code, narrowed in raw["types"].items()
        }
        maximum = None if raw["max"] == "*" else int(raw["max"])
        return Element(stem, raw["min"], maximum, kinds, raw.get("binding"), tuple(raw.get("invariants", ())))


@lru_cache(maxsize=1)
def definitions() -> Definitions:
    """Return the definitions; read once."""
    return Definitions(json.loads(SOURCE.read_text(encoding="utf-8")))
