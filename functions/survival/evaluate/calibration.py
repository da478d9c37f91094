"""Whether predicted risks mean what they say at one horizon, and how patients fare by predicted risk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from functions.survival.data import BoolArray, FloatArray
from functions.survival.evaluate import ipcw
from functions.survival.evaluate.intervals import Metric, Sample
from functions.survival.evaluate.metrics import mean_risk, observed_risk
from functions.survival.evaluate.nonparametric import incidence_at

__all__ = ["SUMMARY", "binomial_regression", "calibration_groups", "calibration_summary", "curves_by_risk"]

SUMMARY = ("observed_expected_ratio", "slope", "ici", "e50", "e90")
# Knots of the smooth; closer together than this they are one.
KNOTS, APART = (0.1, 0.5, 0.9), 1e-6
# Log cumulative hazards beyond these are probabilities of 0 and 1 to all digits.
ETA = (-30.0, 3.5)


def calibration_summary(days: float, risks: Sequence[float] = ()) -> Metric:
    """Return a metric of calibration at one horizon; shape (5 + len(risks),), in the order of :data:`SUMMARY`.

    Observed over expected risk; calibration slope (1 is ideal; below 1 the risks are too extreme); mean,
    median and 90th percentile of the distance between predicted and smoothed observed risk (ICI, E50, E90: Austin,
    Harrell and van Klaveren, Stat Med 39:2714-2742, 2020); then the smoothed observed risk at each of ``risks``.

    Slope and smooth come from a regression of whether the outcome happened by the horizon on the complementary
    log-log of the predicted risk, with that link and weights for censoring (Scheike, Zhang and Gerds, Biometrika
    95:205-220, 2008), which holds where events compete, too (van Geloven et al., BMJ 377:e069249, 2022).

    Parameters
    ----------
    days : float
        Horizon.
    risks : sequence of float
        Predicted risks within (0, 1).
    """
    return partial(_summary, days, tuple(risks))


def _summary(days: float, risks: Sequence[float], sample: Sample) -> FloatArray:
    risk = sample.risk(days)
    found = np.full(len(SUMMARY) + len(risks), np.nan)
    found[0] = observed_risk(sample, days) / risk.mean() if risk.mean() > 0 else np.nan
    try:
        found[1] = _slope(sample, days)
        observed = _smooth(sample, days)
    except (ValueError, ArithmeticError, np.linalg.LinAlgError):
        # Too few events by this horizon, or everyone has the same risk: nothing to regress on.
        return found
    distance = np.abs(observed(risk) - risk)
    found[2:5] = distance.mean(), np.median(distance), np.quantile(distance, 0.9)
    found[5:] = observed(np.asarray(risks, dtype=np.float64))
    return found


def calibration_groups(groups: int, days: float) -> Metric:
    """Return a metric: mean predicted risk of each group of equal size, then observed; shape (2 groups,).

    Parameters
    ----------
    groups : int
        Patients are ordered by predicted risk and cut into so many groups.
    days : float
        Horizon; observed risk is Kaplan-Meier's, or Aalen-Johansen's where events compete.
    """
    return partial(_groups, groups, days)


def _groups(groups: int, days: float, sample: Sample) -> FloatArray:
    parts = _by_risk(sample, sample.risk(days), groups)
    expected = [float(part.risk(days).mean()) for part in parts]
    return np.array(expected + [observed_risk(part, days) for part in parts])


def curves_by_risk(groups: int, times: FloatArray) -> Metric:
    """Return a metric: mean predicted survival of each risk group over time, then observed; shape (2 * groups * m,).

    Parameters
    ----------
    groups : int
        Groups of equal size by predicted risk, lowest first.
    times : ndarray of float64, shape (m,)
        Days, of the curve's.
    """
    return partial(_curves, groups, times)


def _curves(groups: int, times: FloatArray, sample: Sample) -> FloatArray:
    parts = _by_risk(sample, mean_risk(sample), groups)
    columns = np.searchsorted(sample.times, times)
    expected = [part.survival[:, columns].mean(axis=0) for part in parts]
    observed = [1.0 - incidence_at(part.event, part.competing, part.time, times) for part in parts]
    return np.concatenate(expected + observed)


def _by_risk(sample: Sample, risk: FloatArray, groups: int) -> list[Sample]:
    rank = np.argsort(np.argsort(risk, kind="stable"), kind="stable")
    group = rank * groups // len(rank)
    return [sample.where(group == number) for number in range(groups)]


def _slope(sample: Sample, days: float) -> float:
    coefficients, _intercept = _regress(sample, _log_log(sample.risk(days))[:, None], days)
    return float(coefficients[0])


def _smooth(sample: Sample, days: float) -> Callable[[FloatArray], FloatArray]:
    """Regress on a restricted cubic spline, three knots, of the risk's complementary log-log."""
    log_log = _log_log(sample.risk(days))
    knots = np.quantile(log_log, KNOTS)
    bends = bool(np.all(np.diff(knots) > APART))

    def basis(x: FloatArray) -> FloatArray:
        return _spline(x, knots) if bends else x[:, None]

    coefficients, intercept = _regress(sample, basis(log_log), days)

    def observed(risk: FloatArray) -> FloatArray:
        # a hazard beyond a double's range is a risk of 1
        with np.errstate(over="ignore"):
            hazard = np.exp(intercept + basis(_log_log(risk)) @ coefficients)
        return np.asarray(1.0 - np.exp(-hazard), dtype=np.float64)

    return observed


def _spline(x: FloatArray, knots: FloatArray) -> FloatArray:
    """Restricted cubic spline basis (Harrell, Regression Modeling Strategies, 2nd ed., sec. 2.4.5)."""
    low, middle, high = knots

    def cube(knot: float) -> FloatArray:
        return np.asarray(np.maximum(x - knot, 0.0) ** 3)

    outer = cube(middle) * (high - low) - cube(high) * (middle - low)
    bent = cube(low) - outer / (high - middle)
    return np.column_stack([x, bent / (high - low) ** 2])


def _regress(sample: Sample, x: FloatArray, days: float) -> tuple[FloatArray, float]:
    """Coefficients b and intercept a of the risk within ``days``, ``1 - exp(-exp(a + x b))``."""
    happened = sample.event & (sample.time <= days)
    weight = ipcw.weights(sample.known, np.array([days]))[:, 0]
    intercept, coefficients = binomial_regression(x, happened, weight)
    return coefficients, intercept


def binomial_regression(x: FloatArray, happened: BoolArray, weight: FloatArray) -> tuple[float, FloatArray]:
    """Fit ``P(happened) = 1 - exp(-exp(a + x b))`` to weighted observations by Fisher scoring.

    Parameters
    ----------
    x : ndarray of float64, shape (n, k)
    happened : ndarray of bool, shape (n,)
    weight : ndarray of float64, shape (n,)
        Not negative.

    Returns
    -------
    intercept : float
        a.
    coefficients : ndarray of float64, shape (k,)
        b.

    Raises
    ------
    ValueError
        Nothing happened, everything did, a column does not vary, or the likelihood has no maximum.
    """
    share = float(np.average(happened, weights=weight))
    centre, spread = x.mean(axis=0), x.std(axis=0)
    if not 0.0 < share < 1.0 or not np.all(spread > 0):
        raise ValueError("a regression needs both outcomes, and inputs that vary")
    design = np.column_stack([np.ones(len(x)), (x - centre) / spread])
    start = np.zeros(design.shape[1])
    start[0] = np.log(-np.log1p(-share))
    found = _maximum(design, happened, weight, start)
    coefficients = found[1:] / spread
    return float(found[0] - centre @ coefficients), coefficients


def _maximum(x: FloatArray, happened: BoolArray, weight: FloatArray, found: FloatArray) -> FloatArray:
    best = _likelihood(x @ found, happened, weight)
    for _ in range(100):
        step = _scoring_step(x @ found, x, happened, weight)
        # Halved until it is uphill: a full step can overshoot where few have the event.
        for _ in range(30):
            reached = _likelihood(x @ (found + step), happened, weight)
            if reached >= best:
                break
            step = step / 2.0
        found = found + step
        if np.abs(step).max() < 1e-8 or reached - best < 1e-10 * abs(best):
            return found
        best = reached
    raise ValueError("the regression does not converge")


def _likelihood(eta: FloatArray, happened: BoolArray, weight: FloatArray) -> float:
    hazard = np.exp(np.clip(eta, *ETA))
    return float(weight @ np.where(happened, np.log(-np.expm1(-hazard)), -hazard))


def _scoring_step(eta: FloatArray, x: FloatArray, happened: BoolArray, weight: FloatArray) -> FloatArray:
    eta = np.clip(eta, *ETA)
    mean, slope = -np.expm1(-np.exp(eta)), np.exp(eta - np.exp(eta))
    variance = np.maximum(mean * (1.0 - mean), 1e-300)
    score = x.T @ (weight * slope * (happened - mean) / variance)
    information = (x.T * (weight * slope**2 / variance)) @ x
    return np.asarray(np.linalg.solve(information, score), dtype=np.float64)


def _log_log(risk: FloatArray) -> FloatArray:
    bounded = np.clip(risk, 1e-6, 1.0 - 1e-6)
    return np.asarray(np.log(-np.log1p(-bounded)), dtype=np.float64)
