"""A FHIR R4 client: read, search, batch, transaction; plain dicts in and out.

Requests that are safe to repeat are retried with full jitter (Brooker, "Exponential Backoff And Jitter",
AWS Architecture Blog, 2015), honouring ``Retry-After`` (RFC 9110, 10.2.3), within one deadline. No redirect is
followed, and the bearer token goes to the tenant's own base only: a ``next`` link or reference elsewhere is
refused (SMART App Launch 2.2, Best Practices).
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import httpx
import orjson

from fhir_adapter.codes import FHIR_JSON, Json
from fhir_adapter.errors import FhirRejected, FhirServerError, FhirUnavailable
from fhir_adapter.references import relative_reference

__all__ = ["BatchAnswer", "FhirClient", "RetryPolicy"]

# httpx logs every URL at INFO; a search URL holds a patient's id.
logging.getLogger("httpx").setLevel(logging.WARNING)

UNAVAILABLE = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long to try.

    Parameters
    ----------
    attempts : int
        Tries in all.
    deadline : float
        Seconds in all, waits included.
    base, cap : float
        Seconds: the n-th wait is uniform in [0, min(cap, base * 2**n)].
    timeout : float
        Seconds for one try, connection and answer each.
    """

    attempts: int = 4
    deadline: float = 20.0
    base: float = 0.2
    cap: float = 4.0
    timeout: float = 10.0


@dataclass(frozen=True)
class BatchAnswer:
    """One entry of a batch-response.

    Parameters
    ----------
    status : int
        HTTP status of this entry.
    resource : dict or None
        The resource, when there is one.
    """

    status: int
    resource: Json | None


class FhirClient:
    """Talks to one FHIR server.

    Parameters
    ----------
    base : str
        FHIR base URL.
    token : str or None
        Bearer token.
    retry : RetryPolicy
        Bounds of the retries.
    transport : httpx.BaseTransport, optional
        For tests: an in-memory server.
    sleep, uniform : callable
        Clock and randomness, for tests.

    Attributes
    ----------
    round_trips : int
        HTTP requests sent so far, retries included.
    """

    def __init__(
        self,
        base: str,
        token: str | None = None,
        *,
        retry: RetryPolicy | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.base = base.rstrip("/")
        self.retry = retry or RetryPolicy()
        self.round_trips = 0
        self._sleep = sleep
        self._uniform = uniform
        headers = {"Accept": FHIR_JSON}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._http = httpx.Client(
            headers=headers, timeout=self.retry.timeout, transport=transport, follow_redirects=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

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
        return self._json(self._send("GET", f"{self.base}/{reference}"))

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
            bundle = self._json(self._send("GET", url))
            yield from matches(bundle)
            url = self.next_link(bundle)

    def complete(self, bundle: Json, pages: int = 20) -> list[Json]:
        """Return the matches of a first page and of the pages behind it."""
        found = list(matches(bundle))
        url = self.next_link(bundle)
        for _ in range(pages):
            if url is None:
                break
            bundle = self._json(self._send("GET", url))
            found.extend(matches(bundle))
            url = self.next_link(bundle)
        return found

    def next_link(self, bundle: Json) -> str | None:
        """Return the ``next`` link, refusing one outside this server's base."""
        for link in bundle.get("link", []):
            if link.get("relation") == "next":
                url = str(link.get("url", ""))
                if not (url == self.base or url.startswith((self.base + "/", self.base + "?"))):
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
        bundle: Json = {
            "resourceType": "Bundle",
            "type": "batch",
            "entry": [{"request": {"method": "GET", "url": url}} for url in urls],
        }
        answer = self._json(self._send("POST", self.base, bundle))
        entries = answer.get("entry") or []
        if len(entries) != len(urls):
            raise FhirRejected(f"the batch of {len(urls)} requests was answered with {len(entries)} responses")
        return [
            BatchAnswer(
                status=int(str((entry.get("response") or {}).get("status", "200"))[:3]),
                resource=entry.get("resource"),
            )
            for entry in entries
        ]

    def transaction(self, bundle: Json) -> Json:
        """Write a transaction Bundle; all of it is written, or nothing.

        It must be safe to repeat (PUT with ids of our own), because it is retried when no answer came.
        """
        return self._json(self._send("POST", self.base, bundle))

    def update(self, resource: Json) -> Json:
        """PUT one resource under its own id (FHIR R4 http.html#update)."""
        url = f"{self.base}/{resource['resourceType']}/{resource['id']}"
        return self._json(self._send("PUT", url, resource))

    def _json(self, response: httpx.Response) -> Json:
        try:
            body = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            raise FhirRejected("the server's answer is not JSON", response.status_code) from None
        if not isinstance(body, dict):
            raise FhirRejected("the server's answer is not a FHIR resource", response.status_code)
        return body

    def _send(self, method: str, url: str, body: Any = None) -> httpx.Response:
        """Send one request that is safe to repeat, retrying within the policy."""
        content = None if body is None else orjson.dumps(body)
        headers = {} if body is None else {"Content-Type": FHIR_JSON}
        give_up = time.monotonic() + self.retry.deadline
        for attempt in range(self.retry.attempts):
            problem, wait = self._try(method, url, content, headers, attempt)
            if isinstance(problem, httpx.Response):
                return problem
            if attempt + 1 == self.retry.attempts or time.monotonic() + wait >= give_up:
                raise problem
            self._sleep(wait)
        raise FhirUnavailable("no attempt was allowed by the retry policy")

    def _try(
        self, method: str, url: str, content: bytes | None, headers: Mapping[str, str], attempt: int
    ) -> tuple[httpx.Response | FhirServerError, float]:
        """One try: the response, or the error to raise when no further try is made, and the wait before it."""
        jitter = self._uniform(0.0, min(self.retry.cap, self.retry.base * 2**attempt))
        self.round_trips += 1
        try:
            response = self._http.request(method, url, content=content, headers=headers)
        except httpx.TransportError as error:
            return FhirUnavailable(f"the FHIR server did not answer ({type(error).__name__})"), jitter
        if response.status_code in UNAVAILABLE:
            unavailable = FhirUnavailable(f"the FHIR server answered {response.status_code}", response.status_code)
            return unavailable, max(jitter, retry_after(response))
        if response.is_redirect:
            raise FhirRejected("the FHIR server answered with a redirect; not followed", response.status_code)
        if response.is_error:
            raise FhirRejected(
                f"the FHIR server answered {response.status_code}{issue_codes(response)}",
                response.status_code,
            )
        return response, 0.0


def matches(bundle: Json) -> Iterator[Json]:
    """Yield the resources of a searchset that matched; outcomes and includes are passed over."""
    for entry in bundle.get("entry") or []:
        if (entry.get("search") or {}).get("mode", "match") == "match" and isinstance(entry.get("resource"), dict):
            yield entry["resource"]


def retry_after(response: httpx.Response) -> float:
    """Return the seconds a ``Retry-After`` header asks for, 0 when there is none."""
    value = response.headers.get("retry-after", "")
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return 0.0


def issue_codes(response: httpx.Response) -> str:
    """Return the issue codes of an OperationOutcome; its texts may quote patient data and are left out."""
    try:
        outcome = orjson.loads(response.content)
        codes = sorted({str(issue.get("code")) for issue in outcome.get("issue", [])})
    except (orjson.JSONDecodeError, AttributeError):
        return ""
    return f" ({', '.join(codes)})" if codes else ""
