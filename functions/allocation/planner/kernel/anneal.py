"""The search itself: many moves of all kinds at one temperature."""

from __future__ import annotations

import math

from functions.allocation.planner.kernel.admit import change_room, change_theatre, drop, relocate, swap_rooms
from functions.allocation.planner.kernel.assign import (
    NO,
    care_for,
    change_block,
    change_nurse,
    swap_block,
    swap_nurses,
)
from functions.allocation.planner.kernel.compiled import compiled
from functions.allocation.planner.kernel.exchange import eject, swap_cases
from functions.allocation.planner.kernel.layout import (
    AT_WARD,
    DAY,
    NURSE,
    PERSONS,
    ROOM,
    ROOMS,
    SHIFTS,
    THEATRE,
    Row,
    below,
    who_at,
)

__all__ = ["MOVES", "search"]

# In the order of `_move`.
MOVES = (
    "change_nurse",
    "swap_nurses",
    "change_block",
    "care_for",
    "swap_block",
    "relocate",
    "change_room",
    "change_theatre",
    "swap_rooms",
    "swap_cases",
    "eject",
    "drop",
)


@compiled
def _move(m: Row, dice: Row, kind: int, limit: float) -> int:  # noqa: PLR0911 (a table of functions is not compiled)
    if kind == 0:
        return change_nurse(m, dice, limit)
    if kind == 1:
        return swap_nurses(m, dice, limit)
    if kind == 2:
        return change_block(m, dice, limit)
    if kind == 3:
        return care_for(m, dice, limit)
    if kind == 4:
        return swap_block(m, dice, limit)
    if kind == 5:
        return relocate(m, dice, limit)
    if kind == 6:
        return change_room(m, dice, limit)
    if kind == 7:
        return change_theatre(m, dice, limit)
    if kind == 8:
        return swap_rooms(m, dice, limit)
    if kind == 9:
        return swap_cases(m, dice, limit)
    if kind == 10:
        return eject(m, dice, limit)
    return drop(m, dice, limit)


@compiled
def _keep(m: Row, best: Row) -> None:
    """Copy what a plan is made of."""
    at = 0
    for p in range(m[PERSONS]):
        row = who_at(m, p)
        best[at], best[at + 1], best[at + 2] = m[row + DAY], m[row + ROOM], m[row + THEATRE]
        at += 3
    ward = m[AT_WARD] + NURSE
    for i in range(m[ROOMS] * m[SHIFTS]):
        best[at + i] = m[ward + 2 * i]


@compiled
def search(m: Row, dice: Row, temperature: float, moves: int, odds: Row, score: Row, best: Row, tally: Row) -> None:
    """Try moves by simulated annealing (Kirkpatrick, Gelatt and Vecchi 1983) at one temperature.

    Parameters
    ----------
    m, dice
        The state.
    temperature : float
        In units of cost.
    moves : int
        How many to try.
    odds : (kinds,)
        Cumulative odds of the kinds of move, of 65536.
    score : (2,)
        Cost now, and of the best plan; kept true.
    best : (persons * 3 + rooms * shifts,)
        The best plan, as :meth:`functions.allocation.planner.kernel.state.State.snapshot`; kept true.
    tally : (2 * kinds,)
        Moves tried, then moves kept, by kind; added to.
    """
    for _ in range(moves):
        draw = below(dice, 65536)
        kind = 0
        while odds[kind] <= draw:
            kind += 1
        # Accepting a change with probability exp(-change / temperature) is to compare it with this.
        limit = -temperature * math.log((below(dice, 1 << 30) + 1) / (1 << 30))
        cost = _move(m, dice, kind, limit)
        tally[2 * kind] += 1
        if cost != NO:
            tally[2 * kind + 1] += 1
            score[0] += cost
            if score[0] < score[1]:
                score[1] = score[0]
                _keep(m, best)
