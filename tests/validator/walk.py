"""Walk through a resource along its definitions and say all that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.validator import bindings, narrative, primitives, references
from tests.validator.definitions import Definitions, Element, Kind, Type
from tests.validator.fhirpath import NotEvaluable, holds, visible
from tests.validator.issues import Issue, Severity
from tests.validator.references import Scope

Json = Mapping[str, Any]


def _ele_1(node: Any) -> bool:
    return not isinstance(node, Mapping) or any(name != "id" for name in node)


# Invariants that are not evaluated as FHIRPath, with the reason and what is done instead.
NATIVE: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "ele-1": ("applies to every element: in Python for speed; a test compares it with the FHIRPath", _ele_1),
    "txt-1": ("htmlChecks() is not defined in FHIRPath: the XHTML is parsed", narrative.formatting_only),
    "txt-2": ("htmlChecks() is not defined in FHIRPath: the XHTML is parsed", narrative.has_content),
}
CODED = frozenset({"code", "CodeableConcept", "Coding", "Quantity", "uri", "string"})
DEEPEST = 100


class Walk:
    """One resource being checked.

    Parameters
    ----------
    definitions : Definitions
    """

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self.issues: list[Issue] = []
        self._unsound = False

    def resource(
        self, value: Any, path: str | None = None, around: Scope | None = None, *, inside: bool = False
    ) -> None:
        """Check a resource.

        Parameters
        ----------
        value : object
            The resource.
        path : str, optional
            Where it is; its type by default.
        around : Scope, optional
            Of the resource that holds it.
        inside : bool
            Whether it is contained, so that ``%rootResource`` is its container.
        """
        kind = value.get("resourceType") if isinstance(value, Mapping) else None
        where = path or (kind if isinstance(kind, str) else "resource")
        if not isinstance(kind, str) or kind not in self._definitions.resource_names:
            self._structure(where, "resource-type", "not a resource type of R4")
            return
        outside, self._unsound = self._unsound, False
        bundle = references.in_bundle(value) if kind == "Bundle" else around.bundle if around else {}
        shown = visible(value)
        root = around.root if around and inside else shown
        scope = Scope(shown, root, bundle)
        body = {name: item for name, item in shown.items() if name != "resourceType"}
        raw = {name: item for name, item in value.items() if name != "resourceType"}
        self._members(raw, body, self._definitions.type(kind), where, scope)
        self._invariants(self._definitions.type(kind).invariants, shown, kind, where, scope)
        self._unsound = outside or self._unsound

    def _members(self, raw: Json, shown: Json, kind: Type, path: str, scope: Scope) -> None:
        """Check an object's properties: known, not twice, as often as they may be, and each for itself."""
        present: dict[str, list[str]] = {}
        for name in raw:
            plain = name.removeprefix("_")
            element = kind.properties.get(plain)
            if element is None or (name != plain and not self._is_primitive(element.kinds[plain])):
                self._structure(
                    f"{path}.{name}" if name.isidentifier() else path, "unknown-property", "unknown property"
                )
            elif plain not in present.setdefault(element.name, []):
                present[element.name].append(plain)
        for element in kind.elements:
            names = present.get(element.name, [])
            if len(names) > 1:
                self._structure(f"{path}.{element.name}[x]", "choice", "more than one type of the same element")
            elif not names and element.minimum:
                self._structure(f"{path}.{element.name}", "cardinality", "required, and not there")
            for name in names:
                self._property(raw, shown, element, name, path, scope)

    def _property(self, raw: Json, shown: Json, element: Element, name: str, path: str, scope: Scope) -> None:
        value, extra, seen = raw.get(name), raw.get(f"_{name}"), shown.get(name, shown.get(f"_{name}"))
        where = f"{path}.{name}"
        if not element.repeats:
            if isinstance(value, list) or isinstance(extra, list):
                self._structure(where, "cardinality", "an array, and it may be there once only")
                return
            self._value(value, extra, seen, element, name, where, scope)
            return
        sides = [side for side in (value, extra) if side is not None]
        if not all(isinstance(side, list) and side for side in sides) or not sides:
            self._structure(where, "cardinality", "an array that is not empty is due")
            return
        count = max(map(len, sides))
        if count < element.minimum or (element.maximum is not None and count > element.maximum):
            self._structure(where, "cardinality", f"{count} times, and not {element.minimum}..{element.maximum or '*'}")
        for index in range(count):
            item, other, one = (
                side[index] if isinstance(side, list) and index < len(side) else None for side in (value, extra, seen)
            )
            self._value(item, other, one, element, name, f"{where}[{index}]", scope)

    def _value(self, value: Any, extra: Any, seen: Any, element: Element, name: str, path: str, scope: Scope) -> None:
        if path.count(".") > DEEPEST:
            self._structure(path, "depth", "nested too deeply")
            return
        kind = element.kinds[name]
        if self._is_primitive(kind):
            self._primitive(value, extra, kind, path, scope)
        elif kind.code == "Resource" or kind.code in self._definitions.resource_names:
            self.resource(value, path, scope, inside=element.name == "contained")
        elif not isinstance(value, Mapping):
            self._structure(path, "type", f"a {kind.code} is a JSON object")
            return
        else:
            self._complex(value, seen, kind, path, scope)
        if element.binding and (value is not None) and kind.code in CODED:
            complaint = bindings.wrong_with(value, element.binding, self._definitions)
            if complaint:
                self._structure(path, "binding", complaint)
        self._invariants(element.invariants, seen if seen is not None else value, kind.code, path, scope)

    def _complex(self, value: Json, seen: Any, kind: Kind, path: str, scope: Scope) -> None:
        definition = self._definitions.type(kind.profile)
        self._members(value, seen, definition, path, scope)
        if kind.code == "Reference":
            for complaint in references.wrong_with(value, kind.targets, scope, self._definitions):
                self._structure(path, "reference", complaint)
        if kind.code == "Bundle.entry":
            for complaint in references.wrong_with_entry(value, scope.resource.get("type")):
                self._structure(path, "entry", complaint)
        self._invariants(definition.invariants, seen, kind.code, path, scope)

    def _primitive(self, value: Any, extra: Any, kind: Kind, path: str, scope: Scope) -> None:
        if value is None and extra is None:
            self._structure(path, "type", "null")
        if value is not None and (complaint := primitives.wrong_with(value, kind.code, self._definitions)):
            self._structure(path, "type", complaint)
        if extra is None:
            return
        if not isinstance(extra, Mapping):
            self._structure(path, "type", "what extends a primitive is an object of id and extension")
            return
        element = self._definitions.type("Element")
        self._members(extra, visible(extra), element, path, scope)
        self._invariants(element.invariants, extra, "Element", path, scope)

    def _is_primitive(self, kind: Kind) -> bool:
        return kind.code in self._definitions.primitives

    def _invariants(self, keys: tuple[str, ...], node: Any, kind: str, path: str, scope: Scope) -> None:
        for key in keys:
            invariant = self._definitions.invariants[key]
            try:
                kept = NATIVE[key][1](node) if key in NATIVE else holds(invariant.expression, node, kind, scope)
            except NotEvaluable as error:
                if not self._unsound:
                    self._add("error", path, key, f"cannot be evaluated ({error})")
                continue
            if not kept:
                self._add("error" if invariant.severity == "error" else "warning", path, key, invariant.human)

    def _structure(self, path: str, rule: str, message: str) -> None:
        self._unsound = True
        self._add("error", path, rule, message)

    def _add(self, severity: Severity, path: str, rule: str, message: str) -> None:
        self.issues.append(Issue(severity, path, rule.partition("@")[0], message))
