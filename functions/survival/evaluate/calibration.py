"""Whether predicted risks mean what they say at one horizon, and how patients fare by predicted risk."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from functions.survival.data import FloatArray
from functions.survival.evaluate.intervals import Metric, Sample
from functions.survival.evaluate.metrics import mean_risk, observed_risk

__all__ = ["SUMMARY", "calibration_curve", "calibration_groups", "calibration_summary", "curves_by_risk"]

SUMMARY = ("observed_expected_ratio", "slope", "ici", "e50", "e90")


def calibration_summary(days: float) -> Metric:
    """Return a metric of calibration at one horizon; shape (5,), in the order of :data:`SUMMARY`.

    Observed over expected risk; calibration slope (1 is ideal; below 1 the risks are too extreme); mean,
    median and 90th percentile of the distance between predicted and smoothed observed risk (ICI, E50, E90: Austin,
    Harrell and van Klaveren, Stat Med 39:2714-2742, 2020).

    Parameters
    ----------
    days : float
        Horizon.
    """

    def metric(sample: Sample) -> FloatArray:
        risk = sample.risk(days)
        distance = np.abs(_smooth(sample, days)(risk) - risk)
        return np.array(
            [
                observed_risk(sample, days) / risk.mean(),
                _slope(sample, days),
                distance.mean(),
                np.median(distance),
                np.quantile(distance, 0.9),
            ]
        )

    return metric


def calibration_curve(risks: Sequence[float], days: float) -> Metric:
    """Return a metric: smoothed observed risk at each predicted risk; shape (len(risks),).

    Parameters
    ----------
    risks : sequence of float
        Predicted risks within (0, 1).
    days : float
        Horizon.
    """
    return lambda sample: _smooth(sample, days)(np.asarray(risks))


def calibration_groups(groups: int, days: float) -> Metric:
    """Return a metric: mean predicted risk of each group of equal size, then observed; shape (2 groups,).

    Parameters
    ----------
    groups : int
        Patients are ordered by predicted risk and cut into so many groups.
    days : float
        Horizon; observed risk is Kaplan-Meier's.
    """

    def metric(sample: Sample) -> FloatArray:
        risk = sample.risk(days)
        parts = _by_risk(sample, risk, groups)
        expected = [float(part.risk(days).mean()) for part in parts]
        return np.array(expected + [observed_risk(part, days) for part in parts])

    return metric


def curves_by_risk(groups: int, times: FloatArray) -> Metric:
    """Return a metric: mean predicted survival of each risk group over time, then Kaplan-Meier's.

    Parameters
    ----------
    groups : int
        Groups of equal size by predicted risk, lowest first.
    times : ndarray of float64, shape (m,)
        Days, of the curve's.

    Returns
    -------
    callable
        A metric of shape (2 * groups * m,).
    """

    def metric(sample: Sample) -> FloatArray:
        parts = _by_risk(sample, mean_risk(sample), groups)
        columns = np.searchsorted(sample.times, times)
        expected = [part.survival[:, columns].mean(axis=0) for part in parts]
        return np.concatenate(expected + [_kaplan_meier(part, times) for part in parts])

    return metric


def _kaplan_meier(sample: Sample, times: FloatArray) -> FloatArray:
    from sksurv.nonparametric import kaplan_meier_estimator

    known, curve = kaplan_meier_estimator(sample.event, sample.time)
    return np.asarray(np.append(1.0, curve)[np.searchsorted(known, times, side="right")])


def _by_risk(sample: Sample, risk: FloatArray, groups: int) -> list[Sample]:
    rank = np.argsort(np.argsort(risk, kind="stable"), kind="stable")
    group = rank * groups // len(rank)
    return [sample.where(group == number) for number in range(groups)]


def _slope(sample: Sample, days: float) -> float:
    coefficients, _hazard = _cox_within(sample, _log_log(sample.risk(days))[:, None], days)
    return float(coefficients[0])


def _smooth(sample: Sample, days: float) -> Callable[[FloatArray], FloatArray]:
    """Regress the hazard on a restricted cubic spline, three knots, of the risk's complementary log-log."""
    log_log = _log_log(sample.risk(days))
    knots = np.quantile(log_log, [0.1, 0.5, 0.9])
    coefficients, hazard = _cox_within(sample, _spline(log_log, knots), days)

    def observed(risk: FloatArray) -> FloatArray:
        relative = np.exp(_spline(_log_log(risk), knots) @ coefficients)
        return np.asarray(1.0 - np.exp(-hazard * relative), dtype=np.float64)

    return observed


def _spline(x: FloatArray, knots: FloatArray) -> FloatArray:
    """Restricted cubic spline basis (Harrell, Regression Modeling Strategies, 2nd ed., sec. 2.4.5)."""
    low, middle, high = knots

    def cube(knot: float) -> FloatArray:
        return np.asarray(np.maximum(x - knot, 0.0) ** 3)

    outer = cube(middle) * (high - low) - cube(high) * (middle - low)
    bent = cube(low) - outer / (high - middle)
    return np.column_stack([x, bent / (high - low) ** 2])


def _cox_within(sample: Sample, x: FloatArray, days: float) -> tuple[FloatArray, float]:
    """Fit a Cox model to the first ``days``: its coefficients and its cumulative hazard at x = 0."""
    from sksurv.linear_model import CoxPHSurvivalAnalysis
    from sksurv.util import Surv

    within = sample.time <= days
    known = Surv.from_arrays(sample.event & within, np.where(within, sample.time, days))
    model = CoxPHSurvivalAnalysis().fit(x, known)
    return np.asarray(model.coef_), float(model.cum_baseline_hazard_.y[-1])


def _log_log(risk: FloatArray) -> FloatArray:
    bounded = np.clip(risk, 1e-6, 1.0 - 1e-6)
    return np.asarray(np.log(-np.log1p(-bounded)), dtype=np.float64)
