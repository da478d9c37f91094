"""Waveforms of a data set (PS3.3, C.10.9) in millivolts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset

from fhir_adapter.dicomfile import DicomDamaged, DicomTooLarge, DicomUnsupported, codes_of, sound
from fhir_adapter.waveforms.leads import lead_of

__all__ = ["Waveform", "read_waveforms"]

Array = np.ndarray[Any, np.dtype[Any]]

# Sample interpretations that are linear (PS3.3, C.10.9.1.5); mu-law and A-law carry audio.
_TYPES = {("SB", 8): "i1", ("UB", 8): "u1", ("SS", 16): "i2", ("US", 16): "u2", ("SL", 32): "i4", ("UL", 32): "u4"}
# Millivolts in one UCUM unit.
_MILLIVOLTS = {"mV": 1.0, "uV": 1e-3, "V": 1e3, "nV": 1e-6}
# A Holter of twelve leads at 1 kHz over a day would be a thousand times as much; it is no resting ECG.
MOST_SAMPLES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Waveform:
    """One multiplex group.

    Parameters
    ----------
    leads : tuple of str
        Of the channels, in their order; an empty text for what is no lead of a 12-lead ECG.
    millivolts : numpy.ndarray, shape (leads, samples), dtype float32
        NaN where the file has no value.
    sampling_frequency : float
        In hertz.
    label : str
        Multiplex Group Label, upper case.
    derived : bool
        Whether it was computed from another, as a median beat is.
    """

    leads: tuple[str, ...]
    millivolts: Array
    sampling_frequency: float
    label: str
    derived: bool

    @property
    def seconds(self) -> float:
        """Duration."""
        return float(self.millivolts.shape[1] / self.sampling_frequency)


@sound("waveform")
def read_waveforms(dataset: FileDataset) -> tuple[Waveform, ...]:
    """Read every multiplex group whose channels are voltages.

    Parameters
    ----------
    dataset : pydicom.dataset.FileDataset
        As :func:`fhir_adapter.dicomfile.read_dicom` returns it.

    Raises
    ------
    DicomDamaged
        When a group's description contradicts its data, or a channel cannot be scaled.
    DicomTooLarge
        When the samples pass the limit.
    DicomUnsupported
        For companded samples.
    """
    groups = dataset.get("WaveformSequence") or ()
    return tuple(found for item in groups if (found := _group(item, dataset)) is not None)


def _group(item: Dataset, dataset: FileDataset) -> Waveform | None:
    channels = item.get("ChannelDefinitionSequence") or ()
    factors = [_factors(channel) for channel in channels]
    if not channels or None in factors:
        # pressures, respiration, audio: nothing an electrocardiogram is made of
        return None
    samples, frequency = int(item.get("NumberOfWaveformSamples") or 0), float(item.get("SamplingFrequency") or 0)
    if samples < 1 or not 0 < frequency < 1e6 or len(channels) != item.get("NumberOfWaveformChannels"):
        raise DicomDamaged("a waveform's channels, samples or sampling frequency are not sound")
    if samples * len(channels) > MOST_SAMPLES:
        raise DicomTooLarge(f"a waveform has more than {MOST_SAMPLES} samples")
    raw, padding = _samples(item, samples, len(channels), dataset)
    millivolts = raw.T.astype(np.float32, order="C")
    for number, factor in enumerate(factors):
        assert factor is not None
        millivolts[number] *= factor[0]
        millivolts[number] += factor[1]
    if padding is not None:
        millivolts[(raw == padding).T] = np.nan
    return Waveform(
        leads=tuple(lead_of(channel) or "" for channel in channels),
        millivolts=millivolts,
        sampling_frequency=frequency,
        label=str(item.get("MultiplexGroupLabel") or "").strip().upper(),
        derived=item.get("WaveformOriginality") == "DERIVED",
    )


def _samples(item: Dataset, samples: int, channels: int, dataset: FileDataset) -> tuple[Array, int | None]:
    """Samples by channel, shape (samples, channels), and the value that stands for none."""
    bits = item.get("WaveformBitsAllocated")
    name = _TYPES.get((str(item.get("WaveformSampleInterpretation")), bits))
    if name is None:
        raise DicomUnsupported("a waveform whose samples are companded or of an odd size")
    order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
    dtype = np.dtype(order + name)
    value = item.get("WaveformData") or b""
    expected = samples * channels * dtype.itemsize
    if not expected <= len(value) <= expected + 1:
        raise DicomDamaged(f"a waveform has {len(value)} bytes, its description makes {expected}")
    padding = item.get("WaveformPaddingValue")
    if isinstance(padding, bytes):
        padding = int(np.frombuffer(padding[: dtype.itemsize], dtype)[0]) if len(padding) >= dtype.itemsize else None
    return np.frombuffer(value, dtype, samples * channels).reshape(samples, channels), padding


def _factors(channel: Dataset) -> tuple[np.float32, np.float32] | None:
    """Factor and offset to millivolts (PS3.3, C.10.9.1.4.2 and .4.4); None for a channel that is no voltage."""
    units = codes_of(channel, "ChannelSensitivityUnitsSequence")
    unit = next((_MILLIVOLTS[code.value] for code in units if code.value in _MILLIVOLTS), None)
    if unit is None:
        return None
    try:
        sensitivity = float(channel.ChannelSensitivity)
        correction = channel.get("ChannelSensitivityCorrectionFactor")
        correction = 1.0 if correction is None else float(correction)
        baseline = float(channel.get("ChannelBaseline") or 0)
    except (AttributeError, TypeError, ValueError):
        raise DicomDamaged("a channel's sensitivity or baseline is not a number") from None
    factor, offset = sensitivity * correction * unit, baseline * unit
    if not (np.isfinite([factor, offset]).all() and factor):
        raise DicomDamaged("a channel's sensitivity or baseline is not sound")
    return np.float32(factor), np.float32(offset)
