"""The declaration of an input: code, unit, window, aggregation, plausible range, missing-value policy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, cast

from fhir_adapter.errors import ConfigurationError

Missing = Literal["refuse", "impute", "absent"]
Aggregation = Literal["first", "latest", "minimum", "maximum", "mean"]

_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?\Z")


@dataclass(frozen=True)
class Window:
    """Time around the index time in which a value counts.

    Parameters
    ----------
    look_back : timedelta or None
        Before the index time; None reaches back to birth.
    look_ahead : timedelta
        After it.
    """

    look_back: timedelta | None
    look_ahead: timedelta


@dataclass(frozen=True)
class Input:
    """What every declared input has.

    Parameters
    ----------
    name, display : str
        For programs, and in clinical words.
    missing : str
        ``refuse``: abstain; ``impute``: NaN, which the model fills; ``absent``: 0.
    """

    name: str
    display: str
    missing: Missing


@dataclass(frozen=True)
class AgeInput(Input):
    """Completed years at the index time, from Patient.birthDate."""

    plausible: tuple[float, float]


@dataclass(frozen=True)
class SexInput(Input):
    """1 for Patient.gender female, 0 for male; anything else is missing."""


@dataclass(frozen=True)
class ObservationInput(Input):
    """A number from Observation.valueQuantity, of the Observation itself or of a component of a panel.

    Parameters
    ----------
    system, codes, panels : str, tuple of str
        Code of the value; codes of panels that carry it as a component.
    unit : str
        UCUM code the model expects.
    derive : mapping or None
        ``{"weight": code, "height": code}``: weight over height squared, where no value is on record.
    """

    system: str
    codes: tuple[str, ...]
    panels: tuple[str, ...]
    unit: str
    window: Window
    aggregation: Aggregation
    plausible: tuple[float, float]
    derive: Mapping[str, str] | None

    @property
    def searched(self) -> tuple[str, ...]:
        """Every Observation.code worth asking the server for."""
        return (*self.codes, *self.panels, *(self.derive or {}).values())


@dataclass(frozen=True)
class ConditionInput(Input):
    """1 when a Condition with one of the codes is on record, 0 by a negative code or by its absence."""

    system: str
    codes: tuple[str, ...]
    negative_codes: tuple[str, ...]
    window: Window


@dataclass(frozen=True)
class AppliesIf:
    """The population a model may answer for.

    Parameters
    ----------
    min_age, max_age : float
        Completed years, inclusive.
    condition : ConditionInput or None
        Must be on record.
    """

    min_age: float
    max_age: float
    condition: ConditionInput | None


def input_from(data: Mapping[str, Any]) -> Input:
    """Read one declared input.

    Raises
    ------
    ConfigurationError
        Naming the input and what is wrong with it.
    """
    name = str(data.get("name", "?"))
    readers = {"age": _age, "sex": _sex, "observation": _observation, "condition": _condition}
    kind = data.get("kind")
    if kind not in readers:
        raise ConfigurationError(f"input {name!r}: kind {kind!r} is none of {', '.join(readers)}")
    try:
        return readers[kind](data)
    except KeyError as error:
        raise ConfigurationError(f"input {name!r}: {error} is missing") from None
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"input {name!r}: {error}") from None


def applies_if_from(data: Mapping[str, Any]) -> AppliesIf:
    """Read the population gate of a model."""
    age = data.get("age") or {}
    condition = data.get("condition")
    gate = None
    if condition:
        gate = cast(
            ConditionInput,
            input_from({"name": "population", "kind": "condition", "missing": "absent", **condition}),
        )
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


def _codes(data: Mapping[str, Any], key: str) -> tuple[str, ...]:
    return tuple(str(code) for code in data.get(key, ()))


def _age(data: Mapping[str, Any]) -> AgeInput:
    return AgeInput(*_common(data), plausible=_range(data))


def _sex(data: Mapping[str, Any]) -> SexInput:
    return SexInput(*_common(data))


def _observation(data: Mapping[str, Any]) -> ObservationInput:
    aggregation = data["aggregation"]
    if aggregation not in ("first", "latest", "minimum", "maximum", "mean"):
        raise ValueError(f"aggregation {aggregation!r} is not known")
    return ObservationInput(
        *_common(data),
        system=data["system"],
        codes=_codes(data, "codes"),
        panels=_codes(data, "panels"),
        unit=data["unit"],
        window=_window(data),
        aggregation=cast(Aggregation, aggregation),
        plausible=_range(data),
        derive=data.get("derive"),
    )


def _condition(data: Mapping[str, Any]) -> ConditionInput:
    return ConditionInput(
        *_common(data),
        system=data["system"],
        codes=_codes(data, "codes"),
        negative_codes=_codes(data, "negative_codes"),
        window=_window(data),
    )
