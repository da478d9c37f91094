"""Predictions for patients that the model did not see: repeated, nested, stratified cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from functions.survival.data import BoolArray, FloatArray, SurvivalTable
from functions.survival.evaluate.candidates import Candidate, Settings

__all__ = ["HeldOut", "Plan", "choose_settings", "held_out"]


@dataclass(frozen=True)
class Plan:
    """How the data are resampled; with the data it fixes every number.

    Parameters
    ----------
    folds, repeats : int
        Outer cross-validation: ``repeats`` times ``folds`` folds, stratified by event.
    inner_folds : int
        Folds within each training set, by which settings are chosen.
    replicates : int
        Bootstrap resamples of patients for an interval.
    seed : int
        Seed of all of it.
    """

    folds: int = 5
    repeats: int = 5
    inner_folds: int = 5
    replicates: int = 500
    seed: int = 20080000


@dataclass(frozen=True)
class HeldOut:
    """Out-of-fold survival curves: for each repeat, a curve for each patient from a model that saw only others.

    Parameters
    ----------
    event : ndarray of bool, shape (n,)
    time : ndarray of float64, shape (n,)
        Days.
    times : ndarray of float64, shape (T,)
        Days at which the curves are given.
    survival : ndarray of float64, shape (repeats, n, T)
    settings : tuple of mapping, length repeats * folds
        What was chosen within each training set.
    """

    event: BoolArray
    time: FloatArray
    times: FloatArray
    survival: FloatArray
    settings: tuple[Settings, ...]


def held_out(
    candidate: Candidate,
    table: SurvivalTable,
    times: FloatArray,
    plan: Plan,
    progress: Callable[[str], None] = lambda _line: None,
) -> HeldOut:
    """Predict every patient ``plan.repeats`` times by models fitted without that patient.

    Imputation, scaling and the choice of settings happen inside each training set (nested cross-validation:
    Varma and Simon, BMC Bioinformatics 7:91, 2006).

    Parameters
    ----------
    candidate : Candidate
        The model.
    table : SurvivalTable
        All rows.
    times : ndarray of float64, shape (T,)
        Days at which to predict.
    plan : Plan
        The resampling.
    progress : callable
        Called with a line after each repeat.
    """
    survival = np.empty((plan.repeats, len(table), len(times)))
    chosen: list[Settings] = []
    for repeat in range(plan.repeats):
        for train, test in _folds(table.event, plan.folds, plan.seed + repeat):
            rows = table.take(train)
            settings = choose_settings(candidate, rows, times, plan)
            chosen.append(settings)
            survival[repeat, test] = candidate.fit(rows, settings)(table.x[test], times)
        progress(f"{candidate.title}: repeat {repeat + 1} of {plan.repeats} held out")
    return HeldOut(table.event, table.time, times, survival, tuple(chosen))


def choose_settings(candidate: Candidate, table: SurvivalTable, times: FloatArray, plan: Plan) -> Settings:
    """Return the settings with the lowest cross-validated integrated Brier score; the first on a tie.

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
    if len(candidate.grid) == 1:
        return candidate.grid[0]
    # Every fourth week is enough to choose by, and a third of the work.
    coarse = times[3::4]
    folds = list(_folds(table.event, plan.inner_folds, plan.seed))
    losses = []
    for settings in candidate.grid:
        predicted = np.empty((len(table), len(coarse)))
        for train, test in folds:
            predicted[test] = candidate.fit(table.take(train), settings)(table.x[test], coarse)
        losses.append(_integrated_brier(table, predicted, coarse))
    return candidate.grid[int(np.argmin(losses))]


def _integrated_brier(table: SurvivalTable, survival: FloatArray, times: FloatArray) -> float:
    from sksurv.metrics import integrated_brier_score
    from sksurv.util import Surv

    known = Surv.from_arrays(table.event, table.time)
    return float(integrated_brier_score(known, known, survival, times))


def _folds(event: BoolArray, folds: int, seed: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    from sklearn.model_selection import StratifiedKFold

    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    yield from splitter.split(event, event)
