"""Image stores: DICOMweb servers (DICOM PS3.18) and folders of DICOM files, behind one Protocol.

Searches are by UID only; what is fetched comes as it is stored, of bounded size, and is checked to be what was asked
for. A UID is checked before it becomes part of a URL or a path.
"""

from fhir_adapter.dicomweb.directory import DirectoryImageStore
from fhir_adapter.dicomweb.errors import (
    ImageNotFound,
    ImagesNotStored,
    ImageStoreError,
    ImageStoreLied,
    ImageStoreRejected,
    ImageStoreUnavailable,
    InvalidUid,
    NotAnInstance,
)
from fhir_adapter.dicomweb.fetch import fetch
from fhir_adapter.dicomweb.header import Header, read_header
from fhir_adapter.dicomweb.limits import Limits
from fhir_adapter.dicomweb.outcome import StoreFailure, StoreOutcome
from fhir_adapter.dicomweb.rows import Frame, InstanceRow, SeriesRow, StudyRow
from fhir_adapter.dicomweb.store import ImageStore
from fhir_adapter.dicomweb.uids import InstancePath, checked_uid
from fhir_adapter.dicomweb.web import WebImageStore

__all__ = [
    "DirectoryImageStore",
    "Frame",
    "Header",
    "ImageNotFound",
    "ImageStore",
    "ImageStoreError",
    "ImageStoreLied",
    "ImageStoreRejected",
    "ImageStoreUnavailable",
    "ImagesNotStored",
    "InstancePath",
    "InstanceRow",
    "InvalidUid",
    "Limits",
    "NotAnInstance",
    "SeriesRow",
    "StoreFailure",
    "StoreOutcome",
    "StudyRow",
    "WebImageStore",
    "checked_uid",
    "fetch",
    "read_header",
]
