"""Errors of a bulk export; leaves of the tree in :mod:`fhir_adapter.errors`.

::

    FhirUnavailable
    └── BulkExportUnfinished    not ready, or interrupted; resume it
    FhirRejected
    └── BulkExportFailed        the server gave it up, or what it gave is not what it promised

Messages name files, counts, hosts and codes only.
"""

from __future__ import annotations

from fhir_adapter.errors import FhirRejected, FhirUnavailable

__all__ = ["BulkExportFailed", "BulkExportUnfinished"]


class BulkExportUnfinished(FhirUnavailable):
    """The export is not finished; the directory holds what is needed to go on."""


class BulkExportFailed(FhirRejected):
    """The export failed, and going on would not mend it."""
