"""Electrocardiograms as a model wants them: in millivolts, in its order of leads, at its sampling frequency."""

from __future__ import annotations

from fhir_adapter.waveforms.annotations import Measurement, measured, measurements
from fhir_adapter.waveforms.leads import TWELVE
from fhir_adapter.waveforms.reading import Waveform, read_waveforms
from fhir_adapter.waveforms.recording import Recording, WaveformGate, recording
from fhir_adapter.waveforms.resample import band, resample
from fhir_adapter.waveforms.spec import WaveformSpec

__all__ = [
    "TWELVE",
    "Measurement",
    "Recording",
    "Waveform",
    "WaveformGate",
    "WaveformSpec",
    "band",
    "measured",
    "measurements",
    "read_waveforms",
    "recording",
    "resample",
]
