"""Local codes by ConceptMap (FHIR R4 conceptmap.html): from a hospital's codes to those that a model declares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fhir_adapter.codes import Json
from fhir_adapter.errors import ConfigurationError
from fhir_adapter.terminology.codesets import Token

__all__ = ["ALWAYS", "EQUIVALENCES", "ConceptMapping", "mappings_of"]

# ConceptMap.group.element.target.equivalence says how the target compares to the source
# (http://hl7.org/fhir/concept-map-equivalence). These two mean the same concept.
ALWAYS = frozenset({"equal", "equivalent"})
# The target is wider than the local code: whatever has the local code is one of the target, too. True, but less is
# known, so that an input must ask for it.
ON_REQUEST = frozenset({"wider", "subsumes"})
EQUIVALENCES = ALWAYS | ON_REQUEST


@dataclass(frozen=True)
class ConceptMapping:
    """One local code and what it stands for.

    Parameters
    ----------
    source, target : (system, code)
        Local code, and the code of the standard.
    equivalence : str
        How the target compares to the source; one of `EQUIVALENCES`.
    """

    source: Token
    target: Token
    equivalence: str


def mappings_of(concept_map: Json) -> Iterator[ConceptMapping]:
    """Yield the usable mappings of a ConceptMap resource.

    Passed over: equivalences that do not say that the local code means the target or one of it, and targets that
    hold only in a context (``dependsOn``), which a code alone does not tell.

    Raises
    ------
    ConfigurationError
        When the map is retired or has the wrong shape.
    """
    name = str(concept_map.get("url") or concept_map.get("id") or "?")
    if concept_map.get("status") == "retired":
        raise ConfigurationError(f"concept map {name}: it is retired")
    try:
        for group in concept_map["group"]:
            for element in group["element"]:
                for target in element.get("target") or []:
                    if target["equivalence"] in EQUIVALENCES and "code" in target and not target.get("dependsOn"):
                        yield ConceptMapping(
                            (str(group.get("source", "")), str(element["code"])),
                            (str(group["target"]), str(target["code"])),
                            target["equivalence"],
                        )
    except KeyError as missing:
        raise ConfigurationError(f"concept map {name}: {missing} is missing") from None
    except (AttributeError, TypeError):
        raise ConfigurationError(f"concept map {name}: it has the wrong shape") from None
