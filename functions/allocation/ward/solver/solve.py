"""One way to a solution: HiGHS, or whatever solver PuLP finds."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping, Sequence

import pulp

from functions.allocation.ward.solver.objects import Limits, Link, Solved, SolverFailed
from functions.allocation.ward.solver.search import Search

__all__ = ["solve"]


def solve(
    problem: pulp.LpProblem,
    limits: Limits,
    *,
    links: Sequence[Link] = (),
    near: float | None = None,
    start: Mapping[str, float] | None = None,
) -> Solved:
    """Minimise a problem whose variables are all whole numbers.

    Parameters
    ----------
    links : sequence of (variable, variable)
        ``x <= y`` that hold in every solution by other constraints already; they only raise the bound.
    near : float, optional
        Reduced cost up to which a column is in the first search; None: there is one search only.
    start : mapping of str to float, optional
        A solution to begin with.

    Raises
    ------
    SolverFailed
    """
    try:
        import highspy
    except ImportError:
        return _by_pulp(problem, limits)
    return Search(highspy, problem, limits).run(links, near, start)


def _by_pulp(problem: pulp.LpProblem, limits: Limits) -> Solved:
    """Whatever solver PuLP finds; it tells no bound."""
    names = pulp.listSolvers(onlyAvailable=True)
    if not names:
        raise SolverFailed("neither highspy nor any other solver is installed")
    with warnings.catch_warnings():
        # of its own way of calling CBC, which PuLP 4 will have no more
        warnings.simplefilter("ignore", DeprecationWarning)
        solver = pulp.getSolver(names[0], msg=False, timeLimit=limits.seconds, gapRel=limits.gap)
    started = time.monotonic()
    problem.solve(solver)
    if problem.sol_status not in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible):
        raise SolverFailed(f"{names[0]} found no solution")
    values = {variable.name: round(variable.varValue or 0.0) for variable in problem.variables()}
    objective = sum(cost * values[variable.name] for variable, cost in problem.objective.items())
    return Solved(values, objective, -math.inf, time.monotonic() - started)
