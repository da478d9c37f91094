"""Aims one after the other: no level is made worse for a better value on a later one.

Broken rules first, then who gets no bed by class of urgency, then what the places cost, then changes to standing
proposals. A first search has them all at once, each patient without a bed weighing more than all places together can
cost. Where nothing but the last class of urgency is left without beds, its optimum is the answer: every level before is
at zero, and no saving can pay for a bed. Only otherwise is each level searched by itself and then held.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pulp

from functions.allocation.ward.model import WardModel
from functions.allocation.ward.objects import Urgency
from functions.allocation.ward.plan import Breach, Level, Plan
from functions.allocation.ward.solver import Limits, Solved, SolverFailed, solve

__all__ = ["optimise", "weighted"]

Terms = list[tuple[Any, int]]
# In the first search: one patient of a class weighs more than one of the next, whatever their priorities. Many against
# one it does not decide; then each level is searched by itself.
CLASS = {Urgency.STAT: 27, Urgency.ASAP: 9, Urgency.URGENT: 3, Urgency.ROUTINE: 1}
BROKEN = 1000
# Changes to standing proposals that weigh as much as one unit of cost.
CHANGES = 64
# Gaps that are smaller than one unit of any cost a house may have; nothing but the optimum is so near.
EXACT = 1e-3
# Units of cost within which the first search of the solver looks: about half a move.
NEAR = 12


def optimise(model: WardModel, limits: Limits, start: Mapping[str, str | None] | None = None) -> Plan:
    """Search the best plan of a model.

    Parameters
    ----------
    start : mapping of str to str or None, optional
        Room by stay: a plan to begin with.

    Raises
    ------
    SolverFailed
    """
    started = time.monotonic()
    if not model.places:
        return _plan(model, {}, [Level("cost", 0, 0)], started)
    aims = [("broken rules", model.breaking)]
    aims += [(f"unplaced: {kind.name.lower()}", model.aim(kind)) for kind in Urgency]
    scale, last = _last(model)
    weighted(model)
    exact = replace(limits, gap=0.0) if limits.gap <= EXACT else limits
    found = solve(model.problem, exact, links=model.links, near=NEAR * scale, start=_values(model, start))
    aims = [(name, terms) for name, terms in aims if terms]
    levels: list[Level] = []
    if not any(_value(terms, found) for _, terms in aims[:-1]):
        whole = _at_once(model, aims, found, scale)
        levels, ending = whole[: len(aims)], whole[len(aims) :]
        if all(level.gap == 0 for level in levels):
            if ending[0].gap <= limits.gap:
                return _plan(model, found.values, whole, started)
            for (_, terms), level in zip(aims, levels, strict=True):
                _hold(model, terms, level.value)
            return _ended(model, found, levels, last, scale, limits, started)
    levels = []
    for name, terms in aims:
        level, found = _level(model, name, terms, found, limits, started)
        levels.append(level)
    return _ended(model, found, levels, last, scale, limits, started)


def _ended(
    model: WardModel, found: Solved, levels: list[Level], last: Terms, scale: int, limits: Limits, started: float
) -> Plan:
    """Search the costs, with the levels before held."""
    _aim(model, last)
    found = _better(model, found, limits, started, near=NEAR * scale)
    return _plan(model, found.values, [*levels, *_ending(model, found, scale)], started)


def _hold(model: WardModel, terms: Terms, value: float) -> None:
    model.problem.addConstraint(pulp.LpConstraint(pulp.LpAffineExpression(terms), -1, None, value))


def _at_once(model: WardModel, aims: list[tuple[str, Terms]], found: Solved, scale: int) -> list[Level]:
    """The levels of the first search, when all but the last of urgency are at zero."""
    levels = [Level(name, 0, 0) for name, _ in aims[:-1]]
    constant = 0.0
    if aims:
        name, terms = aims[-1]
        value = _value(terms, found)
        # with no newcomer there is only the level of broken rules
        factor = CLASS[max(kind for kind in Urgency if model.aim(kind))] if model.left else BROKEN
        weight = _outweighing(model) * scale * factor
        constant = value * weight
        # the rest is less than one weight, so the bound of the sum has that of the level in it
        proven = max(0, math.ceil((found.bound - weight + 1) / weight)) if math.isfinite(found.bound) else 0
        levels.append(Level(name, value, min(value, float(proven))))
    rest = replace(found, objective=found.objective - constant, bound=max(0.0, found.bound - constant))
    return [*levels, *_ending(model, rest, scale)]


def _outweighing(model: WardModel) -> int:
    """More than all places together can cost."""
    most: dict[str, int] = {}
    for (stay, _), price in model.costs.items():
        most[stay] = max(price, most.get(stay, 0))
    return sum(most.values()) + 1


def weighted(model: WardModel) -> None:
    """Aim at everything at once, with weights that put rules and beds before costs."""
    scale, last = _last(model)
    weight = _outweighing(model) * scale
    first = [(variable, BROKEN * weight) for variable, _ in model.breaking]
    first += [(variable, weight * CLASS[kind] * factor) for kind in Urgency for variable, factor in model.aim(kind)]
    _aim(model, first + last)


def _last(model: WardModel) -> tuple[int, Terms]:
    """Cost and changes in one: changes weigh less than one unit of cost, unless there are very many."""
    changes = model.changing
    scale = min(len({key[0] for key in model.places}) + 1, CHANGES) if changes else 1
    return scale, [*((variable, factor * scale) for variable, factor in model.spending), *changes]


def _aim(model: WardModel, terms: Terms) -> None:
    sums: dict[int, tuple[Any, int]] = {}
    for variable, factor in terms:
        sums[id(variable)] = (variable, factor + sums[id(variable)][1] if id(variable) in sums else factor)
    # through the attribute: setObjective would warn that there is one already
    model.problem.objective = pulp.LpAffineExpression(list(sums.values()))


def _value(terms: Terms, found: Solved) -> float:
    return sum(factor * found.values[variable.name] for variable, factor in terms)


def _level(
    model: WardModel, name: str, terms: Terms, found: Solved, limits: Limits, started: float
) -> tuple[Level, Solved]:
    """Bring one level down as far as it goes, and hold it there."""
    value = bound = _value(terms, found)
    if value:
        _aim(model, terms)
        better = _better(model, found, limits, started)
        value, bound, found = _value(terms, better), better.bound, better
    _hold(model, terms, value)
    return Level(name, value, max(0.0, min(bound, value))), found


def _better(model: WardModel, found: Solved, limits: Limits, started: float, near: float | None = None) -> Solved:
    """Search on from a solution; what was found stays when time runs out."""
    left = replace(limits, seconds=max(0.5, limits.seconds - (time.monotonic() - started)))
    try:
        return solve(model.problem, left, links=model.links if near else (), near=near, start=found.values)
    except SolverFailed:
        costs = {variable.name: factor for variable, factor in model.problem.objective.items()}
        value = sum(factor * found.values[name] for name, factor in costs.items())
        return replace(found, objective=value, bound=0.0)


def _ending(model: WardModel, found: Solved, scale: int) -> list[Level]:
    """Cost and changes apart again; the bound of their sum is one of the cost."""
    cost = _value(model.spending, found)
    # changes weigh less than a unit, so the sum's bound, rounded down to whole units, is one of the cost
    proven = found.bound >= found.objective
    known = math.floor(found.bound / scale) if math.isfinite(found.bound) else 0
    bound = cost if proven else min(max(0.0, known), cost)
    levels = [Level("cost", cost, bound)]
    if scale > 1:
        changes = _value(model.changing, found)
        levels.append(Level("changes", changes, max(0.0, min(changes, found.bound - cost * scale))))
    return levels


def _values(model: WardModel, start: Mapping[str, str | None] | None) -> dict[str, float] | None:
    """A plan as values of places; what follows from them, the solver works out."""
    if start is None:
        return None
    values: dict[str, float] = {}
    for stay, room in start.items():
        variable = model.left.get(stay) if room is None else model.places.get((stay, room))
        if variable is None and stay not in model.hopeless:
            return None
        if variable is not None:
            values[variable.name] = 1.0
    return values


def _plan(model: WardModel, values: Mapping[str, float], levels: list[Level], started: float) -> Plan:
    rooms: dict[str, str | None] = {stay.id: None for stay in model.house.stays}
    rooms.update({stay: room for (stay, room), variable in model.places.items() if values[variable.name] > 0.5})
    breaches: list[Breach] = [
        replace(slack.breach, amount=round(values[slack.variable.name]))
        for slack in model.slacks
        if values[slack.variable.name] > 0.5
    ]
    return Plan(
        model.house,
        rooms,
        tuple(levels),
        tuple(breaches),
        seed=model.seed,
        seconds=time.monotonic() - started,
        hopeless=dict(model.hopeless),
    )
