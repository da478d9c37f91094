"""A synthetic house as FHIR R4 resources, as an EHR would hold them."""

from __future__ import annotations

from datetime import datetime, timedelta

from fhir_adapter.codes import SNOMED, V3_ACT_CODE, Json, coding
from functions.allocation.fromfhir.rules import ROOM_FEATURE
from functions.allocation.ward.objects import ALONE, House, Stay, Urgency

__all__ = ["as_resources"]

PHYSICAL = "http://terminology.hl7.org/CodeSystem/location-physical-type"
ACT_PRIORITY = "http://terminology.hl7.org/CodeSystem/v3-ActPriority"
KINDS = {"wa": "Ward", "ro": "Room", "bd": "Bed"}
SPECIALTY = "urn:bedside:synthetic-specialty"
PRIORITIES = {
    Urgency.STAT: ("S", "stat"),
    Urgency.ASAP: ("A", "ASAP"),
    Urgency.URGENT: ("UR", "urgent"),
    Urgency.ROUTINE: ("R", "routine"),
}
MRSA = ("266096002", "MRSA infection")
ISOLATE = ("40174006", "Isolation")


def as_resources(house: House, now: datetime) -> list[Json]:
    """Return the house as resources: Locations down to beds, Patients, Encounters, Flags and Conditions.

    Parameters
    ----------
    now : datetime
        Hour 0 of the house, with a time zone.
    """
    found: list[Json] = []
    beds: dict[str, list[str]] = {}
    for ward in house.wards:
        types = [{"coding": [coding(SPECIALTY, code)]} for code in sorted(ward.specialties)]
        found.append(_location(ward.id, ward.name, "wa", None, types))
    for room in house.rooms:
        types = [{"coding": [coding(ROOM_FEATURE, code)]} for code in sorted(room.features)]
        found.append(_location(room.id, room.name, "ro", room.ward, types))
        beds[room.id] = [f"{room.id}-{number + 1}" for number in range(room.beds)]
        found += [_location(bed, f"{room.name} bed {bed[-1]}", "bd", room.id, []) for bed in beds[room.id]]
    taken: dict[str, int] = {}
    for stay in house.stays:
        found += _patient(stay)
        place = None
        if stay.room is not None:
            place = beds[stay.room][taken.get(stay.room, 0)]
            taken[stay.room] = taken.get(stay.room, 0) + 1
        found.append(_encounter(stay, place, now))
        if stay.needs:
            found.append(_request(stay, now))
    return found


def _id(reference: str) -> str:
    return reference.rpartition("/")[2]


def _location(name: str, title: str, kind: str, within: str | None, types: list[Json]) -> Json:
    found: Json = {
        "resourceType": "Location",
        "id": _id(name),
        "status": "active",
        "name": title,
        "mode": "instance",
        "physicalType": {"coding": [coding(PHYSICAL, kind, KINDS[kind])]},
    }
    if types:
        found["type"] = types
    if within:
        found["partOf"] = {"reference": within}
    return found


def _patient(stay: Stay) -> list[Json]:
    number = int("".join(filter(str.isdigit, stay.patient)) or 0)
    born = 1932 + number * 37 % 70
    patient = {"resourceType": "Patient", "id": _id(stay.patient), "birthDate": f"{born}-06-15"}
    if stay.sex:
        patient["gender"] = stay.sex
    found: list[Json] = [patient]
    subject = {"reference": stay.patient}
    if stay.isolation == ALONE:
        code = {"coding": [coding(SNOMED, *ISOLATE)]}
        found.append(
            {
                "resourceType": "Flag",
                "id": f"flag-{_id(stay.patient)}",
                "status": "active",
                "code": code,
                "subject": subject,
            }
        )
    elif stay.isolation:
        active = {"coding": [coding("http://terminology.hl7.org/CodeSystem/condition-clinical", "active")]}
        code = {"coding": [coding(SNOMED, *MRSA)]}
        found.append(
            {
                "resourceType": "Condition",
                "id": f"mrsa-{_id(stay.patient)}",
                "clinicalStatus": active,
                "code": code,
                "subject": subject,
            }
        )
    return found


def _encounter(stay: Stay, place: str | None, now: datetime) -> Json:
    start, end = (now + timedelta(hours=hour) for hour in (stay.start, stay.end))
    code, display = PRIORITIES[stay.urgency]
    found: Json = {
        "resourceType": "Encounter",
        "id": _id(stay.id),
        "status": "planned" if stay.start > 0 else "in-progress",
        "class": coding(V3_ACT_CODE, "IMP", "inpatient encounter"),
        "subject": {"reference": stay.patient},
        "priority": {"coding": [coding(ACT_PRIORITY, code, display)]},
        "period": {"start": start.isoformat(timespec="seconds"), "end": end.isoformat(timespec="seconds")},
    }
    if stay.specialties:
        found["serviceType"] = {"coding": [coding(SPECIALTY, code) for code in sorted(stay.specialties)]}
    if place:
        found["location"] = [{"location": {"reference": place}, "status": "active"}]
    return found


def _request(stay: Stay, now: datetime) -> Json:
    return {
        "resourceType": "ServiceRequest",
        "id": f"bed-{_id(stay.id)}",
        "status": "active",
        "intent": "order",
        "code": {"coding": [coding(SNOMED, "32485007", "Hospital admission")]},
        "subject": {"reference": stay.patient},
        "encounter": {"reference": stay.id},
        "authoredOn": now.isoformat(timespec="seconds"),
        "locationCode": [{"coding": [coding(ROOM_FEATURE, code)]} for code in sorted(stay.needs)],
    }
