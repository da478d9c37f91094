"""Filters and normalisation of one lead."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["Float64", "boxcar", "high_pass", "rank_normalised", "without_gaps"]

Float64 = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]

# Samples by which a signal is extended at both ends before it is filtered forwards and backwards.
PADDING = 12


def rank_normalised(signal: npt.ArrayLike) -> Float32:
    """Return each sample's rank within the window, spread over [-1, 1]; equal samples share their mean rank.

    The model was trained on this: it keeps every rise and fall and forgets the amplitude.

    Parameters
    ----------
    signal : array_like, shape (n,)
        One lead, in any unit.

    Returns
    -------
    ndarray of float32, shape (n,)
    """
    values = np.asarray(signal, dtype=np.float64)
    if values.size < 2:
        return np.full(values.size, -1.0, dtype=np.float32)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - 0.5 * (counts + 1)
    return np.asarray(ranks[inverse] / (values.size - 1) * 2.0 - 1.0, dtype=np.float32)


def without_gaps(signal: npt.ArrayLike) -> Float64:
    """Return a signal whose NaN are bridged linearly; empty where there is nothing else."""
    values = np.asarray(signal, dtype=np.float64).ravel()
    missing = np.isnan(values)
    if not missing.any():
        return values
    if missing.all():
        return np.empty(0)
    at = np.arange(values.size)
    return np.interp(at, at[~missing], values[~missing])


def boxcar(signal: Float64, width: int) -> Float64:
    """Return the moving average over ``width`` samples, zeros beyond the ends."""
    if width <= 1:
        return signal
    return np.convolve(signal, np.full(width, 1.0 / width), mode="same")


def high_pass(signal: Float64, rate: float, cut: float = 0.5) -> Float64:
    """Take away the wander of the baseline: Butterworth, second order, forwards and backwards, so without delay.

    Parameters
    ----------
    signal : ndarray, shape (n,)
        At least two samples.
    rate : float
        Samples a second.
    cut : float
        Hz; below half the rate.
    """
    pre = math.tan(math.pi * cut / rate)
    scale = 1.0 / (1.0 + math.sqrt(2.0) * pre + pre * pre)
    b = (scale, -2.0 * scale, scale)
    a = (2.0 * (pre * pre - 1.0) * scale, (1.0 - math.sqrt(2.0) * pre + pre * pre) * scale)
    pad = min(signal.size - 1, PADDING)
    # mirrored through the end points, so that the filter starts in the signal and not in a step
    before, after = 2 * signal[0] - signal[pad:0:-1], 2 * signal[-1] - signal[-2 : -pad - 2 : -1]
    once = _filtered(np.concatenate([before, signal, after]), b, a)
    twice = _filtered(once[::-1], b, a)[::-1]
    return np.ascontiguousarray(twice[pad : pad + signal.size])


def _filtered(signal: Float64, b: tuple[float, float, float], a: tuple[float, float]) -> Float64:
    """Run the filter (direct form II transposed), started as if the first sample had always been there."""
    first = float(signal[0])
    one, two = -b[0] * first, b[2] * first
    out = []
    for x in signal.tolist():
        y = b[0] * x + one
        one, two = b[1] * x - a[0] * y + two, b[2] * x - a[1] * y
        out.append(y)
    return np.asarray(out)
