"""Who a result is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

__all__ = ["Person", "person_of"]

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Person:
    """Who a result is about."""

    id: str
    name: str
    sex: str
    born: str
    age: int | None


def person_of(item: Json, people: Mapping[str, Json]) -> Person:
    """Return the patient of a result, as far as the record tells."""
    reference = item.get("subject", {}).get("reference", "")
    patient = people.get(reference, {})
    name: Json = next(iter(patient.get("name", [])), {})
    full = name.get("text") or " ".join([*name.get("given", []), name.get("family", "")]).strip()
    when = item.get("occurrenceDateTime") or item.get("effectiveDateTime") or ""
    return Person(
        id=reference.rpartition("/")[2],
        name=full or "Name not recorded",
        sex=patient.get("gender", "not recorded"),
        born=patient.get("birthDate", ""),
        age=_age(patient.get("birthDate", ""), when),
    )


def _age(born: str, when: str) -> int | None:
    """Return the completed years between a birth date and a time, if both are precise enough."""
    try:
        birth, day = date.fromisoformat(born), datetime.fromisoformat(when).date()
    except ValueError:
        return None
    return day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))
