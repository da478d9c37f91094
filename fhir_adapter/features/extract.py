"""Taking a model's declared inputs out of a patient's resources: values, or the reason why not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from fhir_adapter.codes import UCUM, Json
from fhir_adapter.errors import UnitError
from fhir_adapter.features.inputs import (
    AgeInput,
    AppliesIf,
    ConditionInput,
    Input,
    ObservationInput,
    SexInput,
    Window,
)
from fhir_adapter.features.record import Record, moment
from fhir_adapter.prediction import Abstention, AbstentionReason
from fhir_adapter.references import Source, source_of
from fhir_adapter.units import convert

__all__ = ["Features", "Value", "extract"]

USABLE = frozenset({"final", "amended", "corrected", "preliminary"})
REFUTED = frozenset({"refuted", "entered-in-error"})


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


@dataclass(frozen=True)
class Features:
    """All inputs of a model for one patient.

    Parameters
    ----------
    values : tuple of Value
        In the declared order.
    """

    values: tuple[Value, ...]

    @property
    def sources(self) -> tuple[Source, ...]:
        """Every source once, in the order of first use."""
        return tuple(dict.fromkeys(source for value in self.values for source in value.sources))


class _Refused(Exception):
    def __init__(self, reason: AbstentionReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def extract(
    inputs: Sequence[Input], applies_if: AppliesIf, record: Record, index_time: datetime
) -> Features | Abstention:
    """Take the declared inputs from a record.

    Parameters
    ----------
    inputs : sequence of Input
        In the model's order.
    applies_if : AppliesIf
        The population the model may answer for.
    record : Record
        Resources of one patient, from whatever place.
    index_time : datetime
        Time zero, with a time zone.

    Returns
    -------
    Features or Abstention
        An abstention names every input that is missing; it never holds a value.
    """
    outside = _outside(applies_if, record, index_time)
    if outside:
        return Abstention(AbstentionReason.OUTSIDE_POPULATION, outside)
    values: list[Value] = []
    missing: list[Input] = []
    for item in inputs:
        try:
            value = _value(item, record, index_time)
        except _Refused as refused:
            return Abstention(refused.reason, str(refused), (item.name,))
        if math.isnan(value.value) and item.missing == "refuse":
            missing.append(item)
        values.append(value)
    if missing:
        names = ", ".join(item.display.lower() for item in missing)
        return Abstention(
            AbstentionReason.MISSING_INPUT,
            f"Not on record within the model's time window: {names}.",
            tuple(item.name for item in missing),
        )
    return Features(tuple(values))


def _outside(applies_if: AppliesIf, record: Record, index_time: datetime) -> str | None:
    if record.patient.get("deceasedBoolean") is True or record.patient.get("deceasedDateTime"):
        return "The patient is recorded as deceased."
    age = age_at(record.patient.get("birthDate"), index_time)
    if not math.isnan(age) and not applies_if.min_age <= age <= applies_if.max_age:
        return f"The model is for ages {applies_if.min_age:g} to {applies_if.max_age:g}."
    gate = applies_if.condition
    if gate and not list(_conditions(gate, gate.codes, record, index_time)):
        return f"No {gate.display} is on record for this admission."
    return None


def _value(item: Input, record: Record, index_time: datetime) -> Value:
    if isinstance(item, AgeInput):
        age = age_at(record.patient.get("birthDate"), index_time)
        return Value(item, _plausible(item, age, item.plausible), (source_of(record.patient),))
    if isinstance(item, SexInput):
        female = {"female": 1.0, "male": 0.0}.get(str(record.patient.get("gender")), math.nan)
        return Value(item, female, (source_of(record.patient),))
    if isinstance(item, ObservationInput):
        return _observed(item, record, index_time)
    if isinstance(item, ConditionInput):
        return _diagnosed(item, record, index_time)
    raise TypeError(f"no reader for {type(item).__name__}")


def age_at(birth_date: object, at: datetime) -> float:
    """Return completed years, NaN when the birth date is missing.

    A birth date of a year counts as its first of July, of a month as its fifteenth (the middle of what is known).
    """
    text = str(birth_date or "")
    born = moment({4: text + "-07-01", 7: text + "-15"}.get(len(text), text))
    if born is None:
        return math.nan
    had_birthday = (at.month, at.day) >= (born.month, born.day)
    return float(at.year - born.year - (0 if had_birthday else 1))


def _plausible(item: Input, value: float, bounds: tuple[float, float]) -> float:
    if not math.isnan(value) and not bounds[0] <= value <= bounds[1]:
        raise _Refused(
            AbstentionReason.IMPLAUSIBLE_INPUT,
            f"{item.display} on record lies outside {bounds[0]:g} to {bounds[1]:g}; check the record.",
        )
    return value


def _within(when: datetime | None, window: Window, index_time: datetime) -> bool:
    if when is None:
        return False
    if when > index_time + window.look_ahead:
        return False
    return window.look_back is None or when >= index_time - window.look_back


def has_code(concept: object, system: str, codes: Sequence[str]) -> bool:
    """Return whether a CodeableConcept carries one of the codes."""
    if not isinstance(concept, dict):
        return False
    return any(
        isinstance(item, dict) and item.get("system") == system and item.get("code") in codes
        for item in concept.get("coding") or []
    )


def _when(observation: Json) -> datetime | None:
    period = observation.get("effectivePeriod") or {}
    for text in (
        observation.get("effectiveDateTime"),
        observation.get("effectiveInstant"),
        period.get("start"),
        observation.get("issued"),
    ):
        if text:
            return moment(text)
    return None


@dataclass(frozen=True)
class _Reading:
    when: datetime
    quantity: Json
    source: Source


def _readings(item: ObservationInput, codes: Sequence[str], record: Record, index_time: datetime) -> list[_Reading]:
    """Usable readings within the window, oldest first."""
    found = []
    for observation in record.observations:
        when = _when(observation)
        if observation.get("status") not in USABLE or when is None or not _within(when, item.window, index_time):
            continue
        for part in (observation, *(observation.get("component") or [])):
            quantity = part.get("valueQuantity")
            exact = isinstance(quantity, dict) and "value" in quantity and not quantity.get("comparator")
            if exact and has_code(part.get("code"), item.system, codes):
                found.append(_Reading(when, quantity, source_of(observation)))
    return sorted(found, key=lambda reading: (reading.when, reading.source.reference))


def _number(item: Input, reading: _Reading, unit: str) -> float:
    quantity = reading.quantity
    given = quantity.get("code") if quantity.get("system", UCUM) == UCUM else None
    try:
        return convert(float(quantity["value"]), str(given or quantity.get("unit") or ""), unit)
    except (UnitError, TypeError, ValueError):
        raise _Refused(
            AbstentionReason.UNIT_NOT_CONVERTIBLE,
            f"{item.display} is on record in a unit that cannot be converted to {unit}.",
        ) from None


def _observed(item: ObservationInput, record: Record, index_time: datetime) -> Value:
    readings = _readings(item, item.codes, record, index_time)
    if not readings:
        return _derived(item, record, index_time)
    if item.aggregation in ("first", "latest"):
        readings = [readings[0] if item.aggregation == "first" else readings[-1]]
    numbers = [_plausible(item, _number(item, reading, item.unit), item.plausible) for reading in readings]
    value = {"minimum": min(numbers), "maximum": max(numbers)}.get(item.aggregation, sum(numbers) / len(numbers))
    return Value(item, value, tuple(reading.source for reading in readings))


def _derived(item: ObservationInput, record: Record, index_time: datetime) -> Value:
    """Weight over height squared, kg/m2, each at its latest."""
    if item.derive:
        weights = _readings(item, (item.derive["weight"],), record, index_time)
        heights = _readings(item, (item.derive["height"],), record, index_time)
        if weights and heights:
            height = _number(item, heights[-1], "m")
            value = _number(item, weights[-1], "kg") / height**2 if height > 0 else math.inf
            sources = (weights[-1].source, heights[-1].source)
            return Value(item, _plausible(item, value, item.plausible), sources)
    return Value(item, 0.0 if item.missing == "absent" else math.nan)


def _conditions(item: ConditionInput, codes: Sequence[str], record: Record, index_time: datetime) -> Iterator[Json]:
    """Conditions on record with one of the codes; undated ones count for ever, or for their own encounter."""
    encounter = (record.encounter or {}).get("id")
    for condition in record.conditions:
        verification = (condition.get("verificationStatus") or {}).get("coding") or []
        if any(entry.get("code") in REFUTED for entry in verification if isinstance(entry, dict)):
            continue
        if not has_code(condition.get("code"), item.system, codes):
            continue
        onset = condition.get("onsetDateTime") or (condition.get("onsetPeriod") or {}).get("start")
        when = moment(onset or condition.get("recordedDate"))
        reference = str((condition.get("encounter") or {}).get("reference", ""))
        same_encounter = encounter is not None and reference.endswith(f"Encounter/{encounter}")
        undated = when is None and (item.window.look_back is None or same_encounter)
        if undated or _within(when, item.window, index_time):
            yield condition


def _diagnosed(item: ConditionInput, record: Record, index_time: datetime) -> Value:
    for codes, value in ((item.codes, 1.0), (item.negative_codes, 0.0)):
        found = sorted(
            (source_of(condition) for condition in _conditions(item, codes, record, index_time)),
            key=lambda source: source.reference,
        )
        if found:
            return Value(item, value, tuple(found))
    return Value(item, 0.0 if item.missing == "absent" else math.nan)
