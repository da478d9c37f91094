"""The public keys of CDS clients: as registered, or from the one address that is registered (RFC 7517; RFC 8725, 3.10).

A set is kept for some minutes. A ``kid`` that is not in it leads to another look, since clients rotate their keys, yet
not more often than every half minute: whoever sends tokens cannot make us ask.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

import httpx

from fhir_adapter.auth import AuthorizationRefused, AuthorizationUnavailable
from fhir_adapter.auth.cache import SingleFlight
from fhir_adapter.auth.wire import json_object, send
from fhir_adapter.cds_hooks.errors import CallerUnknowable
from fhir_adapter.codes import Json
from fhir_adapter.egress import EgressRefused, GuardedTransport, PinnedTransport, tls_context
from fhir_adapter.keys import keys_of
from fhir_adapter.tenants import CdsClient, Tenant, origin

__all__ = ["ClientKeys", "FetchedKeys"]

FRESH_SECONDS = 600.0
PATIENCE_SECONDS = 30.0
# A set that cannot be fetched any more is believed for so long; a key that was withdrawn should not live on.
STALE_SECONDS = 3600.0
TIMEOUT_SECONDS = 2.0


class ClientKeys(Protocol):
    """Where public keys are found."""

    def find(self, tenant: Tenant, client: CdsClient, kid: str) -> Json | None:
        """Return the public JWK of this name, None when the client has none.

        Raises
        ------
        CallerUnknowable
            When they cannot be read now.
        """


@dataclass(frozen=True)
class _Fetched:
    """A look at an address: what was found, when that was, and when somebody last looked."""

    keys: tuple[Json, ...]
    at: float
    looked: float


def transport_to(tenant: Tenant, client: CdsClient) -> httpx.BaseTransport:
    """Return a way out that leads to the address of a client's keys and nowhere else."""
    parts = urlsplit(client.jku or "")
    named = origin(parts.scheme, parts.hostname or "", parts.port)
    verify = tls_context() if parts.scheme == "https" else None
    return GuardedTransport(tenant.name, [named], PinnedTransport(tenant.name, tenant.allow_private, verify=verify))


class FetchedKeys:
    """Keys as registered, or fetched and kept; a :class:`ClientKeys`.

    Parameters
    ----------
    transport : callable
        The way out for a tenant and its client.
    clock : callable
        Seconds since the epoch. Not a monotonic clock: that one stands still while a Lambda container is frozen.
    """

    def __init__(
        self,
        transport: Callable[[Tenant, CdsClient], httpx.BaseTransport] = transport_to,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._sets: SingleFlight[_Fetched] = SingleFlight()
        self._last: dict[tuple[str, str], _Fetched] = {}

    def find(self, tenant: Tenant, client: CdsClient, kid: str) -> Json | None:
        """Return the key of this name."""
        if client.jku is None:
            return _named(keys_of(client.jwks or {}), kid)
        now, where = self._clock(), (tenant.name, client.jku)

        def usable(kept: _Fetched) -> bool:
            known = 0 <= now - kept.at < FRESH_SECONDS and _named(kept.keys, kid) is not None
            return known or 0 <= now - kept.looked < PATIENCE_SECONDS

        found = self._sets.find(where, usable, lambda: self._look(tenant, client, now))
        if not found.at:
            raise CallerUnknowable("the client's keys cannot be read now (the jku that is registered for it)")
        return _named(found.keys, kid)

    def _look(self, tenant: Tenant, client: CdsClient, now: float) -> _Fetched:
        """Fetch the set; where that fails, what was known stays known for a while."""
        where = (tenant.name, str(client.jku))
        try:
            with httpx.Client(
                transport=self._transport(tenant, client),
                timeout=TIMEOUT_SECONDS,
                follow_redirects=False,
                trust_env=False,
            ) as http:
                response = send(http, "the client's jku", "GET", where[1])
            if response.is_error:
                raise AuthorizationRefused("no keys there", response.status_code)
            found = _Fetched(tuple(keys_of(json_object(response, "the client's jku"))), now, now)
        except (AuthorizationRefused, AuthorizationUnavailable, EgressRefused):
            known = self._last.get(where)
            kept = known is not None and 0 <= now - known.at < STALE_SECONDS
            found = _Fetched(known.keys, known.at, now) if known and kept else _Fetched((), 0.0, now)
        self._last[where] = found
        return found


def _named(keys: tuple[Json, ...] | list[Json], kid: str) -> Json | None:
    return next((key for key in keys if key.get("kid") == kid), None)
