"""The value objects of the ward model; a constructed object is valid. They know no FHIR and no solver.

Times are hours from the moment of planning, 0 being now. A patient with a planned move is two stays, one after the
other. No object holds a protected attribute but `Stay.sex`, which the room rule alone may read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Literal

__all__ = ["ALONE", "TOP_PRIORITY", "House", "Room", "Sex", "Shift", "Stay", "Urgency", "Ward"]

Sex = Literal["female", "male"]
# An isolation that nobody may share, in contrast to a cohort, who share a pathogen.
ALONE = "alone"
TOP_PRIORITY = 10


class Urgency(IntEnum):
    """How soon a bed is needed, as http://hl7.org/fhir/request-priority says it; a lower class comes first."""

    STAT = 0
    ASAP = 1
    URGENT = 2
    ROUTINE = 3


@dataclass(frozen=True)
class Shift:
    """Nurses on duty.

    Parameters
    ----------
    start, end : float
        Hours from now.
    nurses : int
    """

    start: float
    end: float
    nurses: int

    def __post_init__(self) -> None:
        if not self.start < self.end or self.nurses < 0:
            raise ValueError("a shift ends after it starts and has no negative number of nurses")


@dataclass(frozen=True)
class Ward:
    """A ward.

    Parameters
    ----------
    id, name : str
    specialties : frozenset of str
        It is for; empty: for all.
    also : frozenset of str
        Which it takes when their own wards are full.
    mixed : bool
        Whether women and men may share its rooms.
    shifts : tuple of Shift
        Empty where staffing is not known and so sets no limit.
    patients_per_nurse : int
        Positive.
    """

    id: str
    name: str
    specialties: frozenset[str] = frozenset()
    also: frozenset[str] = frozenset()
    mixed: bool = False
    shifts: tuple[Shift, ...] = ()
    patients_per_nurse: int = 6

    def __post_init__(self) -> None:
        if self.patients_per_nurse < 1:
            raise ValueError("a nurse cares for at least one patient")

    def staffed(self, hour: float) -> int | None:
        """Return how many patients the nurses on duty can care for; None where no roster covers the hour."""
        covering = [shift.nurses for shift in self.shifts if shift.start <= hour < shift.end]
        return sum(covering) * self.patients_per_nurse if covering else None


@dataclass(frozen=True)
class Room:
    """A room of a ward, as many beds as may be used.

    Parameters
    ----------
    id, name : str
    ward : str
        Id of its ward.
    beds : int
        That may be used; 0 when the room is closed.
    features : frozenset of str
        What it has: ``isolation``, ``monitor``, ``negative-pressure`` and whatever else patients may need.
    sex : {"female", "male"} or None
        For whom it is set aside.
    """

    id: str
    name: str
    ward: str
    beds: int
    features: frozenset[str] = frozenset()
    sex: Sex | None = None

    def __post_init__(self) -> None:
        if self.beds < 0:
            raise ValueError("a room has no negative number of beds")


@dataclass(frozen=True)
class Stay:
    """A time in which a patient needs one room.

    Parameters
    ----------
    id : str
        What asks for it: ``Encounter/e1``, ``ServiceRequest/s1``; with ``#2`` and so on for planned moves.
    patient : str
        ``Patient/p1``.
    start, end : float
        Hours from now; `end` after `start` and after now.
    sex : {"female", "male"} or None
        For the room rule; None is alone in a room, unless women and men share it.
    urgency : Urgency
    priority : int
        0 to 10, from a model's risk; orders patients within a class of urgency, never across.
    specialties : frozenset of str
        Any one of which the ward must have; empty: any ward.
    needs : frozenset of str
        Features the room must have.
    isolation : str or None
        ``alone``, or the pathogen that patients of one room may share.
    room : str or None
        Where the patient lies now.
    fixed : bool
        May not be moved.
    previous : str or None
        Room of the standing proposal.
    ward : str or None
        The only ward it may be in.
    follows : str or None
        Id of the stay before a planned move.
    """

    id: str
    patient: str
    start: float
    end: float
    sex: Sex | None = None
    urgency: Urgency = Urgency.ROUTINE
    priority: int = 0
    specialties: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()
    isolation: str | None = None
    room: str | None = None
    fixed: bool = False
    previous: str | None = None
    ward: str | None = None
    follows: str | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and math.isfinite(self.end) and self.end > max(self.start, 0.0)):
            raise ValueError("a stay ends after it starts and after now")
        if not 0 <= self.priority <= TOP_PRIORITY:
            raise ValueError(f"a priority lies between 0 and {TOP_PRIORITY}")
        if self.room is not None and self.start > 0:
            raise ValueError("who lies in a room now has a stay that has begun")

    @property
    def present(self) -> bool:
        """Whether the patient lies in a room now."""
        return self.room is not None


@dataclass(frozen=True)
class House:
    """What is planned for at once: wards, their rooms, and the stays.

    Parameters
    ----------
    wards : tuple of Ward
    rooms : tuple of Room
        Of these wards.
    stays : tuple of Stay
        Who lies in a room lies in one of these.

    Raises
    ------
    ValueError
        Two things share an id, or one refers to what is not there.
    """

    wards: tuple[Ward, ...]
    rooms: tuple[Room, ...]
    stays: tuple[Stay, ...] = field(repr=False, default=())

    def __post_init__(self) -> None:
        for kind, things in (("wards", self.wards), ("rooms", self.rooms), ("stays", self.stays)):
            if len({thing.id for thing in things}) != len(things):
                raise ValueError(f"two {kind} share an id")
        wards, rooms = {ward.id for ward in self.wards}, {room.id for room in self.rooms}
        if any(room.ward not in wards for room in self.rooms):
            raise ValueError("a room is of a ward that is not there")
        if any(stay.room is not None and stay.room not in rooms for stay in self.stays):
            raise ValueError("a patient lies in a room that is not there")

    @cached_property
    def ward(self) -> Mapping[str, Ward]:
        """Wards by id."""
        return {ward.id: ward for ward in self.wards}

    @cached_property
    def room(self) -> Mapping[str, Room]:
        """Rooms by id."""
        return {room.id: room for room in self.rooms}

    @cached_property
    def stay(self) -> Mapping[str, Stay]:
        """Stays by id."""
        return {stay.id: stay for stay in self.stays}

    @cached_property
    def occupants(self) -> Mapping[str, tuple[Stay, ...]]:
        """Who lies in each room now, by room id."""
        found: dict[str, list[Stay]] = {room.id: [] for room in self.rooms}
        for stay in self.stays:
            if stay.room is not None:
                found[stay.room].append(stay)
        return {room: tuple(stays) for room, stays in found.items()}

    @property
    def beds(self) -> int:
        """How many beds may be used."""
        return sum(room.beds for room in self.rooms)

    def rooms_of(self, ward: str) -> Iterator[Room]:
        """Yield the rooms of a ward."""
        return (room for room in self.rooms if room.ward == ward)

    def mixed(self, room: Room) -> bool:
        """Return whether women and men may share a room."""
        return self.ward[room.ward].mixed or "mixed" in room.features

    def replacing(
        self,
        *,
        wards: tuple[Ward, ...] | None = None,
        rooms: tuple[Room, ...] | None = None,
        stays: tuple[Stay, ...] | None = None,
    ) -> House:
        """Return a house with other `wards`, `rooms` or `stays`."""
        return House(
            self.wards if wards is None else wards,
            self.rooms if rooms is None else rooms,
            self.stays if stays is None else stays,
        )

    def only(self, ward: str) -> House:
        """Return one ward: its rooms, who lies there, and who waits for it or for what it is for."""
        chosen = self.ward[ward]
        rooms = tuple(self.rooms_of(ward))
        names = {room.id for room in rooms}
        here = tuple(stay for stay in self.stays if stay.room in names or (not stay.present and _meant(stay, chosen)))
        return House((chosen,), rooms, here)


def _meant(stay: Stay, ward: Ward) -> bool:
    if stay.ward is not None:
        return stay.ward == ward.id
    return not stay.specialties or not ward.specialties or bool(stay.specialties & ward.specialties)
