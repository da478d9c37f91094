"""How a function opens the FHIR client and the image store of a tenant; the receiver calls neither."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

from fhir_adapter.client import FhirClient
from fhir_adapter.tenants import Tenant
from functions.serving.tenants import SecretKeys

if TYPE_CHECKING:
    from fhir_adapter.dicomweb import ImageStore

__all__ = ["Connections", "open_client", "open_images"]


def open_client(tenant: Tenant) -> FhirClient:
    """Open the FHIR client of a tenant, with its keys in Secrets Manager."""
    return FhirClient.for_tenant(tenant, SecretKeys())


def open_images(tenant: Tenant, root: str) -> ImageStore:
    """Open the image store of a tenant at a DICOMweb root, with its keys in Secrets Manager."""
    from fhir_adapter.dicomweb import WebImageStore

    return WebImageStore.for_tenant(tenant, SecretKeys(), root=root)


class Connections:
    """The open connections of a function: one a tenant, and one a tenant and image store.

    Parameters
    ----------
    connect : callable, optional
        Opens the FHIR client of a tenant.
    connect_images : callable, optional
        Opens the image store of a tenant at a DICOMweb root.
    """

    def __init__(
        self,
        connect: Callable[[Tenant], FhirClient] | None = None,
        connect_images: Callable[[Tenant, str], ImageStore] | None = None,
    ) -> None:
        self._connect = connect or open_client
        self._connect_images = connect_images or open_images
        self._clients: dict[Hashable, FhirClient] = {}
        self._stores: dict[Hashable, ImageStore] = {}

    def client(self, tenant: Tenant) -> FhirClient:
        """Return the client of a tenant's EHR."""
        key = tenant.connection
        if key not in self._clients:
            self._clients[key] = self._connect(tenant)
        return self._clients[key]

    def store(self, tenant: Tenant, root: str) -> ImageStore:
        """Return a tenant's image store at a DICOMweb root."""
        key = (tenant.connection, root)
        if key not in self._stores:
            self._stores[key] = self._connect_images(tenant, root)
        return self._stores[key]

    def close(self) -> None:
        """Close them all; who asks afterwards gets new ones."""
        for client in self._clients.values():
            client.close()
        for store in self._stores.values():
            store.close()
        self._clients.clear()
        self._stores.clear()
