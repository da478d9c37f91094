"""From a data set to the array that a model was trained on, or the reason why not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import FileDataset

from fhir_adapter.dicomfile import Refusal, RefusalReason, age_at_study, is_uid, sound
from fhir_adapter.errors import ConfigurationError
from fhir_adapter.waveforms.reading import Waveform, read_waveforms
from fhir_adapter.waveforms.resample import band, resample
from fhir_adapter.waveforms.spec import WaveformSpec

__all__ = ["Recording", "WaveformGate", "recording"]

Array = np.ndarray[Any, np.dtype[Any]]
# Limb leads as sums of I and II (Einthoven 1908; Goldberger 1942).
_DERIVED = {"III": (-1.0, 1.0), "aVR": (-0.5, -0.5), "aVL": (1.0, -0.5), "aVF": (-0.5, 1.0)}


@dataclass(frozen=True)
class Recording:
    """An electrocardiogram as a model wants it.

    Parameters
    ----------
    millivolts : numpy.ndarray, shape (leads, samples), dtype float32
        In the contract's order and at its sampling frequency, without gaps.
    derived : tuple of str
        Leads that were computed from I and II.
    recorded_at : float
        Sampling frequency of the file, in hertz.
    """

    millivolts: Array
    derived: tuple[str, ...]
    recorded_at: float


@dataclass(frozen=True)
class WaveformGate:
    """The recordings a model is for. An empty set asks nothing.

    Parameters
    ----------
    sop_classes : frozenset of str
        SOP Class UIDs.
    min_sampling_frequency : float
        In hertz; less than a model was trained on cannot be made up for.
    min_age, max_age : int or None
        Completed years at the study, inclusive.
    """

    sop_classes: frozenset[str] = frozenset()
    min_sampling_frequency: float = 0.0
    min_age: int | None = None
    max_age: int | None = None

    def __post_init__(self) -> None:
        for uid in self.sop_classes:
            if not is_uid(uid):
                raise ConfigurationError(f"waveforms: sop_classes: {uid!r} is not a UID")

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> WaveformGate:
        """Read the mapping ``waveforms`` of a ``model.yaml``; ages are ``age: {min: 18, max: 110}``.

        Raises
        ------
        ConfigurationError
            Naming the key and what is wrong with it.
        """
        if unknown := sorted(set(map(str, data)) - {"sop_classes", "min_sampling_frequency", "age"}):
            raise ConfigurationError(f"waveforms: keys that are not known: {', '.join(unknown)}")
        age = data.get("age") or {}
        try:
            return cls(
                frozenset(map(str, data.get("sop_classes") or ())),
                float(data.get("min_sampling_frequency") or 0),
                None if age.get("min") is None else int(age["min"]),
                None if age.get("max") is None else int(age["max"]),
            )
        except (AttributeError, TypeError, ValueError) as error:
            raise ConfigurationError(f"waveforms: {error}") from None

    @sound("waveform")
    def check(self, dataset: FileDataset) -> tuple[Refusal, ...]:
        """Return what speaks against a data set before its samples are looked at."""
        return tuple(self._reasons(dataset))

    def _reasons(self, dataset: FileDataset) -> Iterator[Refusal]:
        if self.sop_classes and dataset.get("SOPClassUID") not in self.sop_classes:
            yield Refusal(RefusalReason.SOP_CLASS, "The recording is of a class that the model is not for.")
        if self.min_age is None and self.max_age is None:
            return
        age = age_at_study(dataset)
        low, high = self.min_age or 0, 150 if self.max_age is None else self.max_age
        if age is None:
            yield Refusal(
                RefusalReason.AGE, f"The model is for ages {low} to {high}; the recording does not tell the age."
            )
        elif not low <= age <= high:
            yield Refusal(RefusalReason.AGE, f"The model is for ages {low} to {high}.")


@sound("waveform")
def recording(dataset: FileDataset, spec: WaveformSpec, gate: WaveformGate | None = None) -> Recording | Refusal:
    """Turn a data set into an array.

    Parameters
    ----------
    dataset : pydicom.dataset.FileDataset
        As :func:`fhir_adapter.dicomfile.read_dicom` returns it.
    spec : WaveformSpec
        What the model wants.
    gate : WaveformGate, optional
        What it is for.

    Returns
    -------
    Recording or Refusal
        The first thing that speaks against it.

    Raises
    ------
    DicomDamaged, DicomTooLarge, DicomUnsupported
        When the file is not sound.
    """
    gate = gate or WaveformGate()
    for refusal in gate.check(dataset):
        return refusal
    groups = [group for group in read_waveforms(dataset) if not group.derived]
    if not groups:
        return Refusal(RefusalReason.NO_WAVEFORM, "The data set has no recorded voltages.")
    wanted = _wanted(groups, spec)
    if wanted is None:
        missing = ", ".join(lead for lead in spec.leads if lead not in max(groups, key=_known).leads)
        return Refusal(RefusalReason.LEADS, f"Leads that the model needs were not recorded: {missing}.")
    if wanted.sampling_frequency < gate.min_sampling_frequency:
        return Refusal(
            RefusalReason.SAMPLING_FREQUENCY, f"The model needs at least {gate.min_sampling_frequency:g} Hz."
        )
    return _prepared(wanted, spec)


def _known(group: Waveform) -> int:
    return len(set(group.leads) - {""})


def _wanted(groups: list[Waveform], spec: WaveformSpec) -> Waveform | None:
    """The longest recording that has the leads."""
    able = [group for group in groups if all(_rows(group, lead, spec) for lead in spec.leads)]
    return max(able, key=lambda group: group.seconds, default=None)


def _rows(group: Waveform, lead: str, spec: WaveformSpec) -> tuple[tuple[str, float], ...]:
    if lead in group.leads:
        return ((lead, 1.0),)
    if spec.derive_leads and lead in _DERIVED and {"I", "II"} <= set(group.leads):
        return (("I", _DERIVED[lead][0]), ("II", _DERIVED[lead][1]))
    return ()


def _prepared(group: Waveform, spec: WaveformSpec) -> Recording | Refusal:
    parts = [_rows(group, lead, spec) for lead in spec.leads]
    signal = np.stack(
        [
            np.sum([factor * group.millivolts[group.leads.index(name)] for name, factor in part], axis=0)
            for part in parts
        ]
    ).astype(np.float32)
    whole = np.atleast_1d(np.isfinite(signal).all(axis=0))
    if not whole.any():
        return Refusal(RefusalReason.GAPS, "The recording holds no values.")
    # recorders fill up what they did not record, before and after
    first, last = int(whole.argmax()), len(whole) - int(whole[::-1].argmax())
    needed = spec.seconds * group.sampling_frequency
    if last - first < needed - 0.5:
        return Refusal(RefusalReason.DURATION, f"The recording is shorter than the {spec.seconds:g} s the model needs.")
    # the filters reach a little further than what is kept
    last = min(last, first + round(needed + group.sampling_frequency))
    if not whole[first : min(last, first + round(needed))].all():
        return Refusal(RefusalReason.GAPS, "Values are missing within the recording.")
    if not whole[first:last].all():
        last = first + round(needed)
    signal = resample(signal[:, first:last], group.sampling_frequency, spec.sampling_frequency)
    if spec.high_pass is not None or spec.low_pass is not None:
        signal = band(signal, spec.sampling_frequency, spec.high_pass, spec.low_pass)
    if signal.shape[1] < spec.samples:
        signal = np.pad(signal, ((0, 0), (0, spec.samples - signal.shape[1])), mode="edge")
    derived = tuple(lead for lead, part in zip(spec.leads, parts, strict=True) if len(part) > 1)
    return Recording(np.ascontiguousarray(signal[:, : spec.samples]), derived, group.sampling_frequency)
