"""A layered ECG model's output, read: rhythm, rate and intervals of one lead. NumPy only.

The model gives a class for every sample in three layers: wave (P, QRS, T), type of beat, rhythm. The rate and the
beats do not come from it but from the signal itself (:mod:`functions.diagnosis.ecg.beats`), and whether the beats are
as irregular as in atrial fibrillation is asked of them, too (:mod:`functions.diagnosis.ecg.irregular`): two opinions
that do not share a network.
"""

from __future__ import annotations

from functions.diagnosis.ecg.beats import qrs_widths, r_peaks
from functions.diagnosis.ecg.irregular import irregularly_irregular
from functions.diagnosis.ecg.layers import BEATS, RHYTHMS, WAVES, Layers
from functions.diagnosis.ecg.reading import EcgReading, bazett, fridericia, read
from functions.diagnosis.ecg.signal import rank_normalised

__all__ = [
    "BEATS",
    "RHYTHMS",
    "WAVES",
    "EcgReading",
    "Layers",
    "bazett",
    "fridericia",
    "irregularly_irregular",
    "qrs_widths",
    "r_peaks",
    "rank_normalised",
    "read",
]
