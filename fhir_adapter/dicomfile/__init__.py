"""Reading DICOM files that anyone may have written: within limits, into a checked data set or a named error."""

from __future__ import annotations

from fhir_adapter.dicomfile.age import age_at_study
from fhir_adapter.dicomfile.errors import DicomDamaged, DicomError, DicomTooLarge, DicomUnsupported, NotDicom
from fhir_adapter.dicomfile.layout import PixelLayout
from fhir_adapter.dicomfile.limits import Limits
from fhir_adapter.dicomfile.quiet import RAISED, quietly, sound
from fhir_adapter.dicomfile.reading import read_dicom
from fhir_adapter.dicomfile.refusal import Code, Refusal, RefusalReason, codes_of, is_uid, shown

__all__ = [
    "RAISED",
    "Code",
    "DicomDamaged",
    "DicomError",
    "DicomTooLarge",
    "DicomUnsupported",
    "Limits",
    "NotDicom",
    "PixelLayout",
    "Refusal",
    "RefusalReason",
    "age_at_study",
    "codes_of",
    "is_uid",
    "quietly",
    "read_dicom",
    "shown",
    "sound",
]
