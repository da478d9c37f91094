"""An instance of the Integrated Healthcare Timetabling Problem, read strictly from the competition's JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from functions.allocation.planner.document import Node, read, unique

__all__ = ["WEIGHTS", "Instance", "Nurse", "Occupant", "Patient", "Weights", "read_instance"]

# As the format spells them, in the order of the soft costs.
WEIGHTS = (
    "room_mixed_age",
    "room_nurse_skill",
    "continuity_of_care",
    "nurse_eccessive_workload",
    "open_operating_theater",
    "surgeon_transfer",
    "patient_delay",
    "unscheduled_optional",
)
MOST_DAYS = 366
MOST_GROUPS = 100


@dataclass(frozen=True)
class Weights:
    """What one unit of each soft cost counts, in the order of S1 to S8 of the specification."""

    room_mixed_age: int
    room_nurse_skill: int
    continuity_of_care: int
    nurse_eccessive_workload: int
    open_operating_theater: int
    surgeon_transfer: int
    patient_delay: int
    unscheduled_optional: int


@dataclass(frozen=True)
class Person:
    """Who lies in a room.

    Attributes
    ----------
    identifier : str
    gender : str
        ``A`` or ``B``.
    age_group : int
        Position among the instance's age groups.
    stay : int
        Days, the first among them.
    workload, skill : tuple of int
        Produced and required in each shift of the stay, from its first.
    """

    identifier: str
    gender: str
    age_group: int
    stay: int
    workload: tuple[int, ...]
    skill: tuple[int, ...]


@dataclass(frozen=True)
class Occupant(Person):
    """A person who is there on day 0 and stays in a room."""

    room: int


@dataclass(frozen=True)
class Patient(Person):
    """A person to admit.

    Attributes
    ----------
    mandatory : bool
        Whether they must be admitted.
    release, last : int
        First and last day of admission allowed, both included.
    duration : int
        Of the surgery on the day of admission, in minutes.
    surgeon : int
        Position among the surgeons.
    excluded : frozenset of int
        Positions of the rooms that do not suit.
    """

    mandatory: bool
    release: int
    last: int
    duration: int
    surgeon: int
    excluded: frozenset[int]


@dataclass(frozen=True)
class Nurse:
    """A nurse.

    Attributes
    ----------
    identifier : str
    skill : int
    shifts : dict of int to int
        Largest workload by shift of the whole period (``day * shifts a day + shift``) in which they work.
    """

    identifier: str
    skill: int
    shifts: dict[int, int]


@dataclass(frozen=True)
class Instance:
    """An instance.

    Attributes
    ----------
    name : str
        Of its file, without the ending.
    days : int
        Length of the period.
    shift_types, age_groups : tuple of str
    weights : Weights
    rooms, theatres, surgeons : tuple of str
        Identifiers.
    capacity : tuple of int
        Beds of each room.
    theatre_minutes, surgeon_minutes : tuple of tuple of int
        Available, by theatre or surgeon and day.
    occupants, patients, nurses : tuple
    """

    name: str
    days: int
    shift_types: tuple[str, ...]
    age_groups: tuple[str, ...]
    weights: Weights
    rooms: tuple[str, ...]
    capacity: tuple[int, ...]
    theatres: tuple[str, ...]
    theatre_minutes: tuple[tuple[int, ...], ...]
    surgeons: tuple[str, ...]
    surgeon_minutes: tuple[tuple[int, ...], ...]
    occupants: tuple[Occupant, ...]
    patients: tuple[Patient, ...]
    nurses: tuple[Nurse, ...]

    @property
    def shifts(self) -> int:
        """Number of shifts of the whole period."""
        return self.days * len(self.shift_types)


def read_instance(source: Path) -> Instance:
    """Read an instance of IHTC-2024.

    Parameters
    ----------
    source : Path
        JSON, as the competition's specification lays it down (Ceschia et al. 2024, section 4).

    Returns
    -------
    Instance

    Raises
    ------
    Malformed
        With line and field.
    OSError
        When it cannot be read.
    """
    root = read(source)
    days = root["days"].integer(1, MOST_DAYS)
    shift_types = unique(((item, item.string()) for item in root["shift_types"].items(least=1)), "shift")
    age_groups = unique(((item, item.string()) for item in root["age_groups"].items(least=1)), "age group")
    levels = root["skill_levels"].integer(1, MOST_GROUPS)
    weights = Weights(*(root["weights"][name].integer() for name in WEIGHTS))
    rooms = _names(root["rooms"], "room")
    theatres = _names(root["operating_theaters"], "operating theatre")
    surgeons = _names(root["surgeons"], "surgeon")
    reader = _Reader(days, shift_types, age_groups, levels, rooms, surgeons)
    _names(root["nurses"], "nurse")
    unique(((node["id"], node["id"].string()) for key in ("occupants", "patients") for node in root[key].items()), "id")
    return Instance(
        name=source.stem,
        days=days,
        shift_types=tuple(shift_types),
        age_groups=tuple(age_groups),
        weights=weights,
        rooms=tuple(rooms),
        capacity=tuple(node["capacity"].integer(1, 1000) for node in root["rooms"].items()),
        theatres=tuple(theatres),
        theatre_minutes=tuple(tuple(n["availability"].integers(days)) for n in root["operating_theaters"].items()),
        surgeons=tuple(surgeons),
        surgeon_minutes=tuple(tuple(n["max_surgery_time"].integers(days)) for n in root["surgeons"].items()),
        occupants=tuple(reader.occupant(node) for node in root["occupants"].items()),
        patients=tuple(reader.patient(node) for node in root["patients"].items()),
        nurses=tuple(reader.nurse(node) for node in root["nurses"].items()),
    )


def _names(nodes: Node, what: str) -> list[str]:
    return unique(((node["id"], node["id"].string()) for node in nodes.items(least=1)), what)


@dataclass(frozen=True)
class _Reader:
    """What is read by the names and bounds of the rest."""

    days: int
    shift_types: list[str]
    age_groups: list[str]
    levels: int
    rooms: list[str]
    surgeons: list[str]

    def occupant(self, node: Node) -> Occupant:
        person = self._person(node)
        return Occupant(*_fields(person), room=node["room_id"].one_of(self.rooms, "room"))

    def patient(self, node: Node) -> Patient:
        person = self._person(node)
        mandatory = node["mandatory"].boolean()
        release = node["surgery_release_day"].integer(0, self.days - 1)
        # A day due beyond the period binds no more than its end.
        due = node["surgery_due_day"].integer(release, MOST_DAYS) if mandatory else self.days - 1
        excluded = node["incompatible_room_ids"].items() if node.has("incompatible_room_ids") else ()
        return Patient(
            *_fields(person),
            mandatory=mandatory,
            release=release,
            last=min(due, self.days - 1),
            duration=node["surgery_duration"].integer(),
            surgeon=node["surgeon_id"].one_of(self.surgeons, "surgeon"),
            excluded=frozenset(item.one_of(self.rooms, "room") for item in excluded),
        )

    def nurse(self, node: Node) -> Nurse:
        shifts: dict[int, int] = {}
        for item in node["working_shifts"].items():
            day = item["day"].integer(0, self.days - 1)
            shift = day * len(self.shift_types) + item["shift"].one_of(self.shift_types, "shift")
            if shift in shifts:
                item.fail("is a shift in which the nurse works already")
            shifts[shift] = item["max_load"].integer()
        return Nurse(node["id"].string(), node["skill_level"].integer(0, self.levels - 1), shifts)

    def _person(self, node: Node) -> Person:
        stay = node["length_of_stay"].integer(1, MOST_DAYS)
        shifts = stay * len(self.shift_types)
        return Person(
            node["id"].string(),
            ("A", "B")[node["gender"].one_of(("A", "B"), "gender")],
            node["age_group"].one_of(self.age_groups, "age group"),
            stay,
            tuple(node["workload_produced"].integers(shifts)),
            tuple(node["skill_level_required"].integers(shifts, most=self.levels - 1)),
        )


def _fields(person: Person) -> tuple[str, str, int, int, tuple[int, ...], tuple[int, ...]]:
    return person.identifier, person.gender, person.age_group, person.stay, person.workload, person.skill
