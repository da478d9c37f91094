"""Which settings a model gets: chosen by cross-validation within the rows it is fitted to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from functions.survival.data import FloatArray, SurvivalTable
from functions.survival.evaluate.candidates import Candidate, Settings
from functions.survival.evaluate.ipcw import Known, brier, integrated
from functions.survival.evaluate.stacking import stack_weights

__all__ = ["Fold", "Plan", "Rows", "choose_all", "choose_settings", "folds_of", "status_of"]

Rows = NDArray[np.intp]
Fold = tuple[Rows, Rows]

# Times at which settings are judged: more change nothing but the work.
JUDGED_TIMES = 64


@dataclass(frozen=True)
class Plan:
    """How the data are resampled; with the data it fixes every number.

    Parameters
    ----------
    folds, repeats : int
        Outer cross-validation: ``repeats`` times ``folds`` folds, stratified by what happened.
    inner_folds : int
        Folds within each training set, by which settings are chosen.
    replicates : int
        Bootstrap resamples of patients for an interval.
    seed : int
        Seed of all of it.
    test_share : float
        Share of patients in the held-out test set, stratified by what happened; 0 for none.
    """

    folds: int = 5
    repeats: int = 5
    inner_folds: int = 5
    replicates: int = 500
    seed: int = 20080000
    test_share: float = 0.2

    @classmethod
    def for_size(cls, patients: int) -> Plan:
        """Return a plan that a laptop finishes over a cup of tea: the more patients, the fewer repeats are needed.

        Parameters
        ----------
        patients : int
            Rows of the data.
        """
        if patients <= 800:
            return cls()
        if patients <= 2000:
            return cls(repeats=3, replicates=300)
        return cls(repeats=1, inner_folds=3, replicates=200)


def choose_settings(candidate: Candidate, table: SurvivalTable, times: FloatArray, plan: Plan) -> Settings:
    """Return the settings with the lowest cross-validated integrated Brier score; the first on a tie.

    For a stack: each member's, and the weights with which the average of their held-out curves has the lowest.

    Parameters
    ----------
    candidate : Candidate
        The model and its grid.
    table : SurvivalTable
        Training rows only.
    times : ndarray of float64, shape (T,)
        Days over which the score is integrated.
    plan : Plan
        Its ``inner_folds`` and ``seed``.
    """
    return choose_all([*candidate.members, candidate], table, times, plan)[candidate.name]


def choose_all(
    candidates: Sequence[Candidate], table: SurvivalTable, times: FloatArray, plan: Plan
) -> dict[str, Settings]:
    """Return the settings of each candidate, members before their stack.

    The inner folds' predictions of members are used again to weigh them.

    Parameters
    ----------
    candidates : sequence of Candidate
    table : SurvivalTable
        Training rows only.
    times : ndarray of float64, shape (T,)
        Days.
    plan : Plan
        Its ``inner_folds`` and ``seed``.
    """
    judged = _judged(times, table)
    needed = {member.name for candidate in candidates for member in candidate.members}
    folds = list(folds_of(table, plan.inner_folds, plan.seed))
    chosen: dict[str, Settings] = {}
    curves: dict[str, FloatArray] = {}
    for candidate in candidates:
        if candidate.members:
            of_members = np.array([curves[member.name] for member in candidate.members])
            weights = stack_weights(table, of_members, judged)
            chosen[candidate.name] = {
                f"{member.name}.{key}": float(value)
                for member, weight in zip(candidate.members, weights, strict=True)
                for key, value in {"weight": weight, **chosen[member.name]}.items()
            }
        elif len(candidate.grid) == 1 and candidate.name not in needed:
            chosen[candidate.name] = candidate.grid[0]
        else:
            tried = [_inner(candidate, settings, table, judged, folds) for settings in candidate.grid]
            best = int(np.argmin([_loss(table, curve, judged) for curve in tried]))
            chosen[candidate.name], curves[candidate.name] = candidate.grid[best], tried[best]
    return chosen


def _inner(
    candidate: Candidate, settings: Settings, table: SurvivalTable, judged: FloatArray, folds: Sequence[Fold]
) -> FloatArray:
    predicted = np.empty((len(table), len(judged)))
    for train, test in folds:
        predicted[test] = candidate.fit(table.take(train), settings).survival(table.x[test], judged)
    return predicted


def _judged(times: FloatArray, table: SurvivalTable) -> FloatArray:
    stride = max(1, len(times) // JUDGED_TIMES)
    coarse = times[stride - 1 :: stride]
    return np.asarray(coarse[coarse < table.time.max()], dtype=np.float64)


def _loss(table: SurvivalTable, survival: FloatArray, times: FloatArray) -> float:
    known = Known(table.event, table.competing, table.time)
    return integrated(brier(known, 1.0 - survival, times), times)


def status_of(table: SurvivalTable) -> NDArray[np.int64]:
    """Return what happened: 0 nothing yet, 1 the outcome, 2 the competing event; shape (n,)."""
    return np.asarray(table.event + 2 * table.competing, dtype=np.int64)


def folds_of(table: SurvivalTable, folds: int, seed: int) -> Iterator[Fold]:
    """Yield the row numbers to fit to and those held out, stratified by what happened."""
    from sklearn.model_selection import StratifiedKFold

    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    status = status_of(table)
    yield from splitter.split(status, status)
