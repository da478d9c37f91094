"""Point estimates from held-out predictions, with bootstrap intervals over patients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from functions.survival.data import BoolArray, FloatArray
from functions.survival.evaluate.heldout import HeldOut, Plan

__all__ = ["Estimate", "Metric", "Sample", "estimate"]


@dataclass(frozen=True)
class Sample:
    """One set of patients with one held-out curve each: what a metric is computed from.

    Parameters
    ----------
    rows : ndarray of int, shape (n,)
        Row numbers in the data, so that a metric can look up a subgroup.
    event : ndarray of bool, shape (n,)
    time : ndarray of float64, shape (n,)
        Days.
    times : ndarray of float64, shape (T,)
        Days.
    survival : ndarray of float64, shape (n, T)
    """

    rows: NDArray[np.intp]
    event: BoolArray
    time: FloatArray
    times: FloatArray
    survival: FloatArray

    def risk(self, days: float) -> FloatArray:
        """Return the predicted probability of death within ``days`` (one of ``times``); shape (n,)."""
        column = int(np.searchsorted(self.times, days))
        if self.times[column] != days:
            raise ValueError(f"no prediction at {days} d")
        return np.asarray(1.0 - self.survival[:, column], dtype=np.float64)

    def where(self, keep: BoolArray) -> Sample:
        """Return the patients for which ``keep``, shape (n,), is true."""
        return Sample(self.rows[keep], self.event[keep], self.time[keep], self.times, self.survival[keep])


Metric = Callable[[Sample], FloatArray]


@dataclass(frozen=True)
class Estimate:
    """An estimate, its 95% interval, and the resamples behind it.

    Parameters
    ----------
    value, low, high : ndarray of float64, shape (k,)
        The mean over repeats; the 2.5th and 97.5th percentile of ``draws``.
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
    everyone = np.arange(len(predictions.time))
    repeats = len(predictions.survival)
    points = np.array([metric(_sample(predictions, repeat, everyone)) for repeat in range(repeats)])
    draws = np.array(
        [
            metric(_sample(predictions, number % repeats, rows))
            for number, rows in enumerate(_resamples(len(everyone), plan))
        ]
    )
    low, high = np.nanpercentile(draws, [2.5, 97.5], axis=0)
    return Estimate(np.nanmean(points, axis=0), low, high, draws)


def _sample(predictions: HeldOut, repeat: int, rows: NDArray[np.intp]) -> Sample:
    return Sample(
        rows,
        predictions.event[rows],
        predictions.time[rows],
        predictions.times,
        predictions.survival[repeat, rows],
    )


def _resamples(patients: int, plan: Plan) -> Iterator[NDArray[np.intp]]:
    random = np.random.default_rng(plan.seed)
    for _ in range(plan.replicates):
        yield random.integers(0, patients, patients)
