"""The EHRs Bedside serves: where they are, how to sign in, and which subscriptions they may send on.

A tenant is read from JSON or YAML (a file, a secret); a constructed one is valid. Stores are a Protocol with forms
in memory and in files here; those in the cloud belong to the functions.
"""

from fhir_adapter.tenants.auth import Auth, BackendServicesAuth, BearerAuth, NoAuth
from fhir_adapter.tenants.cds_hooks import HOOKS, CdsClient, CdsHooks, Threshold
from fhir_adapter.tenants.smart import SmartApp
from fhir_adapter.tenants.stores import FileTenants, MemoryTenants, TenantRegistry, TenantStore
from fhir_adapter.tenants.subscription import MIN_SECRET_LENGTH, SubscriptionEntry
from fhir_adapter.tenants.tenant import FHIR_VERSIONS, Tenant
from fhir_adapter.tenants.urls import origin

__all__ = [
    "FHIR_VERSIONS",
    "HOOKS",
    "MIN_SECRET_LENGTH",
    "Auth",
    "BackendServicesAuth",
    "BearerAuth",
    "CdsClient",
    "CdsHooks",
    "FileTenants",
    "MemoryTenants",
    "NoAuth",
    "SmartApp",
    "SubscriptionEntry",
    "Tenant",
    "TenantRegistry",
    "TenantStore",
    "Threshold",
    "origin",
]
