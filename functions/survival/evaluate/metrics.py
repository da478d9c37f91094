"""How well held-out curves discriminate and predict: scikit-survival's metrics, one array a sample.

Every function takes a :class:`~functions.survival.evaluate.intervals.Sample` and returns an array, so that
:func:`~functions.survival.evaluate.intervals.estimate` can put an interval around it. Censoring is accounted
for by inverse probability of censoring weights from the sample itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from functions.survival.data import BoolArray, FloatArray
from functions.survival.evaluate.intervals import Metric, Sample

__all__ = [
    "HEADLINE",
    "auc_at",
    "brier_at",
    "headline",
    "integrated_brier",
    "mean_risk",
    "net_benefit",
    "observed_risk",
    "subgroup",
]

HEADLINE = ("uno_c", "harrell_c", "integrated_brier_score")


def mean_risk(sample: Sample) -> FloatArray:
    """Return each patient's predicted risk of death averaged over the curve; shape (n,).

    One number to rank patients by, for models with crossing curves too; for one Cox model it ranks as the
    linear predictor does, and it is comparable between the models of different folds.
    """
    return np.asarray(1.0 - sample.survival.mean(axis=1), dtype=np.float64)


def headline(sample: Sample) -> FloatArray:
    """Return Uno's C, Harrell's C and the integrated Brier score; shape (3,).

    Uno's C (Stat Med 30:1105-1117, 2011) is truncated at the last time of the curve; Harrell's C as in JAMA
    247:2543-2546, 1982.
    """
    from sksurv.metrics import concordance_index_censored, concordance_index_ipcw

    known, risk = _known(sample), mean_risk(sample)
    uno = concordance_index_ipcw(known, known, risk, tau=sample.times[-1])[0]
    harrell = concordance_index_censored(sample.event, sample.time, risk)[0]
    return np.array([uno, harrell, integrated_brier(sample)[0]])


def integrated_brier(sample: Sample) -> FloatArray:
    """Return the integrated Brier score (Graf et al., Stat Med 18:2529-2545, 1999); shape (1,)."""
    from sksurv.metrics import integrated_brier_score

    known = _known(sample)
    return np.array([integrated_brier_score(known, known, sample.survival, sample.times)])


def brier_at(times: FloatArray) -> Metric:
    """Return a metric: the Brier score at each of ``times`` (days, of the curve's); shape (len(times),)."""

    def metric(sample: Sample) -> FloatArray:
        from sksurv.metrics import brier_score

        known, columns = _known(sample), np.searchsorted(sample.times, times)
        scores = brier_score(known, known, sample.survival[:, columns], times)[1]
        return np.asarray(scores, dtype=np.float64)

    return metric


def auc_at(times: FloatArray) -> Metric:
    """Return a metric: cumulative/dynamic AUC at each of ``times``, and last their mean; shape (len + 1,).

    Hung and Chiang, Can J Stat 38:8-26, 2010; the mean weighs times by the fall in survival (Lambert and
    Chevret, Stat Methods Med Res 25:2088-2102, 2016).

    Parameters
    ----------
    times : ndarray of float64, shape (m,)
        Days, of the curve's.
    """

    def metric(sample: Sample) -> FloatArray:
        from sksurv.metrics import cumulative_dynamic_auc

        known, columns = _known(sample), np.searchsorted(sample.times, times)
        each, mean = cumulative_dynamic_auc(known, known, 1.0 - sample.survival[:, columns], times)
        return np.append(each, mean)

    return metric


def observed_risk(sample: Sample, days: float) -> float:
    """Return the Kaplan-Meier estimate of the probability of death within ``days``; NaN for nobody."""
    from sksurv.nonparametric import kaplan_meier_estimator

    if len(sample.time) == 0:
        return float("nan")
    times, survival = kaplan_meier_estimator(sample.event, sample.time)
    at = int(np.searchsorted(times, days, side="right"))
    return 0.0 if at == 0 else float(1.0 - survival[at - 1])


def net_benefit(thresholds: Sequence[float], days: float) -> Metric:
    """Return a metric: net benefit of acting above each threshold, then of acting on all; shape (2 m,).

    Decision-curve analysis for censored outcomes (Vickers et al., BMC Med Inform Decis Mak 8:53, 2008):
    deaths found a patient, less false alarms a patient weighted by the threshold's odds.

    Parameters
    ----------
    thresholds : sequence of float, length m
        Risks above which one would act, within (0, 1).
    days : float
        Horizon.
    """

    def metric(sample: Sample) -> FloatArray:
        risk, everyone = sample.risk(days), observed_risk(sample, days)
        by_model, by_all = [], []
        for threshold in thresholds:
            odds = threshold / (1.0 - threshold)
            flagged = risk >= threshold
            dead = observed_risk(sample.where(flagged), days) if flagged.any() else 0.0
            by_model.append(float(flagged.mean()) * (dead - (1.0 - dead) * odds))
            by_all.append(everyone - (1.0 - everyone) * odds)
        return np.array(by_model + by_all)

    return metric


def subgroup(members: BoolArray, days: float) -> Metric:
    """Return a metric of a subgroup: Uno's C, mean predicted risk, observed risk, their ratio; shape (4,).

    Parameters
    ----------
    members : ndarray of bool, shape (number of patients in the data,)
        Who belongs.
    days : float
        Horizon of the risks.
    """

    def metric(sample: Sample) -> FloatArray:
        from sksurv.metrics import concordance_index_ipcw

        part = sample.where(members[sample.rows])
        uno = concordance_index_ipcw(_known(sample), _known(part), mean_risk(part), tau=sample.times[-1])[0]
        expected, observed = float(part.risk(days).mean()), observed_risk(part, days)
        return np.array([uno, expected, observed, observed / expected])

    return metric


def _known(sample: Sample) -> Any:
    from sksurv.util import Surv

    return Surv.from_arrays(sample.event, sample.time)
