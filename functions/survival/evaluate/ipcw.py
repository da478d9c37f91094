"""Discrimination and error of cumulative incidences where events compete, weighted for censoring.

Every measure asks of the outcome alone whether it has happened by a time; somebody in whom a competing event happened
is known to stay free of it. Censored patients are stood in for by the weights ``1 / G``, with G the probability of
not being censored. Without competing events each measure is scikit-survival's of the same name.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from functions.survival.data import BoolArray, FloatArray
from functions.survival.evaluate.nonparametric import at_times, censoring_survival, incidence_at

__all__ = ["Known", "auc", "brier", "concordance", "integrated", "mean_auc", "weights"]

# Risks closer than this count as tied, as in scikit-survival.
TIED = 1e-8


@dataclass(frozen=True)
class Known:
    """What happened to each patient.

    Parameters
    ----------
    event, competing : ndarray of bool, shape (n,)
    time : ndarray of float64, shape (n,)
        Days.
    """

    event: BoolArray
    competing: BoolArray
    time: FloatArray

    @property
    def any_event(self) -> BoolArray:
        """True where follow-up ended with an event of either kind; shape (n,)."""
        return self.event | self.competing


def weights(known: Known, times: FloatArray) -> FloatArray:
    """Return each patient's weight at each time; shape (n, T).

    ``1 / G(T_i)`` once either event has happened, ``1 / G(t)`` while under observation, 0 once censored (Graf et al.,
    Stat Med 18:2529-2545, 1999; for competing risks Gerds and Schumacher, Biom J 48:1029-1040, 2006).

    Parameters
    ----------
    known : Known
    times : ndarray of float64, shape (T,)
        Days.
    """
    own, later = _inverse(known, known.time), _inverse(known, times)
    happened = (known.time[:, None] <= times) & known.any_event[:, None]
    watched = known.time[:, None] > times
    return np.asarray(happened * own[:, None] + watched * later[None, :], dtype=np.float64)


def brier(known: Known, risk: FloatArray, times: FloatArray) -> FloatArray:
    """Return the Brier score of the cumulative incidence at each time; shape (T,).

    Parameters
    ----------
    known : Known
    risk : ndarray of float64, shape (n, T)
        Predicted probability of the outcome by each time.
    times : ndarray of float64, shape (T,)
        Days.
    """
    by_then = (known.time[:, None] <= times) & known.event[:, None]
    return np.asarray(np.mean(weights(known, times) * (by_then - risk) ** 2, axis=0), dtype=np.float64)


def integrated(scores: FloatArray, times: FloatArray) -> float:
    """Return the mean of a score over time by the trapezoidal rule; NaN for fewer than two times.

    Parameters
    ----------
    scores, times : ndarray of float64, shape (T,)
    """
    if len(times) < 2:
        return float("nan")
    return float(np.trapezoid(scores, times) / (times[-1] - times[0]))


def auc(known: Known, risk: FloatArray, times: FloatArray) -> FloatArray:
    """Return the cumulative/dynamic AUC at each time, NaN without case or control; shape (T,).

    Cases have the outcome by then; controls are everyone known not to, those with the competing event included
    (Blanche, Dartigues and Jacqmin-Gadda, Stat Med 32:5381-5397, 2013, definition 2.2).

    Parameters
    ----------
    known : Known
    risk : ndarray of float64, shape (n, T)
    times : ndarray of float64, shape (T,)
        Days.
    """
    weight = weights(known, times)
    case = (known.time[:, None] <= times) & known.event[:, None]
    return np.array(
        [_ranked(risk[:, at], weight[:, at] * case[:, at], weight[:, at] * ~case[:, at]) for at in range(len(times))]
    )


def mean_auc(known: Known, scores: FloatArray, times: FloatArray) -> float:
    """Return the mean of the AUC over time, weighted by the rise of the observed incidence.

    Lambert and Chevret, Stat Methods Med Res 25:2088-2102, 2016.

    Parameters
    ----------
    known : Known
    scores, times : ndarray of float64, shape (T,)
    """
    rise = np.diff(incidence_at(known.event, known.competing, known.time, times), prepend=0.0)
    total = rise.sum()
    return float(np.sum(scores * rise) / total) if total > 0 else float("nan")


def concordance(
    known: Known, risk: FloatArray, tau: float = np.inf, *, weighted: bool = True, among: Known | None = None
) -> float:
    """Return the probability that of two patients the one with the earlier outcome had the higher risk.

    A patient with a competing event never gets the outcome, so everyone with the outcome comes before
    (Wolbers et al., Epidemiology 20:555-561, 2009; with weights for censoring Biostatistics 15:526-539, 2014).

    Parameters
    ----------
    known : Known
    risk : ndarray of float64, shape (n,)
    tau : float
        Outcomes from this time on (days) are not counted.
    weighted : bool
        By the inverse probability of censoring: Uno's C where nothing competes. Otherwise each pair counts the
        same: Harrell's.
    among : Known, optional
        Whose censoring gives the weights, where ``known`` is a part of them.

    Returns
    -------
    float
        NaN without a comparable pair.
    """
    first = np.flatnonzero(known.event & (known.time < tau))
    own = _inverse(among or known, known.time) if weighted else np.ones(len(known.time))
    earlier, mine = known.time[first, None], own[first, None]
    later = (known.time > earlier) | ((known.time == earlier) & ~known.any_event)
    other = known.competing & (known.time <= earlier)
    pairs = later * mine**2 + other * (mine * own)
    total = pairs.sum()
    if total == 0:
        return float("nan")
    difference = risk[first, None] - risk[None, :]
    tied = np.abs(difference) <= TIED
    agree = np.where(tied, 0.5, difference > 0)
    return float(np.sum(pairs * agree) / total)


def _inverse(known: Known, times: FloatArray) -> FloatArray:
    """1 / G at each of ``times``, 0 where nobody is left to weigh by."""
    steps, curve = censoring_survival(known.any_event, known.time)
    left = at_times(steps, curve, times, 1.0)
    return np.divide(1.0, left, out=np.zeros(len(times)), where=left > 0)


def _ranked(risk: FloatArray, case: FloatArray, control: FloatArray) -> float:
    """Probability that a weighted case has a higher risk than a weighted control, ties counting half."""
    total = case.sum() * control.sum()
    if total == 0:
        return float("nan")
    order = np.argsort(risk, kind="stable")
    group = np.concatenate([[0], np.cumsum(np.diff(risk[order]) > TIED)])
    cases, controls = np.bincount(group, case[order]), np.bincount(group, control[order])
    below = np.cumsum(controls) - controls
    return float(np.sum(cases * (below + 0.5 * controls)) / total)
