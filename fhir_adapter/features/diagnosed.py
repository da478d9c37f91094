"""Presence and absence from Conditions (FHIR R4 condition.html)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo

from fhir_adapter.codes import Json
from fhir_adapter.features.inputs import ConditionInput
from fhir_adapter.features.record import Record, moment
from fhir_adapter.features.values import Value, absent, within
from fhir_adapter.references import source_of
from fhir_adapter.terminology import CodeSet

__all__ = ["began_at", "conditions", "diagnosed"]

REFUTED = frozenset({"refuted", "entered-in-error"})


def diagnosed(item: ConditionInput, record: Record, index_time: datetime) -> Value:
    """Return 1 by a code, 0 by a negative one."""
    for codes, value in ((item.codes, 1.0), (item.negative_codes, 0.0)):
        found = sorted(
            (source_of(condition) for condition in conditions(item, codes, record, index_time)),
            key=lambda source: source.reference,
        )
        if found:
            return Value(item, value, tuple(found))
    return absent(item)


def conditions(item: ConditionInput, codes: CodeSet, record: Record, index_time: datetime) -> Iterator[Json]:
    """Yield Conditions with one of the codes; undated ones count for ever, or for their own encounter."""
    encounter = (record.encounter or {}).get("id")
    for condition in record.conditions:
        verification = (condition.get("verificationStatus") or {}).get("coding") or []
        if any(entry.get("code") in REFUTED for entry in verification if isinstance(entry, dict)):
            continue
        if not codes.has(condition.get("code")):
            continue
        when = began_at(condition, record.time_zone)
        reference = str((condition.get("encounter") or {}).get("reference", ""))
        same_encounter = encounter is not None and reference.endswith(f"Encounter/{encounter}")
        undated = when is None and (item.window.look_back is None or same_encounter)
        if undated or within(when, item.window, index_time):
            yield condition


def began_at(condition: Json, time_zone: tzinfo = UTC) -> datetime | None:
    """Return the onset, else when it was recorded."""
    onset = condition.get("onsetDateTime") or (condition.get("onsetPeriod") or {}).get("start")
    return moment(onset or condition.get("recordedDate"), time_zone)
