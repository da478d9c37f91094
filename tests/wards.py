"""Wards for tests: an EHR that searches as the allocation function asks, and houses built by hand."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from functions.allocation.ward import House, Room, Stay, Ward
from tests.strict_ehr import StrictEhr

Json = dict[str, Any]
NOW = datetime(2026, 1, 10, 9, tzinfo=UTC)
FEATURE = "urn:oid:2.25.251179498057397737784152124358179344384.10"
PHYSICAL = "http://terminology.hl7.org/CodeSystem/location-physical-type"
SNOMED = "http://snomed.info/sct"


class WardEhr(StrictEhr):
    """A strict EHR that knows the searches of a house: status, patients, codes, tags; whatever else is ignored."""

    def _matching(self, kind: str, query: str) -> list[Json]:
        wanted = dict(parse_qsl(query))
        return [
            found
            for key, found in self.resources.items()
            if key.startswith(kind + "/") and all(self._fits(found, name, value) for name, value in wanted.items())
        ]

    @staticmethod
    def _fits(found: Json, name: str, value: str) -> bool:
        values = value.split(",")
        if name == "_id":
            return found["id"] in values
        if name == "status":
            return found.get("status") in values
        if name == "patient":
            return found.get("subject", {}).get("reference", "").removeprefix("Patient/") in values
        if name == "code":
            return any(item.get("code") in values for item in found.get("code", {}).get("coding", []))
        if name == "_tag":
            tags = [f"{item['system']}|{item['code']}" for item in found["meta"].get("tag", [])]
            return value in tags
        return True


def house(*stays: Stay, rooms: tuple[Room, ...] | None = None, wards: tuple[Ward, ...] | None = None) -> House:
    """One ward of two rooms, with two beds and one, unless said otherwise."""
    wards = wards or (Ward("Location/w", "Ward"),)
    rooms = rooms or (room("a", 2), room("b", 1, "isolation"))
    return House(wards, rooms, stays)


def room(name: str, beds: int, *features: str, ward: str = "w", **more: Any) -> Room:
    return Room(f"Location/{name}", f"Room {name}", f"Location/{ward}", beds, frozenset(features), **more)


def stay(name: str, sex: Any = "female", **more: Any) -> Stay:
    at = more.pop("room", None)
    previous = more.pop("previous", None)
    return Stay(
        f"Encounter/{name}",
        f"Patient/{name}",
        more.pop("start", 0.0),
        more.pop("end", 48.0),
        sex,
        room=f"Location/{at}" if at else None,
        previous=f"Location/{previous}" if previous else None,
        **more,
    )


def location(name: str, kind: str, within: str | None = None, *features: str, **more: Any) -> Json:
    found: Json = {
        "resourceType": "Location",
        "id": name,
        "status": "active",
        "name": name,
        "physicalType": {"coding": [{"system": PHYSICAL, "code": kind}]},
        **copy.deepcopy(more),
    }
    if within:
        found["partOf"] = {"reference": f"Location/{within}"}
    if features:
        found["type"] = [{"coding": [{"system": FEATURE, "code": feature} for feature in features]}]
    return found


def patient(name: str, gender: str | None = "female", /, **more: Any) -> Json:
    return {
        "resourceType": "Patient",
        "id": name,
        **({"gender": gender} if gender else {}),
        "birthDate": "1950-06-15",
        **more,
    }


def encounter(name: str, *places: str, **more: Any) -> Json:
    found: Json = {
        "resourceType": "Encounter",
        "id": name,
        "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "subject": {"reference": f"Patient/{name}"},
        "period": {"start": "2026-01-09T09:00:00+00:00", "end": "2026-01-12T09:00:00+00:00"},
        **copy.deepcopy(more),
    }
    if places and "location" not in found:
        found["location"] = [{"location": {"reference": f"Location/{place}"}, "status": "active"} for place in places]
    return found


def small_house() -> list[Json]:
    """A ward with a room of two beds, a single room, a patient in the former and one who waits."""
    return [
        location("w", "wa"),
        location("a", "ro", "w"),
        location("a1", "bd", "a"),
        location("a2", "bd", "a"),
        location("b", "ro", "w", "isolation"),
        location("b1", "bd", "b"),
        patient("p1"),
        encounter("p1", "a1"),
        patient("p2"),
        encounter("p2"),
    ]
