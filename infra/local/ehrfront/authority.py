"""What the authorization server decides: launches, codes, tokens. No HTTP, one clock.

SMART App Launch 2.2; RFC 6749, 4.1 and 6; RFC 7636 (S256 only); RFC 9700, 4.14 (rotation: a refresh token that comes
twice ends the whole session). Everything random is known here by its digest only.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

from infra.local.ehrfront.assertions import Assertions, OAuthError
from infra.local.ehrfront.grants import Client, Grant, Launch
from infra.local.ehrfront.scopes import is_resource_scope

__all__ = ["SPOKEN", "Authority", "Client", "Grant", "OAuthError"]

CODE_SECONDS = 60
LAUNCH_SECONDS = 300
ACCESS_SECONDS = 900
REFRESH_SECONDS = 8 * 3600
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}\Z")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}\Z")
SPOKEN = frozenset({"openid", "fhirUser", "launch", "online_access"})
NEEDED = frozenset(
    {"response_type", "client_id", "redirect_uri", "scope", "state", "aud", "code_challenge", "code_challenge_method"}
)


class Authority:
    """The authorization server.

    Parameters
    ----------
    fhir_base, issuer, authorize_url : str
    clock : callable
        Seconds since the epoch.
    access_seconds : int
        How long an access token is good.
    """

    def __init__(
        self,
        fhir_base: str,
        issuer: str,
        authorize_url: str,
        clock: Callable[[], float] = time.time,
        access_seconds: int = ACCESS_SECONDS,
    ) -> None:
        self.fhir_base, self.issuer, self.authorize_url = fhir_base, issuer, authorize_url
        self.token_url, self.revoke_url, self.jwks_url = (
            f"{issuer}/auth/{name}" for name in ("token", "revoke", "jwks")
        )
        self.access_seconds = access_seconds
        self._clock = clock
        self._assertions = Assertions(clock)
        self._clients: dict[str, Client] = {}
        self._launches: dict[str, Launch] = {}
        self._codes: dict[str, tuple[Grant, bool]] = {}
        self._access: dict[str, Grant] = {}
        self._refresh: dict[str, tuple[Grant, bool]] = {}
        self._lock = threading.Lock()
        self._key = RSAKey.generate_key(2048, {"kid": secrets.token_hex(4), "use": "sig", "alg": "RS256"})

    def register(self, client: Client) -> None:
        """Register a client."""
        self._clients[client.client_id] = client

    @property
    def jwks(self) -> dict[str, Any]:
        """The public keys of id_tokens."""
        return {"keys": [self._key.as_dict(private=False)]}

    @property
    def clients(self) -> list[Client]:
        """Who is registered."""
        return list(self._clients.values())

    # ---- the EHR's own pages ----

    def launch(self, session: str, user: str, context: Mapping[str, Any]) -> str:
        """Return a ``launch`` value for one authorization, in the session it was made for."""
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._launches[_digest(token)] = Launch(session, user, dict(context), self._clock() + LAUNCH_SECONDS)
        return token

    def issue_for_call(self, subject: str, user: str, patient: str, scopes: Sequence[str], delay: float = 0.0) -> str:
        """Return an access token for one call of a CDS service (CDS Hooks 2.0, fhirAuthorization)."""
        grant = Grant(subject, user, tuple(scopes), {"patient": patient}, self._clock() + 300, delay)
        return self._keep(grant)

    def owner(self, client_id: str, redirect_uri: str) -> Client:
        """Return the client a request is of, where its redirect_uri is the client's; else the browser goes nowhere.

        Raises
        ------
        OAuthError
        """
        client = self._clients.get(client_id)
        if client is None or redirect_uri not in client.redirect_uris:
            raise OAuthError("invalid_request", "client_id or redirect_uri is not a registered one")
        return client

    def authorize(self, pairs: Sequence[tuple[str, str]], session: str) -> dict[str, str]:
        """Decide over an authorization request (SMART App Launch 2.2, Obtain authorization code).

        Parameters
        ----------
        pairs : sequence of (str, str)
            Its parameters.
        session : str
            Of the browser at the EHR.

        Returns
        -------
        dict
            What to add to the redirect URI beside the state: ``code`` and ``iss``.

        Raises
        ------
        OAuthError
        """
        asked = dict(pairs)
        client = self.owner(asked.get("client_id", ""), asked.get("redirect_uri", ""))
        if len(asked) != len(pairs) or not all(asked.get(name) for name in NEEDED):
            raise OAuthError("invalid_request", "a parameter is missing or there more than once")
        if asked["response_type"] != "code":
            raise OAuthError("unsupported_response_type", "response_type must be code")
        if asked["code_challenge_method"] != "S256" or not _CHALLENGE.match(asked["code_challenge"]):
            raise OAuthError("invalid_request", "PKCE with S256 is required")
        if asked["aud"].removesuffix("/") != self.fhir_base:
            raise OAuthError("invalid_request", "aud is not this FHIR server")
        wanted = asked["scope"].split(" ")
        if "launch" not in wanted or ("openid" in wanted and not asked.get("nonce")):
            raise OAuthError("invalid_scope", "launch is missing, or openid without a nonce")
        launch = self._take_launch(asked.get("launch", ""), session)
        granted = tuple(scope for scope in wanted if scope in SPOKEN or scope in client.scopes)
        if not any(is_resource_scope(scope) for scope in granted):
            raise OAuthError("invalid_scope", "nothing of what was asked for may be granted")
        grant = Grant(
            client.client_id,
            launch.user,
            granted,
            launch.context,
            until=self._clock() + CODE_SECONDS,
            nonce=asked.get("nonce"),
            redirect_uri=asked["redirect_uri"],
            challenge=asked["code_challenge"],
        )
        code = secrets.token_urlsafe(32)
        with self._lock:
            self._codes[_digest(code)] = (grant, False)
        return {"code": code, "iss": self.issuer}

    def _take_launch(self, token: str, session: str) -> Launch:
        with self._lock:
            launch = self._launches.pop(_digest(token), None)
        if launch is None or launch.until < self._clock() or not hmac.compare_digest(launch.session, session):
            raise OAuthError("access_denied", "the launch is not one of this session, or was used before")
        return launch

    # ---- the token endpoint ----

    def token(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Answer a token request.

        Raises
        ------
        OAuthError
        """
        kind = form.get("grant_type")
        if kind not in ("authorization_code", "refresh_token"):
            raise OAuthError("unsupported_grant_type", "authorization_code or refresh_token")
        client = self._client(form, self.token_url)
        grant = self._by_code(client, form) if kind == "authorization_code" else self._by_refresh(client, form)
        return self._issued(grant, first=kind == "authorization_code")

    def revoke(self, form: Mapping[str, str]) -> None:
        """Take back a token, and all that came of the same code (RFC 7009, 2.1)."""
        client = self._client(form, self.revoke_url)
        digest = _digest(form.get("token", ""))
        kept = self._refresh.get(digest)
        grant = kept[0] if kept else self._access.get(digest)
        if grant is not None and grant.client_id == client.client_id:
            grant.family.ended = True

    def grant_of(self, token: str) -> Grant | None:
        """Return what an access token stands for, None when it is not good (any more)."""
        grant = self._access.get(_digest(token))
        return grant if grant and grant.until > self._clock() and not grant.family.ended else None

    def _client(self, form: Mapping[str, str], url: str) -> Client:
        client = self._clients.get(self._assertions.claimed(form))
        if client is None:
            raise OAuthError("invalid_client", "no such client", 401)
        self._assertions.check(form, client.client_id, client.jwks, url)
        return client

    def _by_code(self, client: Client, form: Mapping[str, str]) -> Grant:
        digest = _digest(form.get("code", ""))
        with self._lock:
            grant, spent = self._codes.get(digest, (None, False))
            if grant is not None:
                self._codes[digest] = (grant, True)
        if grant is None or grant.client_id != client.client_id:
            raise OAuthError("invalid_grant", "no such code")
        if spent:
            grant.family.ended = True
            raise OAuthError("invalid_grant", "the code was used before; its tokens end")
        verifier = form.get("code_verifier", "")
        computed = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        if not _VERIFIER.match(verifier) or not hmac.compare_digest(computed, grant.challenge):
            raise OAuthError("invalid_grant", "code_verifier is not that of the challenge")
        if form.get("redirect_uri") != grant.redirect_uri or grant.until < self._clock():
            raise OAuthError("invalid_grant", "another redirect_uri, or the code is too old")
        return grant

    def _by_refresh(self, client: Client, form: Mapping[str, str]) -> Grant:
        digest = _digest(form.get("refresh_token", ""))
        with self._lock:
            grant, spent = self._refresh.get(digest, (None, False))
            if grant is not None:
                self._refresh[digest] = (grant, True)
        if grant is None or grant.client_id != client.client_id:
            raise OAuthError("invalid_grant", "no such refresh token")
        if spent:
            grant.family.ended = True
        if grant.family.ended or grant.until < self._clock():
            raise OAuthError("invalid_grant", "the refresh token was used before, or its session ended")
        return grant

    def _issued(self, grant: Grant, *, first: bool) -> dict[str, Any]:
        access = Grant(grant.client_id, grant.user, grant.scopes, grant.context, self._clock() + self.access_seconds)
        access.family = grant.family
        answer: dict[str, Any] = {
            "access_token": self._keep(access),
            "token_type": "Bearer",
            "expires_in": self.access_seconds,
            "scope": " ".join(grant.scopes),
            **grant.context,
        }
        if "online_access" in grant.scopes:
            until = self._clock() + REFRESH_SECONDS if first else grant.until
            kept = Grant(grant.client_id, grant.user, grant.scopes, grant.context, until)
            kept.family = grant.family
            answer["refresh_token"] = secrets.token_urlsafe(32)
            with self._lock:
                self._refresh[_digest(answer["refresh_token"])] = (kept, False)
        if first and "openid" in grant.scopes:
            answer["id_token"] = self._identity(grant)
        return answer

    def _identity(self, grant: Grant) -> str:
        now = int(self._clock())
        claims: dict[str, Any] = {"iss": self.issuer, "sub": hashlib.sha256(grant.user.encode()).hexdigest()[:16]}
        claims |= {"aud": grant.client_id, "iat": now, "exp": now + 300, "nonce": grant.nonce}
        if "fhirUser" in grant.scopes:
            claims["fhirUser"] = f"{self.fhir_base}/{grant.user}"
        return jwt.encode({"alg": "RS256", "kid": self._key.kid}, claims, self._key, algorithms=["RS256"])

    def _keep(self, grant: Grant) -> str:
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._access[_digest(token)] = grant
        return token


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
