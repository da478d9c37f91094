"""Required bindings: a code must come from the value set (FHIR R4 terminologies.html#required)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tests.validator.definitions import Definitions

# Required value sets whose codes R4 does not list. What can be said of a code without its list is its form.
OPEN: dict[str, tuple[str, str]] = {
    "http://hl7.org/fhir/ValueSet/currencies": (r"[A-Z]{3}", "ISO 4217 is not HL7's to publish"),
    "http://hl7.org/fhir/ValueSet/mimetypes": (
        r"[\w!#$&^.+-]+/[\w!#$&^.+*-]+(\s*;\s*[\w-]+=([^\s;]+|\"[^\"]*\"))*",
        "BCP 13 is an open register",
    ),
    "http://hl7.org/fhir/ValueSet/ucum-units": (r"[!-~]+", "UCUM is a grammar, not a list"),
    "http://hl7.org/fhir/ValueSet/characteristic-combination": (r"\S+", "R4 names it and does not define it"),
    "http://loinc.org/vs/LL379-9": (r"\S+", "a LOINC answer list"),
}


def wrong_with(value: object, binding: str, definitions: Definitions) -> str | None:
    """Say what is wrong with a value under a required binding.

    Parameters
    ----------
    value : object
        A code, Coding, CodeableConcept or Quantity.
    binding : str
        Value set.
    definitions : Definitions

    Returns
    -------
    str or None
        None when nothing is.
    """
    name = binding.rpartition("/")[2]
    if isinstance(value, str):
        return None if _has(binding, None, value, definitions) else f"a code outside the required value set {name}"
    if not isinstance(value, Mapping):
        return None
    codings = value.get("coding") if "coding" in value or "text" in value else [value]
    if isinstance(codings, list) and any(_coding_has(binding, coding, definitions) for coding in codings):
        return None
    return f"no code of the required value set {name}"


def _coding_has(binding: str, coding: object, definitions: Definitions) -> bool:
    if not isinstance(coding, Mapping):
        return False
    found: Mapping[str, Any] = coding
    return _has(binding, found.get("system", ""), found.get("code"), definitions)


def _has(binding: str, system: object, code: object, definitions: Definitions) -> bool:
    if not isinstance(code, str):
        return False
    if binding in OPEN:
        return re.fullmatch(OPEN[binding][0], code) is not None
    codes = definitions.value_sets[binding] or {}
    if system is None:
        return any(code in found for found in codes.values())
    return isinstance(system, str) and code in codes.get(system, ())
