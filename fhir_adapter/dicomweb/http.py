"""HTTP to one DICOMweb server: the token, the retries, time and size of every answer."""

from __future__ import annotations

import logging
import random
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import httpx

from fhir_adapter.auth import TokenSource
from fhir_adapter.dicomweb.errors import ImageNotFound, ImageStoreLied, ImageStoreRejected, ImageStoreUnavailable
from fhir_adapter.egress import within
from fhir_adapter.retry import RetryPolicy, retry_after, worth_another_try

__all__ = ["IMAGE_RETRY", "Answer", "DicomwebHttp"]

# An instance may be hundreds of megabytes: a try may last longer than one at a FHIR server, a silence may not.
IMAGE_RETRY = RetryPolicy(attempts=4, deadline=120.0, timeout=20.0)
PIECE = 256 * 1024
GONE = (httpx.codes.NOT_FOUND, httpx.codes.GONE)
# The server did not take the request up, whatever it was.
NOT_TAKEN = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)

# They log URLs, which hold UIDs.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """An answer whose body is still to come.

    Parameters
    ----------
    status : int
        HTTP status: a success, or one that was asked for.
    headers : httpx.Headers
        Its headers.
    pieces : iterator of bytes
        The body, decompressed; of bounded size each, and ending in time.
    """

    status: int
    headers: httpx.Headers
    pieces: Iterator[bytes]

    @property
    def content_type(self) -> str:
        """Its ``Content-Type``, empty when there is none."""
        return str(self.headers.get("content-type", ""))

    def read(self, limit: int, what: str) -> bytes:
        """Return the whole body.

        Raises
        ------
        ImageStoreLied
            It is over the limit, in bytes.
        """
        body = bytearray()
        for piece in self.pieces:
            body += piece
            if len(body) > limit:
                raise ImageStoreLied(f"{what}: the server's answer is over the limit of {limit} bytes", self.status)
        return bytes(body)


@dataclass(frozen=True)
class Question:
    """A request, and what it is for.

    Parameters
    ----------
    url : str
        Absolute.
    what : str
        Names the UID, for errors.
    headers : dict of str to str
        Without authorization.
    method : {"GET", "POST"}
    content : callable, optional
        Makes the body anew for each try.
    read_also : tuple of int
        Statuses whose body is an answer too.
    """

    url: str
    what: str
    headers: Mapping[str, str]
    method: str = "GET"
    content: Callable[[], Iterator[bytes]] | None = None
    read_also: tuple[int, ...] = ()


class DicomwebHttp:
    """Sends, patiently.

    Parameters
    ----------
    root : str
        DICOMweb root URL without a trailing slash; the token is sent to URLs under it only.
    tokens : TokenSource or None
        Where the bearer token comes from.
    retry : RetryPolicy
        Bounds of the retries; its deadline is also that of a body.
    transport : httpx.BaseTransport or None
        What sends.
    sleep, uniform : callable
        Clock and randomness, for tests.
    """

    def __init__(
        self,
        root: str,
        tokens: TokenSource | None,
        retry: RetryPolicy,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._root = root
        self._tokens = tokens
        self._retry = retry
        self._sleep = sleep
        self._uniform = uniform
        self._http = httpx.Client(timeout=retry.timeout, transport=transport, follow_redirects=False, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ask(self, question: Question, consume: Callable[[Answer], T]) -> T:
        """Send a request and have its answer read.

        A GET is tried again whatever was lost, its body too. A POST is tried again only where the server did not
        take it up: nobody knows what became of one whose answer was lost.

        Parameters
        ----------
        consume : callable
            Reads the body; called anew for each try.

        Raises
        ------
        ImageStoreUnavailable, ImageStoreRejected, ImageNotFound, ImageStoreLied
            Naming what was asked for and the HTTP status.
        """
        give_up = time.monotonic() + self._retry.deadline
        tokens = self._tokens if within(self._root, question.url) else None
        token, renewed = tokens.token() if tokens else None, False
        number = 0
        while True:
            result = self._try(question, token, give_up, consume)
            if not isinstance(result, _Again):
                return result.value
            if result.unauthorized and tokens and token and not renewed:
                # Once: a second 401 says that the client may not, not that its token is old.
                token, renewed = tokens.renew(token), True
                if token is not None:
                    continue
            wait = max(result.wait, self._uniform(0.0, self._retry.longest_wait(number)))
            number += 1
            if result.final or number >= self._retry.attempts or time.monotonic() + wait >= give_up:
                raise result.error
            self._sleep(wait)

    def _try(
        self, question: Question, token: str | None, give_up: float, consume: Callable[[Answer], T]
    ) -> _Done[T] | _Again:
        what, idempotent = question.what, question.method == "GET"
        try:
            response = self._http.send(self._request(question, token), stream=True)
        except httpx.RequestError as error:
            lost = ImageStoreUnavailable(f"{what}: the image store did not answer ({type(error).__name__})")
            return _Again(lost, final=not (idempotent or isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)))
        try:
            problem = _problem(response, question)
            if problem is not None:
                return problem
            return _Done(consume(Answer(response.status_code, response.headers, _pieces(response, what, give_up))))
        except httpx.RequestError as error:
            lost = ImageStoreUnavailable(f"{what}: the answer was cut short ({type(error).__name__})")
            return _Again(lost, final=not idempotent)
        finally:
            response.close()

    def _request(self, question: Question, token: str | None) -> httpx.Request:
        authorization = {"Authorization": f"Bearer {token}"} if token else {}
        content = question.content() if question.content else None
        try:
            return self._http.build_request(
                question.method, question.url, headers={**question.headers, **authorization}, content=content
            )
        except (httpx.InvalidURL, ValueError):
            raise ImageStoreRejected(f"{question.what}: the URL is not valid; not sent") from None


@dataclass(frozen=True)
class _Again:
    """A try that failed."""

    error: ImageStoreUnavailable | ImageStoreRejected
    wait: float = 0.0
    final: bool = False
    unauthorized: bool = False


class _Done(Generic[T]):
    """A try that did not."""

    def __init__(self, value: T) -> None:
        self.value = value


def _problem(response: httpx.Response, question: Question) -> _Again | None:
    """Return why an answer is none, None when it is one."""
    status, what = response.status_code, question.what
    if response.is_success or status in question.read_also:
        return None
    said = f"{what}: the image store answered {status}"
    if status == httpx.codes.UNAUTHORIZED:
        return _Again(ImageStoreRejected(said, status), final=True, unauthorized=True)
    if worth_another_try(response):
        final = question.method != "GET" and status not in NOT_TAKEN
        return _Again(ImageStoreUnavailable(said, status), retry_after(response), final)
    if status in GONE:
        return _Again(ImageNotFound(said, status), final=True)
    redirect = " with a redirect; not followed" if 300 <= status < 400 else ""
    return _Again(ImageStoreRejected(said + redirect, status), final=True)


def _pieces(response: httpx.Response, what: str, give_up: float) -> Iterator[bytes]:
    """Yield the body in time; a body that was compressed without being asked to be is read all the same."""
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    pieces: Iterator[bytes]
    if response.is_stream_consumed:  # transports in memory bring the whole of it, decoded
        pieces = iter((response.content,))
    elif coding in ("identity", ""):
        pieces = response.iter_raw()
    elif coding in ("gzip", "x-gzip"):
        pieces = _inflated(response.iter_raw(), what)
    else:
        raise ImageStoreLied(f"{what}: the server compresses in a way it was not asked for", response.status_code)
    for piece in pieces:
        if time.monotonic() > give_up:
            raise ImageStoreUnavailable(f"{what}: the answer did not end in time", response.status_code)
        yield piece


def _inflated(pieces: Iterator[bytes], what: str) -> Iterator[bytes]:
    """Yield what a gzip stream holds (RFC 1952), never more than a small piece at once: it may be a bomb."""
    inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        for piece in pieces:
            rest = piece
            while rest and not inflate.eof:
                yield inflate.decompress(rest, PIECE)
                rest = inflate.unconsumed_tail
        yield inflate.flush()
    except zlib.error:
        raise ImageStoreLied(f"{what}: the server's answer cannot be decompressed") from None
    if not inflate.eof:
        raise ImageStoreLied(f"{what}: the server's compressed answer ends too early")
