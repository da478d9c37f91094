"""A strict authorization server for SMART Backend Services, in memory or behind a real port.

What the standards let a server refuse, this one refuses: it shares no code with what it tests, and it uses each
assertion once. RFC 7523 (3), RFC 6749 (4.4, 5), SMART App Launch 2.2 (Client Authentication: Asymmetric).
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

Json = dict[str, Any]
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SCOPE = re.compile(
    r"system/(\*|[A-Z][A-Za-z]+)\.(read|write|\*|(?=[cruds])c?r?u?d?s?(\?[^\s=&]+=[^\s&]*(&[^\s=&]+=[^\s&]*)*)?)\Z"
)
CLIENT = "bedside-client"
TYPES = {"ES384": ("EC", ECKey), "RS384": ("RSA", RSAKey)}


class Refusal(Exception):
    """An OAuth error (RFC 6749, 5.2)."""

    def __init__(self, error: str, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.error, self.status = error, status


@dataclass
class FakeAuthorization:
    """Grants tokens to one client.

    Parameters
    ----------
    fhir_base : str
        Where ``.well-known/smart-configuration`` is.
    token_url : str
        Where tokens are granted; the only ``aud`` taken.
    keys : list of dict
        Public JWKs registered for the client.
    lifetimes : iterable of int or None
        ``expires_in`` of one token after the other, the last for ever; None leaves it out (and grants 60 s).
    grants : str or None
        The scope granted instead of the one asked for.
    advertised : str or None
        ``token_endpoint`` in the configuration, when it is not `token_url`.
    clock : callable
        Seconds since the epoch.

    Attributes
    ----------
    refused : list of str
        Why requests were refused.
    before : callable or None
        Called with each token request; a response it returns is sent instead.
    """

    fhir_base: str
    token_url: str
    keys: list[Json]
    lifetimes: Iterable[int | None] = (300,)
    grants: str | None = None
    advertised: str | None = None
    clock: Callable[[], float] = time.time
    requests: list[httpx.Request] = field(default_factory=list)
    discoveries: int = 0
    assertions: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    tokens: dict[str, float] = field(default_factory=dict)
    before: Callable[[httpx.Request], httpx.Response | None] | None = None
    configuration: Json = field(default_factory=dict)
    _jtis: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._lifetimes = list(self.lifetimes)
        for key in self.keys:
            assert not {"d", "p", "q", "dp", "dq", "qi", "k", "oth"} & set(key), "a private key was registered"

    def handle(self, request: httpx.Request) -> httpx.Response | None:
        """Answer discovery and token requests; None for everything else."""
        url = str(request.url)
        if url == f"{self.fhir_base}/.well-known/smart-configuration":
            return self._configuration(request)
        if url == self.token_url:
            with self._lock:
                return self._answer(request)
        return None

    def accepts(self, request: httpx.Request) -> bool:
        """Return whether a request to the FHIR server carries a token that is good now."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return scheme == "Bearer" and self.tokens.get(token, 0.0) > self.clock()

    def _configuration(self, request: httpx.Request) -> httpx.Response:
        self.discoveries += 1
        if request.headers.get("accept") != "application/json" or "authorization" in request.headers:
            return httpx.Response(406)
        return httpx.Response(
            200,
            json={
                "token_endpoint": self.advertised or self.token_url,
                "grant_types_supported": ["client_credentials"],
                "token_endpoint_auth_methods_supported": ["private_key_jwt"],
                "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
                "capabilities": ["client-confidential-asymmetric", "permission-v2"],
                **self.configuration,
            },
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        headers = {"Cache-Control": "no-store", "Pragma": "no-cache"}
        try:
            form = _form(request)
            if self.before:
                self.assertions.append(form.get("client_assertion", ""))
                instead = self.before(request)
                if instead is not None:
                    return instead
            return httpx.Response(200, json=self._granted(form, request), headers=headers)
        except Refusal as refusal:
            self.refused.append(str(refusal))
            body = {"error": refusal.error, "error_description": f"{refusal} (CANARY {request.content.decode()[:40]})"}
            return httpx.Response(refusal.status, json=body, headers=headers)

    def _granted(self, form: Json, request: httpx.Request) -> Json:
        if form.get("grant_type") != "client_credentials":
            raise Refusal("unsupported_grant_type", "grant_type is not client_credentials")
        if set(form) - {"grant_type", "scope", "client_assertion_type", "client_assertion", "client_id"}:
            raise Refusal("invalid_request", "parameters that are not of this grant")
        if "authorization" in request.headers:
            raise Refusal("invalid_request", "more than one way of authentication")
        if form.get("client_id", CLIENT) != CLIENT:
            raise Refusal("invalid_client", "client_id contradicts the assertion", 401)
        self._authenticate(form)
        scopes = form.get("scope", "").split(" ")
        if not all(SCOPE.match(scope) for scope in scopes):
            raise Refusal("invalid_scope", "a scope is not of the grammar")
        lifetime = self._lifetimes.pop(0) if len(self._lifetimes) > 1 else self._lifetimes[0]
        token = base64.urlsafe_b64encode(f"secret-token-{len(self.tokens)}".encode()).decode()
        self.tokens[token] = self.clock() + (60 if lifetime is None else lifetime)
        answer = {"access_token": token, "token_type": "bearer", "scope": self.grants or form["scope"]}
        return answer if lifetime is None else {**answer, "expires_in": lifetime}

    def _authenticate(self, form: Json) -> None:
        if form.get("client_assertion_type") != ASSERTION:
            raise Refusal("invalid_request", "client_assertion_type is wrong")
        assertion = form.get("client_assertion")
        if not assertion:
            raise Refusal("invalid_client", "client_assertion is missing", 401)
        claims = self._verified(assertion)
        if claims.get("iss") != CLIENT or claims.get("sub") != CLIENT:
            raise Refusal("invalid_client", "iss and sub are not the client", 401)
        if claims.get("aud") != self.token_url:
            raise Refusal("invalid_client", "aud is not this endpoint", 401)
        now, exp = self.clock(), claims.get("exp")
        if not isinstance(exp, int) or isinstance(exp, bool):
            raise Refusal("invalid_client", "exp is not an integer", 401)
        if exp <= now:
            raise Refusal("invalid_client", "exp is past", 401)
        if exp > now + 300:
            raise Refusal("invalid_client", "exp is more than five minutes ahead", 401)
        jti = claims.get("jti")
        if not isinstance(jti, str) or not jti:
            raise Refusal("invalid_client", "jti is missing", 401)
        if jti in self._jtis:
            raise Refusal("invalid_client", "jti was used before", 401)
        self._jtis.add(jti)

    def _verified(self, assertion: str) -> Json:
        header = header_of(assertion)
        if header.get("typ") != "JWT":
            raise Refusal("invalid_client", "typ is not JWT", 401)
        key = next((found for found in self.keys if found["kid"] == header.get("kid")), None)
        if key is None:
            raise Refusal("invalid_client", "kid is not registered", 401)
        alg = header.get("alg")
        if alg not in TYPES or alg != key["alg"] or key["kty"] != TYPES[alg][0]:
            raise Refusal("invalid_client", "alg is not that of the key", 401)
        try:
            return dict(jwt.decode(assertion, TYPES[alg][1].import_key(key), algorithms=[alg]).claims)
        except (JoseError, ValueError):
            raise Refusal("invalid_client", "the signature is wrong", 401) from None


def header_of(assertion: str) -> Json:
    """Return the header of a JWT, unverified."""
    try:
        part = assertion.split(".", maxsplit=1)[0]
        return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))
    except (ValueError, TypeError):
        raise Refusal("invalid_client", "the assertion is not a JWT", 401) from None


def claims_of(assertion: str) -> Json:
    """Return the claims of a JWT, unverified."""
    part = assertion.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))


def assertion_of(request: httpx.Request) -> str:
    """Return the assertion of a token request."""
    return _form(request)["client_assertion"]


def _form(request: httpx.Request) -> dict[str, str]:
    if request.method != "POST":
        raise Refusal("invalid_request", "not a POST", 405)
    if request.headers.get("content-type", "").split(";")[0] != "application/x-www-form-urlencoded":
        raise Refusal("invalid_request", "not a form")
    if urlsplit(str(request.url)).query:
        raise Refusal("invalid_request", "parameters in the URL")
    pairs = parse_qsl(request.content.decode(), keep_blank_values=True, strict_parsing=True)
    if len(dict(pairs)) != len(pairs):
        raise Refusal("invalid_request", "a parameter is repeated")
    return dict(pairs)


def asgi(handle: Callable[[httpx.Request], httpx.Response]) -> Any:
    """Return an ASGI application that answers as a handler of `httpx.MockTransport` does."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = [(name.decode(), value.decode()) for name, value in scope["headers"]]
        query = f"?{scope['query_string'].decode()}" if scope["query_string"] else ""
        host = dict(headers)["host"]
        url = f"{scope['scheme']}://{host}{scope['path']}{query}"
        answer = handle(httpx.Request(scope["method"], url, headers=headers, content=body))
        raw = [(name.lower(), value) for name, value in answer.headers.raw]
        await send({"type": "http.response.start", "status": answer.status_code, "headers": raw})
        await send({"type": "http.response.body", "body": answer.content})

    return app
