"""The token of a session, refreshed by one request at a time, however many copies of the function there are.

A refresh token is good for one use (RFC 9700, 4.14: rotation), and a second use makes the server end the session. So
whoever refreshes claims the session's version in the store first, and puts the new tokens as the next version; whoever
comes second waits for that version. Where it is not certain that a refresh token is unspent, it is not used again: the
session ends, and the person opens the app once more.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from fhir_adapter.errors import ConfigurationError
from fhir_adapter.smart import EhrSilent, Granted, SessionEnded, TokenEndpoint, TokenRefused
from functions.smart_app.sessions import Found, Session, Sessions

__all__ = ["Patience", "SessionTokens"]


@dataclass(frozen=True)
class Patience:
    """How long a request waits for another one's refresh, in seconds.

    Parameters
    ----------
    step : float
        Between two looks.
    longest : float
        In all; then the person is asked to try again.
    given_up : float
        Age of a claim from which its holder is taken for dead.
    """

    step: float = 0.1
    longest: float = 8.0
    given_up: float = 60.0


class SessionTokens:
    """The tokens of one session; a :class:`fhir_adapter.auth.TokenSource`.

    Parameters
    ----------
    found : Found
    sessions : Sessions
    endpoint : callable
        Opens the token endpoint when it is needed.
    patience : Patience
    sleep : callable
        For tests.
    """

    def __init__(
        self,
        found: Found,
        sessions: Sessions,
        endpoint: Callable[[], TokenEndpoint],
        patience: Patience | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._found = found
        self._sessions = sessions
        self._endpoint = endpoint
        self._patience = patience or Patience()
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"SessionTokens({self._found.session.tenant!r})"

    @property
    def session(self) -> Session:
        """The session as it is after the last refresh, with the scopes that this one granted."""
        return self._found.session

    def token(self) -> str:
        """Return a token to use now.

        Raises
        ------
        SessionEnded, EhrSilent, TokenRefused
        """
        session = self._found.session
        # Without a lifetime and without a way to another token, it is good until the EHR says otherwise.
        untold = session.token.lifetime is None and session.refresh_token is None
        if untold or session.token.is_fresh(self._sessions.clock()):
            return session.token.value
        return self._another(session.token.value)

    def renew(self, refused: str) -> str | None:
        """Return another token than the one the FHIR server refused with 401.

        Raises
        ------
        SessionEnded, EhrSilent, TokenRefused
        """
        return self._another(refused)

    def _another(self, old: str) -> str:
        waited = 0.0
        while True:
            found = self._found = self._sessions.read(self._found.name, self._found.secret)
            session = found.session
            if session.token.value != old:
                return session.token.value
            if session.refresh_token is None:
                raise SessionEnded("the access token ended, and the EHR gave no refresh token")
            if self._sessions.store.claim(found.name, found.version, self._sessions.clock()):
                return self._refresh(found, session.refresh_token)
            self._check_holder(found, waited)
            self._sleep(self._patience.step)
            waited += self._patience.step

    def _check_holder(self, found: Found, waited: float) -> None:
        claimed = found.claimed_at
        if claimed is not None and self._sessions.clock() - claimed > self._patience.given_up:
            self._sessions.store.delete(found.name)
            raise SessionEnded("a refresh was never finished; whether its token is spent is not known")
        if waited >= self._patience.longest:
            raise EhrSilent("another request is still refreshing this session's token", self._patience.longest)

    def _refresh(self, found: Found, refresh_token: str) -> str:
        store = self._sessions.store
        try:
            granted = self._exchange(found, refresh_token)
        except EhrSilent as error:
            if error.may_have_acted:
                store.delete(found.name)
                raise SessionEnded("a refresh was not answered; whether its token is spent is not known") from None
            store.release(found.name, found.version)
            raise
        except SessionEnded:
            store.delete(found.name)
            raise
        except (TokenRefused, ConfigurationError):
            store.release(found.name, found.version)
            raise
        kept = self._sessions.replace(found, found.session.with_token(granted))
        if kept is None:
            raise SessionEnded("the session was ended while its token was refreshed")
        self._found = kept
        return granted.token.value

    def _exchange(self, found: Found, refresh_token: str) -> Granted:
        try:
            granted = self._endpoint().refresh(refresh_token, found.session.token.scopes)
        except TokenRefused as error:
            if error.oauth_error == "invalid_client":
                raise  # it is we who were refused: the refresh token was not looked at
            raise SessionEnded(f"the refresh failed: {error}") from None
        patient = granted.answer.get("patient", found.session.context.patient)
        if patient != found.session.context.patient:
            # A page never changes its patient under the reader's eyes.
            raise SessionEnded("the EHR answered the refresh with another patient")
        return granted
