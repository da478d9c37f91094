"""The client of one FHIR server."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

import httpx
import orjson

from fhir_adapter.auth import BackendServices, StaticToken, TokenCache, TokenSource
from fhir_adapter.client.bundles import BatchAnswer, batch_answers, batch_of, matches
from fhir_adapter.client.sending import Sender
from fhir_adapter.codes import Json
from fhir_adapter.egress import transport_for, within
from fhir_adapter.errors import ConfigurationError, FhirRejected
from fhir_adapter.keys import KeyStore
from fhir_adapter.references import relative_reference
from fhir_adapter.retry import RetryPolicy
from fhir_adapter.tenants import BackendServicesAuth, Tenant

__all__ = ["FhirClient"]


class FhirClient:
    """Talks to one FHIR server.

    Parameters
    ----------
    base : str
        FHIR base URL.
    token : str or TokenSource or None
        Bearer token, or where to get one; sent to URLs under `base` only.
    retry : RetryPolicy
        Bounds of the retries.
    transport : httpx.BaseTransport, optional
        What sends: a guarded way out, or an in-memory server in tests.
    sleep, uniform : callable
        Clock and randomness, for tests.
    """

    def __init__(
        self,
        base: str,
        token: str | TokenSource | None = None,
        *,
        retry: RetryPolicy | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.base = base.rstrip("/")
        self.retry = retry or RetryPolicy()
        tokens: TokenSource | None = StaticToken(token) if isinstance(token, str) else token
        self._sender = Sender(self.base, tokens, self.retry, transport, sleep, uniform)

    @property
    def round_trips(self) -> int:
        """HTTP requests sent so far, retries included."""
        return self._sender.round_trips

    @classmethod
    def for_tenant(
        cls,
        tenant: Tenant,
        keys: KeyStore | None = None,
        *,
        retry: RetryPolicy | None = None,
        transport: httpx.BaseTransport | None = None,
        cache: TokenCache | None = None,
        sleep: Callable[[float], None] = time.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> Self:
        """Open the client of a tenant: signed in as it asks for, and let out to its own hosts only.

        Parameters
        ----------
        tenant : Tenant
        keys : KeyStore, optional
            Where the private key is, for tenants with ``backend-services``.
        transport : httpx.BaseTransport, optional
            What sends behind the guard, for tests.
        cache : TokenCache, optional
            That of the process by default.

        Raises
        ------
        ConfigurationError
            When the tenant signs in with a key and `keys` is missing.
        """
        guarded = transport_for(tenant, transport)
        tokens: TokenSource | str | None = tenant.token
        if isinstance(tenant.auth, BackendServicesAuth):
            if keys is None:
                raise ConfigurationError(f"tenant {tenant.name!r}: its auth needs a key, and no key store is at hand")
            tokens = BackendServices(tenant, keys, guarded, cache=cache, sleep=sleep, uniform=uniform)
        return cls(tenant.fhir_base, tokens, retry=retry, transport=guarded, sleep=sleep, uniform=uniform)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._sender.close()

    def relative(self, reference: str) -> str | None:
        """Return ``Type/id`` of a reference into this server, or None when it points elsewhere."""
        return relative_reference(self.base, reference)

    def read(self, reference: str) -> Json:
        """Read one resource (FHIR R4 http.html#read).

        Raises
        ------
        FhirRejected, FhirUnavailable
            With the HTTP status.
        """
        return self._json(self.send("GET", f"{self.base}/{reference}"))

    def search(
        self, resource_type: str, parameters: Mapping[str, str] | Sequence[tuple[str, str]], pages: int = 20
    ) -> Iterator[Json]:
        """Yield the matching resources page by page (FHIR R4 search.html, http.html#paging).

        Parameters
        ----------
        pages : int
            At most so many pages; a longer result is cut there.
        """
        url: str | None = f"{self.base}/{resource_type}?{urlencode(parameters)}"
        for _ in range(pages):
            if url is None:
                return
            bundle = self._json(self.send("GET", url))
            yield from matches(bundle)
            url = self.next_link(bundle)

    def complete(self, bundle: Json, pages: int = 20) -> list[Json]:
        """Return the matches of a first page and of the pages behind it."""
        found = list(matches(bundle))
        url = self.next_link(bundle)
        for _ in range(pages):
            if url is None:
                break
            bundle = self._json(self.send("GET", url))
            found.extend(matches(bundle))
            url = self.next_link(bundle)
        return found

    def next_link(self, bundle: Json) -> str | None:
        """Return the ``next`` link, refusing one outside this server's base."""
        for link in bundle.get("link", []):
            if link.get("relation") == "next":
                url = str(link.get("url", ""))
                if not within(self.base, url):
                    raise FhirRejected("the server's next link leaves its own base; not followed")
                return url
        return None

    def batch(self, urls: Sequence[str]) -> list[BatchAnswer]:
        """Read many URLs in one round trip (FHIR R4 http.html#transaction, type ``batch``).

        Parameters
        ----------
        urls : sequence of str
            Relative to the base, such as ``Patient/1`` or ``Observation?patient=1``.

        Returns
        -------
        list of BatchAnswer
            In the order of `urls`.
        """
        return batch_answers(self._json(self.send("POST", self.base, batch_of(urls))), len(urls))

    def transaction(self, bundle: Json) -> Json:
        """Write a transaction Bundle; all of it is written, or nothing.

        It must be safe to repeat (PUT with ids of our own), because it is retried when no answer came.
        """
        return self._json(self.send("POST", self.base, bundle))

    def update(self, resource: Json, if_match: str | None = None) -> Json:
        """PUT one resource under its own id (FHIR R4 http.html#update).

        Parameters
        ----------
        if_match : str, optional
            Only over this version (http.html#concurrency); another one is refused with 412.
        """
        url = f"{self.base}/{resource['resourceType']}/{resource['id']}"
        return self._json(self.send("PUT", url, resource, {"If-Match": f'W/"{if_match}"'} if if_match else None))

    def send(
        self, method: str, url: str, body: Json | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send one request that is safe to repeat, retrying within the policy.

        Parameters
        ----------
        url : str
            Absolute. Outside the base it is fetched without the token, where the transport lets it out at all.
        body : dict, optional
            A resource.

        Raises
        ------
        FhirRejected, FhirUnavailable
            With the HTTP status.
        """
        return self._sender.send(method, url, body, headers)

    @contextmanager
    def stream(self, url: str, headers: Mapping[str, str] | None = None) -> Iterator[httpx.Response]:
        """GET as :meth:`send` does, and hand over the response before its body is read.

        A connection lost in the middle raises the error of httpx: only the caller knows what it has read.
        """
        response = self._sender.send("GET", url, None, headers, read=False)
        try:
            yield response
        finally:
            response.close()

    def _json(self, response: httpx.Response) -> Json:
        try:
            body = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            raise FhirRejected("the server's answer is not JSON", response.status_code) from None
        if not isinstance(body, dict):
            raise FhirRejected("the server's answer is not a FHIR resource", response.status_code)
        return body
