"""How a function opens the FHIR client and the image store of a tenant; the receiver calls neither."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_adapter.client import FhirClient
from fhir_adapter.tenants import Tenant
from functions.serving.tenants import SecretKeys

if TYPE_CHECKING:
    from fhir_adapter.dicomweb import ImageStore

__all__ = ["open_client", "open_images"]


def open_client(tenant: Tenant) -> FhirClient:
    """Open the FHIR client of a tenant, with its keys in Secrets Manager."""
    return FhirClient.for_tenant(tenant, SecretKeys())


def open_images(tenant: Tenant, root: str) -> ImageStore:
    """Open the image store of a tenant at a DICOMweb root, with its keys in Secrets Manager."""
    from fhir_adapter.dicomweb import WebImageStore

    return WebImageStore.for_tenant(tenant, SecretKeys(), root=root)
