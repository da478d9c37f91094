"""The twin's authorization server is strict: each thing a careless client could do is refused, by its code."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from infra.local.ehrfront import Authority, Client, OAuthError
from infra.local.ehrfront.endpoints import guarded
from infra.local.ehrfront.markdown import rendered

Json = dict[str, Any]
ISSUER = "http://ehr.test"
BASE = f"{ISSUER}/fhir"
REDIRECT = "https://app.test/callback"
BACKEND = "token-of-the-backend"
SCOPES = ("patient/Patient.r", "patient/Observation.rus", "patient/Provenance.cu", "patient/Device.r")
WANTED = " ".join(("launch", "openid", "fhirUser", "online_access", *SCOPES))
KEY = ECKey.generate_key("P-384", {"kid": "k1", "alg": "ES384", "use": "sig"})
OTHER_KEY = ECKey.generate_key("P-384", {"kid": "k1", "alg": "ES384", "use": "sig"})
VERIFIER = "v" * 64


def challenge(verifier: str = VERIFIER) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


class Http:
    """Speaks to an application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=self._app), base_url=ISSUER) as http:
                return await http.request(method, path, **more)

        return asyncio.run(ask())

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.request("POST", path, **more)


class Ehr:
    """The server with a small record behind it, and a client that does as it is told."""

    def __init__(self) -> None:
        self.now = time.time()
        self.authority = Authority(BASE, ISSUER, "http://ehr-pages.test/authorize", lambda: self.now)
        self.authority.register(Client("app", (REDIRECT,), {"keys": [KEY.as_dict(private=False)]}, frozenset(SCOPES)))
        self.record: dict[str, Json] = {
            "Patient/p1": {"resourceType": "Patient", "id": "p1"},
            "Patient/p2": {"resourceType": "Patient", "id": "p2"},
            "Observation/o1": observation("o1", "p1"),
            "Observation/o2": observation("o2", "p2"),
            "Device/d1": {"resourceType": "Device", "id": "d1"},
        }
        inner = Starlette(routes=[Route("/fhir{path:path}", self._fhir, methods=["GET", "PUT", "POST"])])
        self.http = Http(guarded(inner, self.authority, BACKEND))

    async def _fhir(self, request: Request) -> Response:
        assert request.headers["authorization"] == f"Bearer {BACKEND}", "an app's token went through"
        path = request.url.path.removeprefix("/fhir").strip("/")
        if request.method == "POST" and not path:
            entries = [self._one(entry) for entry in (await request.json())["entry"]]
            return JSONResponse({"resourceType": "Bundle", "type": "batch-response", "entry": entries})
        body = await request.json() if request.method == "PUT" else None
        status, found = self._do(request.method, path, body)
        return JSONResponse(found, status)

    def _one(self, entry: Json) -> Json:
        path = entry["request"]["url"].partition("?")[0]
        status, found = self._do(entry["request"]["method"], path, entry.get("resource"))
        return {"response": {"status": str(status)}, "resource": found}

    def _do(self, method: str, path: str, body: Json | None) -> tuple[int, Json]:
        if method == "PUT" and body is not None:
            self.record[path] = body
            return 200, body
        if path in self.record:
            return 200, self.record[path]
        entries = [{"resource": item} for key, item in self.record.items() if key.startswith(f"{path}/")]
        if "/" in path:
            return 404, {"resourceType": "OperationOutcome", "issue": []}
        # a server that finds too much: what the guard lets out must still be the open chart's
        return 200, {"resourceType": "Bundle", "type": "searchset", "entry": entries}

    # ---- what a client does ----

    def authorize(self, session: str = "s1", **changes: str | None) -> str:
        launch = self.authority.launch("s1", "Practitioner/dr", {"patient": "p1"})
        asked: dict[str, str | None] = {
            "response_type": "code",
            "client_id": "app",
            "redirect_uri": REDIRECT,
            "launch": launch,
            "scope": WANTED,
            "state": "state-1",
            "aud": BASE,
            "code_challenge": challenge(),
            "code_challenge_method": "S256",
            "nonce": "nonce-1",
        }
        pairs = [(name, value) for name, value in {**asked, **changes}.items() if value is not None]
        return self.authority.authorize(pairs, session)["code"]

    def assertion(self, key: ECKey = KEY, header: Json | None = None, **changes: Any) -> str:
        now = int(self.now)
        claims = {"iss": "app", "sub": "app", "aud": f"{ISSUER}/auth/token", "exp": now + 240}
        claims |= {"jti": secrets.token_hex(8), **changes}
        head = {"alg": "ES384", "typ": "JWT", "kid": "k1", **(header or {})}
        return jwt.encode(head, {k: v for k, v in claims.items() if v is not None}, key, algorithms=["ES384"])

    def form(self, **more: str | None) -> dict[str, str]:
        made: dict[str, str | None] = {
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": self.assertion(),
            "grant_type": "authorization_code",
            "redirect_uri": REDIRECT,
            "code_verifier": VERIFIER,
        }
        return {name: value for name, value in {**made, **more}.items() if value is not None}

    def token(self, **more: str | None) -> tuple[int, Json]:
        answer = self.http.post("/auth/token", data=self.form(**more))
        assert answer.headers["cache-control"] == "no-store"
        return answer.status_code, answer.json()

    def signed_in(self, **changes: str | None) -> Json:
        status, answer = self.token(code=self.authorize("s1", **changes))
        assert status == 200, answer
        return answer

    def fhir(self, method: str, path: str, token: str, body: Json | None = None) -> tuple[int, Json]:
        answer = self.http.request(
            method, f"/fhir/{path}".rstrip("/"), json=body, headers={"Authorization": f"Bearer {token}"}
        )
        return answer.status_code, answer.json()


def observation(name: str, patient: str, **more: Any) -> Json:
    return {"resourceType": "Observation", "id": name, "subject": {"reference": f"Patient/{patient}"}, **more}


@pytest.fixture
def ehr() -> Ehr:
    return Ehr()


def test_a_careful_client_gets_in_and_knows_whose_chart_it_is(ehr: Ehr) -> None:
    answer = ehr.signed_in()
    assert answer["patient"] == "p1" and set(answer["scope"].split()) == set(WANTED.split())
    assert answer["id_token"].count(".") == 2
    assert ehr.fhir("GET", "Patient/p1", answer["access_token"])[0] == 200


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"redirect_uri": REDIRECT + "/"}, "invalid_request"),
        ({"redirect_uri": REDIRECT + "?more"}, "invalid_request"),
        ({"client_id": "other"}, "invalid_request"),
        ({"aud": "https://other.test/fhir"}, "invalid_request"),
        ({"state": None}, "invalid_request"),
        ({"nonce": None}, "invalid_scope"),
        ({"scope": "openid"}, "invalid_scope"),
        ({"scope": "launch system/*.cruds patient/*.rs"}, "invalid_scope"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"launch": "made-up"}, "access_denied"),
        ({"session": "another"}, "access_denied"),
    ],
)
def test_an_authorization_request_that_is_not_right_is_refused(ehr: Ehr, changes: Json, code: str) -> None:
    with pytest.raises(OAuthError) as refused:
        ehr.authorize(**changes)
    assert refused.value.code == code


def test_a_launch_is_good_once_and_not_for_long(ehr: Ehr) -> None:
    launch = ehr.authority.launch("s1", "Practitioner/dr", {"patient": "p1"})
    ehr.authorize(launch=launch)
    with pytest.raises(OAuthError):
        ehr.authorize(launch=launch)
    late = ehr.authority.launch("s1", "Practitioner/dr", {"patient": "p1"})
    ehr.now += 301
    with pytest.raises(OAuthError):
        ehr.authorize(launch=late)


def test_only_registered_scopes_are_granted(ehr: Ehr) -> None:
    answer = ehr.signed_in(scope=f"{WANTED} patient/Condition.rs user/Observation.rs")
    assert "Condition" not in answer["scope"] and "user/" not in answer["scope"]


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": 301},
        {"exp": -1},
        {"exp": None},
        {"jti": None},
        {"aud": f"{ISSUER}/auth/revoke"},
        {"iss": "other"},
        {"sub": "other"},
    ],
)
def test_an_assertion_that_is_not_right_is_refused(ehr: Ehr, changed: Json) -> None:
    claims: dict[str, Any] = {
        name: int(ehr.now) + value if isinstance(value, int) else value for name, value in changed.items()
    }
    status, answer = ehr.token(code=ehr.authorize(), client_assertion=ehr.assertion(**claims))
    assert (status, answer["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("made", ["other key", "unknown kid", "no assertion", "not a JWT", "another client_id"])
def test_an_assertion_that_is_somebody_elses_is_refused(ehr: Ehr, made: str) -> None:
    more: dict[str, str | None] = {
        "other key": {"client_assertion": ehr.assertion(OTHER_KEY)},
        "unknown kid": {"client_assertion": ehr.assertion(header={"kid": "k2"})},
        "no assertion": {"client_assertion": None},
        "not a JWT": {"client_assertion": "a.b.c"},
        "another client_id": {"client_id": "other"},
    }[made]  # type: ignore[assignment]
    status, answer = ehr.token(code=ehr.authorize(), **more)
    assert (status, answer["error"]) == (401, "invalid_client")


def test_a_jti_is_good_once(ehr: Ehr) -> None:
    assertion = ehr.assertion()
    assert ehr.token(code=ehr.authorize(), client_assertion=assertion)[0] == 200
    status, answer = ehr.token(code=ehr.authorize(), client_assertion=assertion)
    assert (status, answer["error"]) == (401, "invalid_client") and "jti" in answer["error_description"]


@pytest.mark.parametrize(
    "changed", [{"code_verifier": "w" * 64}, {"code_verifier": None}, {"redirect_uri": "https://app.test/other"}]
)
def test_a_code_is_for_who_asked_for_it(ehr: Ehr, changed: Json) -> None:
    status, answer = ehr.token(code=ehr.authorize(), **changed)
    assert (status, answer["error"]) == (400, "invalid_grant")


def test_a_code_that_comes_twice_ends_what_came_of_it(ehr: Ehr) -> None:
    code = ehr.authorize()
    first = ehr.token(code=code)[1]["access_token"]
    assert ehr.token(code=code)[1]["error"] == "invalid_grant"
    assert ehr.fhir("GET", "Patient/p1", first)[0] == 401


def test_a_code_ends_after_a_minute(ehr: Ehr) -> None:
    code = ehr.authorize()
    ehr.now += 61
    assert ehr.token(code=code)[1]["error"] == "invalid_grant"


def test_refresh_tokens_rotate_and_one_that_comes_twice_ends_the_session(ehr: Ehr) -> None:
    first = ehr.signed_in()
    again: Callable[[str], tuple[int, Json]] = lambda token: ehr.token(  # noqa: E731
        grant_type="refresh_token", refresh_token=token, code_verifier=None, redirect_uri=None
    )
    status, second = again(first["refresh_token"])
    assert status == 200 and second["refresh_token"] != first["refresh_token"] and "id_token" not in second
    assert ehr.fhir("GET", "Patient/p1", second["access_token"])[0] == 200
    assert again(first["refresh_token"])[1]["error"] == "invalid_grant"
    assert again(second["refresh_token"])[1]["error"] == "invalid_grant"
    assert ehr.fhir("GET", "Patient/p1", second["access_token"])[0] == 401


def test_a_revoked_session_ends_and_an_access_token_grows_old(ehr: Ehr) -> None:
    first = ehr.signed_in()
    old = ehr.signed_in()
    form = ehr.form(token=first["refresh_token"], client_assertion=ehr.assertion(aud=f"{ISSUER}/auth/revoke"))
    assert ehr.http.post("/auth/revoke", data=form).status_code == 200
    assert ehr.fhir("GET", "Patient/p1", first["access_token"])[0] == 401
    assert ehr.fhir("GET", "Patient/p1", old["access_token"])[0] == 200
    ehr.now += 901
    assert ehr.fhir("GET", "Patient/p1", old["access_token"])[0] == 401


def test_a_form_says_each_thing_once_and_in_its_body(ehr: Ehr) -> None:
    twice = urlencode([*ehr.form(code=ehr.authorize()).items(), ("grant_type", "refresh_token")])
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert ehr.http.post("/auth/token", content=twice, headers=headers).json()["error"] == "invalid_request"
    assert ehr.http.post("/auth/token?code=1", data=ehr.form()).json()["error"] == "invalid_request"
    basic = ehr.http.post("/auth/token", data=ehr.form(code=ehr.authorize()), auth=("app", "secret"))
    assert basic.status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "Patient/p2", None, 403),
        ("GET", "Observation/o1", None, 200),
        ("GET", "Observation/o2", None, 403),
        ("GET", "Observation?patient=p2", None, 403),
        ("GET", "Observation?patient=p1&subject=Patient/p2", None, 403),
        ("GET", "Observation", None, 403),
        ("GET", "Observation?patient=p1&_include=Observation:subject", None, 403),
        ("GET", "Observation?subject:Patient.name=x&patient=p1", None, 403),
        ("GET", "Condition?patient=p1", None, 403),
        ("GET", "Device/d1", None, 200),
        ("PUT", "Device/d1", {"resourceType": "Device", "id": "d1"}, 403),
        ("PUT", "Observation/o1", observation("o1", "p1", status="final"), 200),
        ("PUT", "Observation/o1", observation("o1", "p2"), 403),
        ("PUT", "Observation/o2", observation("o2", "p1"), 403),
        ("PUT", "Observation/new", observation("new", "p1"), 403),
        ("PUT", "Observation/o1", observation("o9", "p1"), 400),
        ("DELETE", "Observation/o1", None, 403),
        ("PUT", "Provenance/v1", {"target": [{"reference": "Observation/o1"}]}, 200),
        ("PUT", "Provenance/v1", {"target": [{"reference": "Observation/o2"}]}, 403),
        ("PUT", "Provenance/v1", {"target": []}, 403),
    ],
)
def test_a_token_opens_the_open_chart_as_far_as_its_scopes(
    ehr: Ehr, method: str, path: str, body: Json | None, status: int
) -> None:
    before = json.dumps(ehr.record)
    if body is not None and path.startswith("Provenance"):
        body = {"resourceType": "Provenance", "id": "v1", **body}
    assert ehr.fhir(method, path, ehr.signed_in()["access_token"], body)[0] == status
    if status != 200:
        assert json.dumps(ehr.record) == before


def test_a_search_that_finds_too_much_is_cut_to_the_open_chart(ehr: Ehr) -> None:
    status, bundle = ehr.fhir("GET", "Observation?patient=p1", ehr.signed_in()["access_token"])
    assert status == 200 and [entry["resource"]["id"] for entry in bundle["entry"]] == ["o1"]


def test_each_entry_of_a_batch_is_judged_for_itself_and_a_transaction_as_a_whole(ehr: Ehr) -> None:
    token = ehr.signed_in()["access_token"]
    gets = ["Patient/p1", "Patient/p2", "Observation?patient=p1", "Condition?patient=p1"]
    batch = {"resourceType": "Bundle", "type": "batch"}
    batch["entry"] = [{"request": {"method": "GET", "url": url}} for url in gets]  # type: ignore[assignment]
    status, answer = ehr.fhir("POST", "", token, batch)
    assert status == 200
    assert [entry["response"]["status"] for entry in answer["entry"]] == ["200", "403", "200", "403"]
    found = answer["entry"][2]["resource"]["entry"]
    assert [entry["resource"]["id"] for entry in found] == ["o1"]
    changes = [("Observation/o1", observation("o1", "p1", status="final")), ("Observation/o2", observation("o2", "p2"))]
    entries = [{"request": {"method": "PUT", "url": url}, "resource": item} for url, item in changes]
    status, _ = ehr.fhir("POST", "", token, {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert status == 403 and "status" not in ehr.record["Observation/o1"]


def test_the_backend_and_strangers_pass_to_the_server_behind_or_not_at_all(ehr: Ehr) -> None:
    assert ehr.fhir("GET", "Patient/p2", BACKEND)[0] == 200
    assert ehr.fhir("GET", "Patient/p1", "made-up")[0] == 401


def test_discovery_says_what_is_offered(ehr: Ehr) -> None:
    document = ehr.http.get("/fhir/.well-known/smart-configuration").json()
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert urlsplit(document["token_endpoint"]).path == "/auth/token"
    assert document["issuer"] == ISSUER
    (key,) = ehr.http.get("/auth/jwks").json()["keys"]
    assert key["alg"] == "RS256" and "d" not in key


def test_a_cards_markdown_stays_the_text_it_is() -> None:
    text = "**Risk**\n\n- one: **5%** \\*\n- &lt;img src=x&gt;\n\n<script>alert(1)</script>"
    assert rendered(text) == (
        "<p><strong>Risk</strong></p><ul><li>one: <strong>5%</strong> *</li><li>&lt;img src=x&gt;</li></ul>"
        "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"
    )
