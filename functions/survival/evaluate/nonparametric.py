"""What happened to a group of patients, without any model: Kaplan-Meier, Aalen-Johansen, and censoring."""

from __future__ import annotations

import numpy as np

from functions.survival.data import BoolArray, FloatArray

__all__ = ["at_times", "censoring_survival", "incidence", "incidence_at", "survival_of_any"]


def at_times(known: FloatArray, values: FloatArray, times: FloatArray, before: float) -> FloatArray:
    """Read a right-continuous step function; shape ``values.shape[:-1] + times.shape``.

    Parameters
    ----------
    known : ndarray of float64, shape (m,)
        Where it steps, rising.
    values : ndarray of float64, shape (..., m)
        Its value from each step on.
    times : ndarray of float64, shape (T,)
        Where to read it.
    before : float
        Its value before the first step.
    """
    first = np.full((*values.shape[:-1], 1), before)
    padded = np.concatenate([first, values], axis=-1)
    return np.asarray(padded[..., np.searchsorted(known, times, side="right")], dtype=np.float64)


def incidence(event: BoolArray, competing: BoolArray, time: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the times, shape (m,), and the cumulative incidence of the outcome at each (Aalen-Johansen).

    ``F(t)`` is the sum over event times u <= t of ``S(u-) d1(u) / n(u)``, with S the survival free of either event
    (Aalen and Johansen, Scand J Stat 5:141-150, 1978). Without competing events it is one minus Kaplan-Meier.

    Parameters
    ----------
    event, competing : ndarray of bool, shape (n,)
        The outcome, and the event after which it cannot happen.
    time : ndarray of float64, shape (n,)
        Days.
    """
    known, at_risk, outcomes, others, _lost = _counts(event, competing, time)
    free = np.cumprod(1.0 - (outcomes + others) / at_risk)
    just_before = np.concatenate([[1.0], free[:-1]])
    return known, np.asarray(np.cumsum(just_before * outcomes / at_risk), dtype=np.float64)


def incidence_at(event: BoolArray, competing: BoolArray, time: FloatArray, times: FloatArray) -> FloatArray:
    """Return the cumulative incidence of the outcome at each of ``times`` (days); NaN for nobody; shape (T,)."""
    if len(time) == 0:
        return np.full(len(times), np.nan)
    known, curve = incidence(event, competing, time)
    return at_times(known, curve, times, 0.0)


def censoring_survival(any_event: BoolArray, time: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the times, shape (m,), and the probability of not being censored by each.

    Kaplan-Meier with censoring as the event; at a tie events come first, as in scikit-survival.

    Parameters
    ----------
    any_event : ndarray of bool, shape (n,)
        True where the outcome or a competing event happened.
    time : ndarray of float64, shape (n,)
        Days.
    """
    nobody = np.zeros(len(time), dtype=np.bool_)
    known, at_risk, events, _none, lost = _counts(any_event, nobody, time)
    left = at_risk - events
    ratio = np.divide(lost, left, out=np.zeros(len(known)), where=lost > 0)
    return known, np.asarray(np.cumprod(1.0 - ratio), dtype=np.float64)


def survival_of_any(any_event: BoolArray, time: FloatArray, times: FloatArray) -> FloatArray:
    """Return Kaplan-Meier's survival free of any event at each of ``times`` (days); shape (T,)."""
    nobody = np.zeros(len(time), dtype=np.bool_)
    return np.asarray(1.0 - incidence_at(any_event, nobody, time, times), dtype=np.float64)


def _counts(
    event: BoolArray, competing: BoolArray, time: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    known, at = np.unique(time, return_inverse=True)
    size = len(known)
    outcomes = np.bincount(at, event, size).astype(np.float64)
    others = np.bincount(at, competing, size).astype(np.float64)
    everyone = np.bincount(at, minlength=size).astype(np.float64)
    at_risk = np.cumsum(everyone[::-1])[::-1]
    return known, at_risk, outcomes, others, everyone - outcomes - others
