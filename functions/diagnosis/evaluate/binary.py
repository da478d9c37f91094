"""Everything that is measured of one probability: at the operating point, over all thresholds, and its calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from functions.diagnosis.data.dataset import Float64, Int64
from functions.diagnosis.evaluate.intervals import Json, bootstrap, delong, rounded, told, wilson
from functions.diagnosis.evaluate.metrics import MEASURES, counts, measures, net_benefit, pr_curve, roc_curve

__all__ = ["Plan", "curves", "groups", "headline", "robustly"]

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
GROUPS = 10
POINTS = 101
# Shares of people, and what they are shares of.
SHARES: Mapping[str, tuple[str, str]] = {
    "sensitivity": ("true_positive", "false_negative"),
    "specificity": ("true_negative", "false_positive"),
    "ppv": ("true_positive", "false_positive"),
    "npv": ("true_negative", "false_negative"),
}


@dataclass(frozen=True)
class Plan:
    """How intervals are made.

    Parameters
    ----------
    replicates : int
        Bootstrap resamples.
    seed : int
    """

    replicates: int = 1000
    seed: int = 20180222


def headline(labels: Int64, predictions: Sequence[Float64], threshold: float, plan: Plan) -> Json:
    """Return every measure with its interval, and the four cells.

    Parameters
    ----------
    labels : ndarray of int64, shape (n,)
        0 or 1.
    predictions : sequence of ndarray, shape (n,)
        Probabilities; one vector for each repeat of a cross-validation.
    threshold : float
        The operating point.
    plan : Plan

    Returns
    -------
    dict
        Of a single vector, the AUROC's interval is DeLong's and those of shares are Wilson's; all others are
        percentiles of the bootstrap.
    """
    values, lows, highs = bootstrap(
        partial(measures, threshold=threshold), labels, predictions, plan.replicates, plan.seed
    )
    found = {name: told(*row) for name, *row in zip(MEASURES, values, lows, highs, strict=True)}
    if len(predictions) > 1:
        return found
    cell = counts(labels, predictions[0], threshold)
    found["auroc"] = told(*delong(labels, predictions[0]))
    found["accuracy"] = told(*wilson(cell["true_positive"] + cell["true_negative"], len(labels)))
    found |= {name: told(*wilson(cell[part], cell[part] + cell[rest])) for name, (part, rest) in SHARES.items()}
    return {**found, "counts": cell}


def curves(labels: Int64, predictions: Sequence[Float64], plan: Plan) -> Json:
    """Return the ROC, precision-recall and decision curves, the first two of the first repeat only."""
    grid = np.linspace(0.0, 1.0, POINTS)
    specificity_less, sensitivity = roc_curve(labels, predictions[0])
    recall, precision = pr_curve(labels, predictions[0])
    net, low, high = bootstrap(
        partial(net_benefit, thresholds=THRESHOLDS), labels, predictions, plan.replicates, plan.seed
    )
    share = float(labels.mean())
    return {
        "roc": {
            "false_positive_rate": _numbers(grid),
            "sensitivity": _numbers(np.interp(grid, specificity_less, sensitivity)),
        },
        "precision_recall": {"recall": _numbers(grid), "precision": _numbers(np.interp(grid, recall, precision))},
        "net_benefit": {
            "thresholds": list(THRESHOLDS),
            "model": {"value": _numbers(net), "low": _numbers(low), "high": _numbers(high)},
            "act_on_all": [rounded(share - (1.0 - share) * at / (1.0 - at)) for at in THRESHOLDS],
        },
    }


def groups(labels: Int64, predictions: Sequence[Float64], count: int = GROUPS) -> list[Json]:
    """Return predicted and observed in groups of equal size by predicted probability, of the mean over repeats."""
    mean = np.mean(predictions, axis=0)
    parts = [part for part in np.array_split(np.argsort(mean, kind="stable"), count) if len(part)]
    return [
        {
            "people": len(part),
            "predicted": rounded(mean[part].mean()),
            "observed": told(*wilson(int(labels[part].sum()), len(part))),
        }
        for part in parts
    ]


def robustly(labels: Int64, probabilities: Float64, threshold: float) -> Json:
    """Return AUROC with DeLong's interval, and accuracy, sensitivity and specificity at the operating point."""
    cell = counts(labels, probabilities, threshold)
    return {
        "auroc": told(*delong(labels, probabilities)),
        "accuracy": told(*wilson(cell["true_positive"] + cell["true_negative"], len(labels))),
        **{
            name: told(*wilson(cell[part], cell[part] + cell[rest]))
            for name, (part, rest) in SHARES.items()
            if name in ("sensitivity", "specificity")
        },
    }


def _numbers(values: Float64) -> list[float | None]:
    return [rounded(value) for value in values]
