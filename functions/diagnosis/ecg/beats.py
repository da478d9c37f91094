"""Where the beats are, found in the signal alone.

Gradient-threshold detector of NeuroKit2 (Makowski et al., Behavior Research Methods 53:1689-1696, 2021), with the
additions of openecg: inverted leads, and a check of each peak's height.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from functions.diagnosis.ecg.signal import Float64, boxcar, high_pass, without_gaps

__all__ = ["Positions", "local_maxima", "prominences", "qrs_widths", "r_peaks"]

Positions = npt.NDArray[np.int64]

SMOOTH_S, AVERAGE_S = 0.1, 0.75
STEEP = 1.5
SHORTEST_SHARE = 0.4
APART_S = 0.3
LOWEST_SHARE = 0.4

# Of the width of a QRS complex: how far it is looked for, the stretch that tells the quiet slope, and what is believed.
REACH_S, QUIET_S, WIDTH_SMOOTH_S = 0.1, 0.25, 0.008
NARROWEST_MS, USUAL_MS = 40.0, 80.0
# Comparisons of peaks with samples that are held in memory.
AT_ONCE = 1 << 16
LADDER = (3.0, 2.0, 1.5, 1.2, 1.0)


def r_peaks(signal: npt.ArrayLike, rate: float) -> Positions:
    """Find the R peaks of one lead.

    Parameters
    ----------
    signal : array_like, shape (n,)
        One lead, in any unit; NaN are bridged.
    rate : float
        Samples a second.

    Returns
    -------
    ndarray of int64, shape (beats,)
        Rising sample numbers; empty where none is found.
    """
    values = without_gaps(signal)
    if values.size < max(8, int(0.05 * rate)):
        return np.empty(0, dtype=np.int64)
    found = [_peak(values, start, end) for start, end in _steep(values, rate)]
    apart, kept = round(APART_S * rate), []
    last = -apart - 1
    for peak in found:
        if peak - last > apart:
            kept.append(peak)
            last = peak
    return _high_enough(values, np.asarray(kept, dtype=np.int64))


def _steep(values: Float64, rate: float) -> list[tuple[int, int]]:
    """Return the stretches that are much steeper than their surroundings, as (start, end)."""
    slope = boxcar(np.abs(np.gradient(high_pass(values, rate))), max(1, round(SMOOTH_S * rate)))
    steep = (slope > STEEP * boxcar(slope, max(1, round(AVERAGE_S * rate)))).astype(np.int8)
    starts, ends = np.flatnonzero(np.diff(steep) == 1), np.flatnonzero(np.diff(steep) == -1)
    ends = ends[ends > starts[0]] if starts.size else ends
    pairs = list(zip(starts.tolist(), ends.tolist(), strict=False))
    least = SHORTEST_SHARE * float(np.mean([end - start for start, end in pairs])) if pairs else 0.0
    return [(start, end) for start, end in pairs if end - start >= least]


def _peak(values: Float64, start: int, end: int) -> int:
    """Return the most prominent peak of a stretch, upwards or downwards."""
    part = values[start:end]
    best, most = int(np.argmax(np.abs(part))), -np.inf
    for side in (part, -part):
        peaks = local_maxima(side)
        if peaks.size:
            high = prominences(side, peaks)
            at = int(np.argmax(high))
            if high[at] > most:
                best, most = int(peaks[at]), float(high[at])
    return start + best


def _high_enough(values: Float64, peaks: Positions) -> Positions:
    """Drop what is steep but hardly rises, as the filter's own ends and bursts of noise do."""
    if peaks.size < 3:
        return peaks
    height = np.abs(values[peaks] - np.median(values))
    return peaks[height >= LOWEST_SHARE * float(np.median(height))]


def local_maxima(values: Float64) -> Positions:
    """Return the first sample of every summit that is not at an end, flat ones included."""
    changes = np.concatenate([[True], np.diff(values) != 0])
    at = np.flatnonzero(changes)
    rises = np.diff(values[at]) > 0
    return np.asarray(at[1:-1][rises[:-1] & ~rises[1:]], dtype=np.int64)


def prominences(values: Float64, peaks: Positions) -> Float64:
    """Return how far one must go down from each peak before going up higher."""
    at = np.arange(values.size)
    out = np.empty(peaks.size)
    some = max(1, AT_ONCE // max(1, values.size))
    for first in range(0, peaks.size, some):
        places = peaks[first : first + some, None]
        heights = values[places]
        higher = values > heights
        start = np.where(higher & (at < places), at, -1).max(axis=1, keepdims=True)
        end = np.where(higher & (at > places), at, values.size).min(axis=1, keepdims=True)
        left = np.where((at > start) & (at <= places), values, np.inf).min(axis=1)
        right = np.where((at >= places) & (at < end), values, np.inf).min(axis=1)
        out[first : first + some] = heights[:, 0] - np.maximum(left, right)
    return out


def qrs_widths(signal: npt.ArrayLike, rate: float, peaks: Positions) -> Float64:
    """Return how wide the QRS complex at each peak is, by its slope, in ms.

    Parameters
    ----------
    signal : array_like, shape (n,)
        One lead.
    rate : float
        Samples a second.
    peaks : ndarray of int64, shape (beats,)
        As :func:`r_peaks` gives them.

    Returns
    -------
    ndarray, shape (beats,)
        80 ms where the slope does not tell.
    """
    slope = boxcar(np.abs(np.gradient(without_gaps(signal))), max(1, round(WIDTH_SMOOTH_S * rate)))
    return np.asarray([_width(slope, rate, peak) for peak in peaks.tolist()], dtype=np.float64)


def _width(slope: Float64, rate: float, peak: int) -> float:
    quiet, reach = round(QUIET_S * rate), round(REACH_S * rate)
    around = slope[max(0, peak - quiet) : peak + quiet]
    start = max(0, peak - reach)
    near = slope[start : peak + reach]
    floor = _lower_quartile(around) if around.size >= 8 else 0.0
    if floor <= 0:
        return USUAL_MS
    least = max(1, round(NARROWEST_MS * rate / 1000.0))
    for times in LADDER:
        calm = np.flatnonzero(near <= times * floor)
        if calm.size and (calm == peak - start).any():
            continue
        left, right = calm[calm < peak - start], calm[calm > peak - start]
        run = (int(right[0]) if right.size else near.size) - (int(left[-1]) + 1 if left.size else 0) - 1
        if run >= least:
            return run * 1000.0 / rate
    return USUAL_MS


def _lower_quartile(values: Float64) -> float:
    """As ``numpy.percentile``, whose many checks take ten times as long as the sorting."""
    ordered, at = np.sort(values), 0.25 * (values.size - 1)
    low = int(at)
    return float(ordered[low] + (at - low) * (ordered[low + 1] - ordered[low]))
