"""Filters and normalisation of one lead."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

__all__ = ["Float64", "boxcar", "high_pass", "rank_normalised", "without_gaps"]

Float64 = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]

# Samples by which a signal is extended at both ends before it is filtered forwards and backwards.
PADDING = 12
# Samples that are filtered at once.
BLOCK = 64


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
    if width <= 1 or not signal.size:
        return signal
    # of sums up to each sample, so that a wide window costs no more than a narrow one
    sums = np.concatenate([[0.0], np.cumsum(signal)])
    ends = np.arange(1, signal.size + 1) + (width - 1) // 2
    upper = sums.take(ends, mode="clip")
    return np.asarray((upper - sums.take(ends - width, mode="clip")) / width)


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
    """Run the filter, started as if the first sample had always been there.

    Sample by sample it takes as long as a tenth of the network. So the signal is cut into blocks: what a block gives
    by itself, and what it leaves behind, are matrix products for all of them at once; only the state of two numbers is
    handed on from block to block.
    """
    own, from_state, left, kept = _block(b, a)
    count = -(-signal.size // BLOCK)
    blocks = np.zeros((count, BLOCK))
    blocks.reshape(-1)[: signal.size] = signal
    first = float(signal[0])
    states = np.empty((count, 2))
    state = np.array([-b[0] * first, b[2] * first])
    for number, added in enumerate(blocks @ left):
        states[number] = state
        state = kept @ state + added
    return np.asarray((blocks @ own + states @ from_state).reshape(-1)[: signal.size])


@lru_cache(maxsize=8)
def _block(b: tuple[float, float, float], a: tuple[float, float]) -> tuple[Float64, Float64, Float64, Float64]:
    """Return what the filter (direct form II transposed) does to a block, as matrices to multiply it by.

    Returns
    -------
    own : ndarray, shape (BLOCK, BLOCK)
        From samples to outputs.
    from_state : ndarray, shape (2, BLOCK)
        From the state before to outputs.
    left : ndarray, shape (BLOCK, 2)
        From samples to what they add to the state afterwards.
    kept : ndarray, shape (2, 2)
        From the state before to the state afterwards.
    """
    step = np.array([[-a[0], 1.0], [-a[1], 0.0]])
    entered = np.array([b[1] - a[0] * b[0], b[2] - a[1] * b[0]])
    powers = [np.eye(2)]
    for _ in range(BLOCK):
        powers.append(step @ powers[-1])
    from_state = np.stack([power[0] for power in powers[:BLOCK]], axis=1)
    response = np.concatenate([[b[0]], from_state[:, : BLOCK - 1].T @ entered])
    own = np.zeros((BLOCK, BLOCK))
    for at in range(BLOCK):
        own[at, at:] = response[: BLOCK - at]
    left = np.stack([power @ entered for power in powers[BLOCK - 1 :: -1]])
    return own, from_state, left, powers[BLOCK]
