"""Taking a model's declared inputs out of a patient's resources: values, or the reason why not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fhir_adapter.features.computed import computed
from fhir_adapter.features.diagnosed import conditions, diagnosed
from fhir_adapter.features.inputs import (
    AgeInput,
    AppliesIf,
    ConditionInput,
    FhirPathInput,
    Input,
    ObservationInput,
    SexInput,
)
from fhir_adapter.features.observed import observed
from fhir_adapter.features.record import Record, moment
from fhir_adapter.features.values import Refused, Value, plausible
from fhir_adapter.prediction import Abstention, AbstentionReason
from fhir_adapter.references import Source, source_of

__all__ = ["Features", "Value", "extract"]


@dataclass(frozen=True)
class Features:
    """All inputs of a model for one patient.

    Parameters
    ----------
    values : tuple of Value
        In the declared order.
    population : tuple of Source
        Conditions that put the patient into the model's population.
    """

    values: tuple[Value, ...]
    population: tuple[Source, ...] = ()

    @property
    def sources(self) -> tuple[Source, ...]:
        """Every source once, in the order of first use; what put the patient into the population comes last."""
        used = [source for value in self.values for source in value.sources]
        return tuple(dict.fromkeys([*used, *self.population]))


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
    population = _population(applies_if, record, index_time)
    outside = _outside(applies_if, record, index_time, population)
    if outside:
        return Abstention(AbstentionReason.OUTSIDE_POPULATION, outside)
    values: list[Value] = []
    missing: list[Input] = []
    for item in inputs:
        try:
            value = _value(item, record, index_time)
        except Refused as refused:
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
    return Features(tuple(values), population)


def _population(applies_if: AppliesIf, record: Record, index_time: datetime) -> tuple[Source, ...]:
    gate = applies_if.condition
    if gate is None:
        return ()
    found = (source_of(condition) for condition in conditions(gate, gate.codes, record, index_time))
    return tuple(sorted(found, key=lambda source: source.reference))


def _outside(applies_if: AppliesIf, record: Record, index_time: datetime, population: tuple[Source, ...]) -> str | None:
    if record.patient.get("deceasedBoolean") is True or record.patient.get("deceasedDateTime"):
        return "The patient is recorded as deceased."
    age = age_at(record.patient.get("birthDate"), index_time)
    if not math.isnan(age) and not applies_if.min_age <= age <= applies_if.max_age:
        return f"The model is for ages {applies_if.min_age:g} to {applies_if.max_age:g}."
    gate = applies_if.condition
    if gate and not population:
        return f"No {gate.display} is on record for this admission."
    return None


def _value(item: Input, record: Record, index_time: datetime) -> Value:
    if isinstance(item, AgeInput):
        age = age_at(record.patient.get("birthDate"), index_time)
        return Value(item, plausible(item, age, item.plausible), (source_of(record.patient),))
    if isinstance(item, SexInput):
        female = {"female": 1.0, "male": 0.0}.get(str(record.patient.get("gender")), math.nan)
        return Value(item, female, (source_of(record.patient),))
    if isinstance(item, ObservationInput):
        return observed(item, record, index_time)
    if isinstance(item, ConditionInput):
        return diagnosed(item, record, index_time)
    if isinstance(item, FhirPathInput):
        return computed(item, record, index_time)
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
