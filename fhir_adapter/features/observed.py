"""Numbers from Observations (FHIR R4 observation.html)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from fhir_adapter.codes import Json
from fhir_adapter.features.inputs import ObservationInput
from fhir_adapter.features.record import Record, moment
from fhir_adapter.features.values import Value, absent, number_of, plausible, within
from fhir_adapter.references import Source, source_of
from fhir_adapter.terminology import CodeSet

__all__ = ["observed", "observed_at"]

USABLE = frozenset({"final", "amended", "corrected", "preliminary"})


@dataclass(frozen=True)
class _Reading:
    when: datetime
    quantity: Json
    source: Source


def observed(item: ObservationInput, record: Record, index_time: datetime) -> Value:
    """Return the declared aggregation of the readings in the window."""
    readings = _readings(item, item.codes, record, index_time)
    if not readings:
        return _derived(item, record, index_time)
    if item.aggregation in ("first", "latest"):
        readings = [readings[0] if item.aggregation == "first" else readings[-1]]
    numbers = [plausible(item, number_of(item, reading.quantity, item.unit), item.plausible) for reading in readings]
    value = {"minimum": min(numbers), "maximum": max(numbers)}.get(item.aggregation, math.fsum(numbers) / len(numbers))
    return Value(item, value, tuple(reading.source for reading in readings))


def observed_at(observation: Json, time_zone: tzinfo = UTC) -> datetime | None:
    """Return when an Observation holds: effective[x], else when it was issued."""
    period = observation.get("effectivePeriod") or {}
    for text in (
        observation.get("effectiveDateTime"),
        observation.get("effectiveInstant"),
        period.get("start"),
        observation.get("issued"),
    ):
        if text:
            return moment(text, time_zone)
    return None


def _readings(item: ObservationInput, codes: CodeSet, record: Record, index_time: datetime) -> list[_Reading]:
    """Usable readings within the window, oldest first."""
    found = []
    for observation in record.observations:
        when = observed_at(observation, record.time_zone)
        if observation.get("status") not in USABLE or when is None or not within(when, item.window, index_time):
            continue
        for part in (observation, *(observation.get("component") or [])):
            quantity = _quantity(part)
            if quantity is not None and codes.has(part.get("code")):
                found.append(_Reading(when, quantity, source_of(observation)))
    return sorted(found, key=lambda reading: (reading.when, reading.source.reference))


def _quantity(part: Json) -> Json | None:
    """Return an exact number of an Observation or component; an integer has no unit (a score, a count)."""
    if type(part.get("valueInteger")) is int:
        return {"value": part["valueInteger"]}
    quantity = part.get("valueQuantity")
    return quantity if isinstance(quantity, dict) and "value" in quantity and not quantity.get("comparator") else None


def _derived(item: ObservationInput, record: Record, index_time: datetime) -> Value:
    """Weight over height squared, kg/m2, each at its latest."""
    if item.derive:
        weights = _readings(item, item.derive.weight, record, index_time)
        heights = _readings(item, item.derive.height, record, index_time)
        if weights and heights:
            height = number_of(item, heights[-1].quantity, "m")
            value = number_of(item, weights[-1].quantity, "kg") / height**2 if height > 0 else math.inf
            sources = (weights[-1].source, heights[-1].source)
            return Value(item, plausible(item, value, item.plausible), sources)
    return absent(item)
