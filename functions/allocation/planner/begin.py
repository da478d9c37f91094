"""Before the search: compiling the kernel, and a first plan with every mandatory patient in it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from functions.allocation.planner.instance import WEIGHTS, Instance, Nurse, Occupant, Patient, Weights
from functions.allocation.planner.kernel.anneal import MOVES, search
from functions.allocation.planner.kernel.compiled import COMPILED
from functions.allocation.planner.kernel.state import State
from functions.allocation.planner.solution import Admission, Plan

__all__ = ["ODDS", "begin", "compile_kernel", "odds"]

# How often each kind of move is tried, relative to the others, in the order of MOVES.
ODDS = (10, 5, 3, 2, 1, 8, 10, 5, 15, 30, 10, 1)
# The same while mandatory patients wait: patients only, and above all into others' places.
SETTLING = (0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 5, 0)
SETTLING_HEAT = 150.0
# Rounds at most, moves in each, and by what the price of who still waits rises after it.
ROUNDS = 2000 if COMPILED else 40
ROUND = 5000
RISE = 400


def odds(parts: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Return cumulative odds of the kinds of move, of 65536."""
    return np.round(np.cumsum(parts) / sum(parts) * 65536).astype(np.int64)


def begin(instance: Instance, seed: int, start: Plan | None) -> State:
    """Return the state that a search begins with.

    Who is not in a given plan is admitted where it costs least, one after the other. Where that leaves mandatory
    patients out, patients push each other out of their places for a while, and whoever is still out becomes dearer
    after each round (weights that break out of a local minimum: P. Morris, AAAI 1993).

    Parameters
    ----------
    instance : Instance
    seed : int
    start : Plan, optional

    Returns
    -------
    State
        In rare cases still without some mandatory patients.
    """
    state = State(instance, seed, start)
    state.fill()
    score, tally = np.array([state.cost, state.cost], np.int64), np.zeros(2 * len(MOVES), np.int64)
    best, moves = state.snapshot(), odds(SETTLING)
    for _ in range(ROUNDS):
        if not state.waiting():
            break
        search(state.row, state.dice, SETTLING_HEAT, ROUND, moves, score, best, tally)
        score[0] += state.raise_prices(RISE)
    state.cost = int(score[0])
    return state


def compile_kernel() -> None:
    """Have the kernel compiled, or its machine code loaded: half a minute the first time, then a moment."""
    # A plan with somebody in it calls every function that is called from Python.
    patient = Patient("p", "A", 0, 1, (1,), (0,), True, 0, 0, 10, 0, frozenset())
    instance = Instance(
        name="smallest",
        days=1,
        shift_types=("day",),
        age_groups=("all",),
        weights=Weights(*(1 for _ in WEIGHTS)),
        rooms=("r",),
        capacity=(2,),
        theatres=("t",),
        theatre_minutes=((20,),),
        surgeons=("s",),
        surgeon_minutes=((20,),),
        occupants=(Occupant("o", "A", 0, 1, (1,), (0,), 0),),
        patients=(patient,),
        nurses=(Nurse("m", 0, {0: 5}), Nurse("n", 0, {0: 5})),
    )
    state = State(instance, 0, Plan((Admission(0, 0, 0),), {(0, 0): 1}))
    score, tally = np.array([state.cost, state.cost]), np.zeros(2 * len(MOVES), np.int64)
    State(instance, 0).fill()
    search(state.row, state.dice, 1.0, 1, odds(ODDS), score, state.snapshot(), tally)
