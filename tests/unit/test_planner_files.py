"""Instances and plans of the planner: read strictly, refused by line and field, written as they were read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from functions.allocation.planner.errors import Malformed, PlannerError
from functions.allocation.planner.instance import read_instance
from functions.allocation.planner.solution import Admission, Plan, read_plan, write_plan
from tests.planning import small_instance, write


def test_an_instance_is_read_as_it_says(tmp_path: Path) -> None:
    document = small_instance()
    instance = read_instance(write(tmp_path, document))
    assert (instance.name, instance.days, instance.shifts) == ("small", 10, 30)
    assert instance.rooms == ("r0", "r1", "r2", "r3")
    assert instance.capacity == (2, 3, 2, 3)
    assert instance.weights.unscheduled_optional == 150
    first, row = instance.patients[0], document["patients"][0]
    assert first.mandatory
    assert (first.release, first.last) == (row["surgery_release_day"], row["surgery_due_day"])
    assert list(first.workload) == row["workload_produced"]
    assert instance.patients[1].last == 9
    assert instance.patients[0].excluded == {instance.rooms.index(row["incompatible_room_ids"][0])}
    assert instance.occupants[1].room == 1
    assert instance.nurses[0].shifts[0] == 6


def test_a_due_day_after_the_period_ends_with_it(tmp_path: Path) -> None:
    document = small_instance()
    document["patients"][0]["surgery_due_day"] = 12
    assert read_instance(write(tmp_path, document)).patients[0].last == 9


def without(*way: str | int) -> Callable[[dict[str, Any]], None]:
    def change(document: Any) -> None:
        for step in way[:-1]:
            document = document[step]
        del document[way[-1]]

    return change


def with_(value: Any, *way: str | int) -> Callable[[dict[str, Any]], None]:
    def change(document: Any) -> None:
        for step in way[:-1]:
            document = document[step]
        document[way[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "field", "problem"),
    [
        (without("days"), "", "has no 'days'"),
        (with_(0, "days"), "days", "is 0; 1 to 366"),
        (with_("ten", "days"), "days", "is a text; a whole number"),
        (with_(True, "days"), "days", "is a truth value; a whole number"),
        (with_(1.5, "skill_levels"), "skill_levels", "is a fraction; a whole number"),
        (with_([], "shift_types"), "shift_types", "has 0 items; at least 1"),
        (with_("early", "shift_types", 1), "shift_types[1]", "as an earlier shift"),
        (with_({}, "rooms"), "rooms", "is an object; an array"),
        (with_("r0", "rooms", 1, "id"), "rooms[1].id", "as an earlier room"),
        (without("weights", "patient_delay"), "weights", "has no 'patient_delay'"),
        (with_(-1, "weights", "patient_delay"), "weights.patient_delay", "is -1"),
        (with_("C", "patients", 3, "gender"), "patients[3].gender", "is 'C', which is no gender"),
        (with_("old", "patients", 3, "age_group"), "patients[3].age_group", "no age group"),
        (with_(0, "patients", 2, "length_of_stay"), "patients[2].length_of_stay", "is 0"),
        (with_([1], "patients", 2, "workload_produced"), "patients[2].workload_produced", "has 1 items"),
        (with_(9, "patients", 2, "skill_level_required", 0), "patients[2].skill_level_required[0]", "is 9; 0 to 2"),
        (with_("s9", "patients", 2, "surgeon_id"), "patients[2].surgeon_id", "no surgeon"),
        (with_(["r9"], "patients", 2, "incompatible_room_ids"), "patients[2].incompatible_room_ids[0]", "no room"),
        (without("patients", 0, "surgery_due_day"), "patients[0]", "has no 'surgery_due_day'"),
        (with_(10, "patients", 1, "surgery_release_day"), "patients[1].surgery_release_day", "is 10; 0 to 9"),
        (with_("p00", "patients", 1, "id"), "patients[1].id", "as an earlier id"),
        (with_("a0", "patients", 1, "id"), "patients[1].id", "as an earlier id"),
        (with_("r9", "occupants", 0, "room_id"), "occupants[0].room_id", "no room"),
        (with_([60], "surgeons", 0, "max_surgery_time"), "surgeons[0].max_surgery_time", "has 1 items; 10"),
        (with_(-5, "operating_theaters", 2, "availability", 4), "operating_theaters[2].availability[4]", "is -5"),
        (with_(3, "nurses", 0, "skill_level"), "nurses[0].skill_level", "is 3; 0 to 2"),
        (with_("noon", "nurses", 0, "working_shifts", 0, "shift"), "nurses[0].working_shifts[0].shift", "no shift"),
        (with_(10, "nurses", 0, "working_shifts", 0, "day"), "nurses[0].working_shifts[0].day", "is 10; 0 to 9"),
        (with_(None, "nurses"), "nurses", "is null; an array"),
    ],
)
def test_a_malformed_instance_is_refused_by_line_and_field(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], field: str, problem: str
) -> None:
    document = small_instance()
    change(document)
    path = write(tmp_path, document)
    with pytest.raises(Malformed) as refused:
        read_instance(path)
    assert refused.value.field == field
    assert problem in str(refused.value)
    assert f"small.json, line {refused.value.line}" in str(refused.value)
    assert refused.value.line == line_of(path, field)


def line_of(path: Path, field: str) -> int:
    """Where a value begins, found in another way: a mark is put there and looked for."""
    document = json.loads(path.read_text())
    way = [
        int(step) if step.isdigit() else step for step in field.replace("[", ".").replace("]", "").split(".") if step
    ]
    if not way:
        return 1
    inner = document
    for step in way[:-1]:
        inner = inner[step]
    inner[way[-1]] = "the mark"
    return json.dumps(document, indent=1).split("the mark")[0].count("\n") + 1


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ('{"days": 3,\n "rooms": [}', 2, "is no JSON"),
        ('{"days":\n NaN}', 1, "NaN is no number"),
        ("[1,\n2]", 1, "is an array; an object"),
        ('{"days": 1,\n"shift_types": "x"}', 2, "shift_types: is a text; an array"),
        ("[" * 100_000, 1, "nested too deeply"),
    ],
)
def test_what_is_no_instance_is_refused(tmp_path: Path, text: str, line: int, problem: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(Malformed, match=problem) as refused:
        read_instance(path)
    assert refused.value.line == line


def test_what_is_no_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(b'{"days":\n"\xff"}')
    with pytest.raises(Malformed, match="line 2: is no UTF-8"):
        read_instance(path)


def some_plan() -> Plan:
    admissions: list[Admission | None] = [None] * 24
    admissions[3], admissions[5] = Admission(4, 2, 1), Admission(0, 0, 2)
    return Plan(tuple(admissions), {(2, 12): 0, (0, 0): 0})


def test_a_plan_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    instance = read_instance(write(tmp_path, small_instance()))
    path = tmp_path / "plan.json"
    write_plan(some_plan(), instance, path)
    written = json.loads(path.read_text())
    assert written["patients"][0] == {"id": "p00", "admission_day": "none"}
    assert written["patients"][3] == {"id": "p03", "admission_day": 4, "room": "r2", "operating_theater": "t1"}
    assert written["nurses"][0]["assignments"][0] == {"day": 0, "shift": "early", "rooms": ["r0"]}
    assert read_plan(path, instance) == some_plan()


@pytest.mark.parametrize(
    ("change", "field", "problem"),
    [
        (with_("p99", "patients", 0, "id"), "patients[0].id", "no patient"),
        (with_("p01", "patients", 0, "id"), "patients[1].id", "planned already"),
        (with_(10, "patients", 3, "admission_day"), "patients[3].admission_day", "is 10; 0 to 9"),
        (without("patients", 3, "room"), "patients[3]", "has no 'room'"),
        (with_("t9", "patients", 3, "operating_theater"), "patients[3].operating_theater", "no operating theatre"),
        (with_("n99", "nurses", 0, "id"), "nurses[0].id", "no nurse"),
        (
            with_([{"day": 0, "shift": "early", "rooms": ["r0"]}], "nurses", 1, "assignments"),
            "nurses[1].assignments[0].rooms[0]",
            "another nurse has",
        ),
    ],
)
def test_a_malformed_plan_is_refused_by_line_and_field(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], field: str, problem: str
) -> None:
    instance = read_instance(write(tmp_path, small_instance()))
    path = tmp_path / "plan.json"
    write_plan(some_plan(), instance, path)
    document = json.loads(path.read_text())
    change(document)
    write(tmp_path, document, "plan.json")
    with pytest.raises(PlannerError) as refused:
        read_plan(path, instance)
    assert isinstance(refused.value, Malformed)
    assert refused.value.field == field
    assert problem in str(refused.value)
    assert refused.value.line == line_of(path, field)
