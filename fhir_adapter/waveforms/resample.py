"""Changing a sampling frequency with a polyphase filter, and filtering where a contract asks for it."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

__all__ = ["band", "resample"]

Array = np.ndarray[Any, np.dtype[Any]]
# Zero crossings of the sinc on each side, and the shape of the Kaiser window: 60 dB down in the stop band.
CROSSINGS, KAISER = 10, 5.0


def resample(signal: Array, source: float, target: float) -> Array:
    """Resample rows.

    A windowed sinc at the lower of the two Nyquist frequencies is evaluated only where an output falls (Crochiere,
    Rabiner, Multirate Digital Signal Processing, 1983, chapter 4). At the ends the signal goes on as it last was.

    Parameters
    ----------
    signal : numpy.ndarray, shape (rows, samples)
        Without gaps.
    source, target : float
        Sampling frequencies in hertz.

    Returns
    -------
    numpy.ndarray, shape (rows, ceil(samples * target / source)), dtype float32
    """
    ratio = (Fraction(target).limit_denominator(10_000) / Fraction(source).limit_denominator(10_000)).limit_denominator(
        1000
    )
    up, down = ratio.numerator, ratio.denominator
    if up == down:
        return np.ascontiguousarray(signal, np.float32)
    taps, reach = _filter(up, down)
    length = -(-signal.shape[1] * up // down)
    padded = np.pad(signal.astype(np.float64), ((0, 0), (reach, reach + 1)), mode="edge")
    out = np.empty((len(signal), length), np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(padded, taps.shape[1], axis=1)
    for first in range(min(up, length)):
        # every up-th output meets the input at the same phase
        start, phase = divmod(first * down, up)
        count = -(-(length - first) // up)
        out[:, first::up] = windows[:, start : start + (count - 1) * down + 1 : down] @ taps[phase]
    return out


@lru_cache(maxsize=16)
def _filter(up: int, down: int) -> tuple[Array, int]:
    """Taps by phase, shape (up, 2 * reach + 1), each phase summing to one, and how far they reach in input samples."""
    widest = max(up, down)
    half = CROSSINGS * widest
    reach = -(-half // up)
    # distance of each input sample from the output, in units of the upsampled grid
    at = np.arange(-reach, reach + 1)[None, :] * up - np.arange(up)[:, None]
    inside = np.abs(at) <= half
    window = np.where(inside, np.i0(KAISER * np.sqrt(np.clip(1 - (at / half) ** 2, 0, None))), 0.0)
    taps = np.sinc(at / widest) * window
    return taps / taps.sum(axis=1, keepdims=True), reach


def band(signal: Array, frequency: float, low: float | None, high: float | None) -> Array:
    """Keep a band, without shifting anything in time.

    The squared magnitude of a second-order Butterworth filter is applied to the spectrum, which is what filtering
    forwards and backwards does. The signal is mirrored at both ends first, so that they do not meet.

    Parameters
    ----------
    signal : numpy.ndarray, shape (rows, samples)
    frequency : float
        Sampling frequency in hertz.
    low, high : float or None
        Corner frequencies in hertz.

    Returns
    -------
    numpy.ndarray, shape (rows, samples), dtype float32
    """
    samples = signal.shape[1]
    edge = min(samples - 1, int(2 * frequency))
    extended = np.pad(signal.astype(np.float64), ((0, 0), (edge, edge)), mode="reflect", reflect_type="odd")
    hertz = np.fft.rfftfreq(extended.shape[1], 1 / frequency)
    gain = np.ones_like(hertz)
    if high is not None:
        gain /= 1 + (hertz / high) ** 4
    if low is not None:
        gain *= hertz**4 / (hertz**4 + low**4)
    kept = np.fft.irfft(np.fft.rfft(extended, axis=1) * gain, extended.shape[1], axis=1)
    return kept[:, edge : edge + samples].astype(np.float32)
