"""The value sets and concept maps that belong together: a package's, a tenant's, or both."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from fhir_adapter.codes import Json
from fhir_adapter.errors import ConfigurationError
from fhir_adapter.terminology.codesets import CodeSet
from fhir_adapter.terminology.conceptmaps import ALWAYS, ConceptMapping, mappings_of
from fhir_adapter.terminology.valuesets import codes_of

__all__ = ["Terminology", "load_terminology"]


@dataclass(frozen=True)
class Terminology:
    """Value sets by canonical URL, and mappings of local codes.

    Parameters
    ----------
    value_sets : mapping of str to CodeSet
        By ``url`` and by ``url|version``.
    mappings : tuple of ConceptMapping
        In any order.
    """

    value_sets: Mapping[str, CodeSet] = field(default_factory=dict)
    mappings: tuple[ConceptMapping, ...] = ()

    @classmethod
    def from_resources(cls, resources: Iterable[Json]) -> Terminology:
        """Read ValueSet and ConceptMap resources.

        Raises
        ------
        ConfigurationError
            Naming the resource and what is wrong with it.
        """
        value_sets: dict[str, CodeSet] = {}
        mappings: list[ConceptMapping] = []
        for resource in resources:
            kind = resource.get("resourceType")
            if kind == "ConceptMap":
                mappings.extend(mappings_of(resource))
            elif kind == "ValueSet":
                url = str(resource.get("url", ""))
                if not url or url in value_sets:
                    raise ConfigurationError(f"value set {url or '?'}: it has no url, or is there twice")
                value_sets[url] = codes_of(resource)
                if resource.get("version"):
                    value_sets[f"{url}|{resource['version']}"] = value_sets[url]
            else:
                raise ConfigurationError(f"a {kind} is neither a ValueSet nor a ConceptMap")
        return cls(value_sets, tuple(mappings))

    def __or__(self, other: Terminology) -> Terminology:
        return Terminology({**self.value_sets, **other.value_sets}, self.mappings + other.mappings)

    def expand(self, url: str) -> CodeSet:
        """Return the codes of a value set, ``url`` or ``url|version``.

        Raises
        ------
        ConfigurationError
            When it is not here.
        """
        if url not in self.value_sets:
            raise ConfigurationError(f"value set {url} is not in the package's folder")
        return self.value_sets[url]

    def local(self, codes: CodeSet, accepted: Collection[str] = ALWAYS) -> CodeSet:
        """Return the local codes that stand for one of `codes`, by equivalences that are `accepted`."""
        return CodeSet(
            frozenset(
                mapping.source
                for mapping in self.mappings
                if mapping.target in codes.tokens and mapping.equivalence in accepted
            )
        )

    @property
    def fingerprint(self) -> str:
        """Changes whenever a mapping does: an answer depends on the mappings that it was read with."""
        lines = sorted("\t".join((*item.source, *item.target, item.equivalence)) for item in self.mappings)
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        return f"ConceptMap@{digest}" if lines else ""


def load_terminology(folder: Path) -> Terminology:
    """Read every ``*.json`` of a folder; a folder that is not there holds nothing.

    Raises
    ------
    ConfigurationError
        Naming the file and what is wrong with it.
    """
    resources: list[Json] = []
    for path in sorted(folder.glob("*.json")):
        try:
            resource = orjson.loads(path.read_bytes())
        except orjson.JSONDecodeError:
            raise ConfigurationError(f"{path.name} is not JSON") from None
        if not isinstance(resource, dict):
            raise ConfigurationError(f"{path.name} is not a FHIR resource")
        resources.append(resource)
    return Terminology.from_resources(resources)
