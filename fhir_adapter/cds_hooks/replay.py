"""Tokens that were used: none counts twice (RFC 7519, 4.1.7; CDS Hooks 2.0, Trusting CDS Clients)."""

from __future__ import annotations

import hashlib
import threading
from typing import Protocol

__all__ = ["MemoryReplays", "Replays", "replay_key"]

# Dropped together, so that a look at a token does not become a look at all of them.
SWEEP_AT = 10_000


def replay_key(tenant: str, iss: str, jti: str) -> str:
    """Return the name a token is remembered by, which tells nobody what was in it."""
    whole = "\x00".join((tenant, iss, jti))
    return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()


class Replays(Protocol):
    """Where it is remembered that a token was used."""

    def first(self, key: str, until: float, now: float) -> bool:
        """Note a use, and return whether it was the first; atomic, by many at once.

        Parameters
        ----------
        key : str
            Of :func:`replay_key`.
        until, now : float
            Seconds since the epoch: when the token ends, and the present. What ended counts no more, whether the
            store has dropped it or not.

        Raises
        ------
        CallerUnknowable
            When it cannot be told.
        """


class MemoryReplays:
    """In memory: for one process, and for tests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}

    def first(self, key: str, until: float, now: float) -> bool:
        """Note it under a lock."""
        with self._lock:
            if len(self._until) >= SWEEP_AT:
                self._until = {name: end for name, end in self._until.items() if end >= now}
            if self._until.get(key, now - 1) >= now:
                return False
            self._until[key] = until
            return True
