"""Whether beats follow each other as irregularly as in atrial fibrillation, by rules on the RR intervals.

The rules and their limits are those of openecg, set there on 10-second strips for few false alarms (sensitivity 0.81,
specificity 0.96 on its own data). Measures: coefficient of sample entropy (Lake and Moorman, Am J Physiol Heart Circ
Physiol 300:H319-H325, 2011), spread on the map of successive differences (Sarkar et al., IEEE Trans Biomed Eng
55:1219-1224, 2008), share of large differences (Tateno and Glass, Med Biol Eng Comput 39:664-671, 2001).
"""

from __future__ import annotations

import numpy as np

from functions.diagnosis.ecg.signal import Float64

__all__ = ["irregularly_irregular"]

FEWEST = 4
# Wide beats: how wide, and how many of them make the rhythm a matter of the ventricles.
VETO_MS, VETO_SHARE, VETO_FEWEST = 115.0, 0.3, 2
WIDE_MS, WIDE_TIMES = 120.0, 1.25
RADII = (0.03, 0.05, 0.08, 0.12, 0.18, 0.25)
BIN_MS, GRID = 80, 13
# Of strips of ten intervals and fewer.
SHORT, LARGE_SHARE, VARIATION, CLUSTER, RATIO = 10, 0.70, 0.15, 0.40, 2.4


def irregularly_irregular(rr_ms: Float64, widths_ms: Float64) -> bool:
    """Tell whether any of the rules holds.

    Parameters
    ----------
    rr_ms : ndarray, shape (beats - 1,)
        Intervals between beats in ms.
    widths_ms : ndarray, shape (beats,)
        QRS durations in ms.

    Returns
    -------
    bool
        False also where there are fewer than four intervals.
    """
    if rr_ms.size < FEWEST or _ventricular(widths_ms):
        return False
    narrow = _between_narrow(rr_ms, widths_ms)
    return _any_rule(narrow if narrow.size >= FEWEST else rr_ms) or _short_strip(rr_ms, widths_ms)


def _ventricular(widths_ms: Float64) -> bool:
    count = int((widths_ms >= VETO_MS).sum())
    return count >= max(VETO_FEWEST, int(np.ceil(VETO_SHARE * widths_ms.size)))


def _between_narrow(rr_ms: Float64, widths_ms: Float64) -> Float64:
    """Leave out the intervals that touch a wide beat: its pause is not the rhythm's."""
    wide = widths_ms >= max(WIDE_MS, WIDE_TIMES * float(np.median(widths_ms)))
    return rr_ms[~(wide[:-1] | wide[1:])]


def _any_rule(rr: Float64) -> bool:
    return (
        _entropy(rr, 0.0) >= 3.078
        or _entropy(rr, 5.0) >= 2.351
        or _entropy(rr, 70.0) >= 2.465
        or _largest_cluster(rr, 70.0) <= 0.25
        or _largest_cluster(rr, 50.0) <= 0.2727
        or _map_fill(rr, 15.0) >= 0.05917
        or _map_fill(rr, 40.0) >= 0.05917
        or float(np.sqrt(np.mean(np.diff(rr) ** 2))) >= 682.6
    )


def _short_strip(rr: Float64, widths_ms: Float64) -> bool:
    if rr.size > SHORT or (widths_ms >= WIDE_MS).any() or rr.min() < 1.0 or rr.max() / rr.min() > RATIO:
        return False
    mean = float(rr.mean())
    large = float(np.mean(np.abs(np.diff(rr)) >= 0.08 * mean))
    return large >= LARGE_SHARE and float(rr.std()) / mean >= VARIATION and _largest_cluster(rr, 0.0) <= CLUSTER


def _entropy(rr: Float64, dead_ms: float) -> float:
    """Coefficient of sample entropy, the largest over a few radii; 0 where there is none."""
    mean = float(rr.mean())
    if rr.size < 3 or float(rr.std()) < dead_ms:
        return 0.0
    one = np.abs(rr[:, None] - rr[None, :])
    two = np.maximum(one[:-1, :-1], one[1:, 1:])
    found = []
    for radius in (max(dead_ms, share * mean) for share in RADII):
        single = int((one <= radius).sum()) - rr.size
        double = int((two <= radius).sum()) - (rr.size - 1)
        if single and double:
            found.append(-np.log(double / single) - np.log(mean / 1000.0))
    return float(max(found)) if found else 0.0


def _largest_cluster(rr: Float64, dead_ms: float) -> float:
    """Share of the intervals that lie within 6% of the mean of one of them."""
    near = np.abs(rr[:, None] - rr[None, :]) <= max(dead_ms, 0.06 * float(rr.mean()))
    return float(near.sum(axis=1).max() / rr.size)


def _map_fill(rr: Float64, dead_ms: float) -> float:
    """Share of the cells of the map of successive differences that are hit."""
    steps = np.diff(rr)
    if steps.size < 3:
        return 0.0
    steps = np.where(np.abs(steps) < dead_ms, 0.0, steps)
    cells = np.clip(np.floor(steps / BIN_MS + GRID // 2).astype(int), 0, GRID - 1)
    return float(np.unique(cells[:-1] * GRID + cells[1:]).size / GRID**2)
