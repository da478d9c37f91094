"""One exchange with an authorization server: a bounded request, and a bounded JSON object back."""

from __future__ import annotations

import time
from typing import Any

import httpx
import orjson

from fhir_adapter.auth.errors import AuthorizationRefused, AuthorizationUnavailable
from fhir_adapter.codes import Json
from fhir_adapter.retry import retry_after, worth_another_try

__all__ = ["json_object", "seconds_of", "send"]

BODY_LIMIT = 64 * 1024
BODY_SECONDS = 15.0
# Errors of httpx before which not a byte of the request can have been read.
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
# Answers that may come from a gateway after what is behind it did its work.
BROKEN = frozenset({500, 502, 504})


def seconds_of(value: Any) -> float | None:
    """Return a lifetime in seconds, None when none is told; some servers send it as text."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return max(0.0, seconds) if seconds < float("inf") else None


def send(
    http: httpx.Client,
    what: str,
    method: str,
    url: str,
    content: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    """Send one request, once.

    Parameters
    ----------
    what : str
        Whom it is sent to, for errors.

    Returns
    -------
    httpx.Response
        Read whole; it may be an error, yet none that another try may mend.

    Raises
    ------
    AuthorizationUnavailable
        No answer, one that takes too long, or one that says to try later.
    AuthorizationRefused
        The URL is not valid, or the answer is too long.
    """
    give_up = time.monotonic() + BODY_SECONDS
    try:
        with http.stream(method, url, content=content, headers={"Accept": "application/json", **(headers or {})}) as r:
            body = b""
            for part in r.iter_bytes():
                body += part
                if time.monotonic() > give_up:
                    raise AuthorizationUnavailable(f"{what} answers too slowly", may_have_acted=True)
                if len(body) > BODY_LIMIT:
                    raise AuthorizationRefused(f"{what} answered with more than {BODY_LIMIT} bytes")
            response = httpx.Response(r.status_code, headers=_plain(r.headers), content=body)
    except (httpx.InvalidURL, ValueError):  # ValueError: a host name that is no IDN
        raise AuthorizationRefused(f"{what}: its URL is not valid") from None
    except httpx.RequestError as error:
        raise AuthorizationUnavailable(
            f"{what} did not answer ({type(error).__name__})", may_have_acted=not isinstance(error, NOT_SENT)
        ) from None
    if worth_another_try(response):
        raise AuthorizationUnavailable(
            f"{what} answered {response.status_code}",
            response.status_code,
            retry_after(response),
            may_have_acted=response.status_code in BROKEN,
        )
    return response


def _plain(headers: httpx.Headers) -> dict[str, str]:
    """The body was decoded already."""
    return {name: value for name, value in headers.items() if name in ("content-type", "retry-after")}


def json_object(response: httpx.Response, what: str, lenient: bool = False) -> Json:
    """Return the JSON object of an answer; when `lenient`, an empty one in place of something else.

    Raises
    ------
    AuthorizationRefused
    """
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        body = None
    if isinstance(body, dict):
        return body
    if lenient:
        return {}
    raise AuthorizationRefused(f"{what} answered with something else than a JSON object", response.status_code)
