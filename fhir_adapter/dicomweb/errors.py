"""Errors of image stores; a branch of the tree in :mod:`fhir_adapter.errors`.

::

    FhirAdapterError
    └── ImageStoreError
        ├── ImageStoreUnavailable       worth another try later (timeouts, 429, 5xx)
        ├── ImageStoreRejected          the same request will fail again (other 4xx, redirects)
        │   └── ImageNotFound           no such study, series, instance, frame or bulk data
        ├── ImageStoreLied              the answer is not what was asked for: another UID, a broken or endless body
        ├── ImagesNotStored             some or all instances were not stored (carries the outcome)
        ├── InvalidUid                  not a UID (PS3.5 9.1); nothing was asked
        └── NotAnInstance               not a DICOM file (PS3.10, 7), or one that does not say which instance it is

Messages name UIDs, tags, sizes and status codes only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_adapter.errors import FhirAdapterError, Unavailable

if TYPE_CHECKING:
    from fhir_adapter.dicomweb.outcome import StoreOutcome

__all__ = [
    "ImageNotFound",
    "ImageStoreError",
    "ImageStoreLied",
    "ImageStoreRejected",
    "ImageStoreUnavailable",
    "ImagesNotStored",
    "InvalidUid",
    "NotAnInstance",
]


class ImageStoreError(FhirAdapterError):
    """An image store could not do what it was asked to.

    Attributes
    ----------
    status : int or None
        HTTP status, or None when no response arrived or none is involved.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ImageStoreUnavailable(ImageStoreError, Unavailable):
    """The store cannot answer now; the same request may succeed later."""


class ImageStoreRejected(ImageStoreError):
    """The store will refuse the same request again."""


class ImageNotFound(ImageStoreRejected):
    """The store does not hold what was asked for."""


class ImageStoreLied(ImageStoreError):
    """The answer is not an answer to the question: another instance, a malformed or an oversized body."""


class ImagesNotStored(ImageStoreError):
    """Not every instance was stored.

    Attributes
    ----------
    outcome : StoreOutcome
        What became of each.
    """

    def __init__(self, message: str, outcome: StoreOutcome) -> None:
        super().__init__(message)
        self.outcome = outcome


class InvalidUid(ImageStoreError):
    """Text that was to become part of a URL or a path is not a UID."""


class NotAnInstance(ImageStoreError):
    """Bytes are not a DICOM file, or lack the UIDs that say of what."""
