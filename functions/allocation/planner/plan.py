"""One plan from beginning to end: a bound, the search, and, where it leaves out mandatory patients, the exact model."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

from functions.allocation.planner.errors import Unplannable
from functions.allocation.planner.instance import Instance
from functions.allocation.planner.solution import Plan
from functions.allocation.planner.solve import Outcome, Progress, solve

__all__ = ["Made", "make_plan"]

# Of the time, for the bound; and seconds at most.
BOUND_SHARE, BOUND_MOST = 0.1, 20.0
# Seconds at least, for the exact model, which only runs where there is no plan yet.
EXACT_LEAST = 30.0


@dataclass(frozen=True)
class Made:
    """A plan, and how far from the best possible it may be.

    Attributes
    ----------
    outcome : Outcome
    bound : int or None
        A cost that no plan can beat; None where none was found.
    """

    outcome: Outcome
    bound: int | None

    @property
    def gap(self) -> float | None:
        """By which part of the bound the cost is above it; the best possible cost may be nearer."""
        return gap(self.outcome.evaluation.total_cost, self.bound)


def gap(cost: int, bound: int | None) -> float | None:
    """Return by which part of a bound a cost is above it."""
    return None if bound is None else (cost - bound) / max(1, bound)


def make_plan(
    instance: Instance,
    *,
    seconds: float = 60.0,
    moves: int | None = None,
    threads: int = 2,
    seed: int = 0,
    start: Plan | None = None,
    progress: Callable[[float, int, float | None, int], None] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Made:
    """Plan an instance.

    Parameters
    ----------
    instance : Instance
    seconds, moves, threads, seed, start
        As for :func:`functions.allocation.planner.solve.solve`; a tenth of the seconds at most goes to the bound.
    progress : callable, optional
        Given the seconds, the cost, the gap to the bound if there is one, and the moves, about once a second.
    say : callable
        Given a line about what is out of the ordinary.

    Returns
    -------
    Made

    Raises
    ------
    Unplannable
        When no nurse works in a shift, or it is proven that the mandatory patients cannot all be admitted.
    """
    bound = _bound(instance, min(BOUND_MOST, BOUND_SHARE * seconds), say) if moves is None else None

    def watch(seen: Progress) -> None:
        if progress is not None:
            progress(seen.seconds, seen.cost, gap(seen.cost, bound), seen.moves)

    outcome = solve(instance, seconds=seconds, moves=moves, threads=threads, seed=seed, start=start, progress=watch)
    left = outcome.evaluation.violations["MandatoryUnscheduledPatients"]
    if left:
        say(f"{left} mandatory patients found no place; an exact model looks for them")
        rescued = _rescue(instance, max(EXACT_LEAST, seconds), say)
        if rescued is not None:
            outcome = solve(
                instance, seconds=seconds, moves=moves, threads=threads, seed=seed, start=rescued, progress=watch
            )
    return Made(outcome, bound)


def _bound(instance: Instance, seconds: float, say: Callable[[str], None]) -> int | None:
    if importlib.util.find_spec("pulp") is None or importlib.util.find_spec("highspy") is None:
        say("PuLP and HiGHS are not installed (pip install 'pulp<4' highspy): no bound, and no exact model")
        return None
    from functions.allocation.planner.milp import NoSolver, lower_bound

    try:
        return lower_bound(instance, seconds, whole=False)
    except NoSolver:
        return None


def _rescue(instance: Instance, seconds: float, say: Callable[[str], None]) -> Plan | None:
    """Return a plan with all mandatory patients, None where none was found."""
    if importlib.util.find_spec("pulp") is None or importlib.util.find_spec("highspy") is None:
        return None
    from functions.allocation.planner.milp import NoSolver, admit_mandatory

    try:
        found = admit_mandatory(instance, seconds)
    except NoSolver as none:
        say(str(none))
        return None
    if found is None:
        raise Unplannable(
            f"instance {instance.name}: it is proven that the mandatory patients cannot all be admitted in their time "
            "under the rules of rooms, surgeons and theatres"
        )
    return found
