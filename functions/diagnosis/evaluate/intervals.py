"""Intervals: DeLong for an AUROC, Wilson for a share, bootstrap over people for everything else."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from functions.diagnosis.data.dataset import Float64, Int64
from functions.diagnosis.evaluate.metrics import ranks

__all__ = ["Json", "bootstrap", "delong", "rounded", "told", "wilson"]

Json = dict[str, Any]

Z95 = 1.959963984540054


def rounded(value: float) -> float | None:
    """Return a number for JSON: five decimals, None where there is none."""
    return round(float(value), 5) if math.isfinite(value) else None


def told(value: float, low: float, high: float) -> Json:
    """Return an estimate with its 95% interval for JSON."""
    return {"value": rounded(value), "low": rounded(low), "high": rounded(high)}


def delong(labels: Int64, scores: Float64) -> tuple[float, float, float]:
    """Return the AUROC with its 95% interval (DeLong et al., Biometrics 44:837-845, 1988), made on the logit scale.

    Fast form of Sun and Xu, IEEE Signal Process Lett 21:1389-1393, 2014.

    Parameters
    ----------
    labels : ndarray of int64, shape (n,)
        0 or 1; both must occur.
    scores : ndarray, shape (n,)

    Returns
    -------
    tuple of float
        Value, low, high; the interval is NaN where the AUROC is 0 or 1.
    """
    with_it, without = scores[labels == 1], scores[labels == 0]
    m, n = len(with_it), len(without)
    among = ranks(np.concatenate([with_it, without]))
    above = (among[:m] - ranks(with_it)) / n
    below = 1.0 - (among[m:] - ranks(without)) / m
    area = float(above.mean())
    if not 0.0 < area < 1.0:
        return area, math.nan, math.nan
    variance = float(above.var(ddof=1)) / m + float(below.var(ddof=1)) / n
    half = Z95 * math.sqrt(variance) / (area * (1.0 - area))
    middle = math.log(area / (1.0 - area))
    return area, 1.0 / (1.0 + math.exp(half - middle)), 1.0 / (1.0 + math.exp(-half - middle))


def wilson(part: int, whole: int) -> tuple[float, float, float]:
    """Return a share with its 95% interval (Wilson, JASA 22:209-212, 1927); NaN of nothing."""
    if not whole:
        return math.nan, math.nan, math.nan
    share, squared = part / whole, Z95 * Z95
    middle = (share + squared / (2 * whole)) / (1 + squared / whole)
    half = Z95 / (1 + squared / whole) * math.sqrt(share * (1 - share) / whole + squared / (4 * whole * whole))
    return share, middle - half, middle + half


def bootstrap(
    measure: Callable[[Int64, Float64], Float64],
    labels: Int64,
    predictions: Sequence[Float64],
    replicates: int,
    seed: int,
) -> tuple[Float64, Float64, Float64]:
    """Return measures with percentile intervals over resamples of people.

    Parameters
    ----------
    measure : callable
        From labels and one vector or matrix of predictions to measures, shape (k,); NaN where it cannot be computed.
    labels : ndarray of int64, shape (n,)
    predictions : sequence of ndarray, each of shape (n,) or (n, classes)
        One for each repeat of a cross-validation: the measures are averaged over them.
    replicates : int
        Resamples; each keeps the number of people of each class.
    seed : int

    Returns
    -------
    tuple of ndarray
        Values, lower and upper bounds, each of shape (k,). Bounds are NaN where fewer than half of the resamples give
        a number.
    """
    random = np.random.default_rng(seed)
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    draws = []
    for _ in range(replicates):
        rows = np.concatenate([random.choice(group, len(group)) for group in members])
        draws.append(_mean([measure(labels[rows], each[rows]) for each in predictions]))
    value = _mean([measure(labels, each) for each in predictions])
    table = np.array(draws)
    low, high = np.full(value.shape, math.nan), np.full(value.shape, math.nan)
    for at in range(len(value)):
        known = table[np.isfinite(table[:, at]), at]
        if 2 * len(known) > len(table):
            low[at], high[at] = np.percentile(known, [2.5, 97.5])
    return value, low, high


def _mean(rows: Sequence[Float64]) -> Float64:
    """Return the mean of what is a number in each column; NaN where nothing is."""
    table = np.array(rows)
    known = np.isfinite(table)
    count = known.sum(axis=0)
    total = np.where(known, table, 0.0).sum(axis=0)
    return np.asarray(np.divide(total, count, out=np.full(table.shape[1], math.nan), where=count > 0))
