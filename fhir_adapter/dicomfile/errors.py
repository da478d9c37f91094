"""Errors of reading DICOM: one tree, each with a stable reason that may be counted.

::

    FhirAdapterError
    └── DicomError                  .reason: a stable code
        ├── NotDicom                not a DICOM file: no prefix, no file meta information
        ├── DicomTooLarge           beyond a limit of ours, seen before the memory was spent
        ├── DicomDamaged            ends early, contradicts itself, or cannot be decoded
        └── DicomUnsupported        sound perhaps, but a transfer syntax or form that is not read here

No message contains a value of the data set: messages name tags, lengths, counts and transfer syntaxes only.
"""

from __future__ import annotations

from fhir_adapter.errors import FhirAdapterError

__all__ = ["DicomDamaged", "DicomError", "DicomTooLarge", "DicomUnsupported", "NotDicom"]


class DicomError(FhirAdapterError):
    """A DICOM file cannot be read.

    Attributes
    ----------
    reason : str
        Stable code of the kind of error.
    """

    reason = "dicom"


class NotDicom(DicomError):
    """Not a DICOM file (PS3.10, section 7.1): the prefix or the file meta information is missing."""

    reason = "not-dicom"


class DicomTooLarge(DicomError):
    """Beyond a limit; seen before the memory was spent."""

    reason = "too-large"


class DicomDamaged(DicomError):
    """The file ends early, contradicts itself, or its pixels cannot be decoded."""

    reason = "damaged"


class DicomUnsupported(DicomError):
    """A transfer syntax, photometric interpretation or form that is not read here."""

    reason = "unsupported"
