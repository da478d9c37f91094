"""Mixed-integer models beside the search: a bound on the cost, and days and rooms for the mandatory patients.

Both are PuLP models solved by HiGHS. The search alone admits everybody on every published instance; where it does not,
the second model finds their places, or proves that there are none.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import sys
from collections.abc import Iterable

import pulp

from functions.allocation.planner.instance import Instance, Patient
from functions.allocation.planner.solution import Admission, Plan

__all__ = ["NoSolver", "admit_mandatory", "lower_bound"]


class NoSolver(Exception):
    """HiGHS did not run, or found nothing in its time."""


def lower_bound(instance: Instance, seconds: float, *, whole: bool = True) -> int:
    """Return a cost that no plan can beat.

    A relaxation: all theatres of a day are one, all beds are one room without rule of gender, nurses count only as
    the fewest whom a person meets. What is left are admission days, surgeons' hours, theatres open, and beds.

    Parameters
    ----------
    instance : Instance
    seconds : float
        For HiGHS; what it has proven by then is the bound.
    whole : bool
        Whether patients are admitted as a whole; in parts, the bound is weaker and comes faster.

    Returns
    -------
    int
        At least 0.

    Raises
    ------
    NoSolver
        When HiGHS is not there or proves nothing in its time.
    """
    model = pulp.LpProblem("bound", pulp.LpMinimize)
    care = instance.weights.continuity_of_care
    admitted: dict[tuple[int, int], pulp.LpVariable] = {}
    cost = [care * _fewest_nurses(instance)] * len(instance.occupants)
    terms = []
    for at, patient in enumerate(instance.patients):
        for day in range(patient.release, patient.last + 1):
            admitted[at, day] = model.add_variable(
                f"a_{at}_{day}", 0, 1, pulp.LpInteger if whole else pulp.LpContinuous
            )
        days = pulp.lpSum(admitted[at, day] for day in range(patient.release, patient.last + 1))
        if patient.mandatory:
            model += days == 1
        else:
            model += days <= 1
            cost.append(instance.weights.unscheduled_optional)
        terms += [
            (
                instance.weights.patient_delay * (day - patient.release)
                + care * _fewest_nurses(instance)
                - (0 if patient.mandatory else instance.weights.unscheduled_optional)
            )
            * admitted[at, day]
            for day in range(patient.release, patient.last + 1)
        ]
    for day in range(instance.days):
        terms.append(instance.weights.open_operating_theater * _theatres(model, instance, admitted, day, whole))
        lying = [
            admitted[at, start]
            for at, patient in enumerate(instance.patients)
            for start in range(max(patient.release, day - patient.stay + 1), min(patient.last, day) + 1)
        ]
        taken = sum(occupant.stay > day for occupant in instance.occupants)
        model += pulp.lpSum(lying) <= sum(instance.capacity) - taken
    model += pulp.lpSum(terms)
    try:
        bound = _solved(model, seconds, whole)
    except _Impossible:
        raise NoSolver("there is no plan that admits all mandatory patients") from None
    return max(0, math.ceil(bound + sum(cost) - 1e-6))


def _fewest_nurses(instance: Instance) -> int:
    """Return how many nurses a person meets at least: one a shift type where nobody works two shifts of a day."""
    a_day = len(instance.shift_types)
    for nurse in instance.nurses:
        days = [shift // a_day for shift in nurse.shifts]
        if len(set(days)) < len(days):
            return 1
    return a_day


def _theatres(
    model: pulp.LpProblem,
    instance: Instance,
    admitted: dict[tuple[int, int], pulp.LpVariable],
    day: int,
    whole: bool,
) -> pulp.LpVariable:
    """Add the surgeons' and the theatres' minutes of a day; returns the number of theatres open."""
    today = [(at, patient) for at, patient in enumerate(instance.patients) if (at, day) in admitted]
    for surgeon in range(len(instance.surgeons)):
        mine = pulp.lpSum(patient.duration * admitted[at, day] for at, patient in today if patient.surgeon == surgeon)
        model += mine <= instance.surgeon_minutes[surgeon][day]
    number = model.add_variable(f"o_{day}", 0, len(instance.theatres), pulp.LpInteger if whole else pulp.LpContinuous)
    work = pulp.lpSum(patient.duration * admitted[at, day] for at, patient in today)
    # The minutes of the n longest theatres are a concave function of n: each of its pieces is a bound.
    longest = sorted((minutes[day] for minutes in instance.theatre_minutes), reverse=True)
    opened = 0
    for n, minutes in enumerate(longest):
        model += work <= opened + minutes * (number - n)
        opened += minutes
    return number


def admit_mandatory(instance: Instance, seconds: float) -> Plan | None:
    """Find a day, a room and a theatre for every mandatory patient, leaving out all others.

    Parameters
    ----------
    instance : Instance
    seconds : float
        For HiGHS.

    Returns
    -------
    Plan or None
        Without nurses; None when it is proven that they cannot all be admitted.

    Raises
    ------
    NoSolver
        When HiGHS is not there or finds nothing in its time.
    """
    model = pulp.LpProblem("mandatory", pulp.LpMinimize)
    patients = [(at, patient) for at, patient in enumerate(instance.patients) if patient.mandatory]
    beds: dict[tuple[int, int, int], pulp.LpVariable] = {}
    tables: dict[tuple[int, int, int], pulp.LpVariable] = {}
    for at, patient in patients:
        for day in range(patient.release, patient.last + 1):
            for room in _rooms(instance, patient):
                beds[at, day, room] = model.add_variable(f"b_{at}_{day}_{room}", cat=pulp.LpBinary)
            for theatre in range(len(instance.theatres)):
                tables[at, day, theatre] = model.add_variable(f"t_{at}_{day}_{theatre}", cat=pulp.LpBinary)
            model += pulp.lpSum(beds[at, day, room] for room in _rooms(instance, patient)) == pulp.lpSum(
                tables[at, day, theatre] for theatre in range(len(instance.theatres))
            )
        model += pulp.lpSum(variable for key, variable in beds.items() if key[0] == at) == 1
    for day in range(instance.days):
        _minutes(model, instance, tables, day)
        for room in range(len(instance.rooms)):
            _lying(model, instance, beds, room, day)
    model += pulp.lpSum((key[1] - instance.patients[key[0]].release) * variable for key, variable in beds.items())
    try:
        _solved(model, seconds, True)
    except _Impossible:
        return None
    admissions: list[Admission | None] = [None] * len(instance.patients)
    for (at, day, room), variable in beds.items():
        if variable.varValue is not None and variable.varValue > 0.5:
            theatre = next(
                theatre for theatre in range(len(instance.theatres)) if tables[at, day, theatre].varValue > 0.5
            )
            admissions[at] = Admission(day, room, theatre)
    if any(admissions[at] is None for at, _ in patients):
        raise NoSolver("HiGHS found no places for the mandatory patients in its time")
    return Plan(tuple(admissions), {})


def _rooms(instance: Instance, patient: Patient) -> Iterable[int]:
    return (room for room in range(len(instance.rooms)) if room not in patient.excluded)


def _minutes(
    model: pulp.LpProblem, instance: Instance, tables: dict[tuple[int, int, int], pulp.LpVariable], day: int
) -> None:
    today = [(key, variable) for key, variable in tables.items() if key[1] == day]
    for surgeon, minutes in enumerate(instance.surgeon_minutes):
        model += (
            pulp.lpSum(
                instance.patients[at].duration * variable
                for (at, _, _), variable in today
                if instance.patients[at].surgeon == surgeon
            )
            <= minutes[day]
        )
    for theatre, minutes in enumerate(instance.theatre_minutes):
        model += (
            pulp.lpSum(
                instance.patients[at].duration * variable for (at, _, where), variable in today if where == theatre
            )
            <= minutes[day]
        )


def _lying(
    model: pulp.LpProblem, instance: Instance, beds: dict[tuple[int, int, int], pulp.LpVariable], room: int, day: int
) -> None:
    """Add a room's beds on a day, which are all for the one gender or all for the other."""
    there = [occupant.gender for occupant in instance.occupants if occupant.room == room and occupant.stay > day]
    capacity = instance.capacity[room] - len(there)
    women = float(there[0] == "A") if there else model.add_variable(f"g_{room}_{day}", cat=pulp.LpBinary)
    for gender, share in (("A", women), ("B", 1 - women)):
        lying = [
            variable
            for (at, start, where), variable in beds.items()
            if where == room
            and instance.patients[at].gender == gender
            and start <= day < start + instance.patients[at].stay
        ]
        model += pulp.lpSum(lying) <= capacity * share


def _say_nothing() -> None:
    """Make the first HiGHS of the process where its banner goes nowhere: no option keeps it from coming."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        with contextlib.suppress(ImportError):
            importlib.import_module("highspy").Highs()
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


class _Impossible(Exception):
    """There is no solution."""


def _solved(model: pulp.LpProblem, seconds: float, whole: bool) -> float:
    """Solve a model in place; returns the bound that HiGHS has proven."""
    _say_nothing()
    solver = pulp.HiGHS(msg=False, timeLimit=seconds, threads=1)
    if not solver.available():
        raise NoSolver("HiGHS is not installed: pip install highspy")
    model.solve(solver)
    if model.status == pulp.LpStatusInfeasible:
        raise _Impossible
    info = model.solverModel.getInfo()
    bound = info.mip_dual_bound if whole else info.objective_function_value
    if not math.isfinite(bound) or (not whole and model.status != pulp.LpStatusOptimal):
        raise NoSolver(f"HiGHS proved no bound in {seconds:g} s")
    return float(bound)
