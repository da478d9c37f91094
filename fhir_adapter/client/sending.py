"""Sending one request: the token, the retries, and what is final."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import orjson

from fhir_adapter.auth import TokenSource
from fhir_adapter.client.bundles import issue_codes
from fhir_adapter.codes import FHIR_JSON
from fhir_adapter.egress import within
from fhir_adapter.errors import FhirRejected, FhirUnavailable
from fhir_adapter.retry import RetryPolicy, retry_after, worth_another_try

__all__ = ["Sender"]

# They log URLs, which hold patients' ids, and headers.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class Sender:
    """HTTP to one FHIR server, with patience.

    Parameters
    ----------
    base : str
        FHIR base URL without a trailing slash; the token is sent to URLs under it only.
    tokens : TokenSource or None
        Where the bearer token comes from.
    retry : RetryPolicy
        Bounds of the retries.
    transport : httpx.BaseTransport or None
        What sends.
    sleep, uniform : callable
        Clock and randomness, for tests.
    """

    def __init__(
        self,
        base: str,
        tokens: TokenSource | None,
        retry: RetryPolicy,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.round_trips = 0
        self._base = base
        self._tokens = tokens
        self._retry = retry
        self._sleep = sleep
        self._uniform = uniform
        self._http = httpx.Client(
            headers={"Accept": FHIR_JSON}, timeout=retry.timeout, transport=transport, follow_redirects=False
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(
        self, method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None, *, read: bool = True
    ) -> httpx.Response:
        """Send a request that is safe to repeat; returns a response that is no error.

        Parameters
        ----------
        read : bool
            Whether to read the body, and to try again when the connection is lost meanwhile; otherwise the caller
            reads and closes the response.

        Raises
        ------
        FhirRejected, FhirUnavailable
            With the HTTP status.
        """
        give_up = time.monotonic() + self._retry.deadline
        content = None if body is None else orjson.dumps(body)
        sent = {**({} if body is None else {"Content-Type": FHIR_JSON}), **(headers or {})}
        tokens = self._tokens if within(self._base, url) else None
        token = tokens.token() if tokens else None

        def attempt(token: str | None) -> httpx.Response:
            return self._patiently(self._request(method, url, content, sent, token), give_up, read)

        response = attempt(token)
        if response.status_code == httpx.codes.UNAUTHORIZED and tokens and token:
            # Once: a second 401 says that the client may not, not that its token is old.
            another = tokens.renew(token)
            if another is not None:
                response = attempt(another)
        return _accepted(response)

    def _request(
        self, method: str, url: str, content: bytes | None, headers: Mapping[str, str], token: str | None
    ) -> httpx.Request:
        authorization = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            return self._http.build_request(method, url, content=content, headers={**headers, **authorization})
        except (httpx.InvalidURL, ValueError):  # ValueError: a host name that is no IDN
            raise FhirRejected("the URL is not valid; not sent") from None

    def _patiently(self, request: httpx.Request, give_up: float, read: bool) -> httpx.Response:
        for number in range(self._retry.attempts):
            problem, wait = self._try(request, number, read)
            if isinstance(problem, httpx.Response):
                return problem
            if number + 1 == self._retry.attempts or time.monotonic() + wait >= give_up:
                raise problem
            self._sleep(wait)
        raise FhirUnavailable("no attempt was allowed by the retry policy")

    def _try(self, request: httpx.Request, number: int, read: bool) -> tuple[httpx.Response | FhirUnavailable, float]:
        """One try: the response, or the error to raise when no further try is made, and the wait before it."""
        jitter = self._uniform(0.0, self._retry.longest_wait(number))
        self.round_trips += 1
        try:
            response = self._http.send(request, stream=True)
            if read or not response.is_success:
                response.read()
        except httpx.RequestError as error:
            return FhirUnavailable(f"the FHIR server did not answer ({type(error).__name__})"), jitter
        if worth_another_try(response):
            unavailable = FhirUnavailable(f"the FHIR server answered {response.status_code}", response.status_code)
            return unavailable, max(jitter, retry_after(response))
        return response, 0.0


def _accepted(response: httpx.Response) -> httpx.Response:
    if response.is_redirect:
        raise FhirRejected("the FHIR server answered with a redirect; not followed", response.status_code)
    if response.is_error:
        raise FhirRejected(
            f"the FHIR server answered {response.status_code}{issue_codes(response)}", response.status_code
        )
    return response
