"""What is asked of a solver, and what it answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["INTEGRAL", "Limits", "Link", "Solved", "SolverFailed", "relative_gap"]

# A place (x) and the group its room must be of (y): x <= y.
Link = tuple[Any, Any]
INTEGRAL = 1e-6


class SolverFailed(Exception):
    """The solver gave no solution: it is not there, ran out of time before the first, or found that there is none."""


@dataclass(frozen=True)
class Limits:
    """How long and how well to search.

    Parameters
    ----------
    seconds : float
        For one search.
    gap : float
        Relative distance of solution and bound that is good enough.
    threads : int
    seed : int
        Of the solver.
    """

    seconds: float = 20.0
    gap: float = 1e-4
    threads: int = 1
    seed: int = 0


@dataclass(frozen=True)
class Solved:
    """A solution.

    Parameters
    ----------
    values : mapping of str to float
        By the name of the variable.
    objective, bound : float
        Of the solution, and what no solution can beat; equal when it is optimal.
    seconds : float
        That it took.
    nodes : int
        Of the search tree.
    """

    values: Mapping[str, float]
    objective: float
    bound: float
    seconds: float
    nodes: int = 0

    @property
    def gap(self) -> float:
        """Relative distance of solution and bound: 0 when optimal, infinite when no bound is known."""
        return relative_gap(self.objective, self.bound)


def relative_gap(objective: float, bound: float) -> float:
    """Return the distance of a solution from its bound, in parts of the solution."""
    if objective - bound <= INTEGRAL:
        return 0.0
    return (objective - bound) / abs(objective) if objective else math.inf
