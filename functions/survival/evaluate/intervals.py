"""Point estimates from held-out predictions, with bootstrap intervals over patients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from functions.survival.data import BoolArray, FloatArray
from functions.survival.evaluate.heldout import HeldOut, Plan
from functions.survival.evaluate.ipcw import Known

__all__ = ["Estimate", "Metric", "Sample", "combine", "estimate", "mean_known", "point", "points"]


@dataclass(frozen=True)
class Sample:
    """One set of patients with one held-out curve each: what a metric is computed from.

    Parameters
    ----------
    rows : ndarray of int, shape (n,)
        Row numbers in the data, so that a metric can look up a subgroup.
    event, competing : ndarray of bool, shape (n,)
    time : ndarray of float64, shape (n,)
        Days.
    times : ndarray of float64, shape (T,)
        Days.
    survival : ndarray of float64, shape (n, T)
        One minus the probability of the outcome.
    competes : bool
        Whether the data have competing events, be they in this sample or not.
    """

    rows: NDArray[np.intp]
    event: BoolArray
    competing: BoolArray
    time: FloatArray
    times: FloatArray
    survival: FloatArray
    competes: bool = False

    @property
    def known(self) -> Known:
        """What happened."""
        return Known(self.event, self.competing, self.time)

    def risk(self, days: float) -> FloatArray:
        """Return the predicted probability of the outcome within ``days`` (one of ``times``); shape (n,)."""
        column = int(np.searchsorted(self.times, days))
        if column == len(self.times) or self.times[column] != days:
            raise ValueError(f"no prediction at {days:g} d; the curve must contain every horizon")
        return np.asarray(1.0 - self.survival[:, column], dtype=np.float64)

    def where(self, keep: BoolArray) -> Sample:
        """Return the patients for which ``keep``, shape (n,), is true."""
        return Sample(
            self.rows[keep],
            self.event[keep],
            self.competing[keep],
            self.time[keep],
            self.times,
            self.survival[keep],
            self.competes,
        )


Metric = Callable[[Sample], FloatArray]


@dataclass(frozen=True)
class Estimate:
    """An estimate, its 95% interval, and the resamples behind it.

    Parameters
    ----------
    value, low, high : ndarray of float64, shape (k,)
        The mean over repeats; the 2.5th and 97.5th percentile of ``draws``. NaN where nothing could be computed.
    draws : ndarray of float64, shape (replicates, k)
        One row a bootstrap resample; the same resamples for the same plan, so that two models can be
        compared pair by pair.
    """

    value: FloatArray
    low: FloatArray
    high: FloatArray
    draws: FloatArray


def estimate(metric: Metric, predictions: HeldOut, plan: Plan) -> Estimate:
    """Evaluate a metric on held-out predictions.

    The value is the mean over the repeats of cross-validation. The interval is the percentile bootstrap over
    patients (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13); resample ``b`` uses
    repeat ``b mod repeats``, so that it carries the spread between repeats too. Models are not refitted in a
    resample: the interval says how well these predictions do for such patients.

    Parameters
    ----------
    metric : callable
        From a sample to an array of shape (k,), NaN where it cannot be computed.
    predictions : HeldOut
        From :func:`~functions.survival.evaluate.heldout.held_out`.
    plan : Plan
        Its ``replicates`` and ``seed``.
    """
    patients, repeats = len(predictions.time), len(predictions.survival)
    draws = [
        metric(_sample(predictions, number % repeats, rows)) for number, rows in enumerate(_resamples(patients, plan))
    ]
    return _with_interval(points(metric, predictions), np.array(draws))


def points(metric: Metric, predictions: HeldOut) -> FloatArray:
    """Evaluate a metric once for each repeat; shape (repeats, k)."""
    everyone = np.arange(len(predictions.time))
    return np.array([metric(_sample(predictions, number, everyone)) for number in range(len(predictions.survival))])


def point(metric: Metric, predictions: HeldOut) -> FloatArray:
    """Return a metric's mean over the repeats, without an interval; shape (k,)."""
    return mean_known(points(metric, predictions))


def combine(function: Callable[[FloatArray, FloatArray], FloatArray], first: Estimate, second: Estimate) -> Estimate:
    """Return an estimate computed from two estimates of the same resamples.

    Parameters
    ----------
    function : callable
        Elementwise.
    first, second : Estimate
        Of the same plan.
    """
    draws = function(first.draws, second.draws)
    return _with_interval(function(first.value, second.value)[None, :], draws)


def _with_interval(values: FloatArray, draws: FloatArray) -> Estimate:
    low, high = np.full(draws.shape[1], np.nan), np.full(draws.shape[1], np.nan)
    for at in range(draws.shape[1]):
        known = draws[~np.isnan(draws[:, at]), at]
        # An interval from a handful of lucky resamples would claim more than is known.
        if len(known) * 2 > len(draws):
            low[at], high[at] = np.percentile(known, [2.5, 97.5])
    return Estimate(mean_known(values), low, high, draws)


def mean_known(values: FloatArray) -> FloatArray:
    """Return the mean over the rows of what is not NaN; NaN where all is; shape (k,)."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    mean = np.divide(total, count, out=np.full(values.shape[1], np.nan), where=count > 0)
    return np.asarray(mean, dtype=np.float64)


def _sample(predictions: HeldOut, repeat: int, rows: NDArray[np.intp]) -> Sample:
    return Sample(
        predictions.rows[rows],
        predictions.event[rows],
        predictions.competing[rows],
        predictions.time[rows],
        predictions.times,
        predictions.survival[repeat, rows],
        predictions.competes,
    )


def _resamples(patients: int, plan: Plan) -> Iterator[NDArray[np.intp]]:
    random = np.random.default_rng(plan.seed)
    for _ in range(plan.replicates):
        yield random.integers(0, patients, patients)
