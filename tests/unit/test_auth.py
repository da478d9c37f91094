from __future__ import annotations

import json
import logging
import os
import pickle
import stat
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_adapter.auth import (
    AuthorizationRefused,
    AuthorizationUnavailable,
    BackendServices,
    StaticToken,
    Token,
    TokenCache,
    missing_scopes,
)
from fhir_adapter.client import FhirClient
from fhir_adapter.egress import EgressRefused
from fhir_adapter.errors import ConfigurationError, FhirRejected, FhirUnavailable
from fhir_adapter.keys import FileKeys, MemoryKeys, SigningKey, new_key, public_set, signing_key
from fhir_adapter.tenants import Tenant
from functions.receiver.jwks import jwks_document
from tests.fake_authorization import CLIENT, FakeAuthorization, assertion_of, claims_of, header_of
from tests.fakes import BASE, FakeEhr
from tests.samples import patient, tenant_json

ROOT = Path(__file__).parents[2]
TOKEN_URL = "https://login.test/token"
EC, RSA = new_key("ES384"), new_key("RS384")
SCOPES = ["system/Patient.rs", "system/Observation.cruds"]


class Clock:
    """Seconds since the epoch, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Hospital:
    """An EHR that takes tokens of its authorization server only, and one client of it."""

    def __init__(self, key: dict[str, Any] = EC, auth: dict[str, Any] | None = None, **server: Any) -> None:
        self.clock = Clock()
        self.waits: list[float] = []
        published = server.pop("keys", public_set([key])["keys"])
        self.server = FakeAuthorization(BASE, TOKEN_URL, published, clock=self.clock, **server)
        self.ehr = FakeEhr(patient())
        self.ehr.before = self._before
        self.keys: dict[str, Any] = {"ehr": key}
        self.cache = TokenCache(self.clock)
        self.tenant = Tenant.from_dict(
            {
                **tenant_json(),
                "auth": {
                    "type": "backend-services",
                    "client_id": CLIENT,
                    "scopes": SCOPES,
                    "key": "ehr",
                    **({"alg": key["alg"]} if "alg" in key else {}),
                    **(auth or {}),
                },
                "allowed_hosts": ["login.test"],
            }
        )

    def _before(self, request: httpx.Request) -> httpx.Response | None:
        answer = self.server.handle(request)
        if answer is not None or not str(request.url).startswith(BASE):
            return answer or httpx.Response(404)
        return None if self.server.accepts(request) else httpx.Response(401)

    def client(self) -> FhirClient:
        return FhirClient.for_tenant(
            self.tenant,
            MemoryKeys(**self.keys),
            transport=self.ehr.transport,
            cache=self.cache,
            sleep=self.waits.append,
            uniform=lambda _low, high: high,
        )

    def fhir_requests(self) -> list[httpx.Request]:
        return [found for found in self.ehr.requests if str(found.url).startswith(f"{BASE}/Patient")]


def fails(times: int, response: httpx.Response | Exception) -> Callable[[httpx.Request], httpx.Response | None]:
    left = iter(range(times))

    def before(_request: httpx.Request) -> httpx.Response | None:
        if next(left, None) is None:
            return None
        if isinstance(response, Exception):
            raise response
        return response

    return before


@pytest.mark.conformance("B02", "B03", "B04", "A04", "A42", "A43")
@pytest.mark.parametrize("key", [EC, RSA], ids=["ES384", "RS384"])
def test_signs_in_and_reads(key: dict[str, Any]) -> None:
    hospital = Hospital(key)
    with hospital.client() as client:
        assert client.read("Patient/p1")["id"] == "p1"
    (request,) = hospital.server.requests
    assert hospital.server.discoveries == 1
    assert hospital.server.refused == []
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    form = dict(httpx.QueryParams(request.content.decode()))
    assert form == {
        "grant_type": "client_credentials",
        "scope": " ".join(SCOPES),
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": form["client_assertion"],
    }
    assert header_of(form["client_assertion"]) == {"alg": key["alg"], "kid": key["kid"], "typ": "JWT"}
    claims = claims_of(form["client_assertion"])
    assert claims["iss"] == claims["sub"] == CLIENT
    assert claims["aud"] == TOKEN_URL
    assert hospital.clock.now < claims["exp"] <= hospital.clock.now + 300
    assert set(claims) == {"iss", "sub", "aud", "exp", "jti"}


@pytest.mark.conformance("A42")
def test_names_the_registered_key_set_when_the_tenant_gives_one() -> None:
    url = "https://bedside.test/.well-known/jwks.json"
    hospital = Hospital(auth={"jwks_url": url})
    hospital.client().read("Patient/p1")
    assert header_of(assertion_of(hospital.server.requests[0]))["jku"] == url


def test_a_configured_token_url_needs_no_discovery() -> None:
    hospital = Hospital(auth={"token_url": TOKEN_URL})
    hospital.client().read("Patient/p1")
    assert hospital.server.discoveries == 0


@pytest.mark.conformance("A60", "B09")
def test_the_token_goes_to_the_fhir_base_only() -> None:
    hospital = Hospital()
    with hospital.client() as client:
        client.read("Patient/p1")
        for url in ("https://login.test/files/1", "https://ehr.test/other/Patient/p1", f"{BASE}/../other"):
            with pytest.raises(FhirRejected):
                client.send("GET", url)
        with pytest.raises(EgressRefused):
            client.send("GET", "https://elsewhere.test/fhir/Patient/p1")
    with_token = [str(request.url) for request in hospital.ehr.requests if "authorization" in request.headers]
    assert with_token == [f"{BASE}/Patient/p1"]


@pytest.mark.conformance("B05", "B06", "A43")
def test_a_token_is_kept_until_shortly_before_its_end_and_then_asked_for_anew() -> None:
    hospital = Hospital(lifetimes=[300])
    client = hospital.client()
    for seconds in (0, 100, 169):
        hospital.clock.now += seconds
        client.read("Patient/p1")
    assert len(hospital.server.requests) == 1
    hospital.clock.now += 1
    client.read("Patient/p1")
    first, second = (claims_of(assertion_of(request)) for request in hospital.server.requests)
    assert first["jti"] != second["jti"]
    assert all("refresh_token" not in request.content.decode() for request in hospital.server.requests)
    assert all(request.headers["authorization"] for request in hospital.fhir_requests())


@pytest.mark.conformance("B05")
@pytest.mark.parametrize(
    ("lifetime", "good", "stale"),
    [
        (300, 269, 270),
        (60, 29, 30),
        (30, 14, 15),
        (10, 4, 5),
        (1, 0, 1),
        (0, None, 0),
        (None, 29, 30),
        (3600, 3569, 3570),
    ],
)
def test_how_long_a_token_is_fresh(lifetime: float | None, good: float | None, stale: float) -> None:
    token = Token("t", 1000.0, lifetime, frozenset())
    assert good is None or token.is_fresh(1000.0 + good)
    assert not token.is_fresh(1000.0 + stale)
    assert not token.is_fresh(999.0)


@pytest.mark.conformance("B05")
def test_changing_lifetimes_of_any_kind_always_lead_to_a_token_that_is_taken() -> None:
    hospital = Hospital(lifetimes=[5, None, 300, 1, 10])
    client = hospital.client()
    for _ in range(120):
        client.read("Patient/p1")
        hospital.clock.now += 1
    assert hospital.server.refused == []
    assert all(hospital.server.tokens)
    assert len(hospital.fhir_requests()) == 120


@pytest.mark.conformance("B05", "B08")
def test_clients_of_one_process_share_tokens_and_a_hundred_threads_ask_once() -> None:
    hospital = Hospital()
    entered = threading.Barrier(21, timeout=10)
    go = threading.Event()

    def slow(_request: httpx.Request) -> httpx.Response | None:
        assert go.wait(10)
        return None

    hospital.server.before = slow
    clients = [hospital.client() for _ in range(20)]

    def read(client: FhirClient) -> str:
        entered.wait()
        return str(client.read("Patient/p1")["id"])

    with ThreadPoolExecutor(20) as pool:
        results = [pool.submit(read, client) for client in clients]
        entered.wait()
        go.set()
        assert [result.result(timeout=20) for result in results] == ["p1"] * 20
    assert len(hospital.server.requests) == 1


@pytest.mark.conformance("B08")
def test_waiting_threads_hear_of_the_error_and_the_next_call_asks_again() -> None:
    hospital = Hospital(auth={"token_url": TOKEN_URL})
    arrived, go = threading.Event(), threading.Event()

    def refuse(_request: httpx.Request) -> httpx.Response | None:
        arrived.set()
        assert go.wait(10)
        return httpx.Response(401, json={"error": "invalid_client"})

    hospital.server.before = refuse
    client = hospital.client()
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(client.read, "Patient/p1")
        assert arrived.wait(10)
        others = [pool.submit(client.read, "Patient/p1") for _ in range(7)]
        go.set()
        for result in (first, *others):
            with pytest.raises(AuthorizationRefused, match="invalid_client"):
                result.result(timeout=20)
    asked = len(hospital.server.requests)
    assert asked <= 8
    hospital.server.before = None
    assert client.read("Patient/p1")["id"] == "p1"


@pytest.mark.conformance("B08", "A43")
@pytest.mark.parametrize(
    "trouble",
    [
        httpx.Response(500),
        httpx.Response(503),
        httpx.Response(429),
        httpx.ReadTimeout("lost"),
        httpx.ConnectError("no"),
    ],
    ids=str,
)
def test_what_may_pass_is_tried_again_with_a_new_assertion(trouble: httpx.Response | Exception) -> None:
    hospital = Hospital()
    hospital.server.before = fails(2, trouble)
    assert hospital.client().read("Patient/p1")["id"] == "p1"
    assert hospital.waits == [0.2, 0.4]
    jtis = [claims_of(assertion)["jti"] for assertion in hospital.server.assertions]
    assert len(jtis) == len(set(jtis)) == 3


@pytest.mark.conformance("B08")
def test_an_answer_that_was_lost_after_the_server_used_the_assertion_does_no_harm() -> None:
    hospital = Hospital()
    lost = iter([True])
    answer = hospital.server._granted

    def granted(form: Any, request: httpx.Request) -> Any:
        given = answer(form, request)
        if next(lost, False):
            raise httpx.ReadTimeout("lost")
        return given

    hospital.server._granted = granted  # type: ignore[method-assign]
    assert hospital.client().read("Patient/p1")["id"] == "p1"
    assert hospital.server.refused == []


@pytest.mark.conformance("B08", "B10")
def test_tries_are_bounded_and_retry_after_is_honoured() -> None:
    hospital = Hospital()
    hospital.server.before = fails(99, httpx.Response(503))
    with pytest.raises(AuthorizationUnavailable, match="tenant 'general': the token endpoint answered 503") as caught:
        hospital.client().read("Patient/p1")
    assert isinstance(caught.value, FhirUnavailable)
    assert len(hospital.server.requests) == 3

    patient_one = Hospital()
    patient_one.server.before = fails(1, httpx.Response(429, headers={"retry-after": "3"}))
    patient_one.client().read("Patient/p1")
    assert patient_one.waits == [3.0]

    too_long = Hospital()
    too_long.server.before = fails(1, httpx.Response(503, headers={"retry-after": "120"}))
    with pytest.raises(AuthorizationUnavailable):
        too_long.client().read("Patient/p1")
    assert too_long.waits == []


@pytest.mark.conformance("B08")
@pytest.mark.parametrize(
    ("status", "error"), [(401, "invalid_client"), (400, "invalid_client"), (400, "invalid_scope")]
)
def test_what_will_not_pass_is_not_tried_again(status: int, error: str) -> None:
    hospital = Hospital()
    hospital.server.before = fails(99, httpx.Response(status, json={"error": error, "error_description": "CANARY"}))
    with pytest.raises(AuthorizationRefused, match=rf"answered {status} \({error}\)") as caught:
        hospital.client().read("Patient/p1")
    assert isinstance(caught.value, FhirRejected)
    assert "CANARY" not in str(caught.value)
    assert len(hospital.server.requests) == 1
    assert hospital.waits == []


@pytest.mark.conformance("B07")
@pytest.mark.parametrize(
    ("granted", "missing"),
    [
        ("system/Patient.rs", "system/Observation.cruds"),
        ("system/Patient.r system/Observation.cruds", "system/Patient.rs"),
        ("system/Patient.rs?_id=1 system/Observation.cruds", "system/Patient.rs"),
        ("launch", "system/Patient.rs, system/Observation.cruds"),
    ],
)
def test_a_scope_that_was_not_granted_is_named(granted: str, missing: str) -> None:
    hospital = Hospital(grants=granted)
    with pytest.raises(AuthorizationRefused, match="tenant 'general'") as caught:
        hospital.client().read("Patient/p1")
    assert str(caught.value).endswith(f"did not grant {missing}")
    assert hospital.fhir_requests() == []


@pytest.mark.conformance("B07")
@pytest.mark.parametrize(
    ("wanted", "granted", "missing"),
    [
        ("system/Patient.rs", "system/*.rs", ()),
        ("system/Patient.rs", "system/Patient.r system/Patient.s", ()),
        ("system/Patient.rs", "system/Patient.read", ()),
        ("system/Patient.read", "system/Patient.rs", ()),
        ("system/Patient.cruds", "system/*.*", ()),
        ("system/Patient.cruds", "system/*.read system/Patient.write", ()),
        ("system/Patient.rs", "user/Patient.rs", ("system/Patient.rs",)),
        ("system/*.rs", "system/Patient.rs", ("system/*.rs",)),
        ("system/Observation.rs?category=laboratory", "system/Observation.rs", ()),
        ("system/Observation.rs?category=laboratory", "system/Observation.rs?category=laboratory", ()),
        (
            "system/Observation.rs?category=laboratory",
            "system/Observation.rs?category=vital-signs",
            ("system/Observation.rs?category=laboratory",),
        ),
        ("system/Patient.rs", "", ("system/Patient.rs",)),
    ],
)
def test_scopes_cover_each_other_by_their_letters(wanted: str, granted: str, missing: tuple[str, ...]) -> None:
    assert missing_scopes(wanted.split(), granted.split()) == missing


@pytest.mark.conformance("A61", "B06")
def test_a_401_is_answered_by_one_new_token() -> None:
    hospital = Hospital()
    client = hospital.client()
    client.read("Patient/p1")
    hospital.server.tokens.clear()  # revoked
    assert client.read("Patient/p1")["id"] == "p1"
    assert len(hospital.server.requests) == 2
    assert len(hospital.fhir_requests()) == 3


@pytest.mark.conformance("A61")
def test_a_second_401_is_final() -> None:
    hospital = Hospital()
    before = hospital.ehr.before

    def never(request: httpx.Request) -> httpx.Response | None:
        assert before is not None
        answer = before(request)
        return httpx.Response(401) if answer is None else answer

    hospital.ehr.before = never
    with pytest.raises(FhirRejected, match="401") as caught:
        hospital.client().read("Patient/p1")
    assert caught.value.status == 401
    assert len(hospital.fhir_requests()) == 2
    assert len(hospital.server.requests) == 2


@pytest.mark.conformance("A61")
def test_a_403_means_not_permitted_and_asks_for_nothing() -> None:
    hospital = Hospital()
    before = hospital.ehr.before
    hospital.ehr.before = lambda request: (before(request) if before else None) or httpx.Response(403)
    with pytest.raises(FhirRejected, match="403"):
        hospital.client().read("Patient/p1")
    assert len(hospital.fhir_requests()) == 1
    assert len(hospital.server.requests) == 1


@pytest.mark.conformance("A61")
def test_a_static_token_that_is_refused_is_refused_once() -> None:
    ehr = FakeEhr(patient())
    ehr.before = lambda _request: httpx.Response(401)
    with pytest.raises(FhirRejected, match="401"):
        FhirClient(BASE, StaticToken("abc"), transport=ehr.transport).read("Patient/p1")
    assert len(ehr.requests) == 1


def test_of_many_threads_with_one_revoked_token_one_asks_for_another() -> None:
    hospital = Hospital()
    client = hospital.client()
    client.read("Patient/p1")
    hospital.server.tokens.clear()
    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(lambda _: client.read("Patient/p1")["id"], range(10)))
    assert found == ["p1"] * 10
    assert len(hospital.server.requests) == 2


# ---- discovery ----


@pytest.mark.conformance("B02")
@pytest.mark.parametrize(
    ("advertised", "token_url"),
    [
        ("/auth/token", "https://ehr.test/auth/token"),
        ("token", f"{BASE}/token"),
        ("../auth/token", "https://ehr.test/auth/token"),
        ("//login.test/token", TOKEN_URL),
    ],
)
def test_a_relative_token_endpoint_is_resolved_against_the_fhir_base(advertised: str, token_url: str) -> None:
    hospital = Hospital(advertised=advertised)
    hospital.server.token_url = token_url
    assert hospital.client().read("Patient/p1")["id"] == "p1"
    assert claims_of(assertion_of(hospital.server.requests[0]))["aud"] == token_url


@pytest.mark.conformance("B02", "B09")
@pytest.mark.parametrize(
    ("configuration", "told"),
    [
        ({"token_endpoint": "https://evil.test/token"}, "not the tenant's"),
        ({"token_endpoint": "https://169.254.169.254/token"}, "not the tenant's"),
        ({"token_endpoint": "https://login.test@evil.test/token"}, "not the tenant's"),
        ({"token_endpoint": "http://login.test/token"}, "not https"),
        ({"token_endpoint": "file:///etc/passwd"}, "not https"),
        ({"token_endpoint": None}, "names no token_endpoint"),
        ({"token_endpoint": "https://[oops/token"}, "not the tenant's"),
        ({"token_endpoint": "https://login.test:port/token"}, "not valid"),
        ({"token_endpoint": "https://xn--/token"}, "not valid"),
        ({"token_endpoint_auth_signing_alg_values_supported": ["RS256"]}, "ES384"),
    ],
)
def test_no_assertion_leaves_for_an_endpoint_that_is_not_the_tenants(configuration: dict[str, Any], told: str) -> None:
    hospital = Hospital(configuration=configuration)
    with pytest.raises(FhirRejected, match=told) as caught:
        hospital.client().read("Patient/p1")
    assert "tenant 'general'" in str(caught.value)
    assert "evil" not in str(caught.value)
    assert all("client_assertion" not in request.content.decode() for request in hospital.ehr.requests)
    assert hospital.fhir_requests() == []


@pytest.mark.conformance("B02")
@pytest.mark.parametrize(
    ("response", "told"),
    [
        (httpx.Response(404), "answered 404"),
        (httpx.Response(302, headers={"location": "https://evil.test/"}), "redirect"),
        (httpx.Response(200, content=b"<html>"), "JSON object"),
        (httpx.Response(200, json=["token_endpoint"]), "JSON object"),
        (httpx.Response(200, content=b"[" * 50_000), "JSON object"),
        (httpx.Response(200, content=b"{" + b" " * 70_000 + b"}"), "more than 65536 bytes"),
    ],
)
def test_discovery_that_fails_is_told(response: httpx.Response, told: str) -> None:
    hospital = Hospital()
    hospital.ehr.before = lambda _request: response
    with pytest.raises(FhirRejected, match=told):
        hospital.client().read("Patient/p1")
    assert len(hospital.ehr.requests) == 1


@pytest.mark.conformance("B02")
def test_discovery_is_repeated_after_an_hour_and_after_a_refusal() -> None:
    hospital = Hospital()
    client = hospital.client()
    client.read("Patient/p1")
    hospital.clock.now += 3599
    client.read("Patient/p1")
    assert hospital.server.discoveries == 1
    hospital.clock.now += 3601
    client.read("Patient/p1")
    assert hospital.server.discoveries == 2
    hospital.clock.now += 300
    hospital.server.before = fails(1, httpx.Response(404))
    with pytest.raises(AuthorizationRefused):
        client.read("Patient/p1")
    client.read("Patient/p1")
    assert hospital.server.discoveries == 3


@pytest.mark.parametrize(
    "answer",
    [
        {"token_type": "bearer", "scope": " ".join(SCOPES)},
        {"access_token": "a b", "token_type": "bearer"},
        {"access_token": "a\r\nX-Evil: 1", "token_type": "bearer"},
        {"access_token": "abc", "token_type": "mac"},
        {"access_token": 5, "token_type": "bearer"},
        ["abc"],
    ],
)
def test_an_answer_that_is_no_token_is_refused(answer: Any) -> None:
    hospital = Hospital()
    hospital.server.before = fails(1, httpx.Response(200, json=answer))
    with pytest.raises(AuthorizationRefused):
        hospital.client().read("Patient/p1")
    assert hospital.fhir_requests() == []


@pytest.mark.conformance("B05")
@pytest.mark.parametrize("expires_in", ["300", 300.5, -1, None, "soon", True, 1e400])
def test_an_odd_lifetime_does_no_harm(expires_in: Any) -> None:
    hospital = Hospital()
    answer = {"access_token": "odd", "token_type": "Bearer", "expires_in": expires_in}
    content = json.dumps(answer).encode().replace(b"Infinity", b"1e308")
    hospital.server.before = fails(9, httpx.Response(200, content=content))
    hospital.server.tokens["odd"] = hospital.clock.now + 300
    assert hospital.client().read("Patient/p1")["id"] == "p1"


# ---- keys ----


@pytest.mark.conformance("A04")
def test_rotation_publishes_both_keys_and_signs_with_the_new_one() -> None:
    old, new = new_key("ES384"), new_key("ES384")
    hospital = Hospital(old, keys=public_set([old, new])["keys"])
    client = hospital.client()
    client.read("Patient/p1")
    hospital.keys["ehr"] = {"keys": [new, old]}
    assert {key["kid"] for key in public_set([hospital.keys["ehr"]])["keys"]} == {old["kid"], new["kid"]}
    hospital.clock.now += 300
    hospital.client().read("Patient/p1")
    kids = [header_of(assertion_of(request))["kid"] for request in hospital.server.requests]
    assert kids == [old["kid"], new["kid"]]


@pytest.mark.conformance("A04")
def test_a_tenant_may_name_the_key_and_use_either_algorithm_of_one_set() -> None:
    stored = {"keys": [EC, RSA]}
    assert signing_key(stored, "ES384", None, "ehr").kid == EC["kid"]
    assert signing_key(stored, "RS384", None, "ehr").kid == RSA["kid"]
    assert signing_key(stored, "RS384", RSA["kid"], "ehr").alg == "RS384"


@pytest.mark.conformance("A42", "B01")
@pytest.mark.parametrize(
    ("stored", "alg", "kid"),
    [
        (EC, "RS384", None),
        (RSA, "ES384", None),
        (EC, "ES384", "other"),
        ({"keys": [EC, RSA]}, "ES384", RSA["kid"]),
        ({**EC, "alg": "ES256"}, "ES384", None),
        ({**EC, "crv": "P-256"}, "ES384", None),
        ({**EC, "use": "enc"}, "ES384", None),
        ({name: value for name, value in EC.items() if name != "kid"}, "ES384", None),
        (public_set([EC])["keys"][0], "ES384", None),
        ({"kty": "oct", "k": "c2VjcmV0", "kid": "k", "d": "x"}, "ES384", None),
        ({**RSA, "n": RSA["n"][:170]}, "RS384", None),
        ({"keys": []}, "ES384", None),
        ({}, "ES384", None),
    ],
)
def test_a_key_signs_with_its_own_algorithm_only(stored: dict[str, Any], alg: Any, kid: str | None) -> None:
    with pytest.raises(ConfigurationError, match="key 'ehr'") as caught:
        signing_key(stored, alg, kid, "ehr")
    assert EC["d"] not in str(caught.value)


def test_a_broken_key_is_told_without_its_content() -> None:
    with pytest.raises(ConfigurationError, match="cannot sign") as caught:
        SigningKey("k", "ES384", {**EC, "x": "AAAA"}).sign({}, {})
    assert EC["d"] not in str(caught.value)


@pytest.mark.conformance("A02", "A03", "B01")
def test_only_public_members_are_published_whatever_a_key_carries() -> None:
    document = jwks_document([{**EC, "k": "CANARY", "x5c": ["CANARY"], "note": "CANARY"}, {"keys": [RSA, EC]}])
    assert [set(key) for key in document["keys"]] == [
        {"kty", "kid", "alg", "use", "crv", "x", "y"},
        {"kty", "kid", "alg", "use", "n", "e"},
    ]
    assert [key["alg"] for key in document["keys"]] == ["ES384", "RS384"]
    assert "CANARY" not in json.dumps(document)
    assert jwks_document([document]) == document


@pytest.mark.conformance("A02")
@pytest.mark.parametrize(
    "key",
    [
        {**EC, "kid": ""},
        {**EC, "x": None},
        {**EC, "alg": "HS256"},
        {"kty": "oct", "k": "secret", "kid": "k"},
        {"keys": [EC, {**new_key("ES384"), "kid": EC["kid"]}]},
    ],
)
def test_what_is_no_key_of_ours_is_not_published(key: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        public_set([key])


@pytest.mark.conformance("B01")
@pytest.mark.skipif(os.name != "posix", reason="modes of files are those of POSIX")
def test_key_files_are_for_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "ehr.json"
    path.write_text(json.dumps(EC))
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        FileKeys(tmp_path).get("ehr")
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    assert FileKeys(tmp_path).get("ehr") == EC
    for name in ("../ehr", "/etc/passwd", "", "ehr/../ehr"):
        with pytest.raises(ConfigurationError, match="not the name"):
            FileKeys(tmp_path).get(name)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        FileKeys(tmp_path).get("absent")
    path.write_text('{"d": "CANARY"')
    with pytest.raises(ConfigurationError, match="not a JWK") as caught:
        FileKeys(tmp_path).get("ehr")
    assert "CANARY" not in str(caught.value)


# ---- what must not leak ----


@pytest.mark.conformance("B01")
def test_no_token_key_or_assertion_is_shown_anywhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    hospital = Hospital()
    shown: list[str] = []
    client = hospital.client()
    client.read("Patient/p1")
    (token,) = hospital.server.tokens
    assertion = assertion_of(hospital.server.requests[0])
    source = BackendServices(hospital.tenant, MemoryKeys(ehr=EC), hospital.ehr.transport, cache=hospital.cache)
    assert source.token() == token
    assert source.granted() == frozenset(SCOPES)
    key = signing_key(EC, "ES384", None, "ehr")
    granted = Token(token, 0.0, 1.0, frozenset())
    for thing in (
        source,
        hospital.cache,
        StaticToken(token),
        granted,
        key,
        MemoryKeys(ehr=EC),
        client,
        hospital.tenant,
    ):
        shown += [repr(thing), str(thing)]
    hospital.server.tokens.clear()
    hospital.server.before = lambda _request: httpx.Response(400, json={"error": token, "error_description": assertion})
    with pytest.raises(FhirRejected) as caught:
        client.read("Patient/p1")
    shown += ["".join(traceback.format_exception(caught.value)), repr(caught.value), caplog.text]
    for text in shown:
        for secret in (token, assertion, EC["d"]):
            assert secret not in text


def test_errors_of_signing_in_are_kept_when_they_cross_processes() -> None:
    error = pickle.loads(pickle.dumps(AuthorizationUnavailable("no", 503, 2.0)))
    assert (str(error), error.status) == ("no", 503)


def test_a_tenant_with_a_key_needs_a_key_store_and_one_without_none() -> None:
    hospital = Hospital()
    with pytest.raises(ConfigurationError, match="no key store"):
        FhirClient.for_tenant(hospital.tenant, transport=hospital.ehr.transport)
    plain = Tenant.from_dict(tenant_json())
    with pytest.raises(ConfigurationError, match="not backend-services"):
        BackendServices(plain, MemoryKeys(), hospital.ehr.transport)
    ehr = FakeEhr(patient())
    assert FhirClient.for_tenant(plain, transport=ehr.transport).read("Patient/p1")["id"] == "p1"
    assert ehr.requests[0].headers["authorization"] == "Bearer token-for-the-tests-only"


def test_tenants_without_a_key_do_not_load_cryptography() -> None:
    code = (
        "import sys, fhir_adapter.client, functions.receiver.jwks as j;"
        "j.jwks_document([]); print('joserfc' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert run.stdout.strip() == "False"


# ---- the fake itself is strict ----


def assertion_with(header: dict[str, Any], claims: dict[str, Any], key: dict[str, Any] = EC) -> str:
    from joserfc import jwt
    from joserfc.jwk import ECKey, RSAKey

    members = {name: value for name, value in key.items() if name != "alg"}
    made = (ECKey if key["kty"] == "EC" else RSAKey).import_key(members)
    return jwt.encode(header, claims, made, algorithms=[header["alg"]])


NOW = 1_800_000_000
GOOD_HEADER = {"alg": "ES384", "kid": EC["kid"], "typ": "JWT"}
GOOD = {"iss": CLIENT, "sub": CLIENT, "aud": TOKEN_URL, "exp": NOW + 240, "jti": "1"}


@pytest.mark.parametrize(
    ("header", "claims", "form", "why"),
    [
        ({}, {}, {}, None),
        ({}, {}, {"client_id": CLIENT}, None),
        ({}, {"exp": NOW + 301}, {}, "more than five minutes"),
        ({}, {"exp": NOW}, {}, "past"),
        ({}, {"exp": str(NOW + 240)}, {}, "integer"),
        ({}, {"exp": None}, {}, "integer"),
        ({}, {"aud": BASE}, {}, "aud"),
        ({}, {"aud": [TOKEN_URL]}, {}, "aud"),
        ({}, {"iss": "other"}, {}, "iss"),
        ({}, {"sub": "other"}, {}, "iss"),
        ({}, {"jti": None}, {}, "jti"),
        ({"kid": "other"}, {}, {}, "kid"),
        ({"typ": "at+jwt"}, {}, {}, "typ"),
        ({}, {}, {"client_assertion": None}, "missing"),
        ({}, {}, {"client_assertion_type": "jwt"}, "client_assertion_type"),
        ({}, {}, {"client_id": "other"}, "client_id"),
        ({}, {}, {"grant_type": "password"}, "grant_type"),
        ({}, {}, {"scope": "patient/Patient.rs"}, "grammar"),
        ({}, {}, {"scope": "system/Patient.sr"}, "grammar"),
        ({}, {}, {"scope": ""}, "grammar"),
        ({}, {}, {"client_secret": "x"}, "not of this grant"),
    ],
)
def test_the_fake_refuses(
    header: dict[str, Any], claims: dict[str, Any], form: dict[str, Any], why: str | None
) -> None:
    server = FakeAuthorization(BASE, TOKEN_URL, public_set([EC])["keys"], clock=lambda: NOW)
    sent = {name: value for name, value in {**GOOD, **claims}.items() if value is not None}
    fields = {
        "grant_type": "client_credentials",
        "scope": "system/Patient.rs",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": assertion_with({**GOOD_HEADER, **header}, sent),
        **form,
    }
    request = httpx.Request("POST", TOKEN_URL, data={name: v for name, v in fields.items() if v is not None})
    answer = server.handle(request)
    assert answer is not None
    if why is None:
        assert answer.status_code == 200
        replay = server.handle(request)
        assert replay is not None and replay.status_code == 401
        assert server.refused == ["jti was used before"]
    else:
        assert answer.status_code in (400, 401)
        assert why in server.refused[0]


def test_the_fake_takes_no_other_key_and_no_other_algorithm() -> None:
    server = FakeAuthorization(BASE, TOKEN_URL, public_set([EC, RSA])["keys"], clock=lambda: NOW)
    stranger = {**new_key("ES384"), "kid": EC["kid"]}
    for header, key, why in (
        (GOOD_HEADER, stranger, "signature"),
        ({**GOOD_HEADER, "kid": RSA["kid"]}, EC, "alg"),
        ({**GOOD_HEADER, "alg": "RS256", "kid": RSA["kid"]}, RSA, "alg"),
    ):
        form = {
            "grant_type": "client_credentials",
            "scope": "system/Patient.rs",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion_with(header, GOOD, key),
        }
        answer = server.handle(httpx.Request("POST", TOKEN_URL, data=form))
        assert answer is not None and answer.status_code == 401
        assert why in server.refused[-1]


def test_the_process_wide_cache_lives_by_the_wall_clock() -> None:
    cache = TokenCache()
    token = Token("t", time.time(), 300.0, frozenset())
    assert cache.get(("u", "c", "s"), lambda: token) is token
    assert cache.get(("u", "c", "s"), lambda: pytest.fail("asked again")) is token
