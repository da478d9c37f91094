"""The value of one input, and refusing to have one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from fhir_adapter.codes import Json
from fhir_adapter.errors import UnitError
from fhir_adapter.features.inputs import FhirPathInput, Input, ObservationInput, Window
from fhir_adapter.prediction import AbstentionReason
from fhir_adapter.references import Source
from fhir_adapter.units import convert, unit_of

__all__ = ["Refused", "Value", "absent", "number_of", "plausible", "within"]


@dataclass(frozen=True)
class Value:
    """The value of one input, and where it came from.

    Parameters
    ----------
    input : Input
        Its declaration.
    value : float
        In the declared unit; NaN when the model is to impute it.
    sources : tuple of Source
        Resource versions it was taken from.
    """

    input: Input
    value: float
    sources: tuple[Source, ...] = ()


class Refused(Exception):
    """A value is on record but must not be used; the text never holds it."""

    def __init__(self, reason: AbstentionReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def absent(item: Input, sources: tuple[Source, ...] = ()) -> Value:
    """Return what stands for a value that is not on record."""
    return Value(item, 0.0 if item.missing == "absent" else math.nan, sources)


def plausible(item: Input, value: float, bounds: tuple[float, float]) -> float:
    """Return a value within its bounds, or NaN.

    Raises
    ------
    Refused
        Outside of them.
    """
    if not math.isnan(value) and not bounds[0] <= value <= bounds[1]:
        raise Refused(
            AbstentionReason.IMPLAUSIBLE_INPUT,
            f"{item.display} on record lies outside {bounds[0]:g} to {bounds[1]:g}; check the record.",
        )
    return value


def number_of(item: ObservationInput | FhirPathInput, quantity: Json, unit: str) -> float:
    """Return a Quantity's value in a UCUM unit.

    Raises
    ------
    Refused
        When its unit cannot be converted.
    """
    try:
        number = convert(float(quantity["value"]), unit_of(quantity), unit, item.molar_mass)
    except (UnitError, TypeError, ValueError):
        raise Refused(
            AbstentionReason.UNIT_NOT_CONVERTIBLE,
            f"{item.display} is on record in a unit that cannot be converted to {unit}.",
        ) from None
    if not math.isfinite(number):
        raise Refused(AbstentionReason.IMPLAUSIBLE_INPUT, f"{item.display} on record is not a finite number.")
    return number


def within(when: datetime | None, window: Window, index_time: datetime) -> bool:
    """Return whether a time lies in a window around the index time."""
    if when is None:
        return False
    if when > index_time + window.look_ahead:
        return False
    return window.look_back is None or when >= index_time - window.look_back
