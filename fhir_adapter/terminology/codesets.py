"""A set of codes across code systems, as a search parameter and as a test of a CodeableConcept."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["CodeSet", "Token"]

Token = tuple[str, str]
_SPECIAL = re.compile(r"([\\,$|])")


@dataclass(frozen=True)
class CodeSet:
    """Codes with their systems.

    Parameters
    ----------
    tokens : frozenset of (system, code)
        An empty system stands for codes that are recorded without one.
    """

    tokens: frozenset[Token] = frozenset()

    @classmethod
    def of(cls, system: str, codes: Iterable[str]) -> CodeSet:
        """Return codes of one system."""
        return cls(frozenset((system, code) for code in codes))

    def __or__(self, other: CodeSet) -> CodeSet:
        return CodeSet(self.tokens | other.tokens)

    def __bool__(self) -> bool:
        return bool(self.tokens)

    def has(self, concept: object) -> bool:
        """Return whether a CodeableConcept carries one of the codes (FHIR R4 datatypes.html#CodeableConcept)."""
        if not isinstance(concept, dict):
            return False
        codings = concept.get("coding")
        if not isinstance(codings, list):
            return False
        return any(
            isinstance(item, dict) and (str(item.get("system") or ""), str(item.get("code"))) in self.tokens
            for item in codings
        )

    @property
    def searched(self) -> tuple[str, ...]:
        """Values of a token search parameter, escaped and sorted (FHIR R4 search.html#token, #escaping)."""
        return tuple(sorted(f"{_escaped(system)}|{_escaped(code)}" for system, code in self.tokens))


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)
