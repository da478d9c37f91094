"""How a call reads the EHR: with its own token, over connections that are kept."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import httpx

from fhir_adapter.cds_hooks import FhirAuthorization
from fhir_adapter.client import FhirClient
from fhir_adapter.egress import transport_for
from fhir_adapter.retry import RetryPolicy
from fhir_adapter.tenants import Tenant

__all__ = ["Connect", "Connections"]

Connect = Callable[[Tenant, FhirAuthorization, float], FhirClient]


class Connections:
    """Clients of one call each: a token is used for the call it came with, and dropped with the client.

    What is kept is the way out, which knows no token: guarded for its tenant, with its connections open.

    Parameters
    ----------
    transport : callable, optional
        The way out of a tenant, for tests.
    """

    def __init__(self, transport: Callable[[Tenant], httpx.BaseTransport] = transport_for) -> None:
        self._transport = transport
        self._ways: dict[Hashable, httpx.BaseTransport] = {}

    def __call__(self, tenant: Tenant, authorization: FhirAuthorization, seconds: float) -> FhirClient:
        """Open a client that gives up after some seconds, and asks once.

        It is not closed after use: that would close the way out for the calls that follow.
        """
        way = self._ways.get(tenant.connection)
        if way is None:
            way = self._ways.setdefault(tenant.connection, self._transport(tenant))
        policy = RetryPolicy(attempts=1, deadline=seconds, timeout=max(seconds, 0.001))
        return FhirClient(tenant.fhir_base, authorization.token, retry=policy, transport=way)

    def close(self) -> None:
        """Close the connections."""
        for way in self._ways.values():
            way.close()
        self._ways.clear()
