"""What an electrocardiograph measured itself, beside what the model read from the same strip."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_adapter.codes import LOINC
from fhir_adapter.dicomfile import read_dicom

__all__ = ["Compared", "annotated", "compare"]


@dataclass(frozen=True)
class _Interval:
    """A measurement: its name, its LOINC code in the model's results, its unit, and how far the two may differ."""

    name: str
    code: str
    unit: str
    tolerance: float


# Code of the recorder's annotation (SCP-ECG, EN 1064; DICOM PS3.16, CID 3687) -> what it is.
INTERVALS = {
    "5.10.2.1-3": _Interval("RR interval", "8637-1", "ms", 20.0),
    "5.13.5-7": _Interval("PR interval", "8625-6", "ms", 30.0),
    "5.13.5-9": _Interval("QRS duration", "8633-0", "ms", 30.0),
    "5.13.5-11": _Interval("QT interval", "8634-8", "ms", 30.0),
    # By which formula, a recorder does not say; Fridericia's makes this sample's own QTc of its own QT and RR.
    "5.10.2.5-5": _Interval("QTc interval", "76634-5", "ms", 30.0),
}
RR = "5.10.2.1-3"
RATE = _Interval("Heart rate", "8867-4", "/min", 2.0)


@dataclass(frozen=True)
class Compared:
    """A measurement by the model and by the recorder.

    Parameters
    ----------
    name, unit : str
    model, device : float
    tolerance : float
        How far they may differ.
    """

    name: str
    unit: str
    model: float
    device: float
    tolerance: float

    @property
    def within(self) -> bool:
        """Whether they differ by no more."""
        return abs(self.model - self.device) <= self.tolerance

    def to_json(self) -> dict[str, Any]:
        """Return what ``bedside demo --json`` prints."""
        return {
            "name": self.name,
            "unit": self.unit,
            "model": round(self.model, 1),
            "device": round(self.device, 1),
            "tolerance": self.tolerance,
            "within": self.within,
        }


def annotated(data: bytes) -> dict[str, float]:
    """Return the recorder's own measurements by code (DICOM PS3.3, C.10.10); empty where it made none."""
    found: dict[str, float] = {}
    for item in read_dicom(data).get("WaveformAnnotationSequence") or ():
        concept = next(iter(item.get("ConceptNameCodeSequence") or ()), None)
        value = item.get("NumericValue")
        if concept is not None and value is not None and str(concept.get("CodeValue")) in INTERVALS:
            found.setdefault(str(concept.CodeValue), float(value))
    return found


def compare(data: bytes, observations: Iterable[Mapping[str, Any]]) -> tuple[Compared, ...]:
    """Hold what the model wrote against what the recorder measured; only what both have.

    Parameters
    ----------
    data : bytes
        The recording as a DICOM file.
    observations : iterable of dict
        The model's Observations on it.
    """
    measured = annotated(data)
    told = {
        coding["code"]: float(item["valueQuantity"]["value"])
        for item in observations
        for coding in item["code"].get("coding", ())
        if coding.get("system") == LOINC and "valueQuantity" in item
    }
    pairs = [(INTERVALS[code], value) for code, value in measured.items()]
    if measured.get(RR):
        pairs.insert(0, (RATE, 60_000.0 / measured[RR]))
    return tuple(
        Compared(interval.name, interval.unit, told[interval.code], device, interval.tolerance)
        for interval, device in pairs
        if interval.code in told
    )
