"""A strict SMART authorization server and FHIR proxy in memory, and a browser that walks to it and back.

What the standards let a server refuse, this one refuses; it shares no code with what it tests. RFC 6749 (4.1, 5, 6),
RFC 7009, RFC 7636, OpenID Connect Core 1.0, SMART App Launch 2.2. Codes and refresh tokens are good for one use, and a
second use ends everything that came of them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from tests.fake_authorization import CLIENT, FakeAuthorization, Refusal, _form
from tests.fakes import FakeEhr, outcome

Json = dict[str, Any]
SCOPE = re.compile(
    r"openid|fhirUser|online_access|offline_access|launch(/(patient|encounter))?|"
    r"(patient|user)/[A-Z][A-Za-z]+\.(?=[cruds])c?r?u?d?s?(\?[^\s=&]+=[^\s&]*)?"
)
NEEDED = {"response_type", "client_id", "redirect_uri", "scope", "state", "aud"}
ISSUER_KEYS = {"RS256": RSAKey.generate_key(2048, {"kid": "rs"}), "ES384": ECKey.generate_key("P-384", {"kid": "es"})}


@dataclass
class Grant:
    """What a user allowed."""

    scopes: list[str]
    nonce: str | None
    redirect_uri: str
    challenge: str
    context: Json
    spent: bool = False
    ended: bool = False


@dataclass
class FakeSmart(FakeAuthorization):
    """Signs users in for one app, and lets its tokens at FHIR as far as their scopes go.

    Parameters
    ----------
    redirect_uri : str
        The only one registered.
    ehr : FakeEhr
        What lies behind the proxy.
    client_auth : {"private-key-jwt", "client-secret", "public"}
    secret : str
    context : dict
        Launch context in each token response.
    id_claims : dict
        Claims that differ from the right ones; None leaves one out.
    id_alg : str
        How id_tokens are signed.
    answers : dict
        Members of token responses that differ; None leaves one out.
    refuses : str or None
        Error of the authorization endpoint.
    """

    redirect_uri: str = ""
    ehr: FakeEhr = field(default_factory=FakeEhr)
    client_auth: str = "private-key-jwt"
    secret: str = ""
    context: Json = field(default_factory=lambda: {"patient": "p1", "encounter": "e1", "need_patient_banner": True})
    id_claims: Json = field(default_factory=dict)
    id_alg: str = "RS256"
    id_token: Callable[[Json], str] | None = None
    answers: Json = field(default_factory=dict)
    refuses: str | None = None
    revoked: list[str] = field(default_factory=list)
    fhir: list[httpx.Request] = field(default_factory=list)
    jwks_reads: int = 0
    authorizations: list[Json] = field(default_factory=list)
    outside: list[httpx.Request] = field(default_factory=list)
    batches: bool = True
    transactions: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.launches = {"launch-1", "xyz 123+/=&?#%äöü"}
        self._codes: dict[str, Grant] = {}
        self._refreshes: dict[str, Grant] = {}
        self._grants: dict[str, Grant] = {}

    @property
    def issuer(self) -> str:
        return "https://login.test/oidc"

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._receive)

    def _receive(self, request: httpx.Request) -> httpx.Response:
        url = str(request.url)
        if url == "https://login.test/jwks":
            self.jwks_reads += 1
            keys = [{**key.as_dict(private=False), "use": "sig"} for key in ISSUER_KEYS.values()]
            return httpx.Response(200, json={"keys": keys})
        if url == "https://login.test/revoke":
            return self._revoke(request)
        answer = self.handle(request)
        if answer is not None:
            return answer
        if url.startswith(f"{self.fhir_base}/") or url == self.fhir_base:
            return self._fhir(request)
        self.outside.append(request)
        return httpx.Response(404)

    def _configuration(self, request: httpx.Request) -> httpx.Response:
        answer = super()._configuration(request)
        if answer.status_code != 200:
            return answer
        document = {
            **answer.json(),
            "issuer": self.issuer,
            "jwks_uri": "https://login.test/jwks",
            "authorization_endpoint": "https://login.test/authorize?tenant=7",
            "revocation_endpoint": "https://login.test/revoke",
            "code_challenge_methods_supported": ["S256"],
            "grant_types_supported": ["authorization_code", "client_credentials"],
            "capabilities": [
                *("launch-ehr", "launch-standalone", "client-confidential-asymmetric", "client-public"),
                *("client-confidential-symmetric", "sso-openid-connect", "permission-v2", "permission-patient"),
                *("permission-user", "context-ehr-patient", "context-standalone-patient", "permission-online"),
            ],
            **self.configuration,
        }
        return httpx.Response(200, json={key: value for key, value in document.items() if value is not None})

    # ---- the authorization endpoint, where a browser comes ----

    def authorize(self, url: str) -> str:
        """Return where the browser is sent back to."""
        parts = urlsplit(url)
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == "https://login.test/authorize"
        pairs = parse_qsl(parts.query, strict_parsing=True)
        asked = dict(pairs)
        assert len(asked) == len(pairs), "a parameter is repeated"
        self.authorizations.append(asked)
        assert asked.pop("tenant") == "7", "the endpoint's own query was lost"
        # what is wrong with these two is told to the person, and never to an address that may be somebody else's
        assert asked["client_id"] == CLIENT
        assert asked["redirect_uri"] == self.redirect_uri
        back = {"state": asked.get("state", "")}
        error = self.refuses or self._wrong(asked)
        if error:
            back |= {
                "error": error,
                "error_description": "<script>alert(1)</script> because",
                "error_uri": "https://x/",
            }
        else:
            code = secrets.token_urlsafe(16)
            self._codes[code] = Grant(
                scopes=asked["scope"].split(" "),
                nonce=asked.get("nonce"),
                redirect_uri=asked["redirect_uri"],
                challenge=asked["code_challenge"],
                context=dict(self.context),
            )
            back["code"] = code
        return f"{self.redirect_uri}?{urlencode(back)}"

    def _wrong(self, asked: Json) -> str | None:
        if not set(asked) >= NEEDED or asked["response_type"] != "code" or len(asked["state"]) < 22:
            return "invalid_request"
        if asked["aud"].removesuffix("/") != self.fhir_base:
            return "invalid_request"
        if asked.get("code_challenge_method") != "S256" or not re.fullmatch(r"[\w-]{43}", asked["code_challenge"]):
            return "invalid_request"
        scopes = asked["scope"].split(" ")
        if not all(SCOPE.fullmatch(scope) for scope in scopes) or ("openid" in scopes and not asked.get("nonce")):
            return "invalid_scope"
        if ("launch" in scopes) != ("launch" in asked) or asked.get("launch", "launch-1") not in self.launches:
            return "invalid_request"
        return None

    # ---- the token endpoint ----

    def _granted(self, form: Json, request: httpx.Request) -> Json:
        kind = form.get("grant_type")
        if kind not in ("authorization_code", "refresh_token"):
            return super()._granted(form, request)
        allowed = {"grant_type", "code", "redirect_uri", "code_verifier"}
        if kind == "refresh_token":
            allowed = {"grant_type", "refresh_token", "scope"}
        self._identify(form, request)
        if set(form) - allowed - {"client_assertion_type", "client_assertion", "client_id"}:
            raise Refusal("invalid_request", "parameters that are not of this grant")
        grant = self._by_code(form) if kind == "authorization_code" else self._by_refresh(form)
        return self._issue(grant)

    def _identify(self, form: Json, request: httpx.Request) -> None:
        """More than one way of authentication, or another than registered, is refused."""
        basic = request.headers.get("authorization")
        if self.client_auth == "private-key-jwt":
            if basic or "client_id" in form:
                raise Refusal("invalid_client", "beside the assertion stands something else", 401)
            self._authenticate(form)
        elif self.client_auth == "client-secret":
            pair = f"{CLIENT}:{self.secret}"
            given = base64.b64decode((basic or "").removeprefix("Basic ")).decode()
            if ":".join(unquote(part.replace("+", " ")) for part in given.split(":")) != pair or "client_id" in form:
                raise Refusal("invalid_client", "not the secret", 401)
        elif basic or form.get("client_id") != CLIENT or "client_assertion" in form:
            raise Refusal("invalid_client", "a public client says who it is, and nothing else", 401)

    def _by_code(self, form: Json) -> Grant:
        grant = self._codes.get(form.get("code", ""))
        if grant is None:
            raise Refusal("invalid_grant", "no such code")
        if grant.spent:
            grant.ended = True
            raise Refusal("invalid_grant", "the code was used before")
        grant.spent = True
        verifier = form.get("code_verifier", "")
        digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        if not re.fullmatch(r"[A-Za-z0-9._~-]{43,128}", verifier) or digest != grant.challenge:
            raise Refusal("invalid_grant", "the verifier is not that of the challenge")
        if form.get("redirect_uri") != grant.redirect_uri:
            raise Refusal("invalid_grant", "another redirect_uri")
        return grant

    def _by_refresh(self, form: Json) -> Grant:
        token = form.get("refresh_token", "")
        grant = self._refreshes.pop(token, None)
        if grant is None or grant.ended:
            for other in self._grants.values():
                other.ended = True
            raise Refusal("invalid_grant", "the refresh token was used before, or is none")
        return grant

    def _issue(self, grant: Grant) -> Json:
        lifetime = self._lifetimes.pop(0) if len(self._lifetimes) > 1 else self._lifetimes[0]
        scopes = grant.scopes if self.grants is None else self.grants.split()
        token = secrets.token_urlsafe(24)
        self.tokens[token] = self.clock() + (60 if lifetime is None else lifetime)
        self._grants[token] = Grant(scopes, grant.nonce, "", "", grant.context)
        answer: Json = {"access_token": token, "token_type": "Bearer", "scope": " ".join(scopes), **grant.context}
        if lifetime is not None:
            answer["expires_in"] = lifetime
        if "online_access" in scopes or "offline_access" in scopes:
            refresh = secrets.token_urlsafe(24)
            self._refreshes[refresh] = grant
            answer["refresh_token"] = refresh
        if "openid" in scopes and grant.nonce:
            answer["id_token"] = self._identity(grant)
        answer |= self.answers
        return {key: value for key, value in answer.items() if value is not None}

    def _identity(self, grant: Grant) -> str:
        now = int(self.clock())
        claims = {
            "iss": self.issuer,
            "sub": "user-7",
            "aud": CLIENT,
            "exp": now + 300,
            "iat": now,
            "nonce": grant.nonce,
            "fhirUser": f"{self.fhir_base}/Practitioner/dr1",
            **self.id_claims,
        }
        claims = {key: value for key, value in claims.items() if value is not None}
        if self.id_token is not None:
            return self.id_token(claims)
        key = ISSUER_KEYS[self.id_alg]
        return jwt.encode({"alg": self.id_alg, "kid": key.kid}, claims, key, algorithms=[self.id_alg])

    def _revoke(self, request: httpx.Request) -> httpx.Response:
        form = _form(request)
        try:
            # the assertion of a revocation is for the revocation endpoint
            aud, self.token_url = self.token_url, "https://login.test/revoke"
            try:
                self._identify(form, request)
            finally:
                self.token_url = aud
        except Refusal as refusal:
            self.refused.append(str(refusal))
            return httpx.Response(401, json={"error": "invalid_client"})
        self.revoked.append(form["token"])
        self.tokens.pop(form["token"], None)
        self._refreshes.pop(form["token"], None)
        return httpx.Response(200)

    # ---- FHIR ----

    def _fhir(self, request: httpx.Request) -> httpx.Response:  # noqa: PLR0911 - a status for each reason
        self.fhir.append(request)
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        grant = self._grants.get(token)
        if not self.accepts(request) or grant is None or grant.ended:
            return httpx.Response(401, json=outcome("login", "no"))
        path = str(request.url).removeprefix(self.fhir_base).lstrip("/")
        if request.method == "GET":
            status, body = self._one(path, grant)
            return httpx.Response(status, json=body)
        if request.method == "PUT":
            status, body = self._write(path, json.loads(request.content), grant, request.headers.get("if-match"))
            return httpx.Response(status, json=body)
        if request.method != "POST" or path:
            return httpx.Response(405, json=outcome("not-supported", "no"))
        if json.loads(request.content)["type"] == "transaction":
            return self._transaction(json.loads(request.content), grant)
        if not self.batches:
            return httpx.Response(400, json=outcome("not-supported", "no batch"))
        entries = []
        for entry in json.loads(request.content)["entry"]:
            assert entry["request"]["method"] == "GET"
            status, body = self._one(entry["request"]["url"], grant)
            entries.append({"response": {"status": str(status)}, "resource": body})
        return httpx.Response(200, json={"resourceType": "Bundle", "type": "batch-response", "entry": entries})

    def _transaction(self, bundle: Json, grant: Grant) -> httpx.Response:
        """All or nothing: nothing is written unless each entry would be."""
        if not self.transactions:
            return httpx.Response(405, json=outcome("not-supported", "no transactions"))
        asked = [
            (entry["request"]["url"], entry["resource"], entry["request"].get("ifMatch")) for entry in bundle["entry"]
        ]
        for url, resource, match in asked:
            status, body = self._may_write(url, resource, grant, match)
            if status >= 400:
                return httpx.Response(status, json=body)
        written = [self._write(url, resource, grant, match) for url, resource, match in asked]
        entries = [{"response": {"status": str(status)}, "resource": body} for status, body in written]
        return httpx.Response(200, json={"resourceType": "Bundle", "type": "transaction-response", "entry": entries})

    def _write(self, url: str, resource: Json, grant: Grant, match: str | None) -> tuple[int, Json]:
        status, body = self._may_write(url, resource, grant, match)
        return (status, body) if status >= 400 else (200, self.ehr.put(resource))

    def _may_write(self, url: str, resource: Json, grant: Grant, match: str | None) -> tuple[int, Json]:
        kind = resource["resourceType"]
        assert url == f"{kind}/{resource['id']}"
        known = self.ehr.resources.get(url)
        needed = "u" if known else "c"
        if not any(_grants(scope, kind, needed) for scope in grant.scopes):
            return 403, outcome("forbidden", "not in the scope")
        subject = resource.get("subject", {}).get("reference")
        if kind != "Provenance" and subject != f"Patient/{grant.context.get('patient')}":
            return 403, outcome("forbidden", "another patient's")
        if match is not None and (known is None or match != f'W/"{known["meta"]["versionId"]}"'):
            return 412, outcome("conflict", "another version")
        return 200, {}

    def _one(self, url: str, grant: Grant) -> tuple[int, Json]:
        """Read as far as the scopes go, in the open patient's compartment only."""
        kind, read, identifier = urlsplit(url).path.partition("/")
        letter = "r" if read else "s"
        level = next((scope for scope in grant.scopes if _grants(scope, kind, letter)), None)
        if level is None:
            return 403, outcome("forbidden", "not in the scope")
        query = dict(parse_qsl(urlsplit(url).query))
        whose = identifier if kind == "Patient" else query.get("patient")
        if read and kind != "Patient":
            found = self.ehr.resources.get(urlsplit(url).path.partition("/_history/")[0], {})
            whose = found.get("subject", {}).get("reference", "").removeprefix("Patient/")
            url = url.partition("/_history/")[0]
        if level.startswith("patient/") and whose != grant.context.get("patient"):
            return 403, outcome("forbidden", "another patient's")
        return self.ehr._get(url)


def _grants(scope: str, kind: str, letter: str) -> bool:
    name, _, letters = scope.partition(".")
    letters = {"read": "rs", "*": "cruds"}.get(letters, letters).partition("?")[0]
    return name.partition("/")[2] in (kind, "*") and letter in letters and name.partition("/")[0] in ("patient", "user")


class Browser:
    """Keeps cookies as a browser does for one frame, and speaks to the app's handler.

    Parameters
    ----------
    handler : callable
        Takes an HTTP API event (payload format 2.0) and a Lambda context.
    context : object
    origin : str
        Of the app.
    """

    def __init__(self, handler: Callable[[Json, Any], Json], context: Any, origin: str) -> None:
        self._handler = handler
        self._context = context
        self.origin = origin
        self.cookies: dict[str, str] = {}
        self.set_cookies: list[str] = []
        self._lock = threading.Lock()

    def get(self, url: str, **headers: str) -> Json:
        return self._ask("GET", url, None, headers)

    def post(self, url: str, form: Json, **headers: str) -> Json:
        return self._ask("POST", url, urlencode(form), {"sec-fetch-site": "same-origin", "origin": "null", **headers})

    def _ask(self, method: str, url: str, body: str | None, headers: Json) -> Json:
        parts = urlsplit(url.removeprefix(self.origin))
        event: Json = {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": parts.path,
            "rawQueryString": parts.query,
            "headers": {"host": "app.test", **{name.replace("_", "-").lower(): text for name, text in headers.items()}},
            "requestContext": {
                "http": {"method": method, "path": parts.path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.7"},
                "requestId": "request-1",
                "stage": "$default",
            },
            "isBase64Encoded": False,
        }
        pairs: dict[str, list[str]] = {}
        for name, value in parse_qsl(parts.query, keep_blank_values=True):
            pairs.setdefault(name, []).append(value)
        if pairs:
            event["queryStringParameters"] = {name: ",".join(values) for name, values in pairs.items()}
        if self.cookies:
            event["cookies"] = [f"{name}={value}" for name, value in self.cookies.items()]
        if body is not None:
            event["headers"]["content-type"] = "application/x-www-form-urlencoded"
            event["body"] = base64.b64encode(body.encode()).decode()
            event["isBase64Encoded"] = True
        answer = self._handler(event, self._context)
        with self._lock:
            for line in answer.get("cookies") or []:
                self._keep(line)
        return answer

    def _keep(self, line: str) -> None:
        self.set_cookies.append(line)
        (name, _, value), *attributes = (part.strip().partition("=") for part in line.split(";"))
        found = {key.lower(): text for key, _, text in attributes}
        # a browser drops a __Host- cookie that is not one, and a frame's that is not for every site and partitioned
        assert name.startswith("__Host-") and found["path"] == "/" and "domain" not in found
        assert {"secure", "httponly", "partitioned"} <= set(found) and found["samesite"] == "None"
        if found["max-age"] == "0":
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = value
