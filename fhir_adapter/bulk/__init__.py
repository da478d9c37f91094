"""FHIR Bulk Data Access 2.0: ``$export`` from kick-off to checked NDJSON files, in bounded memory, resumable."""

from fhir_adapter.bulk.errors import BulkExportFailed, BulkExportUnfinished
from fhir_adapter.bulk.export import BulkExport, ExportResult
from fhir_adapter.bulk.manifest import ExportedFile, Manifest
from fhir_adapter.bulk.request import ExportRequest

__all__ = [
    "BulkExport",
    "BulkExportFailed",
    "BulkExportUnfinished",
    "ExportRequest",
    "ExportResult",
    "ExportedFile",
    "Manifest",
]
