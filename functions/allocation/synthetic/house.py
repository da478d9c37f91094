"""Houses out of a seed."""

from __future__ import annotations

import random
from dataclasses import replace

from functions.allocation.ward.objects import ALONE, House, Room, Sex, Stay, Urgency, Ward

__all__ = ["synthetic_house"]

SPECIALTIES = ("cardiology", "general-surgery", "respiratory", "gastroenterology", "orthopaedics", "neurology")
# Beds of a ward's rooms, in turn: as in a house of the nineties, with single rooms at the end of the corridor.
BEDS = (2, 2, 4, 1, 2, 3, 2, 1, 4, 2)
HORIZON = 72.0


def synthetic_house(
    patients: int, rooms: int, wards: int = 4, *, seed: int = 1, present: float = 0.75, filled: float | None = None
) -> House:
    """Return a house with patients in bed, waiting and announced.

    Parameters
    ----------
    patients, rooms, wards : int
        How many.
    present : float
        Share of the patients who lie in a room already.
    filled : float, optional
        Share of the beds that may be taken at once at most, so that what is asked for can be had; None: as it comes.

    Returns
    -------
    House
        Who is present lies by all the rules; the same seed gives the same house.
    """
    draw = random.Random(seed)  # noqa: S311 - a synthetic house, nothing secret
    built = tuple(_ward(number, wards) for number in range(wards))
    placed = tuple(_room(number, built[number * wards // rooms].id) for number in range(rooms))
    house = House(built, placed)
    lying: dict[str, list[Stay]] = {room.id: [] for room in placed}
    stays: list[Stay] = []
    limit = len(placed) and sum(room.beds for room in placed) * (filled or 1.0)
    for number in range(patients):
        stay = _stay(draw, number, built)
        if number < patients * present and sum(map(len, lying.values())) < limit:
            room = _seat(draw, house, lying, stay)
            if room is not None:
                stay = replace(stay, start=0.0, end=draw.uniform(2.0, 120.0), room=room.id)
                lying[room.id].append(stay)
        stays.append(stay)
    draw.shuffle(stays)
    return House(built, placed, tuple(stays))


def _ward(number: int, wards: int) -> Ward:
    own = SPECIALTIES[number % len(SPECIALTIES)]
    next_door = SPECIALTIES[(number + 1) % min(wards, len(SPECIALTIES))]
    return Ward(f"Location/w{number + 1}", f"Ward {number + 1}", frozenset({own}), frozenset({next_door}) - {own})


def _room(number: int, ward: str) -> Room:
    beds = BEDS[number % len(BEDS)]
    features = {"isolation"} if beds == 1 else set()
    if number % 4 == 1:
        features.add("monitor")
    if number % 10 == 3:
        features.add("negative-pressure")
    return Room(f"Location/r{number + 1}", f"Room {number + 1}", ward, beds, frozenset(features))


def _stay(draw: random.Random, number: int, wards: tuple[Ward, ...]) -> Stay:
    sex: Sex = draw.choice(("female", "male"))
    start = 0.0 if draw.random() < 0.4 else draw.uniform(0.5, HORIZON - 24)
    needs = {"monitor"} if draw.random() < 0.12 else set()
    isolation = None
    chance = draw.random()
    if chance < 0.04:
        isolation = ALONE
    elif chance < 0.07:
        isolation = "mrsa"
    urgency = draw.choices(list(Urgency), weights=(1, 2, 3, 6))[0]
    return Stay(
        id=f"Encounter/e{number + 1}",
        patient=f"Patient/p{number + 1}",
        start=start,
        end=start + draw.lognormvariate(4.2, 0.6),
        sex=sex,
        urgency=urgency,
        priority=min(10, int(draw.expovariate(0.5))),
        specialties=draw.choice(wards).specialties,
        needs=frozenset(needs),
        isolation=isolation,
    )


def _seat(draw: random.Random, house: House, lying: dict[str, list[Stay]], stay: Stay) -> Room | None:
    """Where somebody came to lie in the past: a room by the rules, mostly of the right ward."""
    from functions.allocation.ward.rules import at_home, broken, group, weight

    rooms = [room for room in house.rooms if not broken(house, stay, room)]
    draw.shuffle(rooms)
    rooms.sort(key=lambda room: (not at_home(house, stay, room), stay.isolation is None and room.beds == 1))
    for room in rooms:
        there = lying[room.id]
        taken = sum(weight(house, other, room) for other in there) + weight(house, stay, room)
        if taken <= room.beds and all(group(house, other, room) == group(house, stay, room) for other in there):
            return room
    return None
