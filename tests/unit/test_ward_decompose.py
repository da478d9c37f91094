"""A house planned in parts keeps what its nurses can care for, and says where nobody can."""

from __future__ import annotations

from dataclasses import replace

import pytest

from functions.allocation.synthetic import synthetic_house
from functions.allocation.ward import House, Limits, Plan, Shift, Stay, Ward, decompose, plan_house
from functions.allocation.ward.greedy import measured
from functions.allocation.ward.model import slots
from functions.allocation.ward.objects import Urgency
from functions.allocation.ward.rules import Policy, Rule
from tests.wards import house, room, stay

ROOMS = (room("a", 4, ward="v"), room("b", 4, ward="w"))


def parts(planned: House) -> Plan:
    return plan_house(planned, limits=Limits(10, 1e-4), large=1)


def wards(nurses_in_v: int, nurses_in_w: int, patients_per_nurse: int = 1) -> tuple[Ward, ...]:
    return tuple(
        Ward(f"Location/{name}", name, shifts=(Shift(0, 96, nurses),), patients_per_nurse=patients_per_nurse)
        for name, nurses in (("v", nurses_in_v), ("w", nurses_in_w))
    )


def in_ward(plan: Plan, name: str, hour: float) -> int:
    rooms = {found.id for found in plan.house.rooms_of(f"Location/{name}")}
    return sum(item.room in rooms and item.stay.start <= hour < item.stay.end for item in plan)


def newcomers(count: int, **more: object) -> list[Stay]:
    return [stay(f"n{number}", **more) for number in range(count)]


def test_newcomers_go_where_there_are_nurses() -> None:
    plan = parts(house(*newcomers(4), rooms=ROOMS, wards=wards(1, 3)))
    assert plan.method == "decomposed"
    assert (in_ward(plan, "v", 0), in_ward(plan, "w", 0)) == (1, 3)
    assert not plan.unplaced
    assert not plan.breaches


def test_a_free_bed_without_a_nurse_is_no_bed() -> None:
    plan = parts(house(*newcomers(5), rooms=ROOMS, wards=wards(1, 2)))
    assert len(plan.unplaced) == 2
    assert (in_ward(plan, "v", 0), in_ward(plan, "w", 0)) == (1, 2)
    assert not plan.breaches


def test_a_shift_with_fewer_nurses_counts_though_nobody_arrives_in_it() -> None:
    few = Ward("Location/v", "v", shifts=(Shift(0, 24, 3), Shift(24, 96, 1)), patients_per_nurse=1)
    none = Ward("Location/w", "w", shifts=(Shift(0, 96, 0),), patients_per_nurse=1)
    plan = parts(house(*newcomers(3, end=48.0), rooms=ROOMS, wards=(few, none)))
    assert len(plan.unplaced) == 2
    assert in_ward(plan, "v", 36) == 1


def test_the_more_urgent_get_the_nurses() -> None:
    urgent = [stay(f"u{number}", urgency=Urgency.STAT) for number in range(2)]
    plan = parts(house(*newcomers(3), *urgent, rooms=ROOMS, wards=wards(1, 1)))
    assert {item.stay.id for item in plan if item.room} == {item.id for item in urgent}


def test_whoever_lies_there_stays_though_the_nurses_are_too_few_and_the_plan_says_so() -> None:
    present = [stay(f"p{number}", room="a") for number in range(3)]
    none_elsewhere = wards(1, 0)
    plan = parts(house(*present, *newcomers(1), rooms=ROOMS, wards=none_elsewhere))
    assert [plan.rooms[item.id] for item in present] == ["Location/a"] * 3
    assert len(plan.unplaced) == 1
    assert [(item.rule, item.where, item.amount) for item in plan.breaches] == [(Rule.STAFFING, "Location/v", 2)]


def test_a_plan_made_by_hand_names_a_ward_with_too_few_nurses() -> None:
    planned = house(*newcomers(3), rooms=ROOMS, wards=wards(1, 3))
    everybody = dict.fromkeys(planned.stay, "Location/a")
    plan = measured(planned, Policy(), everybody, "by hand", 0, 0.0, {})
    assert [(item.rule, item.where, item.amount) for item in plan.breaches] == [(Rule.STAFFING, "Location/v", 2)]
    assert plan.levels[0].value == 2


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_several_parts_keep_beds_and_nurses_at_any_time(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nowhere more than may be there, or than lie there already: two who change places are as many as before."""
    monkeypatch.setattr(decompose, "TOGETHER", 40)
    drawn = synthetic_house(160, 64, 8, seed=seed)
    night = tuple(replace(ward, shifts=(Shift(0, 240, 2),), patients_per_nurse=6) for ward in drawn.wards)
    plan = parts(drawn.replacing(wards=night))
    assert plan.method == "decomposed"
    nursed = [({found.id for found in drawn.rooms_of(ward.id)}, 12) for ward in night]
    for rooms, limit in [*nursed, *(({found.id}, found.beds) for found in drawn.rooms)]:
        for slot in range(20):
            now = sum(item.room in rooms and slot in slots(item) for item in drawn.stays)
            assert sum(item.room in rooms and slot in slots(item.stay) for item in plan) <= max(limit, now)
    assert plan.unplaced, "else the nurses were no limit"


def test_a_newcomer_waits_when_the_bed_that_was_to_be_left_is_not() -> None:
    """The part that a patient was sent to had no room: the patient stays, and whoever was to follow waits again."""
    rooms = (room("a", 1, ward="v"), room("b", 1, ward="w"))
    there, coming, later = stay("there", room="a"), stay("coming"), stay("later", start=60.0, end=90.0)
    planned = house(there, coming, later, rooms=rooms, wards=wards(2, 2))
    chosen: dict[str, str | None] = {there.id: None, coming.id: "Location/a", later.id: "Location/a"}
    found = decompose._second_chance(planned, Policy(), dict(chosen))
    assert found == {there.id: "Location/a", coming.id: "Location/b", later.id: "Location/a"}
    unnursed = planned.replacing(wards=wards(2, 0))
    found = decompose._second_chance(unnursed, Policy(), dict(chosen))
    assert found == {there.id: "Location/a", coming.id: None, later.id: "Location/a"}
