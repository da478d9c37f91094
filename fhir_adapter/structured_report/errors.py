"""Errors of structured reports.

::

    FhirAdapterError
    └── StructuredReportError     a DICOM object to be written would not be valid; names the attribute or value object

No message contains patient data: messages name attributes, codes and units only.
"""

from __future__ import annotations

from fhir_adapter.errors import FhirAdapterError

__all__ = ["StructuredReportError"]


class StructuredReportError(FhirAdapterError):
    """A DICOM object about to be written would not be valid; nothing is written."""
