"""Access tokens and where they come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["StaticToken", "Token", "TokenSource"]

# Seconds before its end from which a token is not used any more: a request may be under way for that long.
SKEW = 30.0
# Seconds for a token whose lifetime the server does not tell (RFC 6749, 5.1: "expires_in" is only RECOMMENDED).
UNTOLD = 60.0


@dataclass(frozen=True)
class Token:
    """An access token as it was granted.

    Parameters
    ----------
    value : str
        Never shown.
    obtained : float
        Seconds since the epoch when it was asked for, so before it was issued.
    lifetime : float or None
        ``expires_in`` in seconds, None when it was not told.
    scopes : frozenset of str
        As granted, not as asked for.
    """

    value: str = field(repr=False)
    obtained: float
    lifetime: float | None
    scopes: frozenset[str]

    def is_fresh(self, now: float) -> bool:
        """Return whether it may be used at a time in seconds since the epoch.

        The skew is 30 s, yet at most half of the lifetime, so that a token of ten seconds serves for five. A clock
        that went backwards makes a token stale.
        """
        lifetime = UNTOLD if self.lifetime is None else self.lifetime
        return 0.0 <= now - self.obtained < lifetime - min(SKEW, lifetime / 2)


class TokenSource(Protocol):
    """Where a FHIR client gets its bearer token."""

    def token(self) -> str:
        """Return a token to use now."""

    def renew(self, refused: str) -> str | None:
        """Return another token than the one the FHIR server refused with 401, or None when there is no other."""


class StaticToken:
    """A token that never changes."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __repr__(self) -> str:
        return "StaticToken()"

    def token(self) -> str:
        """Return it."""
        return self._token

    def renew(self, refused: str) -> str | None:  # noqa: ARG002 - there is no other
        """Return None: there is no other."""
        return None
