"""The error tree that is drawn at the top of fhir_adapter.errors is the one that is there."""

from __future__ import annotations

import importlib
import pkgutil
import re

import fhir_adapter
from fhir_adapter import errors
from fhir_adapter.errors import FhirAdapterError, Unavailable

BRANCH = re.compile(r"^    ((?:[│ ]   )*)[├└]── (?:(\w+)\.)?(\w+)")


def drawn() -> dict[str, tuple[str, str]]:
    """Parent and room of each error, by its name; the room is that of the errors above where none is drawn."""
    found: dict[str, tuple[str, str]] = {}
    above = ["FhirAdapterError"]
    for line in (errors.__doc__ or "").splitlines():
        match = BRANCH.match(line)
        if match:
            depth = len(match[1]) // 4 + 1
            above[depth:] = [match[3]]
            parent = above[depth - 1]
            found[match[3]] = (parent, match[2] or found.get(parent, ("", "errors"))[1])
    return found


def defined() -> dict[str, type[FhirAdapterError]]:
    for module in pkgutil.walk_packages(fhir_adapter.__path__, "fhir_adapter."):
        importlib.import_module(module.name)

    def below(kind: type[FhirAdapterError]) -> set[type[FhirAdapterError]]:
        return {kind, *(found for sub in kind.__subclasses__() for found in below(sub))}

    ours = {kind for kind in below(FhirAdapterError) if kind.__module__.startswith("fhir_adapter.")}
    return {kind.__name__: kind for kind in ours - {FhirAdapterError}}


def test_every_error_is_drawn_where_it_is() -> None:
    tree, classes = drawn(), defined()
    assert tree.keys() == classes.keys()
    for name, (parent, _) in tree.items():
        assert parent in [base.__name__ for base in classes[name].__bases__], name


def test_what_is_defined_elsewhere_is_drawn_with_its_room() -> None:
    for name, kind in defined().items():
        assert drawn()[name][1] == kind.__module__.split(".")[1], name


def test_what_is_worth_another_try_is_known_as_such() -> None:
    kinds = [kind for kind in defined().values() if issubclass(kind, Unavailable)]
    assert {kind.__name__ for kind in kinds} >= {"FhirUnavailable", "ImageStoreUnavailable", "AuthorizationUnavailable"}
