"""Who may lie where, by named rules, and what a place costs.

A rule of one patient and one room (*pair rule*) is looked at here; rules of several patients in a room (beds, sexes,
isolation, nurses) are constraints of the model. Costs are whole numbers, so that a solver can round its bound up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from functions.allocation.ward.objects import ALONE, House, Room, Stay

__all__ = ["Policy", "Rule", "alone", "at_home", "broken", "candidates", "cost", "group", "weight"]


class Rule(StrEnum):
    """Every rule by its name."""

    BEDS = "beds"
    SEX = "room-sex"
    ISOLATION = "isolation"
    SPECIALTY = "specialty"
    EQUIPMENT = "equipment"
    WARD = "ward"
    STAFFING = "staffing"
    CLOSED = "closed"
    FIXED = "fixed"


@dataclass(frozen=True)
class Policy:
    """What counts how much, once everybody whom rules and urgency allow has a place.

    Parameters
    ----------
    move : int
        Moving a patient who lies in a room: the bonus for staying.
    outlier : int
        A ward that takes the specialty only when its own is full.
    foreign : int
        Lying in a ward that is not for the specialty at all; nobody is newly placed so.
    isolation_unused : int
        An isolation room for somebody who needs none.
    feature_unused : int
        Each other feature nobody asked for.
    bed_blocked : int
        Each bed that is lost because a patient must be alone.
    unwatched : int
        For each point of priority, a room without a monitor; divided by 4 and rounded down.
    """

    move: int = 20
    outlier: int = 8
    foreign: int = 16
    isolation_unused: int = 3
    feature_unused: int = 1
    bed_blocked: int = 4
    unwatched: int = 2


def broken(house: House, stay: Stay, room: Room) -> tuple[Rule, ...]:
    """Return the rules that a patient and a room break, whoever else is there."""
    ward = house.ward[room.ward]
    rules = []
    if room.beds == 0:
        rules.append(Rule.CLOSED)
    if room.sex is not None and stay.sex != room.sex and not house.mixed(room):
        rules.append(Rule.SEX)
    if not stay.needs <= room.features:
        rules.append(Rule.EQUIPMENT)
    # a shared room whose other beds are closed will do, at their price, where the house has said so
    if stay.isolation == ALONE and room.beds > 1 and not room.features & {"isolation", "may-block"}:
        rules.append(Rule.ISOLATION)
    if stay.ward is not None and stay.ward != room.ward:
        rules.append(Rule.WARD)
    elif not _takes(stay.specialties, ward.specialties | ward.also, ward.specialties):
        rules.append(Rule.SPECIALTY)
    return tuple(rules)


def _takes(wanted: frozenset[str], offered: frozenset[str], own: frozenset[str]) -> bool:
    return not wanted or not own or bool(wanted & offered)


def cost(house: House, stay: Stay, room: Room, policy: Policy) -> int:
    """Return what a place costs, for a patient who may lie there or lies there already."""
    ward = house.ward[room.ward]
    total = 0
    if not at_home(house, stay, room):
        total += policy.outlier if stay.specialties & ward.also else policy.foreign
    if "isolation" in room.features and stay.isolation is None and "isolation" not in stay.needs:
        total += policy.isolation_unused
    total += policy.feature_unused * len(room.features - stay.needs - {"isolation", "mixed", "may-block"})
    if alone(house, stay, room):
        total += policy.bed_blocked * (room.beds - 1)
    if "monitor" not in room.features:
        total += policy.unwatched * stay.priority // 4
    if stay.present and room.id != stay.room:
        total += policy.move
    return total


def at_home(house: House, stay: Stay, room: Room) -> bool:
    """Return whether a room's ward is for the patient's specialty, and not only willing to take it."""
    own = house.ward[room.ward].specialties
    return not stay.specialties or not own or bool(stay.specialties & own)


def alone(house: House, stay: Stay, room: Room) -> bool:
    """Return whether a patient takes the whole room: isolated, or with nobody the room rule allows beside."""
    return stay.isolation == ALONE or (stay.sex is None and not house.mixed(room))


def weight(house: House, stay: Stay, room: Room) -> int:
    """Return how many beds of a room a patient takes."""
    return max(room.beds, 1) if alone(house, stay, room) else 1


def group(house: House, stay: Stay, room: Room) -> tuple[str, str]:
    """Return with whom a patient may share a room: with those of the same pathogen and, by the room rule, sex."""
    return (stay.isolation or "", "" if house.mixed(room) else stay.sex or "")


def candidates(house: House, stay: Stay, rooms: Sequence[Room] | None = None) -> list[Room]:
    """Return the rooms a patient may be proposed for; always the one where the patient lies.

    Who lies in a room is moved only within the ward, unless the place breaks a rule or is not for the specialty.
    """
    rooms = house.rooms if rooms is None else rooms
    if stay.fixed and stay.room is not None:
        return [house.room[stay.room]]
    here = house.room[stay.room] if stay.room is not None else None
    bound = here is not None and at_home(house, stay, here) and not broken(house, stay, here)
    found = []
    for room in rooms:
        if room is here or (not broken(house, stay, room) and not (bound and here and room.ward != here.ward)):
            found.append(room)
    if here is not None and here not in found:
        found.append(here)
    return found
