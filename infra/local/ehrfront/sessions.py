"""Who sits before the EHR's screen. The twin has one clinician, who is signed in by coming."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

__all__ = ["CLINICIAN", "Session", "Sessions"]

COOKIE = "__Host-twin-ehr"
MOST = 1000
# The twin's one user.
CLINICIAN = {
    "resourceType": "Practitioner",
    "id": "twin-clinician",
    "active": True,
    "name": [{"text": "Dr Robin Example", "family": "Example", "given": ["Robin"], "prefix": ["Dr"]}],
}


@dataclass(frozen=True)
class Session:
    """One browser.

    Parameters
    ----------
    id : str
        Digest of the cookie.
    form_token : str
        Carried by the forms of this session's pages.
    """

    id: str
    form_token: str = field(repr=False)

    @property
    def user(self) -> str:
        """``Practitioner/id``."""
        return f"Practitioner/{CLINICIAN['id']}"

    def owns(self, form_token: object) -> bool:
        """Return whether a form is of this session's pages."""
        return isinstance(form_token, str) and hmac.compare_digest(form_token.encode(), self.form_token.encode())


class Sessions:
    """Sessions, in memory; the oldest go."""

    def __init__(self) -> None:
        self._open: dict[str, Session] = {}
        self._lock = threading.Lock()

    def of(self, request: Request) -> Session | None:
        """Return the session of a request."""
        return self._open.get(_digest(request.cookies.get(COOKIE, "")))

    def begin(self) -> tuple[Session, str]:
        """Begin a session; returns it and its cookie's value."""
        value = secrets.token_urlsafe(32)
        session = Session(_digest(value), secrets.token_urlsafe(24))
        with self._lock:
            while len(self._open) >= MOST:
                self._open.pop(next(iter(self._open)))
            self._open[session.id] = session
        return session, value

    @staticmethod
    def give(response: Response, value: str) -> None:
        """Set the cookie. The app's frame comes from another site and goes through here on its way, hence `none`."""
        response.set_cookie(COOKIE, value, path="/", secure=True, httponly=True, samesite="none")


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()
