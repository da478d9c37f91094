"""How a function opens the FHIR client of a tenant; the receiver, which calls no EHR, does without."""

from __future__ import annotations

from fhir_adapter.client import FhirClient
from fhir_adapter.tenants import Tenant
from functions.serving.tenants import SecretKeys

__all__ = ["open_client"]


def open_client(tenant: Tenant) -> FhirClient:
    """Open the FHIR client of a tenant, with its keys in Secrets Manager."""
    return FhirClient.for_tenant(tenant, SecretKeys())
