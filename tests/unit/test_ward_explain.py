"""Why, and what if: bindings, forced rooms, scenarios, plan differences, fairness, the simulated shortage, pictures."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

from functions.allocation.pictures import gantt, ward_map
from functions.allocation.synthetic import synthetic_house
from functions.allocation.ward import ALONE, Limits, Plan, Rule, Urgency, Ward, plan_house
from functions.allocation.ward.explain import difference, explain, force, stays_of
from functions.allocation.ward.fairness import SMALL, disparities, newcombe, wilson
from functions.allocation.ward.scenario import close_beds, surge
from functions.allocation.ward.shortage import SIGMA, remaining, shortages, spread_of
from tests.wards import house, room, stay


def crowded() -> Plan:
    """A man's room, a woman's, both full but for one bed; a woman waits."""
    rooms = (room("a", 2, "monitor"), room("b", 2), room("c", 1))
    made = house(
        stay("m1", "male", room="a", fixed=True),
        stay("f1", room="b"),
        stay("f2", room="c"),
        stay("new", needs=frozenset()),
        rooms=rooms,
    )
    return plan_house(made)


def test_an_explanation_names_the_state_of_every_room() -> None:
    plan = crowded()
    found = explain(plan, "Encounter/new")
    assert found.room == "Location/b"
    states = {choice.room: (choice.state, choice.rules, choice.by) for choice in found.choices}
    assert states["Location/a"] == ("blocked", (Rule.SEX,), ("Encounter/m1",))
    assert states["Location/c"] == ("blocked", (Rule.BEDS,), ("Encounter/f2",))
    assert next(choice.room for choice in found.choices) == "Location/b"


def test_what_binds_is_what_would_be_cheaper() -> None:
    rooms = (room("plain", 1), room("odd", 1, "oxygen", "dialysis"))
    made = house(stay("x", room="plain", fixed=True), stay("y"), rooms=rooms)
    found = explain(plan_house(made), "Encounter/y")
    assert found.room == "Location/odd"
    assert [(choice.room, choice.by) for choice in found.binding] == [("Location/plain", ("Encounter/x",))]


def test_forcing_a_room_names_its_cost_and_whom_it_displaces_and_nobody_else() -> None:
    many = tuple(room(f"o{number}", 2) for number in range(6))
    others = [stay(f"p{number}", ("female", "male")[number % 2], room=f"o{number}") for number in range(6)]
    rooms = (room("single", 1), room("other", 1), *many)
    plan = plan_house(house(stay("x", room="single"), stay("new"), *others, rooms=rooms))
    assert plan.rooms["Encounter/x"] == "Location/single"
    found = force(plan, "Encounter/new", "Location/single")
    assert found.possible
    assert found.cost == 20
    assert [change.stay for change in found.displaced] == ["Encounter/x"]
    assert found.losing == ()


def test_forcing_where_nobody_can_give_way_costs_somebody_the_bed() -> None:
    plan = plan_house(house(stay("x", urgency=Urgency.URGENT), stay("y"), rooms=(room("a", 1),)))
    found = force(plan, "Encounter/y", "Location/a")
    assert found.losing == ("Encounter/x",)


@pytest.mark.parametrize(
    ("name", "place", "rules"),
    [
        ("ill", "a", {Rule.ISOLATION}),
        ("heart", "b", {Rule.EQUIPMENT}),
        ("pinned", "a", {Rule.FIXED}),
        ("woman", "full", {Rule.SEX}),
        ("man", "full", {Rule.BEDS}),
    ],
)
def test_a_wish_that_cannot_be_had_names_its_rules(name: str, place: str, rules: set[Rule]) -> None:
    plan = plan_house(
        house(
            stay("ill", isolation=ALONE),
            stay("heart", needs=frozenset({"monitor"})),
            stay("pinned", room="b", fixed=True),
            stay("m1", "male", room="full", fixed=True),
            stay("m2", "male", room="full", fixed=True),
            stay("woman"),
            stay("man", "male"),
            rooms=(room("a", 2), room("b", 2), room("full", 2)),
        )
    )
    found = force(plan, f"Encounter/{name}", f"Location/{place}")
    assert set(found.rules) >= rules
    assert found.plan is None


def test_a_patient_is_found_by_any_of_the_names() -> None:
    made = house(stay("x"))
    for name in ("x", "Patient/x", "Encounter/x"):
        assert [one.id for one in stays_of(made, name)] == ["Encounter/x"]
    assert stays_of(made, "nobody") == []


def test_the_difference_of_two_plans() -> None:
    made = house(stay("x"), stay("y"), rooms=(room("a", 1), room("b", 1)))
    one = plan_house(made)
    two = replace(one, rooms={"Encounter/x": None, "Encounter/y": one.rooms["Encounter/y"]})
    assert difference(one, one) == ()
    (change,) = difference(one, two)
    assert (change.stay, change.before, change.after) == ("Encounter/x", one.rooms["Encounter/x"], None)


def test_closing_beds_and_a_surge() -> None:
    made = synthetic_house(30, 20, 2, seed=1)
    fewer = close_beds(made, made.rooms[2].id, 1)
    assert fewer.beds == made.beds - 1
    with pytest.raises(ValueError, match="cannot be closed"):
        close_beds(made, made.rooms[2].id, 99)
    more = surge(made, 25, seed=3)
    assert len(more.stays) == 55
    assert surge(made, 25, seed=3) == more
    limits = Limits(gap=0.01)
    assert len(plan_house(more, limits=limits).unplaced) >= len(plan_house(made, limits=limits).unplaced)
    with pytest.raises(ValueError, match="none"):
        surge(made.replacing(stays=()), 1)


def test_intervals_are_those_of_the_papers() -> None:
    # Newcombe 1998, table II, (a) 56/70 - 48/80 by method 10
    assert newcombe((56, 70), (48, 80)) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert newcombe((9, 10), (3, 10)) == pytest.approx((0.1705, 0.8090), abs=5e-5)
    # Newcombe 1998 (Stat Med 17: 857), table I: 81/263 by method 3
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(0, 0) == (0.0, 1.0)


def test_every_plan_has_a_table_of_disparities() -> None:
    wards = (Ward("Location/w", "W"),)
    stays = [stay(f"f{number}") for number in range(6)] + [stay(f"m{number}", "male") for number in range(2)]
    plan = plan_house(house(*stays, rooms=(room("a", 2), room("b", 4)), wards=wards))
    groups = {"gender": {one.patient: str(one.sex) for one in stays}}
    rows = {(row.group, row.outcome): row for row in disparities(plan, groups)}
    men, women = rows["male", "no bed"], rows["female", "no bed"]
    assert (men.total, women.total) == (2, 6)
    assert men.small and not women.small
    assert SMALL == 5
    assert women.difference == pytest.approx(women.count / 6 - men.count / 2)
    for row in rows.values():
        assert row.interval[0] <= row.share <= row.interval[1]
    unknown = disparities(plan, {"age": {}})
    assert {row.group for row in unknown} == {"unknown"}
    assert unknown[0].difference is None


def test_the_simulated_shortage_rises_with_the_number_of_patients() -> None:
    rooms = (room("a", 2),)
    here = [stay(name, room="a", end=24.0) for name in ("x", "y")]
    alone = shortages(house(*here, stay("new"), rooms=rooms), seed=1)
    assert set(alone) == {"Encounter/new"}, "who lies by the rules has a bed"
    risk = {item.hours: item for item in alone["Encounter/new"]}
    assert risk[6.0].probability > risk[24.0].probability > 0.0
    assert all(item.interval[0] <= item.probability <= item.interval[1] for item in risk.values())
    more = shortages(house(*here, stay("new"), stay("other", urgency=Urgency.STAT), rooms=rooms), seed=1)
    assert more["Encounter/new"][2].probability > risk[24.0].probability
    assert shortages(house(*here, stay("new"), rooms=rooms), seed=1) == alone


def test_an_empty_house_has_a_bed_and_a_house_without_a_suitable_room_none() -> None:
    free = shortages(house(stay("x"), rooms=(room("a", 1),)), seed=1)
    assert {item.probability for item in free["Encounter/x"]} == {0.0}
    never = shortages(house(stay("x", needs=frozenset({"dialysis"})), rooms=(room("a", 1),)), seed=1)
    assert {item.probability for item in never["Encounter/x"]} == {1.0}
    later = shortages(house(stay("x", start=30.0, end=60.0), rooms=(room("a", 1),)), seed=1)
    assert [item.hours for item in later["Encounter/x"]] == [48.0]


def test_the_rest_of_a_stay_is_conditional_on_the_time_stayed() -> None:
    draws = np.linspace(0.01, 0.99, 99)
    fresh = remaining(stay("x", end=48.0), SIGMA, draws)
    assert np.median(fresh) == pytest.approx(48.0, rel=0.01)
    late = remaining(stay("x", start=-96.0, end=0.5), SIGMA, draws)
    assert (late >= 0).all()
    assert np.median(late) > 0.5, "who is there longer than planned rarely leaves at once"
    assert spread_of([24.0] * 10) is None
    assert spread_of([24.0, 48.0] * 20) == pytest.approx(0.351, abs=0.005)


@pytest.mark.parametrize("when", ["before", "after"])
def test_pictures_are_svg_and_show_everybody(when: str) -> None:
    plan = crowded()
    for picture in (ward_map(plan, when), gantt(plan, when)):  # type: ignore[arg-type]
        root = ET.fromstring(picture)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        told = "".join(root.itertext())
        for one in plan.house.stays:
            assert one.patient in told


def test_names_in_pictures_cannot_break_out_of_the_svg() -> None:
    named = replace(room("a", 1), name='<script>alert("x")</script>')
    picture = ward_map(plan_house(house(stay("x"), rooms=(named,))))
    assert "<script" not in picture
