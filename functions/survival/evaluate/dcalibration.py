"""D-calibration: whether the whole predicted distribution of survival times fits what happened."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from functions.survival.data import BoolArray, FloatArray

__all__ = ["DCalibration", "chi_square_tail", "d_calibration", "expected_bins"]


@dataclass(frozen=True)
class DCalibration:
    """The result of the test.

    Parameters
    ----------
    bins : ndarray of float64, shape (B,)
        Patients, censored ones in parts, whose survival probability at their own time falls into each of B equal
        bins of [0, 1]; lowest first. Equal where the model is D-calibrated.
    statistic : float
        Pearson's chi-square against equal bins.
    p_value : float
        With B - 1 degrees of freedom; low means not D-calibrated.
    """

    bins: FloatArray
    statistic: float
    p_value: float


def expected_bins(survival: FloatArray, event: BoolArray, bins: int = 10) -> FloatArray:
    """Return how many patients fall into each bin; shape (bins,), sum n.

    Somebody with the event counts in the bin of S(T). Somebody censored at S(C) = u would have had the event at a
    probability uniform below u: the bin of u, which starts at a, gets ``(u - a) / u``, each lower one its width over u
    (Haider et al., JMLR 21(85):1-63, 2020, sec. 3.5 and appendix B).

    Parameters
    ----------
    survival : ndarray of float64, shape (n,)
        Predicted probability of survival at each patient's own time.
    event : ndarray of bool, shape (n,)
        False where that time is of censoring.
    bins : int
        B.
    """
    width = 1.0 / bins
    # S(t) = 1 belongs to the top bin.
    own = np.minimum((survival * bins).astype(np.intp), bins - 1)
    found = np.bincount(own[event], minlength=bins).astype(np.float64)
    for u, bin_of_u in zip(survival[~event], own[~event], strict=True):
        if u <= 0:
            found[0] += 1.0
            continue
        found[bin_of_u] += (u - bin_of_u * width) / u
        found[:bin_of_u] += width / u
    return found


def d_calibration(bins: FloatArray) -> DCalibration:
    """Test whether bins are equally full (Haider et al., JMLR 21(85):1-63, 2020).

    Parameters
    ----------
    bins : ndarray of float64, shape (B,)
        From :func:`expected_bins`.
    """
    expected = bins.sum() / len(bins)
    statistic = float(np.sum((bins - expected) ** 2) / expected)
    return DCalibration(bins, statistic, chi_square_tail(statistic, len(bins) - 1))


def chi_square_tail(statistic: float, freedom: int) -> float:
    """Return the probability of a larger chi-square (Abramowitz and Stegun, 26.4.4 and 26.4.5).

    Parameters
    ----------
    statistic : float
        Not negative.
    freedom : int
        Degrees of freedom, at least 1.
    """
    half = statistic / 2.0
    if freedom % 2 == 0:
        term = total = math.exp(-half)
        for step in range(1, freedom // 2):
            term *= half / step
            total += term
        return total
    total = math.erfc(math.sqrt(half))
    term = math.exp(-half) * math.sqrt(half) / math.gamma(1.5)
    for step in range((freedom - 1) // 2):
        total += term
        term *= half / (step + 1.5)
    return total
