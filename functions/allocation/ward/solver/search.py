"""One problem in HiGHS: tightened, searched near its relaxation, then searched to the end."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pulp

from functions.allocation.ward.solver.objects import INTEGRAL, Limits, Link, Solved, SolverFailed

__all__ = ["Search"]

Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]
ROUNDS = 14
VIOLATED = 0.05
# The first search may take this long, and need not prove much.
FIRST_SECONDS, FIRST_GAP = 2.0, 0.01
# Share of the columns that must be out for the links to be worth their rows.
WORTH = 0.25


@contextmanager
def _silent() -> Iterator[None]:
    """The first instance of a process writes its name to standard output, where a command's JSON belongs."""
    if _greeted():
        yield
        return
    sys.stdout.flush()
    kept, nothing = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nothing)
        _GREETED.append(True)


_GREETED: list[bool] = []


def _greeted() -> bool:
    return bool(_GREETED)


@dataclass(frozen=True)
class _Near:
    """Columns whose reduced cost is small enough; the others stay at the bound where the relaxation has them.

    Parameters
    ----------
    reduced : ndarray of shape (columns,)
    most : float
    """

    reduced: Float64
    most: float

    @property
    def out(self) -> int:
        """How many columns are left out."""
        return int(np.count_nonzero(np.abs(self.reduced) > self.most + INTEGRAL))

    def apply(self, highs: Any, lower: Float64, upper: Float64) -> None:
        """Fix what is left out."""
        low = np.flatnonzero(self.reduced > self.most + INTEGRAL).astype(np.int32)
        high = np.flatnonzero(self.reduced < -self.most - INTEGRAL).astype(np.int32)
        highs.changeColsBounds(len(low), low, lower[low], lower[low])
        highs.changeColsBounds(len(high), high, upper[high], upper[high])


class Search:
    """One problem in HiGHS."""

    def __init__(self, highspy: Any, problem: pulp.LpProblem, limits: Limits) -> None:
        self._highspy = highspy
        self._limits = limits
        self._started = time.monotonic()
        self._variables = problem.variables()
        self._column = {id(variable): number for number, variable in enumerate(self._variables)}
        self._nodes = 0
        self._plain = self._translated(problem)
        self._costs: Float64 = np.asarray(self._plain.col_cost_)
        self._whole = bool(np.array_equal(self._costs, np.round(self._costs)))
        self._highs = self._fresh()
        self._highs.passModel(self._plain)

    def _fresh(self) -> Any:
        with _silent():
            highs = self._highspy.Highs()
        options = {"threads": self._limits.threads, "mip_rel_gap": self._limits.gap, "output_flag": False}
        for name, value in (*options.items(), ("random_seed", self._limits.seed % 2**31)):
            highs.setOptionValue(name, value)
        return highs

    def _translated(self, problem: pulp.LpProblem) -> Any:
        """The linear relaxation as arrays, row by row."""
        infinite, lp = self._highspy.kHighsInf, self._highspy.HighsLp()
        columns = self._column
        lp.num_col_ = len(self._variables)
        costs = np.zeros(len(self._variables))
        for variable, factor in problem.objective.items():
            costs[columns[id(variable)]] = factor
        lp.col_cost_ = costs
        lp.col_lower_ = np.array([item.lowBound for item in self._variables], dtype=np.float64)
        upper = [infinite if item.upBound is None else item.upBound for item in self._variables]
        lp.col_upper_ = np.array(upper, dtype=np.float64)
        starts, indices, values = [0], list[int](), list[float]()
        lower_rows, upper_rows = list[float](), list[float]()
        for row in problem.constraints():
            for variable, factor in row.items():
                indices.append(columns[id(variable)])
                values.append(factor)
            starts.append(len(indices))
            low, high = row.getLb(), row.getUb()
            lower_rows.append(-infinite if low is None else low)
            upper_rows.append(infinite if high is None else high)
        lp.num_row_ = len(lower_rows)
        lp.row_lower_, lp.row_upper_ = np.array(lower_rows, dtype=np.float64), np.array(upper_rows, dtype=np.float64)
        lp.a_matrix_.format_ = self._highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.array(starts, dtype=np.int32)
        lp.a_matrix_.index_ = np.array(indices, dtype=np.int32)
        lp.a_matrix_.value_ = np.array(values, dtype=np.float64)
        return lp

    def run(self, links: Sequence[Link], near: float | None, start: Mapping[str, float] | None) -> Solved:
        """Tighten, look near the relaxation, then search what is left."""
        begun = None
        if start is not None:
            begun = np.array([start.get(variable.name, 0.0) for variable in self._variables], dtype=np.float64)
        if near is None or not links:
            return self._solved(self._search(self._plain, begun), None, -math.inf)
        relaxed = self._tighten(links)
        if relaxed is None:
            return self._solved(self._search(self._plain, begun), None, -math.inf)
        floor, reduced = relaxed
        tight = self._highs.getLp()
        first = self._search(tight, None, _Near(reduced, near), seconds=FIRST_SECONDS, gap=FIRST_GAP)
        best = self._found(first)
        if best is None:
            return self._solved(self._search(self._plain, begun), None, floor)
        if self._whole and best[0] - floor < 1 - INTEGRAL:
            return self._solved(None, best, best[0])
        # no better solution has a column further away; a whole number is better by one at least
        within = _Near(reduced, max(0.0, best[0] - floor - (1.0 if self._whole else 0.0)))
        lp = tight if within.out >= WORTH * len(reduced) else self._plain
        return self._solved(self._search(lp, best[1], within), best, floor)

    def _search(
        self, lp: Any, begun: Float64 | None, near: _Near | None = None, *, seconds: float = math.inf, gap: float = 0.0
    ) -> Any:
        """Run one search, in an instance of its own: the clock of one counts all its runs."""
        highs, count = self._fresh(), len(self._variables)
        highs.passModel(lp)
        everything = np.arange(count, dtype=np.int32)
        highs.changeColsIntegrality(count, everything, np.ones(count, dtype=np.uint8))
        if near is not None:
            near.apply(highs, np.asarray(lp.col_lower_), np.asarray(lp.col_upper_))
        if begun is not None:
            highs.setSolution(count, everything, begun)
        if gap:
            highs.setOptionValue("mip_rel_gap", max(gap, self._limits.gap))
        left = max(0.05, self._limits.seconds - (time.monotonic() - self._started))
        highs.setOptionValue("time_limit", min(left, seconds))
        highs.run()
        self._nodes += max(0, int(highs.getInfo().mip_node_count))
        return highs

    def _found(self, highs: Any) -> tuple[float, Float64] | None:
        """Objective and columns of what a search holds."""
        if highs.getInfo().primal_solution_status != self._highspy.SolutionStatus.kSolutionStatusFeasible:
            return None
        columns: Float64 = np.round(np.asarray(highs.getSolution().col_value))
        return float(self._costs @ columns), columns

    def _solved(self, highs: Any, best: tuple[float, Float64] | None, floor: float) -> Solved:
        """The better of a search and of what was known before it; with the bound that both prove."""
        seconds = time.monotonic() - self._started
        bound = floor
        if highs is not None:
            status, kinds = highs.getModelStatus(), self._highspy.HighsModelStatus
            found = self._found(highs)
            if found is None and best is None:
                told = highs.modelStatusToString(status).lower()
                raise SolverFailed(f"HiGHS found no solution: {told} after {seconds:.1f} s")
            known = float(highs.getInfo().mip_dual_bound)
            if status == kinds.kInfeasible and best is not None:
                known = best[0]
            bound = max(bound, known) if math.isfinite(known) else bound
            best = min((item for item in (found, best) if item is not None), key=lambda item: item[0])
        assert best is not None
        if self._whole and math.isfinite(bound):
            bound = math.ceil(bound - INTEGRAL)
        values = {variable.name: float(value) for variable, value in zip(self._variables, best[1], strict=True)}
        return Solved(values, best[0], min(bound, best[0]), seconds, self._nodes)

    def _tighten(self, links: Sequence[Link]) -> tuple[float, Float64] | None:
        """Add the links that the relaxation violates, until it violates none by much.

        Returns
        -------
        (float, ndarray of shape (columns,)) or None
            The relaxation's value, which bounds every solution, and its reduced costs; None where it has no optimum.
        """
        place = np.array([self._column[id(x)] for x, _ in links], dtype=np.int32)
        group = np.array([self._column[id(y)] for _, y in links], dtype=np.int32)
        there = np.zeros(len(links), dtype=bool)
        for _ in range(ROUNDS):
            self._highs.setOptionValue("time_limit", self._limits.seconds / 2)
            self._highs.run()
            if self._highs.getModelStatus() != self._highspy.HighsModelStatus.kOptimal:
                return None
            relaxed = self._highs.getSolution()
            value = float(self._highs.getInfo().objective_function_value)
            reduced: Float64 = np.asarray(relaxed.col_dual)
            columns = np.asarray(relaxed.col_value)
            wrong = np.flatnonzero((columns[place] - columns[group] > VIOLATED) & ~there)
            if not len(wrong):
                break
            there[wrong] = True
            self._add(place[wrong], group[wrong])
        return value, reduced

    def _add(self, place: Int32, group: Int32) -> None:
        count = len(place)
        indices = np.empty(2 * count, dtype=np.int32)
        indices[0::2], indices[1::2] = place, group
        values: Float64 = np.tile([1.0, -1.0], count)
        lower = np.full(count, -self._highspy.kHighsInf)
        starts = np.arange(0, 2 * count, 2, dtype=np.int32)
        self._highs.addRows(count, lower, np.zeros(count), 2 * count, starts, indices, values)
