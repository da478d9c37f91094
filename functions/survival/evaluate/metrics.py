"""How well held-out curves discriminate and predict, one array a sample.

Every metric takes a :class:`~functions.survival.evaluate.intervals.Sample` and returns an array, NaN where it cannot
be computed, so that :func:`~functions.survival.evaluate.intervals.estimate` can put an interval around it. Censoring
is accounted for by inverse probability of censoring weights from the sample itself. Where nothing competes
scikit-survival computes them; where events compete, :mod:`functions.survival.evaluate.ipcw`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from functions.survival.data import BoolArray, FloatArray
from functions.survival.evaluate import ipcw
from functions.survival.evaluate.intervals import Metric, Sample
from functions.survival.evaluate.nonparametric import incidence_at

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
    "uno_c",
]

HEADLINE = ("uno_c", "harrell_c", "integrated_brier_score")


def mean_risk(sample: Sample) -> FloatArray:
    """Return each patient's predicted risk averaged over the curve; shape (n,).

    One number to rank patients by, for models with crossing curves too; for one Cox model it ranks as the
    linear predictor does, and it is comparable between the models of different folds.
    """
    return np.asarray(1.0 - sample.survival.mean(axis=1), dtype=np.float64)


def headline(sample: Sample) -> FloatArray:
    """Return Uno's C, Harrell's C and the integrated Brier score; shape (3,).

    Uno's C (Stat Med 30:1105-1117, 2011) is truncated at the last time of the curve; Harrell's C as in JAMA
    247:2543-2546, 1982. Where events compete, both as Wolbers et al. extend them: see
    :func:`~functions.survival.evaluate.ipcw.concordance`.
    """
    risk = mean_risk(sample)
    return np.array([_uno(sample, sample, risk), _harrell(sample, risk), integrated_brier(sample)[0]])


def uno_c(sample: Sample) -> FloatArray:
    """Return Uno's C alone; shape (1,)."""
    return np.array([_uno(sample, sample, mean_risk(sample))])


def integrated_brier(sample: Sample) -> FloatArray:
    """Return the integrated Brier score (Graf et al., Stat Med 18:2529-2545, 1999); shape (1,).

    Over the curve's times that the sample's follow-up covers.
    """
    columns = _covered(sample, sample.times)
    times = sample.times[columns]
    if len(times) < 2:
        return np.array([np.nan])
    if _ours(sample):
        scores = ipcw.brier(sample.known, 1.0 - sample.survival[:, columns], times)
        return np.array([ipcw.integrated(scores, times)])
    from sksurv.metrics import integrated_brier_score

    known = _structured(sample)
    return np.array([integrated_brier_score(known, known, sample.survival[:, columns], times)])


def brier_at(times: FloatArray) -> Metric:
    """Return a metric: the Brier score at each of ``times`` (days, of the curve's); shape (len(times),)."""
    return partial(_brier_at, times)


def _brier_at(times: FloatArray, sample: Sample) -> FloatArray:
    found, covered = np.full(len(times), np.nan), _covered(sample, times)
    if not covered.any():
        return found
    survival = sample.survival[:, np.searchsorted(sample.times, times[covered])]
    if _ours(sample):
        found[covered] = ipcw.brier(sample.known, 1.0 - survival, times[covered])
        return found
    from sksurv.metrics import brier_score

    known = _structured(sample)
    found[covered] = brier_score(known, known, survival, times[covered])[1]
    return found


def auc_at(times: FloatArray) -> Metric:
    """Return a metric: cumulative/dynamic AUC at each of ``times``, and last their mean; shape (len + 1,).

    Hung and Chiang, Can J Stat 38:8-26, 2010; the mean weighs times by the rise in observed risk (Lambert and
    Chevret, Stat Methods Med Res 25:2088-2102, 2016).

    Parameters
    ----------
    times : ndarray of float64, shape (m,)
        Days, of the curve's.
    """
    return partial(_auc_at, times)


def _auc_at(times: FloatArray, sample: Sample) -> FloatArray:
    found = np.full(len(times) + 1, np.nan)
    first = sample.time[sample.event].min(initial=np.inf)
    covered = _covered(sample, times) & (times >= first)
    if not covered.any():
        return found
    at, kept = np.append(covered, True), times[covered]
    risk = 1.0 - sample.survival[:, np.searchsorted(sample.times, kept)]
    found[at] = _ours_auc(sample, risk, kept) if sample.competes else _library_auc(sample, risk, kept)
    return found


def _ours_auc(sample: Sample, risk: FloatArray, times: FloatArray) -> FloatArray:
    each = ipcw.auc(sample.known, risk, times)
    return np.append(each, ipcw.mean_auc(sample.known, each, times))


def _library_auc(sample: Sample, risk: FloatArray, times: FloatArray) -> FloatArray:
    from sksurv.metrics import cumulative_dynamic_auc

    known = _structured(sample)
    try:
        each, mean = cumulative_dynamic_auc(known, known, risk, times)
    except ValueError:
        # It wants a weight for every event, also for one after ``times`` at which the last patient is lost.
        return _ours_auc(sample, risk, times)
    return np.append(each, mean)


def observed_risk(sample: Sample, days: float) -> float:
    """Return the observed probability of the outcome within ``days``; NaN for nobody.

    By Kaplan-Meier, or Aalen-Johansen where events compete.
    """
    return float(incidence_at(sample.event, sample.competing, sample.time, np.array([days]))[0])


def net_benefit(thresholds: Sequence[float], days: float) -> Metric:
    """Return a metric: net benefit of acting above each threshold, then of acting on all; shape (2 m,).

    Decision-curve analysis for censored outcomes (Vickers et al., BMC Med Inform Decis Mak 8:53, 2008):
    events found a patient, less false alarms a patient weighted by the threshold's odds.

    Parameters
    ----------
    thresholds : sequence of float, length m
        Risks above which one would act, within (0, 1).
    days : float
        Horizon.
    """
    return partial(_net_benefit, tuple(thresholds), days)


def _net_benefit(thresholds: Sequence[float], days: float, sample: Sample) -> FloatArray:
    risk, everyone = sample.risk(days), observed_risk(sample, days)
    by_model, by_all = [], []
    for threshold in thresholds:
        odds = threshold / (1.0 - threshold)
        flagged = risk >= threshold
        happened = observed_risk(sample.where(flagged), days) if flagged.any() else 0.0
        by_model.append(float(flagged.mean()) * (happened - (1.0 - happened) * odds))
        by_all.append(everyone - (1.0 - everyone) * odds)
    return np.array(by_model + by_all)


def subgroup(members: BoolArray, horizons: Sequence[float]) -> Metric:
    """Return a metric of a subgroup: Uno's C, integrated Brier score, then at each horizon the mean predicted risk,
    the observed risk and observed over predicted; shape (2 + 3 * len(horizons),).

    Parameters
    ----------
    members : ndarray of bool, shape (number of patients in the data,)
        Who belongs.
    horizons : sequence of float
        Days.
    """
    return partial(_subgroup, members, tuple(horizons))


def _subgroup(members: BoolArray, horizons: Sequence[float], sample: Sample) -> FloatArray:
    found = np.full(2 + 3 * len(horizons), np.nan)
    part = sample.where(members[sample.rows])
    if len(part.time) == 0:
        return found
    found[0], found[1] = _uno(sample, part, mean_risk(part)), integrated_brier(part)[0]
    for at, days in enumerate(horizons):
        expected, observed = float(part.risk(days).mean()), observed_risk(part, days)
        ratio = observed / expected if expected > 0 else np.nan
        found[2 + 3 * at : 5 + 3 * at] = expected, observed, ratio
    return found


def _uno(everyone: Sample, part: Sample, risk: FloatArray) -> float:
    tau = float(everyone.times[-1])
    if everyone.competes:
        return ipcw.concordance(part.known, risk, tau, among=everyone.known)
    if not (part.event & (part.time < tau)).any():
        return float("nan")
    from sksurv.metrics import concordance_index_ipcw

    try:
        return float(concordance_index_ipcw(_structured(everyone), _structured(part), risk, tau=tau)[0])
    except ValueError:
        # No pair can be compared, or no weight exists for one.
        return float("nan")


def _harrell(sample: Sample, risk: FloatArray) -> float:
    if sample.competes:
        return ipcw.concordance(sample.known, risk, weighted=False)
    from sksurv.metrics import concordance_index_censored

    try:
        return float(concordance_index_censored(sample.event, sample.time, risk)[0])
    except ValueError:
        return float("nan")


def _covered(sample: Sample, times: FloatArray) -> BoolArray:
    """Which of ``times`` scikit-survival's metrics take: within the sample's follow-up."""
    return np.asarray((times >= sample.time.min()) & (times < sample.time.max()), dtype=np.bool_)


def _ours(sample: Sample) -> bool:
    """scikit-survival knows no competing events, and wants an event."""
    return sample.competes or not sample.event.any()


def _structured(sample: Sample) -> Any:
    from sksurv.util import Surv

    return Surv.from_arrays(sample.event, sample.time)
