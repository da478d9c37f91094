"""What a plan costs: every violation and every cost on cases that can be counted by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from functions.allocation.planner.evaluate import COSTS, VIOLATIONS, Evaluation, evaluate
from functions.allocation.planner.instance import Instance, read_instance
from functions.allocation.planner.solution import Admission, Plan
from tests.planning import write


def person(identifier: str, gender: str, age: str, stay: int, **more: Any) -> dict[str, Any]:
    return {
        "id": identifier,
        "gender": gender,
        "age_group": age,
        "length_of_stay": stay,
        "workload_produced": [2] * stay,
        "skill_level_required": [1] * stay,
    } | more


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    """Three days of one shift, two rooms of one bed and two, an occupant, and three patients of one surgeon."""
    surgery = {"surgeon_id": "s", "surgery_duration": 60, "incompatible_room_ids": ["big"]}
    names = ("room_mixed_age", "room_nurse_skill", "continuity_of_care", "nurse_eccessive_workload")
    names += ("open_operating_theater", "surgeon_transfer", "patient_delay", "unscheduled_optional")
    document = {
        "days": 3,
        "skill_levels": 2,
        "shift_types": ["day"],
        "age_groups": ["young", "grown", "old"],
        "weights": {name: 10 ** (at % 4) for at, name in enumerate(names)},
        "occupants": [person("o", "A", "old", 2, room_id="big")],
        "patients": [
            person("p", "A", "young", 2, mandatory=True, surgery_release_day=0, surgery_due_day=1, **surgery),
            person("q", "B", "young", 1, mandatory=False, surgery_release_day=1, **surgery),
            person("x", "A", "grown", 5, mandatory=False, surgery_release_day=0, **surgery),
        ],
        "surgeons": [{"id": "s", "max_surgery_time": [100, 100, 50]}],
        "operating_theaters": [{"id": t, "availability": [60, 60, 60]} for t in ("t", "u")],
        "rooms": [{"id": "small", "capacity": 1}, {"id": "big", "capacity": 2}],
        "nurses": [
            {"id": name, "skill_level": at, "working_shifts": [{"day": d, "shift": "day", "max_load": 3} for d in days]}
            for at, (name, days) in enumerate((("n", (0, 1, 2)), ("m", (0, 1))))
        ],
    }
    for patient in document["patients"][1:]:  # type: ignore[index]
        patient["incompatible_room_ids"] = []
    return read_instance(write(tmp_path, document))


NURSES = {(room, shift): 0 for room in range(2) for shift in range(3)}
NOBODY = Plan((None, None, None), NURSES)


def counted(found: Evaluation) -> dict[str, int]:
    """What is not 0."""
    return {name: count for name, count in (found.violations | found.counts).items() if count}


def test_a_plan_with_nobody_in_it(instance: Instance) -> None:
    found = evaluate(instance, NOBODY)
    assert counted(found) == {
        "MandatoryUnscheduledPatients": 1,
        "ElectiveUnscheduledPatients": 2,
        # The occupant's two days with a nurse who has one level too little.
        "RoomSkillLevel": 2,
        "ContinuityOfCare": 1,
    }
    assert found.total_violations == 1
    assert found.total_cost == 2 * 1000 + 2 * 10 + 100
    assert list(found.violations) == list(VIOLATIONS)
    assert list(found.costs) == list(COSTS)


def test_two_in_a_room_of_two_ages(instance: Instance) -> None:
    plan = replace(NOBODY, admissions=(Admission(0, 0, 0), None, Admission(1, 1, 0)))
    found = evaluate(instance, plan)
    assert found.total_violations == 0
    assert found.counts == {
        # Grown and old share day 1; on day 2 one is alone.
        "RoomAgeMix": 1,
        "RoomSkillLevel": 2 + 2 + 2,
        "ContinuityOfCare": 3,
        # Day 0: 4 of 3; day 1: 6 of 3; day 2: 2.
        "ExcessiveNurseWorkload": 1 + 3,
        "OpenOperatingTheater": 2,
        "SurgeonTransfer": 0,
        "PatientDelay": 1,
        "ElectiveUnscheduledPatients": 1,
    }


def test_nurses_are_counted_by_person(instance: Instance) -> None:
    plan = Plan((Admission(0, 0, 0), None, None), NURSES | {(0, 1): 1})
    found = evaluate(instance, plan)
    assert found.counts["ContinuityOfCare"] == 1 + 2
    # The other nurse has the skill, and the load is shared.
    assert found.counts["RoomSkillLevel"] == 2 + 1
    assert found.counts["ExcessiveNurseWorkload"] == 1


@pytest.mark.parametrize(
    ("admissions", "nurses", "violations"),
    [
        ((Admission(0, 1, 0), None, None), {}, {"PatientRoomCompatibility": 1}),
        ((Admission(2, 0, 0), None, None), {}, {"AdmissionDay": 1, "SurgeonOvertime": 10}),
        ((Admission(0, 0, 0), Admission(1, 1, 0), None), {}, {"RoomGenderMix": 1}),
        (
            (Admission(0, 0, 0), Admission(0, 1, 1), None),
            {},
            {"RoomGenderMix": 1, "AdmissionDay": 1, "SurgeonOvertime": 20},
        ),
        (
            (Admission(1, 0, 0), None, Admission(1, 0, 0)),
            {},
            {"RoomCapacity": 2, "SurgeonOvertime": 20, "OperatingTheaterOvertime": 60},
        ),
        ((Admission(0, 0, 0), None, None), {(0, 1): None}, {"UncoveredRoom": 1}),
        ((Admission(1, 0, 0), None, None), {(0, 2): 1}, {"NursePresence": 1}),
    ],
)
def test_every_violation_is_named_and_counted(
    instance: Instance,
    admissions: tuple[Admission | None, ...],
    nurses: dict[tuple[int, int], int | None],
    violations: dict[str, int],
) -> None:
    placed = {key: nurse for key, nurse in (NURSES | nurses).items() if nurse is not None}
    found = evaluate(instance, Plan(admissions, placed))
    assert {name: count for name, count in found.violations.items() if count} == violations


def test_two_theatres_are_a_transfer(instance: Instance) -> None:
    longer = replace(instance, surgeon_minutes=((100, 200, 50),))
    plan = replace(NOBODY, admissions=(Admission(1, 0, 0), None, Admission(1, 1, 1)))
    found = evaluate(longer, plan)
    assert found.counts["SurgeonTransfer"] == 1
    assert found.counts["OpenOperatingTheater"] == 2
