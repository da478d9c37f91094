"""One EHR as the app meets it: its configuration, its token endpoint, its keys, and FHIR with a session's token."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence

import httpx

from fhir_adapter.auth import TokenSource
from fhir_adapter.client import FhirClient, RetryPolicy
from fhir_adapter.codes import Json
from fhir_adapter.egress import transport_for
from fhir_adapter.keys import KeyStore
from fhir_adapter.smart import Discovery, IdentityKeys, SmartConfiguration, TokenEndpoint
from fhir_adapter.tenants import Tenant

__all__ = ["Ehr", "Ehrs"]

TIMEOUT_SECONDS = 5.0
# A person waits: one more try, and not for long.
PATIENCE = RetryPolicy(attempts=2, deadline=8.0, timeout=TIMEOUT_SECONDS)


class Ehr:
    """One tenant's EHR.

    Parameters
    ----------
    tenant : Tenant
    keys : KeyStore
    transport : httpx.BaseTransport
        Guarded for this tenant.
    discovery : Discovery
    identity : IdentityKeys
    clock : callable
        Seconds since the epoch.
    """

    def __init__(
        self,
        tenant: Tenant,
        keys: KeyStore,
        transport: httpx.BaseTransport,
        discovery: Discovery,
        identity: IdentityKeys,
        clock: Callable[[], float],
    ) -> None:
        self.tenant = tenant
        self.takes_batches = True
        self._keys = keys
        self._transport = transport
        self._discovery = discovery
        self._identity = identity
        self._clock = clock
        self._http = httpx.Client(transport=transport, timeout=TIMEOUT_SECONDS, follow_redirects=False, trust_env=False)

    def configuration(self) -> SmartConfiguration:
        """Return the SMART configuration."""
        return self._discovery.of(self.tenant, self._http)

    def endpoint(self) -> TokenEndpoint:
        """Return the token endpoint."""
        return TokenEndpoint(self.tenant, self.configuration(), self._keys, self._http, self._clock)

    def identity_keys(self, kid: str | None) -> Sequence[Json]:
        """Return the public keys of the issuer."""
        return self._identity.of(self.configuration(), self._http, kid)

    def client(self, tokens: TokenSource) -> FhirClient:
        """Open FHIR with a session's token; not to be closed, since it shares its connections."""
        return FhirClient(self.tenant.fhir_base, tokens, retry=PATIENCE, transport=self._transport)


class Ehrs:
    """The EHRs of all tenants, each opened when it is first needed.

    Parameters
    ----------
    keys : KeyStore
        Where our private keys are.
    transport : callable, optional
        What sends on behalf of a tenant behind the guard, for tests.
    clock : callable
        Seconds since the epoch.
    """

    def __init__(
        self,
        keys: KeyStore,
        transport: Callable[[Tenant], httpx.BaseTransport] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._inner = transport
        self._clock = clock
        self._discovery = Discovery(clock)
        self._identity = IdentityKeys(clock)
        self._open: dict[Hashable, Ehr] = {}

    def of(self, tenant: Tenant) -> Ehr:
        """Return the EHR of a tenant as it is described now."""
        key = (tenant.connection, tenant.smart)
        if key not in self._open:
            transport = transport_for(tenant, self._inner(tenant) if self._inner else None)
            self._open[key] = Ehr(tenant, self._keys, transport, self._discovery, self._identity, self._clock)
        return self._open[key]
