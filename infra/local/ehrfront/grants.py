"""What the authorization server remembers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Client", "Family", "Grant", "Launch"]


@dataclass(frozen=True)
class Client:
    """A registered confidential client.

    Parameters
    ----------
    client_id : str
    redirect_uris : tuple of str
        Compared letter by letter.
    jwks : dict
        Its public keys.
    scopes : frozenset of str
        Resource scopes it may be granted.
    """

    client_id: str
    redirect_uris: tuple[str, ...]
    jwks: Mapping[str, Any]
    scopes: frozenset[str]


@dataclass
class Family:
    """Everything that came of one code; it ends together."""

    ended: bool = False


@dataclass
class Grant:
    """What a user allowed a client.

    Parameters
    ----------
    client_id, user : str
        ``user`` is ``Practitioner/id``.
    scopes : tuple of str
    context : dict
        With the patient.
    until : float
        Seconds since the epoch.
    delay : float
        Seconds that every FHIR answer for it takes longer, to see a deadline kept.
    nonce, redirect_uri, challenge : str
        Of the authorization request.
    family : object
        What ends together.
    """

    client_id: str
    user: str
    scopes: tuple[str, ...]
    context: dict[str, Any] = field(repr=False)
    until: float = 0.0
    delay: float = 0.0
    nonce: str | None = field(default=None, repr=False)
    redirect_uri: str = ""
    challenge: str = field(default="", repr=False)
    family: Family = field(default_factory=Family)

    @property
    def patient(self) -> str:
        """Whose chart is open."""
        return str(self.context["patient"])


@dataclass(frozen=True)
class Launch:
    """A launch of the app that the EHR's own page began, in one session.

    Parameters
    ----------
    session, user : str
    context : dict
        What the token response will say.
    until : float
        Seconds since the epoch.
    """

    session: str
    user: str
    context: dict[str, Any]
    until: float
