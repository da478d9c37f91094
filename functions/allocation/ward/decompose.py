"""Large houses, a few wards at a time.

First it is decided which ward each newcomer goes to: a problem of wards instead of rooms, in which a patient costs
what the cheapest room of a ward would cost, and the beds of a ward and the patients its nurses can care for are one
number each. Everything that a plan must keep is kept there or left out, so its optimum bounds that of the whole house
from below. Then wards are planned a few together, neighbours by specialty, and whoever got no bed is offered the beds
that the other wards have left, as far as their nurses go.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pulp

from functions.allocation.ward.greedy import fits, greedy, measured, staffed
from functions.allocation.ward.levels import optimise
from functions.allocation.ward.model import SLOT, WardModel, slots
from functions.allocation.ward.objects import House, Room, Stay, Ward
from functions.allocation.ward.plan import Level, Plan
from functions.allocation.ward.rules import Policy, Rule, candidates, cost
from functions.allocation.ward.solver import Limits, SolverFailed, solve

__all__ = ["decomposed"]

MASTER_GAP = 1e-3
UNPLACED = 100
# Stays of wards that are planned together.
TOGETHER = 200


def decomposed(house: House, policy: Policy, limits: Limits, seed: int) -> Plan:
    """Plan a house of several wards in parts.

    Returns
    -------
    Plan
        Of method ``decomposed``; the bound of its cost holds for the house as a whole.

    Raises
    ------
    SolverFailed
        Not even the wards could be chosen.
    """
    started = time.monotonic()
    wards, bound = _wards(house, policy, limits, seed)
    rooms: dict[str, str | None] = {stay.id: stay.room for stay in house.stays}
    hopeless: dict[str, tuple[Rule, ...]] = {}
    clusters = _clusters(house)
    share = max(1.0, (limits.seconds - (time.monotonic() - started)) / len(clusters))
    for part in _parts(house, wards, clusters):
        own = _planned(part, policy, replace(limits, seconds=share), seed)
        rooms.update({stay: room for stay, room in own.rooms.items() if stay in rooms})
        hopeless.update(own.hopeless)
    rooms = _second_chance(house, policy, rooms)
    nowhere = {stay: rules for stay, rules in hopeless.items() if rooms[stay] is None and not wards[stay]}
    plan = measured(house, policy, rooms, "decomposed", seed, started, nowhere)
    return replace(plan, levels=tuple(_bounded(level, plan, bound) for level in plan.levels))


def _bounded(level: Level, plan: Plan, bound: float) -> Level:
    """The bound of the relaxation is one of the cost only when everybody has a place and no rule is broken."""
    whole = not plan.breaches and all(item.stay.id in plan.hopeless for item in plan.unplaced)
    return replace(level, bound=min(bound, level.value)) if level.name == "cost" and whole else level


def _wards(house: House, policy: Policy, limits: Limits, seed: int) -> tuple[dict[str, str | None], float]:
    """Which ward each stay goes to, and what no plan of the house can cost less than."""
    problem = pulp.LpProblem("wards", pulp.LpMinimize)
    rooms = {ward.id: {room.id for room in house.rooms_of(ward.id)} for ward in house.wards}
    beds = {ward.id: sum(room.beds for room in house.rooms_of(ward.id)) for ward in house.wards}
    objective: list[tuple[Any, float]] = []
    places: dict[tuple[str, str], Any] = {}
    by_ward: dict[str, list[tuple[Stay, Any]]] = defaultdict(list)
    for number, stay in enumerate(house.stays):
        cheapest = _cheapest(house, stay, policy)
        terms: list[tuple[Any, int]] = []
        for ward, price in cheapest.items():
            variable = problem.add_variable(f"x{number}_{len(terms)}", 0, 1, cat=pulp.LpInteger)
            places[stay.id, ward] = variable
            by_ward[ward].append((stay, variable))
            objective.append((variable, price))
            terms.append((variable, 1))
        if not stay.present:
            left = problem.add_variable(f"u{number}", 0, 1, cat=pulp.LpInteger)
            objective.append((left, UNPLACED * (10 + stay.priority) * (4 - stay.urgency)))
            terms.append((left, 1))
        problem.addConstraint(pulp.LpConstraint(pulp.LpAffineExpression(terms), 0, None, 1))
    for ward, members in by_ward.items():
        for inside in _at_once(members):
            over = max(0, sum(house.stay[stay.id].present for stay, _ in inside) - beds[ward])
            row = pulp.LpAffineExpression([(variable, 1) for _, variable in inside])
            problem.addConstraint(pulp.LpConstraint(row, -1, None, beds[ward] + over))
        for inside, limit in _nursed(house.ward[ward], members):
            over = max(0, sum(house.stay[stay.id].room in rooms[ward] for stay, _ in inside) - limit)
            row = pulp.LpAffineExpression([(variable, 1) for _, variable in inside])
            problem.addConstraint(pulp.LpConstraint(row, -1, None, limit + over))
    problem.setObjective(pulp.LpAffineExpression(objective))
    found = solve(problem, Limits(limits.seconds / 4, MASTER_GAP, limits.threads, seed))
    chosen: dict[str, str | None] = {stay.id: None for stay in house.stays}
    chosen.update({stay: ward for (stay, ward), variable in places.items() if found.values[variable.name] > 0.5})
    return chosen, found.bound


def _cheapest(house: House, stay: Stay, policy: Policy) -> dict[str, int]:
    prices: dict[str, int] = {}
    for room in candidates(house, stay):
        price = cost(house, stay, room, policy)
        prices[room.ward] = min(price, prices.get(room.ward, price))
    return prices


def _at_once(members: list[tuple[Stay, Any]]) -> Iterable[list[tuple[Stay, Any]]]:
    spans = [slots(stay, SLOT) for stay, _ in members]
    for moment in sorted({span.start for span in spans}):
        yield [member for member, span in zip(members, spans, strict=True) if moment in span]


def _nursed(ward: Ward, members: list[tuple[Stay, Any]]) -> Iterable[tuple[list[tuple[Stay, Any]], int]]:
    """Who would be in a ward at once, with how many its nurses on duty can care for; each set once, at its worst."""
    if not ward.shifts:
        return
    spans = [slots(stay, SLOT) for stay, _ in members]
    tightest: dict[tuple[int, ...], int] = {}
    for moment in range(max((span.stop for span in spans), default=0)):
        limit = ward.staffed(moment * SLOT)
        if limit is not None:
            there = tuple(number for number, span in enumerate(spans) if moment in span)
            tightest[there] = min(limit, tightest.get(there, limit))
    for there, limit in tightest.items():
        yield [members[number] for number in there], limit


def _clusters(house: House) -> list[tuple[Ward, ...]]:
    """Wards that are planned together: neighbours by specialty, as many as make a house that is quick to plan."""
    stays_a_ward = max(1.0, len(house.stays) / len(house.wards))
    size = max(1, round(TOGETHER / stays_a_ward))
    wards = sorted(house.wards, key=lambda ward: (sorted(ward.specialties), ward.id))
    return [tuple(wards[start : start + size]) for start in range(0, len(wards), size)]


def _parts(house: House, wards: dict[str, str | None], clusters: list[tuple[Ward, ...]]) -> Iterable[House]:
    """Each cluster with the stays that were sent there, or lie there and cannot be elsewhere."""
    for cluster in clusters:
        names = {ward.id for ward in cluster}
        rooms = tuple(room for room in house.rooms if room.ward in names)
        inside = {room.id for room in rooms}
        stays = []
        for stay in house.stays:
            if stay.room in inside and (wards[stay.id] is None or wards[stay.id] in names):
                stays.append(stay)
            elif wards[stay.id] in names:
                # comes from another ward: for this one, a newcomer
                stays.append(replace(stay, room=None, fixed=False))
        yield House(cluster, rooms, tuple(stays))


def _planned(part: House, policy: Policy, limits: Limits, seed: int) -> Plan:
    begin = greedy(part, policy, seed)
    try:
        start = None if begin.breaches else begin.rooms
        return optimise(WardModel(part, policy, seed), replace(limits, seed=seed), start)
    except SolverFailed:
        return begin


def _second_chance(house: House, policy: Policy, rooms: dict[str, str | None]) -> dict[str, str | None]:
    """Offer whoever has no bed what is left in the whole house; whoever lay in a bed and got no other stays."""
    back = [stay for stay in house.stays if stay.present and rooms[stay.id] is None]
    for stay in back:
        rooms[stay.id] = stay.room
    taken: dict[str, list[Stay]] = {room.id: [] for room in house.rooms}
    for stay in house.stays:
        place = rooms[stay.id]
        if place is not None:
            taken[place].append(stay)
    for stay in back:
        _make_way(house, house.room[str(stay.room)], stay, rooms, taken)
    waiting = [stay for stay in house.stays if rooms[stay.id] is None]
    for stay in sorted(waiting, key=lambda stay: (stay.urgency, -stay.priority)):
        allowed = candidates(house, stay)
        nursed = {room.ward: room for room in allowed}
        nursed = {ward: room for ward, room in nursed.items() if staffed(house, stay, room, rooms)}
        free = [room for room in allowed if room.ward in nursed and not fits(house, stay, room, taken[room.id])]
        if free:
            best = min(free, key=lambda room: cost(house, stay, room, policy))
            rooms[stay.id] = best.id
            taken[best.id].append(stay)
    return rooms


def _make_way(house: House, room: Room, stay: Stay, rooms: dict[str, str | None], taken: dict[str, list[Stay]]) -> None:
    """Whoever was to come where a patient now stays after all waits again: first of the room, then of the ward."""
    newcomers = sorted(
        (
            other
            for other in house.stays
            if not other.present and rooms[other.id] is not None and set(slots(other)) & set(slots(stay))
        ),
        key=lambda other: (other.urgency, -other.priority),
        reverse=True,
    )
    for other in newcomers:
        place = house.room[str(rooms[other.id])]
        beside = [there for there in taken[room.id] if there is not stay]
        crowded = place is room and bool(fits(house, stay, room, beside))
        if crowded or (place.ward == room.ward and not staffed(house, stay, room, rooms)):
            rooms[other.id] = None
            taken[place.id].remove(other)
