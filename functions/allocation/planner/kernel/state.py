"""Making the state of the search from an instance and a plan, and a plan from the state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from functions.allocation.planner.errors import Unplannable
from functions.allocation.planner.instance import WEIGHTS, Instance
from functions.allocation.planner.kernel import layout
from functions.allocation.planner.kernel.admit import admit_best
from functions.allocation.planner.kernel.assign import set_nurse
from functions.allocation.planner.kernel.compiled import COMPILED
from functions.allocation.planner.kernel.layout import ABSENT, DAY, MOST, THEATRE, Ints, Row
from functions.allocation.planner.kernel.place import lie, put, room_free, surgeon_free, theatre_free
from functions.allocation.planner.solution import Admission, Plan

__all__ = ["State", "plan_of", "price_of_duty"]


class State:
    """A plan under work, with what its costs are made of.

    Parameters
    ----------
    instance : Instance
    seed : int
        Of the random numbers.
    plan : Plan, optional
        What it begins with, as far as it breaks no hard constraint; otherwise nobody is admitted.
    prices : (patients,), optional
        Of not being admitted, where they were raised.

    Attributes
    ----------
    row : array or list of int
        See :mod:`functions.allocation.planner.kernel.layout`.
    dice : array or list of int
        State of the random numbers.
    cost : int
        Of the beginning, with the price of mandatory patients not admitted.

    Raises
    ------
    Unplannable
        When no nurse works in some shift.
    """

    def __init__(self, instance: Instance, seed: int, plan: Plan | None = None, prices: Ints | None = None) -> None:
        self.instance = instance
        tables = _tables(instance)
        if prices is not None:
            tables["who"][: len(prices), ABSENT] = prices
        header = np.zeros(layout.HEADER, np.int64)
        patients, rooms = len(instance.patients), len(instance.rooms)
        header[: layout.SURGEONS + 1] = (
            *(patients, len(tables["who"]), rooms, instance.days, instance.shifts, len(instance.shift_types)),
            *(len(instance.nurses), len(instance.theatres), len(instance.surgeons)),
        )
        for place, name in enumerate(("need", "stay", "team", "surgeon", "peers"), layout.NEED_WIDTH):
            table = tables[name]
            header[place] = table[0].size if table.ndim == 2 or name == "need" else table.shape[2]
        header[layout.W_AGE : layout.W_DELAY + 1] = [getattr(instance.weights, name) for name in WEIGHTS[:-1]]
        at = layout.HEADER
        for name, place in layout.TABLES.items():
            header[place] = at
            at += tables[name].size
        row = np.concatenate([header, *(tables[name].ravel() for name in layout.TABLES)], dtype=np.int64)
        # Numbers that shift registers may begin with.
        dice = np.random.default_rng(seed).integers(2**20, 2**32, 3, dtype=np.int64)
        self._row: Any = row if COMPILED else row.tolist()
        self.row: Row = self._row
        self.dice = cast(Row, dice if COMPILED else dice.tolist())
        self.shapes = {name: tables[name].shape for name in layout.TABLES}
        self.cost = self._load(plan)

    def table(self, name: str) -> Ints:
        """Return a table by its name; where the search is compiled, as a view."""
        start = int(self.row[layout.TABLES[name]])
        size = int(np.prod(self.shapes[name]))
        return np.asarray(self._row[start : start + size], np.int64).reshape(self.shapes[name])

    def plan(self) -> Plan:
        """Return the plan of the state."""
        return plan_of(self.instance, self.snapshot())

    def snapshot(self) -> Ints:
        """Return what a plan is made of in one row: day, room and theatre of each person, then the nurses."""
        where = self.table("who")[:, DAY : THEATRE + 1]
        return np.concatenate([where.ravel(), self.table("ward")[:, :, layout.NURSE].ravel()], dtype=np.int64)

    def fill(self) -> None:
        """Admit who is away, one after the other, where it costs least: first whoever has to come and has least days.

        Occupants and the beds of a plan stay as they are.
        """
        who = self.table("who")
        away = self.table("away")
        patients = away[1 : 1 + away[0]].tolist()
        patients.sort(
            key=lambda p: (-who[p, ABSENT], who[p, layout.LAST] - who[p, layout.RELEASE], -who[p, layout.STAY])
        )
        for p in patients:
            self.cost += int(admit_best(self.row, self.dice, p))

    def waiting(self) -> list[int]:
        """Return the mandatory patients who are not admitted."""
        away = self.table("away")
        return [int(p) for p in away[1 : 1 + away[0]] if self.instance.patients[p].mandatory]

    def raise_prices(self, by: int) -> int:
        """Make it dearer to leave out the mandatory patients who are; returns the change of cost."""
        waiting = self.waiting()
        for p in waiting:
            self.row[self.row[layout.AT_WHO] + p * layout.WHO_WIDTH + ABSENT] += by
        return by * len(waiting)

    def prices(self) -> Ints:
        """Return what it costs not to admit each patient."""
        return self.table("who")[: len(self.instance.patients), ABSENT].copy()

    def _load(self, plan: Plan | None) -> int:
        instance = self.instance
        cost = int(self.table("who")[: len(instance.patients), ABSENT].sum())
        for at, occupant in enumerate(instance.occupants, len(instance.patients)):
            cost += int(lie(self.row, at, 0, occupant.room))
        if plan is None:
            return cost
        for (room, shift), nurse in plan.nurses.items():
            if shift in instance.nurses[nurse].shifts:
                cost += int(set_nurse(self.row, room, shift, nurse))
        for at, (patient, admission) in enumerate(zip(instance.patients, plan.admissions, strict=True)):
            if admission is None or not patient.release <= admission.day <= patient.last:
                continue
            d, r, t = admission.day, admission.room, admission.theatre
            if surgeon_free(self.row, at, d) and theatre_free(self.row, at, d, t) and room_free(self.row, at, d, r):
                cost += int(put(self.row, at, d, r, t))
        return cost


def plan_of(instance: Instance, snapshot: Ints) -> Plan:
    """Return a plan.

    Parameters
    ----------
    instance : Instance
    snapshot : (persons * 3 + rooms * shifts,)
        See :meth:`State.snapshot`.

    Returns
    -------
    Plan
        With a nurse only where someone lies in the room.
    """
    persons = len(instance.patients) + len(instance.occupants)
    where = snapshot[: 3 * persons].reshape(persons, 3).tolist()
    nurses = snapshot[3 * persons :].reshape(len(instance.rooms), instance.shifts).tolist()
    admissions = tuple(Admission(*row) if row[0] >= 0 else None for row in where[: len(instance.patients)])
    stays = [(occupant, 0, occupant.room) for occupant in instance.occupants] + [
        (patient, admission.day, admission.room)
        for patient, admission in zip(instance.patients, admissions, strict=True)
        if admission is not None
    ]
    a_day = len(instance.shift_types)
    occupied = {
        (room, shift)
        for person, start, room in stays
        for shift in range(start * a_day, min(start + person.stay, instance.days) * a_day)
    }
    return Plan(admissions, {(room, shift): nurses[room][shift] for room, shift in sorted(occupied)})


def price_of_duty(instance: Instance) -> int:
    """Return what leaving out a mandatory patient counts in the search: more than admitting them can cost."""
    weights = instance.weights
    shifts = max((patient.stay for patient in instance.patients), default=1) * len(instance.shift_types)
    care = shifts * (weights.continuity_of_care + weights.room_nurse_skill + weights.nurse_eccessive_workload)
    return 2000 + 4 * (weights.unscheduled_optional + weights.patient_delay * instance.days + care)


def _tables(instance: Instance) -> dict[str, Ints]:
    people = (*instance.patients, *instance.occupants)
    need = np.zeros((len(people), max((len(person.workload) for person in people), default=1), 2), np.int64)
    for row, person in zip(need, people, strict=True):
        row[: len(person.workload), layout.WORK] = person.workload
        row[: len(person.skill), layout.SKILL] = person.skill
    duty = np.zeros((len(instance.nurses), instance.shifts, 2), np.int64)
    duty[:, :, MOST] = -1
    for at, nurse in enumerate(instance.nurses):
        for shift, most in nurse.shifts.items():
            duty[at, shift, MOST] = most
    theatre = np.zeros((len(instance.theatres), instance.days, layout.THEATRE_WIDTH), np.int64)
    theatre[:, :, layout.OPEN] = instance.theatre_minutes
    surgeon = np.zeros((len(instance.surgeons), instance.days, layout.BY_THEATRE + len(instance.theatres)), np.int64)
    surgeon[:, :, layout.HOURS] = instance.surgeon_minutes
    team = _teams(instance)
    ward = np.zeros((len(instance.rooms), instance.shifts, 2), np.int64)
    for shift, working in enumerate(team):
        ward[:, shift, layout.NURSE] = working[1 + np.arange(len(instance.rooms)) % working[0]]
    peers: list[list[int]] = [[] for _ in instance.surgeons]
    for at, patient in enumerate(instance.patients):
        peers[patient.surgeon].append(at)
    suits = [[room not in patient.excluded for room in range(len(instance.rooms))] for patient in instance.patients]
    return {
        "who": _who(instance),
        "need": need,
        "fits": np.array(suits, np.int64).reshape(len(instance.patients), len(instance.rooms)),
        "beds": np.array(instance.capacity, np.int64),
        "stay": np.zeros((len(instance.rooms), instance.days, 1 + max(instance.capacity)), np.int64),
        "ward": ward,
        "duty": duty,
        "team": team,
        "skill": np.array([nurse.skill for nurse in instance.nurses], np.int64),
        "care": np.zeros((len(people), len(instance.nurses)), np.int64),
        "theatre": theatre,
        "surgeon": surgeon,
        "peers": _lists(peers),
        "away": np.array([len(instance.patients), *range(len(instance.patients))], np.int64),
        # The last is the newest mark.
        "mark": np.zeros(len(instance.nurses) + 1, np.int64),
        "log": np.zeros(max(16, 2 * instance.shifts), np.int64),
    }


def _who(instance: Instance) -> Ints:
    who = np.zeros((len(instance.patients) + len(instance.occupants), layout.WHO_WIDTH), np.int64)
    for row, person in zip(who, (*instance.patients, *instance.occupants), strict=True):
        row[:3] = person.gender == "B", person.age_group, person.stay
    must = price_of_duty(instance)
    for row, patient in zip(who, instance.patients, strict=False):
        price = must if patient.mandatory else instance.weights.unscheduled_optional
        row[layout.RELEASE : ABSENT + 1] = patient.release, patient.last, patient.duration, patient.surgeon, price
    who[:, DAY] = -1
    who[: len(instance.patients), layout.SLOT] = np.arange(1, len(instance.patients) + 1)
    return who


def _teams(instance: Instance) -> Ints:
    working: list[list[int]] = [[] for _ in range(instance.shifts)]
    for at, nurse in enumerate(instance.nurses):
        for shift in nurse.shifts:
            working[shift].append(at)
    if not all(working):
        day, shift = divmod(working.index([]), len(instance.shift_types))
        raise Unplannable(
            f"instance {instance.name}: no nurse works on day {day} in shift {instance.shift_types[shift]!r}, "
            "so no room can be occupied then"
        )
    return _lists(working)


def _lists(rows: Sequence[Sequence[int]]) -> Ints:
    found = np.zeros((len(rows), 1 + max(1, *(len(row) for row in rows))), np.int64)
    for target, row in zip(found, rows, strict=True):
        target[0] = len(row)
        target[1 : 1 + len(row)] = row
    return found
