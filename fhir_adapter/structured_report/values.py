"""What a structured report says, as value objects; one that exists can be written.

Terms are those of DICOM PS3.16: a measurement report (TID 1500) holds measurement groups (TID 1501) with measurements
(TID 300) and qualitative evaluations, made by an algorithm (TID 4019), tracked (TID 4108), of source instances.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from fhir_adapter.structured_report.errors import StructuredReportError
from fhir_adapter.structured_report.identifiers import checked_uid

__all__ = [
    "ABSENT",
    "PRESENT",
    "UNDETERMINED",
    "Algorithm",
    "Coding",
    "Evaluation",
    "Measurement",
    "MeasurementGroup",
    "MeasurementReport",
    "SourceInstance",
    "Tracking",
    "ucum",
]

# PS3.16, Table 8-1: what DICOM calls the code systems that FHIR names by URI.
SCHEMES: Mapping[str, str] = {
    "http://snomed.info/sct": "SCT",
    "http://loinc.org": "LN",
    "http://dicom.nema.org/resources/ontology/DCM": "DCM",
    "http://unitsofmeasure.org": "UCUM",
    "http://radlex.org": "RADLEX",
    "http://hl7.org/fhir/sid/icd-10": "I10",
    "http://hl7.org/fhir/sid/icd-10-cm": "I10C",
}
# Waveform Storage classes; what a report is made from is one of them or an image (PS3.4, B.5).
WAVEFORMS = "1.2.840.10008.5.1.4.1.1.9."


def _text(what: str, value: str, longest: int) -> None:
    """Check a text that goes into an attribute of VR LO or SH: no backslash, no control characters."""
    if not isinstance(value, str) or not value.strip() or len(value) > longest:
        raise StructuredReportError(f"{what} must have 1 to {longest} characters")
    if "\\" in value or any(ord(character) < 32 for character in value):
        raise StructuredReportError(f"{what} holds a backslash or a control character")


@dataclass(frozen=True)
class Coding:
    """A code with its meaning (PS3.3, 8.8).

    Parameters
    ----------
    scheme : str
        Coding Scheme Designator, such as ``SCT``, ``LN``, ``DCM`` or ``UCUM``; a private one starts with ``99``.
    code : str
        Code Value.
    meaning : str
        Code Meaning, at most 64 characters.
    """

    scheme: str
    code: str
    meaning: str

    def __post_init__(self) -> None:
        for name, value, longest in (
            ("scheme", self.scheme, 16),
            ("code", self.code, 64),
            ("meaning", self.meaning, 64),
        ):
            _text(f"a code's {name}", value, longest)

    @classmethod
    def from_fhir(cls, system: str, code: str, display: str) -> Coding:
        """Return a FHIR Coding in DICOM's words.

        Raises
        ------
        StructuredReportError
            DICOM has no designator for the system.
        """
        if system not in SCHEMES:
            raise StructuredReportError(f"code system {system!r} has no designator in DICOM PS3.16, Table 8-1")
        return cls(SCHEMES[system], code, display)


def ucum(code: str, meaning: str | None = None) -> Coding:
    """Return a unit of the Unified Code for Units of Measure; its meaning is its code, where nothing is said."""
    return Coding("UCUM", code, meaning or ("no units" if code == "1" else code))


# PS3.16, CID 240: whether something is there.
PRESENT = Coding("SCT", "52101004", "Present")
ABSENT = Coding("SCT", "272519000", "Absent")
UNDETERMINED = Coding("SCT", "373068000", "Undetermined")


@dataclass(frozen=True)
class Algorithm:
    """Which algorithm answered (TID 4019).

    Parameters
    ----------
    name, version : str
        (111001, DCM) and (111003, DCM).
    manufacturer : str
        Also of the device observer, and of the equipment that made the object.
    parameters : tuple of str
        (111002, DCM), such as the digest of the model file.
    family : Coding or None
        (111000, DCM), out of CID 7162.
    """

    name: str
    version: str
    manufacturer: str
    parameters: tuple[str, ...] = ()
    family: Coding | None = None

    def __post_init__(self) -> None:
        for name in ("name", "version", "manufacturer"):
            _text(f"an algorithm's {name}", getattr(self, name), 64)
        for parameter in self.parameters:
            _text("an algorithm's parameter", parameter, 1024)


@dataclass(frozen=True)
class SourceInstance:
    """An image or waveform that was looked at.

    Parameters
    ----------
    study_uid, series_uid, sop_class_uid, sop_instance_uid : str
    frames : tuple of int
        Numbers from 1, where not all frames of a multi-frame image were used.
    """

    study_uid: str
    series_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    frames: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("study_uid", "series_uid", "sop_class_uid", "sop_instance_uid"):
            checked_uid(getattr(self, name), f"a source instance's {name}")
        if any(type(frame) is not int or frame < 1 for frame in self.frames):
            raise StructuredReportError("frames are numbered from 1")
        if self.frames and self.is_waveform:
            raise StructuredReportError("a waveform has no frames")

    @property
    def is_waveform(self) -> bool:
        """Whether it is a waveform, not an image."""
        return self.sop_class_uid.startswith(WAVEFORMS)


@dataclass(frozen=True)
class Tracking:
    """Name and UID by which a finding is followed over time (TID 4108)."""

    identifier: str
    uid: str

    def __post_init__(self) -> None:
        _text("a tracking identifier", self.identifier, 1024)
        checked_uid(self.uid, "a tracking UID")


@dataclass(frozen=True)
class Measurement:
    """A number with its unit (TID 300).

    Parameters
    ----------
    name : Coding
        What was measured.
    value : float
        Finite.
    unit : Coding
        Of UCUM.
    method, derivation : Coding or None
        How; as what of several, such as their mean.
    """

    name: Coding
    value: float
    unit: Coding
    method: Coding | None = None
    derivation: Coding | None = None

    def __post_init__(self) -> None:
        if isinstance(self.value, bool) or not isinstance(self.value, int | float) or not math.isfinite(self.value):
            raise StructuredReportError(f"measurement {self.name.meaning!r}: the value is not a finite number")
        if self.unit.scheme != "UCUM":
            raise StructuredReportError(f"measurement {self.name.meaning!r}: the unit is not one of UCUM")


@dataclass(frozen=True)
class Evaluation:
    """A coded question and its coded answer, such as pneumonia: present."""

    name: Coding
    value: Coding


@dataclass(frozen=True)
class MeasurementGroup:
    """What was found at one thing that is tracked (TID 1501).

    Parameters
    ----------
    tracking : Tracking
    sources : tuple of SourceInstance
        At least one.
    measurements : tuple of Measurement
    evaluations : tuple of Evaluation
        At least one of both together.
    finding : Coding or None
        What the group is about (121071, DCM).
    sites : tuple of Coding
        Where in the body.
    """

    tracking: Tracking
    sources: tuple[SourceInstance, ...]
    measurements: tuple[Measurement, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    finding: Coding | None = None
    sites: tuple[Coding, ...] = ()

    def __post_init__(self) -> None:
        if not self.sources:
            raise StructuredReportError("a measurement group names what it was made from")
        if not self.measurements and not self.evaluations:
            raise StructuredReportError("a measurement group holds a measurement or an evaluation")


@dataclass(frozen=True)
class MeasurementReport:
    """A whole report (TID 1500).

    Parameters
    ----------
    algorithm : Algorithm
    procedure : Coding
        Procedure reported (121058, DCM), out of CID 100 or like it.
    groups : tuple of MeasurementGroup
        At least one; no two are tracked by the same UID.
    language : Coding
        Of the report (TID 1204).
    """

    algorithm: Algorithm
    procedure: Coding
    groups: tuple[MeasurementGroup, ...]
    language: Coding = Coding("RFC5646", "en", "English")

    def __post_init__(self) -> None:
        if not self.groups:
            raise StructuredReportError("a report holds at least one measurement group")
        if len({group.tracking.uid for group in self.groups}) != len(self.groups):
            raise StructuredReportError("two measurement groups are tracked by the same UID")
