"""Cookies that survive inside an EHR's frame, and no longer than they must.

``__Host-``: this host alone, over TLS, for every path (RFC 6265bis, 4.1.3.2). ``SameSite=None`` and ``Partitioned``
(CHIPS): a frame of another site gets them, in a jar of its own for each EHR. A cookie holds randomness, nothing else.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

__all__ = ["MOST", "Jar", "expired", "launch_cookie", "made", "view_cookie"]

PREFIX = "__Host-bedside-"
# Each open chart has a cookie. HTTP APIs take 10 kB of headers, so that the oldest go first.
MOST = 20
_VALUE = re.compile(r"[A-Za-z0-9_-]{20,100}\Z")
ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=None; Partitioned"


def launch_cookie(state: str) -> str:
    """Return the name of the cookie of one launch; two charts may be opened at the same time."""
    return f"{PREFIX}launch-{hashlib.sha256(state.encode('utf-8', 'replace')).hexdigest()[:16]}"


def view_cookie(view: str) -> str:
    """Return the name of the cookie of one open chart."""
    return f"{PREFIX}{view}"


def made(name: str, value: str, seconds: int) -> str:
    """Return a ``Set-Cookie`` value."""
    return f"{name}={value}; Max-Age={seconds}; {ATTRIBUTES}"


def expired(name: str) -> str:
    """Return the ``Set-Cookie`` value that removes a cookie."""
    return f"{name}=; Max-Age=0; {ATTRIBUTES}"


class Jar:
    """The cookies of a request that are ours.

    Parameters
    ----------
    cookies : iterable of str
        ``name=value``, as an HTTP API hands them over; oldest first, as browsers send them (RFC 6265, 5.4).
    """

    def __init__(self, cookies: Iterable[str]) -> None:
        pairs = [pair.strip().partition("=")[::2] for pair in cookies]
        self._values = {name: value for name, value in pairs if name.startswith(PREFIX) and _VALUE.match(value)}

    def get(self, name: str) -> str | None:
        """Return a value, or None."""
        return self._values.get(name)

    def surplus(self) -> Sequence[str]:
        """Return the names of those to remove before another one is added, oldest first."""
        names = list(self._values)
        return names[: max(0, len(names) - MOST + 1)]
