"""Values by FHIRPath, and which resources an expression sees."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from fhir_adapter.codes import Json
from fhir_adapter.features.diagnosed import began_at
from fhir_adapter.features.inputs import FhirPathInput
from fhir_adapter.features.observed import observed_at
from fhir_adapter.features.paths import PathError, evaluate_path, roots_of
from fhir_adapter.features.record import Record
from fhir_adapter.features.values import Refused, Value, absent, number_of, plausible
from fhir_adapter.prediction import AbstentionReason
from fhir_adapter.references import source_of

__all__ = ["computed"]

_NEVER = datetime.min.replace(tzinfo=UTC)


def computed(item: FhirPathInput, record: Record, index_time: datetime) -> Value:
    """Return the result of an expression; its sources are every resource that it could see."""
    resources = _visible(item, record)
    sources = tuple(source_of(resource) for resource in resources)
    try:
        found = evaluate_path(item.expression, resources, index_time)
    except PathError:
        raise Refused(AbstentionReason.IMPLAUSIBLE_INPUT, f"{item.display} cannot be read from the record.") from None
    if not found:
        return absent(item, sources)
    if len(found) > 1:
        raise Refused(AbstentionReason.IMPLAUSIBLE_INPUT, f"{item.display} on record is not one value.")
    if isinstance(found[0], bool):
        return Value(item, float(found[0]), sources)
    number = _number(item, found[0])
    return Value(item, plausible(item, number, item.plausible) if item.plausible else number, sources)


def _visible(item: FhirPathInput, record: Record) -> list[Json]:
    """What the expression names and the input declares, oldest first, whatever else a record holds."""
    observations = [found for found in record.observations if item.observations.has(found.get("code"))]
    conditions = [found for found in record.conditions if item.conditions.has(found.get("code"))]
    ordered = [
        *([record.patient, record.encounter] if record.encounter else [record.patient]),
        *sorted(observations, key=lambda found: (observed_at(found, record.time_zone) or _NEVER, str(found.get("id")))),
        *sorted(conditions, key=lambda found: (began_at(found, record.time_zone) or _NEVER, str(found.get("id")))),
    ]
    roots = roots_of(item.expression)
    return [found for found in ordered if found.get("resourceType") in roots]


def _number(item: FhirPathInput, result: object) -> float:
    """Return a number or a Quantity (FHIR's, or FHIRPath's own) as a number."""
    unit = getattr(result, "unit", None)
    if unit is not None:
        result = {"value": getattr(result, "value", None), "unit": str(unit).strip("'")}
    if isinstance(result, dict) and "value" in result and not result.get("comparator"):
        return number_of(item, result, item.unit or "1")
    if isinstance(result, int | float | Decimal) and not isinstance(result, bool):
        return float(result)
    raise Refused(AbstentionReason.IMPLAUSIBLE_INPUT, f"{item.display} on record is not an exact number.")
