"""Reading the declaration of inputs from ``model.yaml``; what is wrong is refused by the input's name."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, cast

from fhir_adapter.errors import ConfigurationError
from fhir_adapter.features.inputs import (
    AgeInput,
    Aggregation,
    AppliesIf,
    ConditionInput,
    Derivation,
    FhirPathInput,
    Input,
    Missing,
    ObservationInput,
    SexInput,
    Window,
)
from fhir_adapter.features.paths import check_path
from fhir_adapter.terminology import EQUIVALENCES, CodeSet, Terminology
from fhir_adapter.terminology.conceptmaps import ALWAYS

__all__ = ["applies_if_from", "duration", "input_from"]

_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?\Z")


def input_from(data: Mapping[str, Any], terminology: Terminology | None = None) -> Input:
    """Read one declared input.

    Parameters
    ----------
    terminology : Terminology, optional
        The package's value sets.

    Raises
    ------
    ConfigurationError
        Naming the input and what is wrong with it.
    """
    name = str(data.get("name", "?"))
    readers = {
        "age": _age,
        "sex": _sex,
        "observation": _observation,
        "condition": _condition,
        "fhirpath": _fhirpath,
    }
    kind = data.get("kind")
    if kind not in readers:
        raise ConfigurationError(f"input {name!r}: kind {kind!r} is none of {', '.join(readers)}")
    try:
        return readers[kind](data, terminology or Terminology())
    except KeyError as error:
        raise ConfigurationError(f"input {name!r}: {error} is missing") from None
    except (AttributeError, TypeError, ValueError, ConfigurationError) as error:
        raise ConfigurationError(f"input {name!r}: {error}") from None


def applies_if_from(data: Mapping[str, Any], terminology: Terminology | None = None) -> AppliesIf:
    """Read the population gate of a model."""
    age = data.get("age") or {}
    condition = data.get("condition")
    gate = None
    if condition:
        declared = {"name": "population", "kind": "condition", "missing": "absent", **condition}
        gate = cast(ConditionInput, input_from(declared, terminology))
    return AppliesIf(float(age.get("min", 0)), float(age.get("max", 150)), gate)


def duration(text: str) -> timedelta:
    """Read an ISO 8601 duration of days, hours and minutes."""
    match = _DURATION.match(text)
    if not match or not any(match.groups()):
        raise ValueError(f"{text!r} is not a duration such as P1D or PT12H")
    days, hours, minutes = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes)


def _common(data: Mapping[str, Any]) -> tuple[str, str, Missing]:
    missing = data["missing"]
    if missing not in ("refuse", "impute", "absent"):
        raise ValueError(f"missing must be refuse, impute or absent, not {missing!r}")
    return data["name"], data.get("display", data["name"]), cast(Missing, missing)


def _range(data: Mapping[str, Any]) -> tuple[float, float]:
    low, high = (float(bound) for bound in data["plausible"])
    if not low < high:
        raise ValueError("plausible must be [low, high]")
    return low, high


def _window(data: Mapping[str, Any]) -> Window:
    back = data.get("look_back")
    return Window(duration(back) if back else None, duration(data.get("look_ahead", "PT0H")))


def _codes(data: Mapping[str, Any], terminology: Terminology, key: str = "codes") -> CodeSet:
    """Codes listed under `key`, and those of the value set under ``value_set`` (``panels_value_set``, ...)."""
    listed = data.get(key, ())
    if isinstance(listed, str):
        raise TypeError(f"{key} must be a list")
    found = CodeSet.of(str(data["system"]), (str(code) for code in listed)) if listed else CodeSet()
    url = data.get({"codes": "value_set"}.get(key, f"{key}_value_set"))
    return found | terminology.expand(str(url)) if url else found


def _required(codes: CodeSet) -> CodeSet:
    if not codes:
        raise ValueError("codes or value_set must name at least one code")
    return codes


def _equivalence(data: Mapping[str, Any]) -> Collection[str]:
    asked = frozenset(str(item) for item in data.get("equivalence", ()))
    if asked - EQUIVALENCES:
        unknown = ", ".join(sorted(asked - EQUIVALENCES))
        raise ValueError(f"equivalence {unknown}: a local code may only be {', '.join(sorted(EQUIVALENCES))}")
    return ALWAYS | asked


def _molar_mass(data: Mapping[str, Any]) -> float | None:
    if "molar_mass" not in data:
        return None
    mass = float(data["molar_mass"])
    if not 0.0 < mass < float("inf"):
        raise ValueError("molar_mass must be positive, in g/mol")
    return mass


def _age(data: Mapping[str, Any], _: Terminology) -> AgeInput:
    return AgeInput(*_common(data), plausible=_range(data))


def _sex(data: Mapping[str, Any], _: Terminology) -> SexInput:
    return SexInput(*_common(data))


def _observation(data: Mapping[str, Any], terminology: Terminology) -> ObservationInput:
    aggregation = data["aggregation"]
    if aggregation not in ("first", "latest", "minimum", "maximum", "mean"):
        raise ValueError(f"aggregation {aggregation!r} is not known")
    derive = data.get("derive")
    return ObservationInput(
        *_common(data),
        codes=_required(_codes(data, terminology)),
        panels=_codes(data, terminology, "panels"),
        unit=data["unit"],
        window=_window(data),
        aggregation=cast(Aggregation, aggregation),
        plausible=_range(data),
        derive=Derivation(*(CodeSet.of(data["system"], [str(derive[part])]) for part in ("weight", "height")))
        if derive
        else None,
        molar_mass=_molar_mass(data),
        equivalence=_equivalence(data),
    )


def _condition(data: Mapping[str, Any], terminology: Terminology) -> ConditionInput:
    return ConditionInput(
        *_common(data),
        codes=_required(_codes(data, terminology)),
        negative_codes=_codes(data, terminology, "negative_codes"),
        window=_window(data),
        equivalence=_equivalence(data),
    )


def _fhirpath(data: Mapping[str, Any], terminology: Terminology) -> FhirPathInput:
    common = _common(data)
    expression = str(data["expression"])
    check_path(expression)
    reads = {"Observation": CodeSet(), "Condition": CodeSet()}
    for item in data.get("reads", ()):
        if item["type"] not in reads:
            raise ValueError(f"reads: type {item['type']!r} is none of {', '.join(reads)}")
        reads[item["type"]] |= _required(_codes(item, terminology))
    for kind, codes in reads.items():
        if kind in expression and not codes:
            raise ValueError(f"expression names {kind}: say which codes under reads")
    return FhirPathInput(
        *common,
        expression=expression,
        observations=reads["Observation"],
        conditions=reads["Condition"],
        unit=data.get("unit"),
        plausible=_range(data) if "plausible" in data else None,
        molar_mass=_molar_mass(data),
        equivalence=_equivalence(data),
    )
