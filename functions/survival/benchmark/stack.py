"""The stacked learner: every member at every setting, weighted and recalibrated by held-out curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from functions.survival.benchmark.members import Member, Settings
from functions.survival.data import BoolArray, FloatArray, SurvivalTable
from functions.survival.evaluate.ipcw import Known, weights
from functions.survival.models import Fitted, StackedAverage

__all__ = [
    "HeldOutCurves",
    "Recalibrated",
    "Trial",
    "at_own_time",
    "best",
    "calibrate",
    "fit_trial",
    "held_out_curves",
    "instants",
    "stack",
    "stratified",
]

# Hazards below this are the same to a recalibration: before the first event a curve says nothing else.
_LEAST = 1e-3
# Weights below this share are noise of the held-out curves, and their members cost time.
_NEGLIGIBLE = 0.01


@dataclass(frozen=True)
class Trial:
    """A member with one of its settings."""

    member: Member
    settings: Settings


@dataclass(frozen=True)
class HeldOutCurves:
    """What trials predict for training rows that they did not see.

    Parameters
    ----------
    rows : SurvivalTable
        The training rows, once for each round of inner cross-validation; m rows.
    times : ndarray of float64, shape (T,)
        Days.
    curves : ndarray of float64, shape (k, m, T)
        S(t), by trial.
    own : ndarray of float64, shape (k, m)
        S at each row's own time.
    """

    rows: SurvivalTable
    times: FloatArray
    curves: FloatArray
    own: FloatArray


@dataclass(frozen=True)
class Recalibrated:
    """A model whose cumulative hazards are raised to a power and scaled: ``-ln S' = scale * (-ln S) ** power``.

    The order of patients at any one time stays.

    Parameters
    ----------
    inner : Fitted
    scale, power : float
        Positive.
    """

    inner: Fitted
    scale: float
    power: float

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the declared inputs, in order."""
        return self.inner.names

    def survival(self, x: FloatArray, times: FloatArray) -> FloatArray:
        """Return S(t) for each patient and time; shape (n, len(times)).

        Parameters
        ----------
        x : ndarray of float64, shape (n, p)
            NaN means missing.
        times : ndarray of float64, shape (m,)
            Days, rising.
        """
        hazard = -np.log(np.clip(self.inner.survival(x, times), 1e-12, 1.0))
        return np.asarray(np.exp(-self.scale * hazard**self.power), dtype=np.float64)


def instants(table: SurvivalTable, count: int = 60) -> FloatArray:
    """Return quantiles of the event times, from the 2nd to the 98th percentile; shape (T,), days.

    Parameters
    ----------
    table : SurvivalTable
        Training rows.
    count : int
        At most so many.
    """
    return np.unique(np.quantile(table.time[table.event], np.linspace(0.02, 0.98, count)))


def fit_trial(trial: Trial, table: SurvivalTable, seed: int) -> Fitted:
    """Fit a member with its settings.

    Parameters
    ----------
    trial : Trial
    table : SurvivalTable
        Training rows.
    seed : int
    """
    return trial.member.fit(table, trial.settings, seed)


def held_out_curves(
    trials: Sequence[Trial], table: SurvivalTable, *, folds: int, rounds: int, seed: int
) -> HeldOutCurves:
    """Predict each training row by models that were fitted without it.

    Parameters
    ----------
    trials : sequence of Trial, length k
    table : SurvivalTable
        Training rows, n.
    folds, rounds : int
        ``rounds`` times stratified cross-validation in ``folds`` folds; m = rounds * n.
    seed : int
    """
    times, size = instants(table), len(table)
    curves = np.empty((len(trials), rounds * size, len(times)))
    own = np.empty((len(trials), rounds * size))
    for turn in range(rounds):
        for train, test in stratified(table.event, folds, seed + turn):
            rows, others = table.take(train), table.take(test)
            for at, trial in enumerate(trials):
                fitted = fit_trial(trial, rows, seed + turn)
                curves[at, turn * size + test] = fitted.survival(others.x, times)
                own[at, turn * size + test] = at_own_time(fitted, others)
    return HeldOutCurves(table.take(np.tile(np.arange(size), rounds)), times, curves, own)


def at_own_time(fitted: Fitted, table: SurvivalTable) -> FloatArray:
    """Return S of each row at that row's own time; shape (n,).

    Parameters
    ----------
    fitted : Fitted
    table : SurvivalTable
    """
    known, at = np.unique(table.time, return_inverse=True)
    return np.asarray(fitted.survival(table.x, known)[np.arange(len(table)), at], dtype=np.float64)


def best(held: HeldOutCurves, among: Sequence[int]) -> int:
    """Return which of some trials has the lowest integrated Brier score on held-out rows.

    Parameters
    ----------
    held : HeldOutCurves
    among : sequence of int
        Positions of trials.
    """
    quadratic, linear = _brier_form(held)
    losses = [quadratic[at, at] - 2.0 * linear[at] for at in among]
    return among[int(np.argmin(losses))]


def stack(trials: Sequence[Trial], held: HeldOutCurves, table: SurvivalTable, seed: int) -> tuple[Fitted, FloatArray]:
    """Fit the weighted average of the trials, recalibrated; returns it and the weights, shape (k,).

    The weights minimise the Brier score summed over times on held-out curves, weighted for censoring (Wey, Connett and
    Rudser, Biostatistics 16:537-549, 2015).

    Parameters
    ----------
    trials : sequence of Trial, length k
    held : HeldOutCurves
        Of these trials.
    table : SurvivalTable
        Training rows, to which the members with weight are fitted again.
    seed : int
    """
    weight = _simplex(*_brier_form(held))
    chosen = [int(at) for at in np.flatnonzero(weight)]
    average = StackedAverage(
        tuple(fit_trial(trials[at], table, seed) for at in chosen), tuple(float(weight[at]) for at in chosen)
    )
    scale, power = calibrate(weight @ held.own, held.rows.event)
    return Recalibrated(average, scale, power), weight


def calibrate(own: FloatArray, event: BoolArray) -> tuple[float, float]:
    """Return scale and power that make cumulative hazards at patients' own times fit a unit exponential.

    In a calibrated model ``-ln S(T)`` is exponential with mean 1, censored where T is (Cox and Snell, J R Stat Soc B
    30:248-275, 1968). A Weibull distribution is fitted to it by maximum likelihood; scale and power 1 change nothing.

    Parameters
    ----------
    own : ndarray of float64, shape (m,)
        S of held-out rows at their own times.
    event : ndarray of bool, shape (m,)
    """
    log_hazard = np.log(np.maximum(-np.log(np.clip(own, 1e-12, 1.0)), _LEAST))
    happened, mean = int(event.sum()), float(log_hazard[event].mean())

    def slope(power: float) -> float:
        raised = np.exp(power * log_hazard)
        return float(1.0 / power + mean - (raised @ log_hazard) / raised.sum())

    low, high = 0.2, 5.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    power = 0.5 * (low + high)
    return happened / float(np.exp(power * log_hazard).sum()), power


def _brier_form(held: HeldOutCurves) -> tuple[FloatArray, FloatArray]:
    """Return Q, shape (k, k), and c, shape (k,): weights w have the loss ``w Q w - 2 c w`` and a constant."""
    rows = held.rows
    weight = weights(Known(rows.event, rows.competing, rows.time), held.times)
    free = (rows.time[:, None] > held.times) | ~rows.event[:, None]
    flat = held.curves.reshape(len(held.curves), -1)
    weighted = flat * weight.reshape(1, -1)
    scale = float(weight.size)
    return weighted @ flat.T / scale, weighted @ free.reshape(-1).astype(np.float64) / scale


def _simplex(quadratic: FloatArray, linear: FloatArray) -> FloatArray:
    """Minimise over weights that are not negative and sum to 1; negligible ones become 0."""
    from scipy.optimize import nnls  # type: ignore[import-untyped]

    size = len(linear)
    values, vectors = np.linalg.eigh(quadratic)
    root = np.sqrt(np.maximum(values, 1e-12))
    # Least squares with the same minimum; a heavy last row holds the sum at 1.
    system = np.vstack([root[:, None] * vectors.T, np.full((1, size), 1e3)])
    found = nnls(system, np.append((vectors.T @ linear) / root, 1e3))[0]
    found = np.where(found < _NEGLIGIBLE * found.sum(), 0.0, found)
    return np.asarray(found / found.sum(), dtype=np.float64)


def stratified(event: BoolArray, folds: int, seed: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Return training and test rows of each fold, with the same share of events.

    Parameters
    ----------
    event : ndarray of bool, shape (n,)
    folds, seed : int
    """
    from sklearn.model_selection import StratifiedKFold

    return list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(event, event))
