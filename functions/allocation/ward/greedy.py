"""A plan without a solver: everybody stays, and newcomers get the cheapest free place by urgency and priority.

What the planning falls back on when the solver fails, and what it begins with when it does not.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence

from functions.allocation.ward.model import SLOT, slots
from functions.allocation.ward.objects import House, Room, Stay, Urgency
from functions.allocation.ward.plan import Breach, Level, Plan
from functions.allocation.ward.rules import Policy, Rule, broken, candidates, cost, group, weight

__all__ = ["fits", "greedy", "measured", "staffed"]


def fits(house: House, stay: Stay, room: Room, others: Sequence[Stay], slot: float = SLOT) -> tuple[Rule, ...]:
    """Return the rules that a stay would break among others in a room; empty when it may come in."""
    rules: set[Rule] = set()
    span = slots(stay, slot)
    for moment in span:
        there = [other for other in others if moment in slots(other, slot)]
        if not there:
            if weight(house, stay, room) > room.beds:
                rules.add(Rule.BEDS)
            continue
        if room.beds > 1:
            own = group(house, stay, room)
            for other in there:
                theirs = group(house, other, room)
                if own[0] != theirs[0]:
                    rules.add(Rule.ISOLATION)
                if own[1] != theirs[1]:
                    rules.add(Rule.SEX)
        taken = sum(weight(house, other, room) for other in there)
        if taken + weight(house, stay, room) > room.beds:
            one_each = len(there) + 1 > room.beds
            rules.add(Rule.BEDS if one_each else Rule.ISOLATION)
    return tuple(sorted(rules))


def greedy(house: House, policy: Policy, seed: int = 0, slot: float = SLOT) -> Plan:
    """Return a plan in which nobody is moved.

    Parameters
    ----------
    seed : int
        Ties between patients and between rooms are broken with it.
    """
    started = time.monotonic()
    draw = random.Random(seed)  # noqa: S311 - see model
    rooms = draw.sample(house.rooms, len(house.rooms))
    taken: dict[str, list[Stay]] = {room.id: list(house.occupants[room.id]) for room in rooms}
    chosen: dict[str, str | None] = {stay.id: stay.room for stay in house.stays}
    hopeless: dict[str, tuple[Rule, ...]] = {}
    newcomers = [stay for stay in draw.sample(house.stays, len(house.stays)) if not stay.present]
    for stay in sorted(newcomers, key=lambda stay: (stay.urgency, -stay.priority, stay.start)):
        allowed = candidates(house, stay, rooms)
        if not allowed:
            hopeless[stay.id] = tuple(sorted({rule for room in rooms for rule in broken(house, stay, room)}))
            continue
        free = [
            room
            for room in allowed
            if not fits(house, stay, room, taken[room.id], slot) and staffed(house, stay, room, chosen, slot)
        ]
        if not free:
            continue
        best = min(free, key=lambda room: (cost(house, stay, room, policy), room.id != stay.previous))
        chosen[stay.id] = best.id
        taken[best.id].append(stay)
    return measured(house, policy, chosen, "greedy", seed, started, hopeless)


def staffed(house: House, stay: Stay, room: Room, chosen: Mapping[str, str | None], slot: float = SLOT) -> bool:
    """Return whether the nurses of a room's ward can care for one more, beside those whose rooms are chosen."""
    ward = house.ward[room.ward]
    if not ward.shifts:
        return True
    inside = [
        other
        for other in house.stays
        if other is not stay and (place := chosen[other.id]) is not None and house.room[place].ward == ward.id
    ]
    for moment in slots(stay, slot):
        limit = ward.staffed(moment * slot)
        if limit is not None and sum(moment in slots(other, slot) for other in inside) >= limit:
            return False
    return True


def _understaffed(house: House, rooms: Mapping[str, str | None], slot: float = SLOT) -> list[Breach]:
    """The wards with more patients than their nurses can care for, and by how many at the worst."""
    found = []
    for ward in house.wards:
        if not ward.shifts:
            continue
        own = {room.id for room in house.rooms_of(ward.id)}
        spans = [slots(stay, slot) for stay in house.stays if rooms[stay.id] in own]
        last = max((span.stop for span in spans), default=0)
        limits = [(moment, ward.staffed(moment * slot)) for moment in range(last)]
        over = [sum(moment in span for span in spans) - limit for moment, limit in limits if limit is not None]
        if over and max(over) > 0:
            found.append(Breach(Rule.STAFFING, ward.id, amount=max(over)))
    return found


def measured(
    house: House,
    policy: Policy,
    rooms: Mapping[str, str | None],
    method: str,
    seed: int,
    started: float,
    hopeless: Mapping[str, tuple[Rule, ...]],
    bound: float = 0.0,
) -> Plan:
    """Return a plan of given rooms with its levels worked out; its bounds are those of no search, 0."""
    breaches = []
    for room in house.rooms:
        inside = [stay for stay in house.stays if rooms[stay.id] == room.id]
        for number, stay in enumerate(inside):
            own = [rule for rule in broken(house, stay, room) if rule not in (Rule.SPECIALTY, Rule.WARD)]
            breaches += [Breach(rule, room.id, stay.id) for rule in own]
            breaches += [Breach(rule, room.id) for rule in fits(house, stay, room, inside[:number]) if rule not in own]
    breaches = [*dict.fromkeys(breaches), *_understaffed(house, rooms)]
    unplaced = [stay for stay in house.stays if rooms[stay.id] is None and stay.id not in hopeless]
    levels = [Level("broken rules", sum(item.amount for item in breaches), 0)]
    for kind in Urgency:
        value = sum(10 + stay.priority for stay in unplaced if stay.urgency == kind)
        levels.append(Level(f"unplaced: {kind.name.lower()}", value, 0))
    spent = 0
    for stay in house.stays:
        place = rooms[stay.id]
        if place is not None:
            spent += cost(house, stay, house.room[place], policy)
    levels.append(Level("cost", spent, min(bound, spent)))
    return Plan(house, dict(rooms), tuple(levels), tuple(breaches), method, seed, time.monotonic() - started, hopeless)
