"""Errors of ImagingStudy resources; leaves of the tree in :mod:`fhir_adapter.errors`.

::

    FhirAdapterError
    ├── ConfigurationError
    │   └── NoImageStore        no endpoint of the study, and no root of the tenant, can be used
    └── ImagingStudyError       an ImagingStudy, or the attributes to make one of, cannot be used

Messages name elements, UIDs and codes only.
"""

from __future__ import annotations

from fhir_adapter.errors import ConfigurationError, FhirAdapterError

__all__ = ["ImagingStudyError", "NoImageStore"]


class ImagingStudyError(FhirAdapterError):
    """A resource does not say which study it is, or attributes are not of one study."""


class NoImageStore(ConfigurationError):
    """Nothing says where the images are, or only a place that is not the tenant's."""
