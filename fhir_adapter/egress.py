"""What leaves for the network: a tenant's own hosts, at addresses that were checked, and nothing else.

Whatever an EHR, a notification or an image server names as a URL is only text. Two guards stand between that text
and a socket. :class:`GuardedTransport` compares every request with the origins of its tenant and refuses redirects.
:class:`PinnedTransport` resolves a host once, refuses addresses that are not public (unless the tenant lives on a
private network) and connects to the very address it checked, so that a second answer of the DNS cannot change it;
the name stays what TLS verifies. (OWASP, Server-Side Request Forgery Prevention Cheat Sheet; SMART App Launch 2.2,
Best Practices: "do not blindly follow".)
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import lru_cache
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

import httpcore
import httpx

from fhir_adapter.errors import FhirRejected
from fhir_adapter.tenants import Tenant, origin

__all__ = ["EgressRefused", "GuardedTransport", "PinnedTransport", "transport_for", "within"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], list[str]]

# Metadata services that hand out credentials; no EHR lives there, whatever a tenant allows.
METADATA = frozenset({ipaddress.ip_address("100.100.100.200"), ipaddress.ip_address("fd00:ec2::254")})
NAT64 = ipaddress.ip_network("64:ff9b::/96")
SHARED = ipaddress.ip_network("100.64.0.0/10")


class EgressRefused(FhirRejected):
    """A request was about to leave for somewhere that is not the tenant's; it was not sent."""


def origin_of(url: httpx.URL) -> str:
    """Return scheme, host and port as httpx will connect to them, in the form of `Tenant.origins`."""
    return origin(url.scheme, url.raw_host.decode("ascii"), url.port)


def within(base: str, url: str) -> bool:
    """Return whether a URL lies in or under a base URL, however it is spelt.

    Parameters
    ----------
    base : str
        Without a trailing slash.
    url : str
        Absolute. Dot segments, encoded ones too, and user names in it make it foreign.
    """
    try:
        ours, theirs = httpx.URL(base), httpx.URL(url)
        spelt = unquote(url.partition("?")[0].partition("#")[0])
    except (httpx.InvalidURL, ValueError):
        return False
    segments = spelt.replace("\\", "/").split("/")
    if origin_of(ours) != origin_of(theirs) or theirs.userinfo or ".." in segments or "." in segments:
        return False
    path = ours.path.rstrip("/")
    return theirs.path == path or theirs.path.startswith(path + "/") or (not path and theirs.path == "/")


class GuardedTransport(httpx.BaseTransport):
    """Let through what goes to a tenant's own origins.

    Parameters
    ----------
    tenant : str
        Name, for errors.
    origins : collection of str
        ``scheme://host:port``, as of :attr:`fhir_adapter.tenants.Tenant.origins`.
    inner : httpx.BaseTransport
        What sends.

    Raises
    ------
    EgressRefused
        For another origin, a user name in the URL, or a redirect. The error names the tenant only.
    """

    def __init__(self, tenant: str, origins: Collection[str], inner: httpx.BaseTransport) -> None:
        self._tenant = tenant
        self._origins = frozenset(origins)
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it, or refuse it."""
        if request.url.userinfo or origin_of(request.url) not in self._origins:
            raise EgressRefused(f"tenant {self._tenant!r}: a request to a host that is not the tenant's; not sent")
        response = self._inner.handle_request(request)
        if response.is_redirect or (300 <= response.status_code < 400 and "location" in response.headers):
            response.close()
            raise EgressRefused(
                f"tenant {self._tenant!r}: the server answered with a redirect; not followed", response.status_code
            )
        return response

    def close(self) -> None:
        """Close what is behind."""
        self._inner.close()


def refusal_of(address: Address, allow_private: bool) -> str | None:
    """Return why an address may not be connected to, or None when it may.

    IPv4 addresses inside IPv6 ones (mapped, 6to4, Teredo, NAT64) count as what they lead to.
    """
    inner = _embedded(address)
    if inner is not None:
        return refusal_of(inner, allow_private)
    if address in METADATA or address.is_link_local:
        return "link-local or metadata"
    if address.is_multicast or address.is_unspecified:
        return "multicast or unspecified"
    if address.is_loopback or address.is_private or (address.version == 4 and address in SHARED):
        return None if allow_private else "private"
    return None if address.is_global and not address.is_reserved else "reserved"


def _embedded(address: Address) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host, in the system's order of preference."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class _PinnedBackend(httpcore.NetworkBackend):
    """Resolve, check, and connect to what was checked."""

    def __init__(self, tenant: str, allow_private: bool, resolver: Resolver) -> None:
        self._tenant = tenant
        self._allow_private = allow_private
        self._resolve = resolver
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        problem: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        for address in self._checked(host, port):
            try:
                return self._plain.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error
        raise problem or httpcore.ConnectError("the host has no address")

    def _checked(self, host: str, port: int) -> list[str]:
        """All addresses, or none: a name that also leads inside is not to be trusted at all."""
        try:
            addresses = self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"the host cannot be resolved ({type(error).__name__})") from None
        for address in addresses:
            reason = refusal_of(ipaddress.ip_address(address.partition("%")[0]), self._allow_private)
            if reason:
                raise EgressRefused(f"tenant {self._tenant!r}: its host resolves to a {reason} address; not connected")
        return addresses

    def sleep(self, seconds: float) -> None:
        self._plain.sleep(seconds)


class _Stream(httpx.SyncByteStream):
    def __init__(self, parts: Any) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        with _ErrorsOfHttpx():
            yield from self._parts

    def close(self) -> None:
        if hasattr(self._parts, "close"):
            self._parts.close()


class _ErrorsOfHttpx:
    """Raise httpcore's errors as the errors of httpx of the same names."""

    def __enter__(self) -> None:
        return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        known = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol)
        if isinstance(error, known):
            raise getattr(httpx, type(error).__name__)(str(error)) from None


class PinnedTransport(httpx.BaseTransport):
    """HTTP over connections whose address was checked before it was connected to.

    Parameters
    ----------
    tenant : str
        Name, for errors.
    allow_private : bool
        Whether private and loopback addresses are the tenant's (link-local and metadata ones never are).
    verify : ssl.SSLContext, optional
        TLS 1.2 or later with verified certificates by default.
    resolver : callable, optional
        (host, port) to addresses, for tests.
    """

    def __init__(
        self,
        tenant: str,
        allow_private: bool = False,
        *,
        verify: ssl.SSLContext | None = None,
        resolver: Resolver = resolve,
    ) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=verify,
            max_connections=20,
            max_keepalive_connections=10,
            keepalive_expiry=30.0,
            network_backend=_PinnedBackend(tenant, allow_private, resolver),
        )

    def __enter__(self) -> Self:
        return self

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the URL's host stays what TLS and ``Host`` say."""
        assert isinstance(request.stream, httpx.SyncByteStream)
        url = request.url
        wire = httpcore.Request(
            method=request.method,
            url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _ErrorsOfHttpx():
            answer = self._pool.handle_request(wire)
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Stream(answer.stream),
            extensions=answer.extensions,
        )

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    """Return the TLS settings of every tenant: verified certificates, TLS 1.2 or later (RFC 8446, RFC 5246).

    ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` name other authorities, such as a hospital's own.
    """
    context = httpx.create_ssl_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def transport_for(tenant: Tenant, inner: httpx.BaseTransport | None = None) -> GuardedTransport:
    """Return the only way out for requests on behalf of a tenant.

    Parameters
    ----------
    inner : httpx.BaseTransport, optional
        What sends, for tests; a :class:`PinnedTransport` by default.
    """
    if inner is None:
        # Reading the authorities takes tens of milliseconds, which a plain-http twin need not pay.
        secure = any(origin.startswith("https:") for origin in tenant.origins)
        inner = PinnedTransport(tenant.name, tenant.allow_private, verify=tls_context() if secure else None)
    return GuardedTransport(tenant.name, tenant.origins, inner)
