"""URLs of a tenant: spelt so plainly that every parser reads the same host from them."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from fhir_adapter.errors import ConfigurationError

__all__ = ["checked_host", "checked_url", "origin"]

PORTS = {"http": 80, "https": 443}
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"({_LABEL}(\.{_LABEL})*|\[[0-9a-f:.]+\])\Z")
_NAMED = re.compile(r"(?P<host>[^:\[\]]+|\[[^\]]+\])(:(?P<port>[0-9]{1,5}))?\Z")
_PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@-]+)*/?\Z")


def origin(scheme: str, host: str, port: int | None) -> str:
    """Return ``scheme://host:port`` (RFC 6454, section 6.2, the port always written)."""
    return f"{scheme}://{host.strip('[]')}:{port or PORTS.get(scheme, 0)}"


def checked_url(where: str, key: str, url: object, allow_private: bool) -> str:
    """Return a base URL of a tenant without its trailing slash.

    Raises
    ------
    ConfigurationError
        When it is not http(s), is plain http where only https is allowed, carries a user name, a query or a
        fragment, or its host or path is spelt in a way that parsers could disagree on.
    """
    parts = _split(url)
    if parts is None or parts.scheme not in PORTS or not parts.netloc:
        raise ConfigurationError(f"{where}: {key} must be an http(s) URL")
    if parts.scheme == "http" and not allow_private:
        raise ConfigurationError(f"{where}: {key} must be https (or set allow_private)")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigurationError(f"{where}: {key} must not carry a user name, a query or a fragment")
    segments = parts.path.split("/")
    if not _PATH.match(parts.path) or "." in segments or ".." in segments:
        raise ConfigurationError(f"{where}: {key} must have a plain path")
    checked_host(where, key, parts.netloc, parts.scheme)
    return str(url).rstrip("/")


def checked_host(where: str, key: str, host: object, scheme: str) -> str:
    """Return the origin of ``host`` or ``host:port``.

    Raises
    ------
    ConfigurationError
        When it is not a lower-case ASCII host name or address; an internationalised name is given as ``xn--``.
    """
    named = _NAMED.match(host) if isinstance(host, str) else None
    if named is None or not _HOST.match(named["host"]) or int(named["port"] or 1) not in range(1, 65536):
        raise ConfigurationError(f"{where}: {key} must name a host as lower-case ASCII, with a port or without")
    return origin(scheme, named["host"], int(named["port"]) if named["port"] else None)


def _split(url: object) -> SplitResult | None:
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or " " in url:
        return None
    try:
        return urlsplit(url)
    except ValueError:
        return None


def origin_of_checked(url: str) -> str:
    """Return the origin of a URL that :func:`checked_url` let pass."""
    parts = urlsplit(url)
    return origin(parts.scheme, parts.hostname or "", parts.port)
