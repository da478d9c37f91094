"""Measures of a probability of yes or no, for one vector of predictions.

Wherever a measure cannot be computed it is NaN, so that a resample without one class does not end everything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from functions.diagnosis.data.dataset import Float64, Int64

__all__ = [
    "MEASURES",
    "auprc",
    "auroc",
    "counts",
    "ece",
    "log_loss",
    "logit",
    "measures",
    "net_benefit",
    "pr_curve",
    "ranks",
    "recalibration",
    "roc_curve",
]

MEASURES = (
    *("auroc", "auprc", "accuracy", "sensitivity", "specificity", "ppv", "npv"),
    *("brier", "log_loss", "ece", "calibration_slope", "calibration_intercept", "observed_expected_ratio"),
)
BINS = 10
# Probabilities nearer to 0 or 1 than this count as this: no model is that sure.
EDGE = 1e-7
STEPS, SETTLED, STEEPEST = 50, 1e-9, 100.0


def ranks(values: Float64) -> Float64:
    """Return ranks from 1, equal values sharing their mean rank; shape (n,)."""
    _, inverse, count = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - 0.5 * (count - 1))[inverse], dtype=np.float64)


def auroc(labels: Int64, scores: Float64) -> float:
    """Return the area under the ROC curve: the share of pairs in which the one with the finding has the higher score.

    Parameters
    ----------
    labels : ndarray of int64, shape (n,)
        0 or 1.
    scores : ndarray, shape (n,)
    """
    with_it, without = int((labels == 1).sum()), int((labels == 0).sum())
    if not with_it or not without:
        return math.nan
    total = float(ranks(scores)[labels == 1].sum()) - with_it * (with_it + 1) / 2
    return total / (with_it * without)


def auprc(labels: Int64, scores: Float64) -> float:
    """Return average precision: precision at each threshold, weighted by the recall it adds."""
    recall, precision = pr_curve(labels, scores)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision)) if recall.size else math.nan


def pr_curve(labels: Int64, scores: Float64) -> tuple[Float64, Float64]:
    """Return recall and precision at every threshold, from the highest down; empty without a finding."""
    true, false = _cumulative(labels, scores)
    if not true.size or not true[-1]:
        return np.empty(0), np.empty(0)
    return true / true[-1], true / (true + false)


def roc_curve(labels: Int64, scores: Float64) -> tuple[Float64, Float64]:
    """Return 1 - specificity and sensitivity at every threshold, from (0, 0) to (1, 1)."""
    true, false = _cumulative(labels, scores)
    start = np.zeros(1)
    return (
        np.concatenate([start, false / max(1.0, float(false[-1]))]),
        np.concatenate([start, true / max(1.0, float(true[-1]))]),
    )


def _cumulative(labels: Int64, scores: Float64) -> tuple[Float64, Float64]:
    """Return how many with and without the finding lie at or above each distinct score, from the highest down."""
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    true = np.cumsum(labels[order] == 1)[last].astype(np.float64)
    return true, last + 1.0 - true


def counts(labels: Int64, scores: Float64, threshold: float) -> dict[str, int]:
    """Return the four cells at a threshold; at it counts as positive."""
    positive = scores >= threshold
    return {
        "true_positive": int((positive & (labels == 1)).sum()),
        "false_positive": int((positive & (labels == 0)).sum()),
        "false_negative": int((~positive & (labels == 1)).sum()),
        "true_negative": int((~positive & (labels == 0)).sum()),
    }


def measures(labels: Int64, probabilities: Float64, threshold: float) -> Float64:
    """Return all measures in the order of :data:`MEASURES`.

    Parameters
    ----------
    labels : ndarray of int64, shape (n,)
    probabilities : ndarray, shape (n,)
    threshold : float
        The operating point, a probability.

    Returns
    -------
    ndarray, shape (13,)
    """
    cell = counts(labels, probabilities, threshold)
    tp, fp, fn, tn = (cell[f"{word}"] for word in cell)
    slope, intercept = recalibration(labels, probabilities)
    mean = float(probabilities.mean())
    return np.array(
        [
            auroc(labels, probabilities),
            auprc(labels, probabilities),
            (tp + tn) / len(labels),
            _share(tp, tp + fn),
            _share(tn, tn + fp),
            _share(tp, tp + fp),
            _share(tn, tn + fn),
            float(np.mean((probabilities - labels) ** 2)),
            log_loss(labels, probabilities),
            ece(labels, probabilities),
            slope,
            intercept,
            float(labels.mean()) / mean if mean > 0 else math.nan,
        ]
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def log_loss(labels: Int64, probabilities: Float64) -> float:
    """Return the mean of -ln of the probability given to what was the case."""
    given = np.clip(np.where(labels == 1, probabilities, 1.0 - probabilities), EDGE, 1.0)
    return float(-np.log(given).mean())


def ece(labels: Int64, probabilities: Float64, bins: int = BINS) -> float:
    """Return the expected calibration error: mean distance of predicted and observed in bins of equal size."""
    parts = np.array_split(np.argsort(probabilities, kind="stable"), bins)
    gaps = [len(part) * abs(float(probabilities[part].mean() - labels[part].mean())) for part in parts if len(part)]
    return sum(gaps) / len(labels)


def logit(probabilities: Float64) -> Float64:
    """Return ln(p / (1 - p)), kept finite."""
    kept = np.clip(probabilities, EDGE, 1.0 - EDGE)
    return np.asarray(np.log(kept) - np.log1p(-kept))


def recalibration(labels: Int64, probabilities: Float64) -> tuple[float, float]:
    """Return the calibration slope, and the calibration intercept at slope 1 (calibration in the large).

    Logistic regression of the labels on the logit of the predictions (Cox, Biometrika 45:562-565, 1958; Van Calster et
    al., J Clin Epidemiol 74:167-176, 2016). NaN where classes are missing or the predictions separate them.
    """
    line = logit(probabilities)
    if len(np.unique(labels)) < 2:
        return math.nan, math.nan
    slope = _newton(labels, np.column_stack([np.ones_like(line), line]), np.zeros_like(line))
    intercept = _newton(labels, np.ones((len(line), 1)), line)
    return (float(slope[1]) if abs(slope[1]) < STEEPEST else math.nan), float(intercept[0])


def _newton(labels: Int64, design: Float64, offset: Float64) -> Float64:
    found = np.zeros(design.shape[1])
    for _ in range(STEPS):
        mean = 0.5 * (1.0 + np.tanh(0.5 * (offset + design @ found)))
        curvature = (design * (mean * (1.0 - mean))[:, None]).T @ design
        try:
            step = np.linalg.solve(curvature, design.T @ (labels - mean))
        except np.linalg.LinAlgError:
            return np.full(design.shape[1], math.nan)
        found = found + step
        if not np.isfinite(found).all() or np.abs(found).max() > 1e6:
            return np.full(design.shape[1], math.nan)
        if np.abs(step).max() < SETTLED:
            return found
    return np.full(design.shape[1], math.nan)


def net_benefit(labels: Int64, probabilities: Float64, thresholds: Sequence[float]) -> Float64:
    """Return the net benefit of acting on the model at each threshold (Vickers and Elkin, Med Decis Making 26, 2006).

    Returns
    -------
    ndarray, shape (len(thresholds),)
    """
    found = []
    for threshold in thresholds:
        positive = probabilities >= threshold
        true, false = (positive & (labels == 1)).mean(), (positive & (labels == 0)).mean()
        found.append(float(true) - float(false) * threshold / (1.0 - threshold))
    return np.array(found)
