"""A resource of any type with every element filled, so that every rule has something to look at."""

from __future__ import annotations

from typing import Any

from tests.validator.definitions import Element, definitions

Json = dict[str, Any]

DEEPEST = 5
LEFT_OUT = frozenset({"contained", "extension", "modifierExtension"})
PRIMITIVES: dict[str, Any] = {
    "base64Binary": "eA==",
    "boolean": True,
    "date": "2026-01-01",
    "dateTime": "2026-01-01T00:00:00Z",
    "decimal": 1.5,
    "instant": "2026-01-01T00:00:00Z",
    "integer": 1,
    "oid": "urn:oid:1.2.3",
    "positiveInt": 1,
    "time": "00:00:00",
    "unsignedInt": 1,
    "uuid": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520",
    "xhtml": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>',
    **dict.fromkeys(("canonical", "uri", "url"), "http://x.test/x"),
    **dict.fromkeys(("code", "id", "markdown", "string"), "x"),
}
OPEN = {"mimetypes": "text/plain", "currencies": "EUR"}


def filled(name: str) -> Json:
    """Return a resource with every element once, right by structure and seldom by its invariants.

    Parameters
    ----------
    name : str
        Its type.
    """
    values = definitions().type("Extension").properties
    extensions: list[Json] = [
        {"url": "http://x.test/x", kind: _value(values[kind], kind, ("Extension",))}
        for kind in sorted(values)
        if kind.startswith("value")
    ]
    return {"resourceType": name, **_object(name, ()), "extension": extensions}


def _object(name: str, above: tuple[str, ...]) -> Json:
    found: Json = {}
    for element in definitions().type(name).elements:
        if element.name in LEFT_OUT:
            continue
        property_name = min(element.kinds)
        value = _value(element, property_name, (*above, name))
        if value is not None:
            found[property_name] = [value] if element.repeats else value
    return found


def _value(element: Element, name: str, above: tuple[str, ...]) -> Any:
    kind = element.kinds[name]
    primitive = kind.code in definitions().primitives
    if element.binding:
        coding = _coding(element.binding)
        return coding["code"] if primitive else {"coding": [coding]}
    if primitive:
        return PRIMITIVES[kind.code]
    if kind.code == "Resource":
        return {"resourceType": "Basic", "id": "x", "code": {"text": "x"}}
    if kind.code == "Reference":
        return {"reference": f"{min(kind.targets, default='Basic')}/x"}
    if kind.code in definitions().resource_names or kind.profile in above or len(above) > DEEPEST:
        return None
    return _object(kind.profile, above)


def _coding(binding: str) -> Json:
    codes = definitions().value_sets[binding]
    if not codes:
        return {"system": "http://x.test/x", "code": OPEN.get(binding.rpartition("/")[2], "x")}
    system = min(codes)
    return {"system": system, "code": min(codes[system])}
