"""What the device measured: numbers and marks of the waveform annotation module (PS3.3, C.10.10)."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset

from fhir_adapter.dicomfile import Code, codes_of, sound
from fhir_adapter.pixels.frameinfo import numbers

__all__ = ["Measurement", "measured", "measurements"]

# Global intervals in SCP-ECG (EN 1064) and in MDC (PS3.16, CID 3227 and 3228).
_NAMES = {
    "rr": ("5.10.2.1-3", "2:16168"),
    "pp": ("5.10.2.1-5", "2:16140"),
    "pr": ("5.13.5-7", "2:15872"),
    "qrs": ("5.13.5-9", "2:16156"),
    "qt": ("5.13.5-11", "2:16160"),
    "qtc": ("5.10.2.5-5", "2:15876", "2:15880"),
}
_MILLISECONDS = {"ms": 1.0, "s": 1000.0}


@dataclass(frozen=True)
class Measurement:
    """One annotation with a number or a place.

    Parameters
    ----------
    concept : Code
        What was measured.
    value : float or None
        The number.
    unit : str
        UCUM code, empty without a number.
    positions : tuple of int
        Samples, from 1.
    group : int
        Annotation Group Number: marks of one beat share it.
    """

    concept: Code
    value: float | None
    unit: str
    positions: tuple[int, ...]
    group: int


@sound("waveform annotation")
def measurements(dataset: Dataset) -> tuple[Measurement, ...]:
    """Read the coded annotations of a data set; free text is left where it is.

    Raises
    ------
    DicomDamaged
        When a number is none.
    """
    found = []
    for item in dataset.get("WaveformAnnotationSequence") or ():
        concepts = codes_of(item, "ConceptNameCodeSequence")
        if not concepts:
            continue
        values = numbers(item, "NumericValue")
        units = codes_of(item, "MeasurementUnitsCodeSequence")
        positions = tuple(int(position) for position in numbers(item, "ReferencedSamplePositions"))
        group = numbers(item, "AnnotationGroupNumber")
        if values or positions:
            unit = units[0].value if units and values else ""
            found.append(
                Measurement(concepts[0], values[0] if values else None, unit, positions, int(group[0]) if group else 0)
            )
    return tuple(found)


def measured(dataset: Dataset, name: str) -> float | None:
    """Return the device's own value of one interval.

    Parameters
    ----------
    name : {"rr", "pp", "pr", "qrs", "qt", "qtc"}
        Which interval.

    Returns
    -------
    float or None
        In milliseconds. None when it is not there, or zero: devices write zero for what they could not measure.
    """
    codes = _NAMES[name]
    for item in measurements(dataset):
        if item.concept.value in codes and item.value and item.unit in _MILLISECONDS:
            return item.value * _MILLISECONDS[item.unit]
    return None
