"""Launches under way and open charts, each known to one browser only.

A launch is kept under a hash of its state and of a secret in the browser's cookie: a state alone, or a cookie alone,
finds nothing, and what was found once is gone. A session is kept likewise, under the handle in its page's address, so
that two charts open side by side are two sessions and never each other's.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import orjson

from fhir_adapter.auth import Token
from fhir_adapter.smart import (
    FLOW_SECONDS,
    CallbackRefused,
    ContextItem,
    Flow,
    Granted,
    LaunchContext,
    SessionEnded,
    SignedIn,
)
from fhir_adapter.tenants import Tenant
from functions.smart_app.cookies import Jar, launch_cookie, made, view_cookie
from functions.smart_app.sealing import Sealer
from functions.smart_app.store import Record, SessionStore

__all__ = ["IDLE_SECONDS", "SESSION_SECONDS", "Session", "Sessions"]

# A shift; and what a screen that was left alone may still show.
SESSION_SECONDS = 8 * 3600
IDLE_SECONDS = 30 * 60
TOUCH_SECONDS = 5 * 60


@dataclass(frozen=True)
class Session:
    """One chart, open in one browser.

    Parameters
    ----------
    tenant, iss : str
        The EHR, and its FHIR base: tokens go there and nowhere else.
    view : str
        Handle in the page's address; no secret, and it says nothing.
    started : float
        Seconds since the epoch.
    token : Token
    refresh_token : str or None
    context : LaunchContext
    fhir_user : str or None
    form_token : str
        What a form of this session's page carries, so that no other site's form is taken for it.
    """

    tenant: str
    iss: str
    view: str
    started: float
    token: Token = field(repr=False)
    refresh_token: str | None = field(repr=False)
    context: LaunchContext = field(repr=False)
    fhir_user: str | None = field(repr=False)
    form_token: str = field(repr=False)

    def with_token(self, granted: Granted) -> Session:
        """Return the session after a refresh; a server that sends no new refresh token keeps the old one good."""
        return replace(self, token=granted.token, refresh_token=granted.refresh_token or self.refresh_token)


@dataclass(frozen=True)
class Found:
    """A session, and where it was found.

    Parameters
    ----------
    session : Session
    name : str
        Of its record.
    secret : str
        The browser's; never shown.
    version : int
        Of its record.
    claimed_at : int or None
        When somebody began to refresh its token.
    """

    session: Session
    name: str
    secret: str = field(repr=False)
    version: int
    claimed_at: int | None


class Sessions:
    """Launches and sessions in a store.

    Parameters
    ----------
    store : SessionStore
    sealer : Sealer
    clock : callable
        Seconds since the epoch.
    """

    def __init__(self, store: SessionStore, sealer: Sealer, clock: Callable[[], float] = time.time) -> None:
        self.store = store
        self.clock = clock
        self._sealer = sealer

    def keep_flow(self, flow: Flow) -> str:
        """Keep a launch until its callback; returns the cookie that finds it again."""
        secret = secrets.token_urlsafe(32)
        name = _name("launch", secret, flow.state)
        sealed = self._sealer.seal(name, secret, orjson.dumps(asdict(flow)))
        self.store.create(name, sealed, int(self.clock()) + FLOW_SECONDS)
        return made(launch_cookie(flow.state), secret, FLOW_SECONDS)

    def take_flow(self, state: str, jar: Jar) -> Flow:
        """Return the launch of a state, once, to the browser that began it.

        Raises
        ------
        CallbackRefused
            No such launch, not any more, or another browser's.
        """
        secret = jar.get(launch_cookie(state))
        if secret is None:
            raise CallbackRefused("the state was not given to this browser, or its cookie did not come back")
        name = _name("launch", secret, state)
        sealed = self.store.take(name, self.clock())
        plain = None if sealed is None else self._sealer.open(name, secret, sealed)
        if plain is None:
            raise CallbackRefused("the state is not that of a launch under way")
        return Flow(**orjson.loads(plain))

    def open(self, tenant: Tenant, flow: Flow, signed_in: SignedIn) -> tuple[Session, str]:
        """Open a session; returns it with its cookie. Its secret is new, whatever the browser had before."""
        secret, view = secrets.token_urlsafe(32), secrets.token_urlsafe(12)
        session = Session(
            tenant=tenant.name,
            iss=flow.iss,
            view=view,
            started=self.clock(),
            token=signed_in.token,
            refresh_token=signed_in.refresh_token,
            context=signed_in.context,
            fhir_user=signed_in.fhir_user,
            form_token=secrets.token_urlsafe(32),
        )
        name = _name("session", secret, view)
        self.store.create(name, self._sealer.seal(name, secret, _dumped(session)), self._end(session))
        return session, made(view_cookie(view), secret, SESSION_SECONDS)

    def find(self, tenant: Tenant, view: str, jar: Jar) -> Found:
        """Return the session of a page, and keep it from ending while it is used.

        Raises
        ------
        SessionEnded
            No such session, not any more, another browser's, or another tenant's.
        """
        secret = jar.get(view_cookie(view))
        if secret is None:
            raise SessionEnded("the page's cookie is not there")
        found = self.read(_name("session", secret, view), secret)
        if found.session.tenant != tenant.name or found.session.iss.removesuffix("/") != tenant.fhir_base:
            raise SessionEnded("the session is another tenant's, or the tenant's EHR moved")
        return found

    def read(self, name: str, secret: str) -> Found:
        """Return a session as it is now.

        Raises
        ------
        SessionEnded
        """
        now = self.clock()
        record = self.store.get(name, now)
        plain = None if record is None else self._sealer.open(name, secret, record.sealed)
        if record is None or plain is None:
            raise SessionEnded("the session ended, or there was none")
        session = _loaded(plain)
        if not 0 <= now - session.started < SESSION_SECONDS:
            raise SessionEnded("the session is too old")
        self._touch(name, record, session)
        return Found(session, name, secret, record.version, record.claimed_at)

    def replace(self, found: Found, session: Session) -> Found | None:
        """Put a session's next state; None when it was ended or replaced meanwhile."""
        sealed = self._sealer.seal(found.name, found.secret, _dumped(session))
        if not self.store.replace(found.name, sealed, self._end(session), found.version):
            return None
        return Found(session, found.name, found.secret, found.version + 1, None)

    def _touch(self, name: str, record: Record, session: Session) -> None:
        due = self._end(session)
        if due - record.expires >= TOUCH_SECONDS:
            self.store.touch(name, due)

    def _end(self, session: Session) -> int:
        return int(min(session.started + SESSION_SECONDS, self.clock() + IDLE_SECONDS))


def _name(kind: str, secret: str, handle: str) -> str:
    digest = hashlib.sha256(f"{secret}.{handle}".encode("utf-8", "replace")).hexdigest()
    return f"{kind}#{digest}"


def _dumped(session: Session) -> bytes:
    data = asdict(session)
    data["token"]["scopes"] = sorted(session.token.scopes)
    return orjson.dumps(data)


def _loaded(plain: bytes) -> Session:
    data: dict[str, Any] = orjson.loads(plain)
    token, context = data.pop("token"), data.pop("context")
    items = tuple(
        ContextItem(**{**item, "identifier": tuple(item["identifier"]) if item["identifier"] else None})
        for item in context.pop("items")
    )
    return Session(
        token=Token(**{**token, "scopes": frozenset(token["scopes"])}),
        context=LaunchContext(**context, items=items),
        **data,
    )
