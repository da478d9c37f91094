"""One ECG, read: what a cardiologist's one-line report says."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from functions.diagnosis.ecg.beats import qrs_widths, r_peaks
from functions.diagnosis.ecg.irregular import irregularly_irregular
from functions.diagnosis.ecg.layers import Layers
from functions.diagnosis.ecg.signal import without_gaps

__all__ = ["EcgReading", "bazett", "fridericia", "read"]

# Below this deflection in mV a lead is likely off.
LOW_MV = 0.1
FEWEST_BEATS = 3
IRREGULAR = 0.12
PR_WITHIN_MS, QT_WITHIN_MS = 400.0, 600.0
# What a finding needs beside the network's word: of the strip that is believed, the larger part.
DOMINANT = 0.5


@dataclass(frozen=True)
class EcgReading:
    """What is read from one lead; None is what could not be measured.

    Parameters
    ----------
    rhythm : str or None
        The commonest rhythm of the strip, one of :data:`functions.diagnosis.ecg.layers.RHYTHMS`; None where that one
        is suppressed, or has less than half of the strip.
    rhythm_shares : mapping of str to float
        Share of the strip that the model gives each rhythm that is not suppressed; not probabilities.
    heart_rate : float or None
        Beats a minute (UCUM ``/min``): the median.
    rr_ms, pr_ms, qrs_ms, qt_ms, qtc_bazett_ms, qtc_fridericia_ms : float or None
        Milliseconds.
    beats : int
    beat_types : mapping of str to int
        Counts by type, of the types that are not suppressed.
    regular : bool or None
        Whether the RR intervals vary by less than 12% (standard deviation over mean).
    irregularly_irregular : bool
        The rules' own opinion on atrial fibrillation.
    flags : tuple of str
        ``too-few-beats``, ``low-amplitude``, ``atrial-fibrillation-disputed`` (network and rules differ),
        ``rhythm-suppressed`` (the model names one that it is not believed in).
    """

    rhythm: str | None
    rhythm_shares: Mapping[str, float]
    heart_rate: float | None
    rr_ms: float | None
    pr_ms: float | None
    qrs_ms: float | None
    qt_ms: float | None
    qtc_bazett_ms: float | None
    qtc_fridericia_ms: float | None
    beats: int
    beat_types: Mapping[str, int]
    regular: bool | None
    irregularly_irregular: bool
    flags: tuple[str, ...]

    @property
    def atrial_fibrillation(self) -> bool:
        """Whether the network says so; where the rules differ, `flags` has it."""
        return self.rhythm == "afib"

    @property
    def av_block(self) -> bool:
        """Whether the network says so: prolonged or failing conduction, of any degree."""
        return self.rhythm == "avb"


def bazett(qt_ms: float, rr_ms: float) -> float:
    """Return QT corrected for rate: over the square root of RR in seconds (Bazett, Heart 7:353-370, 1920)."""
    return qt_ms / math.sqrt(rr_ms / 1000.0)


def fridericia(qt_ms: float, rr_ms: float) -> float:
    """Return QT corrected for rate: over the cube root of RR in seconds (Fridericia, Acta Med Scand 53:469, 1920)."""
    return qt_ms / math.cbrt(rr_ms / 1000.0)


def read(
    signal: npt.ArrayLike,
    rate: float,
    outputs: Mapping[str, npt.NDArray[np.float32]],
    suppress: Collection[str] = (),
) -> EcgReading:
    """Read one lead from the signal and what the model says of it.

    Parameters
    ----------
    signal : array_like, shape (n,)
        The lead in mV, as it was before it was normalised for the model.
    rate : float
        Samples a second, of signal and model alike.
    outputs : mapping
        ``frame_logits``, ``beat_logits``, ``rhythm_logits``: of shape (1, m, classes), m at least n.
    suppress : collection of str
        Classes of rhythm (``rhythm:NAME``) and beat (``beat:NAME``) that the model is not believed in.

    Returns
    -------
    EcgReading
    """
    values = without_gaps(signal)
    layers = Layers.of(outputs, rate, values.size)
    peaks = r_peaks(values, rate)
    rr = np.diff(peaks) * (1000.0 / rate)
    qt = layers.interval_ms("QRS", "T", QT_WITHIN_MS, to_end=True)
    rr_mean = float(rr.mean()) if rr.size else None
    rhythm, shares, flags = _rhythm(layers, suppress)
    rules = irregularly_irregular(rr, qrs_widths(values, rate, peaks))
    types = [kind for kind in layers.beat_types(peaks.tolist()) if f"beat:{kind}" not in suppress]
    return EcgReading(
        rhythm=rhythm,
        rhythm_shares=shares,
        heart_rate=float(np.median(60000.0 / rr)) if rr.size else None,
        rr_ms=rr_mean,
        # what there is no P wave for has no PR interval, whatever the next QRS complex is
        pr_ms=None if rhythm == "afib" else layers.interval_ms("P", "QRS", PR_WITHIN_MS, to_end=False),
        qrs_ms=layers.duration_ms("QRS"),
        qt_ms=qt,
        qtc_bazett_ms=bazett(qt, rr_mean) if qt and rr_mean else None,
        qtc_fridericia_ms=fridericia(qt, rr_mean) if qt and rr_mean else None,
        beats=int(peaks.size),
        beat_types={kind: types.count(kind) for kind in sorted(set(types))},
        regular=bool(rr.std() <= IRREGULAR * rr.mean()) if rr.size else None,
        irregularly_irregular=rules,
        flags=(*flags, *_quality(values, int(peaks.size)), *_disputed(rhythm, rules)),
    )


def _rhythm(layers: Layers, suppress: Collection[str]) -> tuple[str | None, dict[str, float], tuple[str, ...]]:
    shares = layers.rhythm_shares()
    first = max(shares, key=lambda name: shares[name])
    believed = {name: share for name, share in shares.items() if f"rhythm:{name}" not in suppress}
    if first not in believed:
        return None, believed, ("rhythm-suppressed",)
    return first if shares[first] >= DOMINANT else None, believed, ()


def _quality(values: npt.NDArray[np.float64], beats: int) -> tuple[str, ...]:
    deflection = float(np.percentile(np.abs(values - np.median(values)), 98)) if values.size else 0.0
    few = ("too-few-beats",) if beats < FEWEST_BEATS else ()
    return (*few, *(("low-amplitude",) if deflection < LOW_MV else ()))


def _disputed(rhythm: str | None, rules: bool) -> tuple[str, ...]:
    return ("atrial-fibrillation-disputed",) if rhythm is not None and rules != (rhythm == "afib") else ()
