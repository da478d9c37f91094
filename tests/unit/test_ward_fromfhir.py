"""Wards, rooms and stays from FHIR; and the table of bad input: each thing named, the rest still planned."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fhir_adapter.codes import MODEL_TAG
from fhir_adapter.errors import ConfigurationError
from functions.allocation.fromfhir import HouseRules, Reading, read_house
from functions.allocation.fromfhir.findings import CODES, Finding
from functions.allocation.synthetic import as_resources, synthetic_house
from functions.allocation.ward import ALONE, Urgency, plan_house
from tests import validator
from tests.wards import FEATURE, NOW, SNOMED, encounter, location, patient, small_house

Json = dict[str, Any]


def read(*more: Json, rules: HouseRules | None = None) -> Reading:
    return read_house([*small_house(), *more], NOW, rules)


def request(name: str, subject: str, **more: Any) -> Json:
    return {
        "resourceType": "ServiceRequest",
        "id": name,
        "status": "active",
        "intent": "order",
        "code": {"coding": [{"system": SNOMED, "code": "32485007"}]},
        "subject": {"reference": f"Patient/{subject}"},
        **more,
    }


def condition(subject: str, code: str, status: str = "active") -> Json:
    clinical = {"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": status}
    return {
        "resourceType": "Condition",
        "id": f"c-{subject}-{code}",
        "clinicalStatus": {"coding": [clinical]},
        "code": {"coding": [{"system": SNOMED, "code": code}]},
        "subject": {"reference": f"Patient/{subject}"},
    }


def test_a_house_survives_the_way_through_fhir() -> None:
    made = synthetic_house(50, 30, 3, seed=2, filled=0.8)
    resources = as_resources(made, NOW)
    for resource in resources:
        validator.assert_valid(resource)
    found = read_house(reversed(resources), NOW)
    assert found.findings == ()
    assert {room.id: (room.ward, room.beds, room.features) for room in found.house.rooms} == {
        room.id: (room.ward, room.beds, room.features) for room in made.rooms
    }
    for stay in made.stays:
        same = found.house.stay[stay.id]
        assert (same.room, same.sex, same.needs, same.isolation, same.urgency, same.specialties) == (
            (stay.room, stay.sex, stay.needs, stay.isolation, stay.urgency, stay.specialties)
        )
        assert abs(same.end - stay.end) < 0.01
    assert {item.patient for item in found.house.stays} == set(found.groups["gender"])


def test_the_small_house() -> None:
    found = read()
    assert found.findings == ()
    assert [(room.id, room.beds, sorted(room.features)) for room in found.house.rooms] == [
        ("Location/a", 2, []),
        ("Location/b", 1, ["isolation"]),
    ]
    here, waiting = found.house.stay["Encounter/p1"], found.house.stay["Encounter/p2"]
    assert (here.room, here.start, here.end) == ("Location/a", -24.0, 48.0)
    assert (waiting.room, waiting.start) == (None, -24.0)
    assert found.sources["Encounter/p1"][0].reference == "Encounter/p1"


def test_beds_out_of_use_do_not_count() -> None:
    closed = {"system": "http://terminology.hl7.org/CodeSystem/v2-0116", "code": "C"}
    resources = [{**item, "operationalStatus": closed} if item["id"] == "a2" else item for item in small_house()]
    assert read_house(resources, NOW).house.room["Location/a"].beds == 1
    suspended = [{**item, "status": "suspended"} if item["id"] == "a" else item for item in small_house()]
    assert read_house(suspended, NOW).house.room["Location/a"].beds == 0


def test_needs_of_a_patient_come_from_flags_conditions_and_requests() -> None:
    flag = {
        "resourceType": "Flag",
        "id": "f",
        "status": "active",
        "code": {"coding": [{"system": SNOMED, "code": "40174006"}]},
        "subject": {"reference": "Patient/p1"},
    }
    asked = request(
        "r",
        "p2",
        encounter={"reference": "Encounter/p2"},
        priority="asap",
        locationCode=[{"coding": [{"system": FEATURE, "code": "monitor"}]}],
    )
    found = read(flag, condition("p2", "56717001"), asked).house
    assert found.stay["Encounter/p1"].isolation == ALONE
    second = found.stay["Encounter/p2"]
    assert (second.isolation, second.urgency) == (ALONE, Urgency.ASAP)
    assert second.needs == {"monitor", "negative-pressure"}
    assert read(condition("p2", "266096002")).house.stay["Encounter/p2"].isolation == "mrsa"
    assert read(condition("p2", "266096002", "resolved")).house.stay["Encounter/p2"].isolation is None
    both = read(condition("p2", "266096002"), condition("p2", "6142004"))
    assert both.house.stay["Encounter/p2"].isolation == ALONE, "two pathogens are nobody's cohort"


def risk(subject: str, percent: float, model: str = "whas500", days: int = 30, **more: Any) -> Json:
    period = {"start": NOW.isoformat(), "end": (NOW + timedelta(days=days)).isoformat()}
    return {
        "resourceType": "RiskAssessment",
        "id": f"{model}-{subject}",
        "meta": {"tag": [{"system": MODEL_TAG, "code": model}]},
        "status": "preliminary",
        "subject": {"reference": f"Patient/{subject}"},
        "prediction": [{"outcome": {"text": "death"}, "probabilityDecimal": percent, "whenPeriod": period}],
        **more,
    }


def test_the_models_risks_become_a_bounded_monotone_priority() -> None:
    levels = [read(risk("p2", percent)).house.stay["Encounter/p2"].priority for percent in range(0, 101, 5)]
    assert levels == sorted(levels)
    assert (levels[0], levels[-1]) == (0, 10)
    assert read(risk("p2", 20), risk("p2", 40, "other")).house.stay["Encounter/p2"].priority == 8, "the highest counts"
    assert read(risk("p2", 90, status="entered-in-error")).house.stay["Encounter/p2"].priority == 0
    assert read(risk("p2", 90, days=3650)).house.stay["Encounter/p2"].priority == 0, "in ten years is not today"
    only = HouseRules(risk_models=frozenset({"other"}))
    assert read(risk("p2", 90), rules=only).house.stay["Encounter/p2"].priority == 0
    assert read(risk("p2", 90, "ward")).house.stay["Encounter/p2"].priority == 0, "our own shortage is no illness"


def test_a_planned_move_is_two_stays() -> None:
    more = [location("v", "wa"), location("c", "ro", "v"), location("c1", "bd", "c")]
    moving = encounter(
        "p3",
        location=[
            {"location": {"reference": "Location/b1"}, "status": "active"},
            {
                "location": {"reference": "Location/v"},
                "status": "planned",
                "period": {"start": (NOW + timedelta(hours=24)).isoformat()},
            },
        ],
    )
    found = read(*more, patient("p3"), moving).house
    first, second = found.stay["Encounter/p3"], found.stay["Encounter/p3#2"]
    assert (first.room, first.end) == ("Location/b", 24.0)
    assert (second.start, second.ward, second.follows) == (24.0, "Location/v", "Encounter/p3")
    assert plan_house(found).rooms["Encounter/p3#2"] == "Location/c"
    transfer = request(
        "t",
        "p1",
        encounter={"reference": "Encounter/p1"},
        locationReference=[{"reference": "Location/v"}],
        occurrenceDateTime=(NOW + timedelta(hours=12)).isoformat(),
    )
    asked = read(*more, transfer).house.stay["Encounter/p1#2"]
    assert (asked.start, asked.ward) == (12.0, "Location/v")


def test_requests_and_appointments_are_stays_of_their_own() -> None:
    period = {"start": (NOW + timedelta(hours=10)).isoformat(), "end": (NOW + timedelta(hours=60)).isoformat()}
    asked = request("r", "p3", priority="urgent", occurrencePeriod=period)
    booked = {
        "resourceType": "Appointment",
        "id": "ap",
        "status": "booked",
        "priority": 2,
        "start": (NOW + timedelta(hours=20)).isoformat(),
        "participant": [
            {"actor": {"reference": "Patient/p4"}, "status": "accepted"},
            {"actor": {"reference": "Location/w"}, "status": "accepted"},
        ],
    }
    elsewhere = {**booked, "id": "dentist", "participant": booked["participant"][:1]}
    found = read(patient("p3"), patient("p4", "male"), asked, booked, elsewhere)
    first, second = found.house.stay["ServiceRequest/r"], found.house.stay["Appointment/ap"]
    assert (first.start, first.end, first.urgency) == (10.0, 60.0, Urgency.URGENT)
    assert (second.start, second.ward, second.urgency, second.sex) == (20.0, "Location/w", Urgency.ASAP, "male")
    assert "Appointment/dentist" not in found.house.stay


def roster(status: str = "busy", actor: str = "PractitionerRole/n") -> list[Json]:
    return [
        {"resourceType": "PractitionerRole", "id": "n", "location": [{"reference": "Location/w"}]},
        {"resourceType": "Schedule", "id": "s", "actor": [{"reference": actor}]},
        {
            "resourceType": "Slot",
            "id": "sl",
            "schedule": {"reference": "Schedule/s"},
            "status": status,
            "start": NOW.isoformat(),
            "end": (NOW + timedelta(hours=8)).isoformat(),
        },
    ]


def test_nurses_come_from_schedules_and_slots() -> None:
    ward = read(*roster(), rules=HouseRules(patients_per_nurse={"*": 4})).house.wards[0]
    assert (ward.staffed(4.0), ward.staffed(9.0)) == (4, None)
    assert read(*roster("busy-unavailable")).house.wards[0].shifts == ()


def test_outpatients_and_the_discharged_need_no_bed() -> None:
    walked = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
    found = read(encounter("p3", **{"class": walked}), encounter("p4", status="finished"), patient("p3"), patient("p4"))
    assert set(found.house.stay) == {"Encounter/p1", "Encounter/p2"}


BAD: dict[str, tuple[list[Json], str]] = {
    "location-cycle": ([location("x", "ro", "y"), location("y", "bd", "x")], "Location/x"),
    "location-without-ward": ([location("x", "ro")], "Location/x"),
    "unknown-part-of": ([location("x", "bd", "nowhere")], "Location/x"),
    "bed-in-two-rooms": ([location("a1", "bd", "b")], "Location/a1"),
    "room-without-beds": ([location("x", "ro", "w")], "Location/x"),
    "contradictory-rules": ([location("x", "ro", "w", "men", "women"), location("x1", "bd", "x")], "Location/x"),
    "patient-in-two-beds": ([patient("p3"), encounter("p3", "a2", "b1")], "Encounter/p3"),
    "two-patients-in-one-bed": (
        [location("a3", "bd", "a"), patient("p3"), patient("p4"), encounter("p3", "b1"), encounter("p4", "b1")],
        "Location/b",
    ),
    "negative-stay": (
        [patient("p3"), encounter("p3", period={"start": "2026-01-09T09:00:00Z", "end": "2026-01-08T09:00:00Z"})],
        "Encounter/p3",
    ),
    "overdue": (
        [patient("p3"), encounter("p3", period={"start": "2026-01-08T09:00:00Z", "end": "2026-01-09T09:00:00Z"})],
        "Encounter/p3",
    ),
    "unknown-location": ([patient("p3"), encounter("p3", "nowhere")], "Encounter/p3"),
    "unknown-patient": ([encounter("p3")], "Encounter/p3"),
    "unknown-nurse": (roster(actor="PractitionerRole/nobody"), "Schedule/s"),
    "unknown-encounter": (
        [patient("p3"), request("r", "p3", encounter={"reference": "Encounter/gone"})],
        "ServiceRequest/r",
    ),
    "malformed": ([{"resourceType": "Encounter"}], "resource 11"),
}


@pytest.mark.parametrize("code", sorted(CODES))
def test_bad_input_is_named_and_the_rest_is_planned(code: str) -> None:
    more, resource = BAD[code]
    found = read(*more)
    assert (code, resource) in {(item.code, item.resource) for item in found.findings}
    plan = plan_house(found.house)
    assert plan.rooms["Encounter/p1"] == "Location/a"
    assert plan.rooms["Encounter/p2"] is not None


def test_the_table_of_findings_is_the_table_of_tests() -> None:
    assert set(BAD) == CODES
    with pytest.raises(ValueError, match="table"):
        Finding("no-such-code", "Location/x", "")


def test_a_bed_in_two_rooms_by_its_identifier_counts_once() -> None:
    identifier = [{"system": "urn:beds", "value": "7"}]
    twice = [
        location("x1", "bd", "a", identifier=identifier),
        location("x2", "bd", "b", identifier=identifier),
    ]
    found = read(*twice)
    assert [(item.code, item.resource) for item in found.findings] == [("bed-in-two-rooms", "Location/x2")]
    assert (found.house.room["Location/a"].beds, found.house.room["Location/b"].beds) == (3, 1)


def test_a_patient_with_two_encounters_lies_where_the_last_began() -> None:
    later = encounter("again", "b1", subject={"reference": "Patient/p1"}, period={"start": "2026-01-10T08:00:00+00:00"})
    found = read(later)
    assert [(item.code, item.resource) for item in found.findings] == [("patient-in-two-beds", "Encounter/p1")]
    assert found.house.stay["Encounter/again"].room == "Location/b"
    assert "Encounter/p1" not in found.house.stay


def test_a_room_and_its_bed_are_one_place() -> None:
    found = read(patient("p3"), encounter("p3", "a", "a2"))
    assert found.findings == ()
    assert found.house.stay["Encounter/p3"].room == "Location/a"


def test_two_requests_for_two_wards_are_a_contradiction_and_the_later_counts() -> None:
    wards = [location("v", "wa"), location("c", "ro", "v"), location("c1", "bd", "c")]
    asked = [
        request(
            "r1",
            "p2",
            encounter={"reference": "Encounter/p2"},
            locationReference=[{"reference": "Location/w"}],
            authoredOn="2026-01-09T08:00:00Z",
        ),
        request(
            "r2",
            "p2",
            encounter={"reference": "Encounter/p2"},
            locationReference=[{"reference": "Location/v"}],
            authoredOn="2026-01-09T09:00:00Z",
        ),
    ]
    found = read(*wards, *reversed(asked))
    assert [(item.code, item.resource) for item in found.findings] == [("contradictory-rules", "ServiceRequest/r2")]
    assert found.house.stay["Encounter/p2"].ward == "Location/v"


def test_rules_of_a_hospital_are_read_strictly() -> None:
    assert HouseRules.from_dict({"usual_hours": 48, "airborne": ["1"]}).airborne == {"1"}
    with pytest.raises(ConfigurationError, match="unknown rules colour"):
        HouseRules.from_dict({"colour": 1})
    with pytest.raises(ConfigurationError, match="usual_hours"):
        HouseRules.from_dict({"usual_hours": 0})


def test_findings_name_no_patient_data() -> None:
    named = patient("p3", name=[{"family": "Canary-Zzyzx"}], birthDate="1901-02-03")
    for more, _ in BAD.values():
        found = read(*more, named)
        assert "Canary" not in repr(found.findings)
        assert "1901" not in repr(found.findings)
