"""SMART Backend Services: a token for a system, by an assertion signed with our own key (SMART App Launch 2.2)."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

import httpx

from fhir_adapter.auth.cache import TOKENS, SingleFlight, TokenCache
from fhir_adapter.auth.endpoint import client_assertion, exchange, token_endpoint
from fhir_adapter.auth.errors import AuthorizationRefused, AuthorizationUnavailable
from fhir_adapter.auth.scopes import missing_scopes
from fhir_adapter.auth.tokens import Token
from fhir_adapter.errors import ConfigurationError
from fhir_adapter.keys import KeyStore, signing_key
from fhir_adapter.retry import RetryPolicy
from fhir_adapter.tenants import BackendServicesAuth, Tenant

__all__ = ["BackendServices"]

RETRY = RetryPolicy(attempts=3, deadline=15.0, timeout=5.0)
DISCOVERED_SECONDS = 3600.0

T = TypeVar("T")


class BackendServices:
    """Tokens of one tenant; a :class:`fhir_adapter.auth.TokenSource`.

    Parameters
    ----------
    tenant : Tenant
        With ``auth`` of type ``backend-services``.
    keys : KeyStore
        Where the private key is; asked again for each token, so that a rotated key is used at once.
    transport : httpx.BaseTransport
        The way out, guarded for this tenant (:func:`fhir_adapter.egress.transport_for`); not closed here.
    cache : TokenCache, optional
        That of the process by default.
    retry : RetryPolicy
        Bounds of one search for a token.
    sleep, uniform : callable
        Waiting and randomness, for tests.
    """

    def __init__(
        self,
        tenant: Tenant,
        keys: KeyStore,
        transport: httpx.BaseTransport,
        *,
        cache: TokenCache | None = None,
        retry: RetryPolicy = RETRY,
        sleep: Callable[[float], None] = time.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        if not isinstance(tenant.auth, BackendServicesAuth):
            raise ConfigurationError(f"tenant {tenant.name!r}: auth.type is not backend-services")
        self._tenant = tenant
        self._auth = tenant.auth
        self._keys = keys
        self._cache = cache or TOKENS
        self._retry = retry
        self._sleep = sleep
        self._uniform = uniform
        self._http = httpx.Client(transport=transport, timeout=retry.timeout, follow_redirects=False, trust_env=False)
        self._discovered: SingleFlight[tuple[str, float]] = SingleFlight()

    def __repr__(self) -> str:
        return f"BackendServices({self._tenant.name!r})"

    def token(self) -> str:
        """Return a token that is fresh, asking for one when there is none.

        Raises
        ------
        AuthorizationUnavailable, AuthorizationRefused, ConfigurationError
        """
        return self._get(None).value

    def renew(self, refused: str) -> str | None:
        """Return another token than the one the FHIR server refused."""
        return self._get(refused).value

    def granted(self) -> frozenset[str]:
        """Return the scopes of the token in use, as granted."""
        return self._get(None).scopes

    def _get(self, refused: str | None) -> Token:
        token_url = self._token_url()
        key = (token_url, self._auth.client_id, " ".join(self._auth.scopes))
        return self._cache.get(key, lambda: self._fetch(token_url), refused)

    def _token_url(self) -> str:
        if self._auth.token_url:
            return self._auth.token_url
        now = self._cache.clock()
        base, private = self._tenant.fhir_base, self._tenant.allow_private
        url, _ = self._discovered.find(
            base,
            lambda found: 0 <= now - found[1] < DISCOVERED_SECONDS,
            lambda: (self._patiently(lambda: token_endpoint(self._http, base, self._auth.alg, private)), now),
        )
        return url

    def _fetch(self, token_url: str) -> Token:
        try:
            token = self._patiently(lambda: self._exchange(token_url))
        except AuthorizationRefused:
            # The endpoint may have moved; the next search starts with discovery.
            self._discovered.forget(self._tenant.fhir_base)
            raise
        missing = missing_scopes(self._auth.scopes, token.scopes)
        if missing:
            raise AuthorizationRefused(f"{self._where}: the EHR did not grant {', '.join(missing)}")
        return token

    def _exchange(self, token_url: str) -> Token:
        """One try, with an assertion of its own."""
        auth, now = self._auth, self._cache.clock()
        key = signing_key(self._keys.get(auth.key), auth.alg, auth.kid, auth.key)
        assertion = client_assertion(auth.client_id, token_url, key, now, auth.jwks_url)
        return exchange(self._http, token_url, assertion, auth.scopes, now)

    def _patiently(self, attempt: Callable[[], T]) -> T:
        give_up = time.monotonic() + self._retry.deadline
        for number in range(self._retry.attempts):
            try:
                return attempt()
            except AuthorizationRefused as error:
                raise AuthorizationRefused(f"{self._where}: {error}", error.status) from None
            except AuthorizationUnavailable as error:
                wait = max(self._uniform(0.0, self._retry.longest_wait(number)), error.retry_after)
                last = number + 1 == self._retry.attempts or time.monotonic() + wait >= give_up
                if last:
                    raise AuthorizationUnavailable(f"{self._where}: {error}", error.status) from None
            self._sleep(wait)
        raise AuthorizationUnavailable(f"{self._where}: no attempt was allowed by the retry policy")

    @property
    def _where(self) -> str:
        return f"tenant {self._tenant.name!r}"
