"""What the app refuses: each with its status and a page that a person understands; no token sent, nothing reflected."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import httpx
import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from fhir_adapter.errors import ConfigurationError
from functions.smart_app.pages import Pages
from functions.smart_app.store import MemorySessions
from tests.fake_smart_server import CLIENT, ISSUER_KEYS
from tests.fakes import BASE
from tests.smart import APP, EC, Hospital

pytestmark = pytest.mark.usefixtures("namespace")
SCRIPT = "<script>alert('CANARY')</script>"
EVIL = "https://evil.test/fhir"


def sent(hospital: Hospital) -> list[str]:
    """Return every URL that anything was sent to."""
    everything = (*hospital.server.requests, *hospital.server.fhir, *hospital.server.outside)
    return [str(request.url) for request in everything]


def refused(answer: dict[str, Any], status: int, title: str) -> None:
    """Check that an answer is a page of ours that says what to do, and holds nothing of what was sent."""
    assert answer["statusCode"] == status, answer
    assert answer["headers"]["Content-Type"] == "text/html; charset=utf-8" and "Location" not in answer["headers"]
    body = html.unescape(answer["body"])
    assert f"<h1>{title}</h1>" in body and "<h2>What to do</h2>" in body
    assert re.search(r"Reference for support: <code>request-1</code>", body)
    assert not [text for text in ("CANARY", "alert", "evil", "<script", "Traceback") if text in body]
    assert answer["headers"]["Cache-Control"] == "no-store"


@pytest.mark.conformance("A10")
@pytest.mark.parametrize(
    ("query", "title"),
    [
        ([("launch", "1")], "This launch is not complete"),
        ([("iss", BASE)], "This launch is not complete"),
        ([("iss", ""), ("launch", "1")], "This launch is not complete"),
        ([("iss", BASE), ("iss", BASE), ("launch", "1")], "This launch is not complete"),
        ([("iss", BASE), ("iss", EVIL), ("launch", "1")], "This launch is not complete"),
        ([("iss", EVIL), ("launch", "1")], "This EHR is not registered"),
        ([("iss", f"{BASE}/../evil"), ("launch", "1")], "This EHR is not registered"),
        ([("iss", f"{BASE}//"), ("launch", "1")], "This EHR is not registered"),
        ([("iss", BASE.upper()), ("launch", "1")], "This EHR is not registered"),
        ([("iss", f"{BASE}@evil.test"), ("launch", "1")], "This EHR is not registered"),
        ([("iss", f"{BASE}?x={SCRIPT}"), ("launch", "1")], "This EHR is not registered"),
        ([("iss", SCRIPT), ("launch", SCRIPT)], "This EHR is not registered"),
        ([("iss", BASE), ("launch", "1"), ("launch", "2")], "This launch is not complete"),
        ([("iss", BASE), ("launch", "x" * 7000)], "This launch cannot be used"),
        ([(f"p{number}", "") for number in range(50)], "This launch cannot be used"),
    ],
)
def test_a_launch_that_is_not_of_a_registered_ehr(query: list[tuple[str, str]], title: str) -> None:
    hospital = Hospital()
    refused(hospital.browser.get(f"{APP}/smart/general/launch?{urlencode(query)}"), 400, title)
    assert sent(hospital) == [] and hospital.server.discoveries == 0 and hospital.browser.cookies == {}


@pytest.mark.conformance("A10")
def test_bytes_that_are_no_text() -> None:
    hospital = Hospital()
    answer = hospital.browser.get(f"{APP}/smart/general/launch?iss={quote(BASE)}&launch=%ff%fe")
    refused(answer, 400, "This launch cannot be used")
    assert sent(hospital) == []


@pytest.mark.parametrize("path", ["/smart/nobody/launch", "/smart/..%2fgeneral/launch", "/smart/GENERAL/launch"])
def test_a_hospital_that_nobody_knows(path: str) -> None:
    hospital = Hospital()
    answer = hospital.browser.get(f"{APP}{path}?iss={BASE}&launch=1", accept_language="de")
    refused(answer, 404, "No such hospital")
    chinese = hospital.browser.get(f"{APP}{path}?iss={BASE}&launch=1", accept_language="zh-CN,zh;q=0.9")
    assert "没有这家医院" in chinese["body"] and sent(hospital) == []


def test_a_tenant_without_the_app() -> None:
    hospital = Hospital(tenant={"smart": None})
    refused(hospital.launch(), 404, "No such hospital")


def test_an_address_that_is_none() -> None:
    answer = Hospital().browser.get(f"{APP}/smart/general/admin/{quote(SCRIPT)}")
    assert answer["statusCode"] == 404 and "No such page" in answer["body"] and "alert" not in answer["body"]


@pytest.mark.conformance("A22", "A30", "A33")
def test_a_state_is_good_once() -> None:
    hospital = Hospital()
    url = hospital.to_callback()
    cookies = dict(hospital.browser.cookies)
    assert hospital.browser.get(url)["statusCode"] == 303
    before = len(sent(hospital))
    hospital.browser.cookies = cookies  # as a browser that sends the same request twice
    refused(hospital.browser.get(url), 400, "This sign-in is not known")
    assert len(sent(hospital)) == before, "no second token request"


@pytest.mark.conformance("A22", "A30")
def test_a_state_is_good_in_the_browser_that_began_only() -> None:
    """Login CSRF: somebody is made to follow the end of another one's sign-in."""
    hospital = Hospital()
    url = hospital.to_callback()
    victim = hospital.another_browser()
    hospital.launch(victim)
    refused(victim.get(url), 400, "This sign-in is not known")
    assert sent(hospital) == []
    assert hospital.browser.get(url)["statusCode"] == 303, "and the other one's is not spent by it"


@pytest.mark.conformance("A30")
@pytest.mark.parametrize(
    "query",
    [
        "code=abc",
        "code=abc&state=",
        "code=abc&state=unknown",
        "code=abc&state=a&state=b",
        f"error={SCRIPT}",
        f"error=access_denied&state={SCRIPT}",
        f"error=access_denied&error_description={SCRIPT}&state=unknown",
        "code=abc&state=%f0%28",
        "",
    ],
)
def test_a_callback_without_a_state_of_ours(query: str) -> None:
    hospital = Hospital()
    hospital.launch()
    answer = hospital.browser.get(f"{APP}/smart/general/callback?{query}")
    title = "This launch cannot be used" if "%f0" in query else "This sign-in is not known"
    refused(answer, 400, title)
    assert sent(hospital) == []


@pytest.mark.conformance("A30")
@pytest.mark.parametrize("seconds", [600, 3600, -60])
def test_a_sign_in_that_took_too_long(seconds: int) -> None:
    hospital = Hospital()
    url = hospital.to_callback()
    hospital.clock.now += seconds
    refused(hospital.browser.get(url), 400, "This sign-in is not known")
    assert sent(hospital) == []


@pytest.mark.conformance("A33")
def test_a_code_of_somebody_else_is_refused_by_its_verifier() -> None:
    """Code injection: a stolen code is put into one's own callback (RFC 9700, 2.1.1)."""
    hospital = Hospital()
    stolen = dict(parse_qsl(urlsplit(hospital.to_callback(hospital.another_browser())).query))["code"]
    mine = urlsplit(hospital.to_callback())
    state = dict(parse_qsl(mine.query))["state"]
    answer = hospital.browser.get(f"{hospital.redirect_uri}?{urlencode({'code': stolen, 'state': state})}")
    refused(answer, 502, "The EHR did not complete the sign-in")
    assert hospital.server.refused == ["the verifier is not that of the challenge"] and hospital.server.fhir == []


@pytest.mark.conformance("A31")
@pytest.mark.parametrize(
    ("error", "status", "title"),
    [
        ("access_denied", 403, "Access was not granted"),
        ("login_required", 403, "Access was not granted"),
        ("invalid_request", 502, "The EHR refused the sign-in"),
        ("invalid_scope", 502, "The EHR refused the sign-in"),
        ("server_error", 502, "The EHR refused the sign-in"),
        ("temporarily_unavailable", 503, "The EHR does not answer"),
        (SCRIPT, 502, "The EHR refused the sign-in"),
        (f"javascript:{SCRIPT}", 502, "The EHR refused the sign-in"),
    ],
)
def test_an_error_of_the_authorization_server(
    error: str, status: int, title: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hospital = Hospital(refuses=error)
    url = hospital.to_callback()
    assert "script" in url
    answer = hospital.browser.get(url)
    refused(answer, status, title)
    assert sent(hospital) == [] and "alert" not in "".join(capsys.readouterr())
    refused(hospital.browser.get(url), 400, "This sign-in is not known")


def test_a_wrong_aud_is_refused_by_the_server_and_told() -> None:
    """The app sends the registered base; a server that has moved does not take it any more."""
    hospital = Hospital()
    started = hospital.launch()["headers"]["Location"]
    hospital.server.fhir_base = "https://moved.test/fhir"
    refused(hospital.browser.get(hospital.server.authorize(started)), 502, "The EHR refused the sign-in")
    assert sent(hospital) == []


@pytest.mark.conformance("A32")
@pytest.mark.parametrize(
    ("says", "iss", "status"),
    [
        (False, None, 303),
        (False, "https://login.test/oidc", 303),
        (False, EVIL, 400),
        (False, BASE, 400),
        (True, "https://login.test/oidc", 303),
        (True, None, 400),
    ],
)
def test_who_answers_must_be_who_was_asked(says: bool, iss: str | None, status: int) -> None:
    hospital = Hospital(configuration={"authorization_response_iss_parameter_supported": says})
    url = hospital.to_callback() + (f"&{urlencode({'iss': iss})}" if iss else "")
    answer = hospital.browser.get(url)
    if status == 400:
        refused(answer, 400, "The answer came from somewhere else")
        assert sent(hospital) == []
    assert answer["statusCode"] == status and hospital.server.outside == []


@pytest.mark.conformance("A13")
@pytest.mark.parametrize(
    "change",
    [
        {"code_challenge_methods_supported": None},
        {"code_challenge_methods_supported": ["plain"]},
        {"code_challenge_methods_supported": ["S256", "plain"]},
        {"capabilities": None},
        {"capabilities": ["launch-ehr"]},
        {"authorization_endpoint": None},
        {"issuer": None},
        {"jwks_uri": None},
        {"token_endpoint_auth_signing_alg_values_supported": ["RS384"]},
    ],
)
def test_an_ehr_that_lacks_what_a_safe_sign_in_needs(change: dict[str, Any]) -> None:
    hospital = Hospital(configuration=change)
    refused(hospital.launch(), 502, "The EHR is not set up for Bedside")
    assert hospital.browser.cookies == {}


@pytest.mark.conformance("A12")
@pytest.mark.parametrize("name", ["authorization_endpoint", "jwks_uri", "issuer", "revocation_endpoint"])
@pytest.mark.parametrize(
    "url",
    ["https://evil.test/a", "http://login.test/a", "//evil.test/a", "https://x@login.test/a", "javascript:alert(1)"],
)
def test_an_endpoint_that_is_not_the_tenants(name: str, url: str) -> None:
    hospital = Hospital(configuration={name: url})
    refused(hospital.launch(), 502, "The EHR is not set up for Bedside")
    assert hospital.server.outside == []


@pytest.mark.conformance("A12", "A40")
@pytest.mark.parametrize("url", ["https://evil.test/token", "http://login.test/token"])
def test_no_code_leaves_for_a_token_endpoint_that_is_not_the_tenants(url: str) -> None:
    hospital = Hospital(advertised=url)
    refused(hospital.launch(), 502, "The EHR is not set up for Bedside")
    assert sent(hospital) == []


Forged = Callable[[dict[str, Any]], str]


def _by(key: Any, header: dict[str, Any]) -> Forged:
    return lambda claims: jwt.encode(header, claims, key, algorithms=[header["alg"]])


def _none(claims: dict[str, Any]) -> str:
    signed = jwt.encode({"alg": "RS256", "kid": "rs"}, claims, ISSUER_KEYS["RS256"])
    return f"eyJhbGciOiJub25lIn0.{signed.split('.')[1]}."


def _changed(claims: dict[str, Any]) -> str:
    head, _, signature = jwt.encode({"alg": "RS256", "kid": "rs"}, claims, ISSUER_KEYS["RS256"]).split(".")
    other = jwt.encode({"alg": "RS256", "kid": "rs"}, {**claims, "sub": "admin"}, ISSUER_KEYS["RS256"])
    return f"{head}.{other.split('.')[1]}.{signature}"


STRANGER = RSAKey.generate_key(2048)
WITH_PUBLIC_AS_SECRET = OctKey.import_key(ISSUER_KEYS["RS256"].as_pem(private=False).decode().replace("-", "="))


@pytest.mark.conformance("A54")
@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(_none, id="none"),
        pytest.param(_by(WITH_PUBLIC_AS_SECRET, {"alg": "HS256", "kid": "rs"}), id="HS256"),
        pytest.param(_by(STRANGER, {"alg": "RS256", "kid": "rs"}), id="another key"),
        pytest.param(_by(STRANGER, {"alg": "RS256", "kid": "unknown"}), id="unknown kid"),
        pytest.param(
            _by(STRANGER, {"alg": "RS256", "kid": "me", "jwk": STRANGER.as_dict(private=False)}), id="key brought along"
        ),
        pytest.param(_by(STRANGER, {"alg": "RS256", "kid": "me", "jku": "https://evil.test/jwks"}), id="jku"),
        pytest.param(_by(ISSUER_KEYS["RS256"], {"alg": "PS256", "kid": "rs"}), id="algorithm not listed"),
        pytest.param(_by(ISSUER_KEYS["RS256"], {"alg": "RS256", "kid": "es"}), id="the other key's name"),
        pytest.param(_changed, id="changed"),
        pytest.param(lambda _claims: "not.a.jwt", id="no JWT"),
        pytest.param(lambda _claims: "", id="empty"),
        pytest.param(lambda _claims: SCRIPT, id="script"),
    ],
)
def test_an_id_token_that_is_not_signed_by_the_issuer(forged: Forged) -> None:
    hospital = Hospital(id_token=forged)
    answer = hospital.callback()
    title = "It is not certain who you are" if forged({}) else "The EHR did not complete the sign-in"
    refused(answer, 502, title)
    assert hospital.server.fhir == [] and hospital.server.outside == []


@pytest.mark.conformance("A54")
@pytest.mark.parametrize(
    "claims",
    [
        {"iss": EVIL},
        {"iss": "https://login.test/oidc/"},
        {"aud": "another-app"},
        {"aud": ["another-app"]},
        {"aud": [CLIENT, "another-app"]},
        {"aud": [CLIENT], "azp": "another-app"},
        {"aud": None},
        {"nonce": "another"},
        {"nonce": None},
        {"exp": 1_700_000_000},
        {"exp": None},
        {"exp": "soon"},
        {"iat": 1_700_000_000},
        {"iat": 1_900_000_000},
        {"iat": None},
        {"nbf": 1_900_000_000},
        {"sub": None},
    ],
)
def test_an_id_token_for_somebody_else_or_another_time(claims: dict[str, Any]) -> None:
    hospital = Hospital(id_claims=claims)
    refused(hospital.callback(), 502, "It is not certain who you are")
    assert hospital.server.fhir == []


@pytest.mark.conformance("A54")
def test_openid_that_was_granted_and_not_delivered() -> None:
    refused(Hospital(answers={"id_token": None}).callback(), 502, "It is not certain who you are")


@pytest.mark.conformance("A54", "A60")
@pytest.mark.parametrize("user", [f"{EVIL}/Practitioner/1", "Practitioner/1/../../x", "Device/1", 7, None])
def test_a_fhir_user_elsewhere_is_nobody_and_is_not_looked_up(user: Any) -> None:
    hospital = Hospital(id_claims={"fhirUser": user})
    assert hospital.page()["statusCode"] == 200
    assert hospital.server.outside == []


@pytest.mark.conformance("A40", "A50", "A51")
@pytest.mark.parametrize(
    ("answers", "title"),
    [
        ({"access_token": None}, "The EHR did not complete the sign-in"),
        ({"access_token": "a b\r\nX: y"}, "The EHR did not complete the sign-in"),
        ({"token_type": "mac"}, "The EHR did not complete the sign-in"),
        ({"scope": None}, "The EHR did not complete the sign-in"),
        ({"refresh_token": 7}, "The EHR did not complete the sign-in"),
    ],
)
def test_a_token_response_that_is_none(answers: dict[str, Any], title: str) -> None:
    hospital = Hospital(answers=answers)
    refused(hospital.callback(), 502, title)
    assert hospital.server.fhir == []


@pytest.mark.conformance("A51")
@pytest.mark.parametrize("patient", [None, "", "p1/../p2", SCRIPT, 7, f"{EVIL}/Patient/1"])
def test_without_a_patient_there_is_nothing_to_show(patient: Any) -> None:
    hospital = Hospital(answers={"patient": patient})
    refused(hospital.callback(), 400, "No patient is open")
    assert hospital.server.fhir == []


@pytest.mark.parametrize(
    ("answer", "status", "title"),
    [
        (httpx.Response(500, text=SCRIPT), 503, "The EHR does not answer"),
        (httpx.Response(503, headers={"Retry-After": "7"}), 503, "The EHR does not answer"),
        (httpx.Response(400, json={"error": SCRIPT}), 502, "The EHR did not complete the sign-in"),
        (httpx.Response(200, text=SCRIPT), 502, "The EHR did not complete the sign-in"),
        (httpx.Response(200, content=b"[" * 100_000), 502, "The EHR did not complete the sign-in"),
        (httpx.Response(302, headers={"Location": EVIL}), 502, "The EHR did not complete the sign-in"),
    ],
)
def test_a_token_endpoint_that_fails(
    answer: httpx.Response, status: int, title: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hospital = Hospital()
    url = hospital.to_callback()
    hospital.server.before = lambda _request: answer
    page = hospital.browser.get(url)
    refused(page, status, title)
    assert len(hospital.server.requests) == 1, "a code is sent once"
    assert ("Retry-After" in page["headers"]) is (status == 503)
    assert "alert" not in "".join(capsys.readouterr())


def test_a_token_endpoint_that_does_not_answer() -> None:
    hospital = Hospital()
    url = hospital.to_callback()

    def lost(_request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("CANARY")

    hospital.server.before = lost
    refused(hospital.browser.get(url), 503, "The EHR does not answer")
    assert len(hospital.server.requests) == 1


@pytest.mark.conformance("A30")
@pytest.mark.parametrize("view", ["unknown", "../launch", SCRIPT.replace("/", ""), "x" * 300])
def test_a_page_without_a_session(view: str) -> None:
    hospital = Hospital()
    hospital.signed_in()
    refused(hospital.browser.get(f"{APP}/smart/general/app/{quote(view, safe='')}"), 401, "This page has ended")
    assert hospital.server.fhir == []


@pytest.mark.parametrize("seconds", [1801, 8 * 3600, -1])
def test_an_expired_session(seconds: int) -> None:
    hospital = Hospital()
    path = hospital.signed_in()
    hospital.clock.now += seconds
    refused(hospital.page(path), 401, "This page has ended")
    assert hospital.server.fhir == []


def test_a_session_that_is_used_goes_on_till_the_end_of_the_shift() -> None:
    hospital = Hospital(lifetimes=(40_000,))
    path = hospital.signed_in()
    for _ in range(23):
        hospital.clock.now += 20 * 60
        assert hospital.page(path)["statusCode"] == 200
    hospital.clock.now += 20 * 60
    refused(hospital.page(path), 401, "This page has ended")


def test_a_session_of_another_browser_or_with_another_cookie() -> None:
    hospital = Hospital()
    path = hospital.signed_in()
    refused(hospital.page(path, hospital.another_browser()), 401, "This page has ended")
    (name,) = hospital.browser.cookies
    for value in ("x" * 43, "", "%00", "a;b"):
        hospital.browser.cookies[name] = value
        refused(hospital.page(path), 401, "This page has ended")


def test_a_session_of_another_tenant() -> None:
    """The tenant in the address decides which EHR is asked, so that it must be the session's."""
    hospital = Hospital()
    path = hospital.signed_in()
    other = Hospital(store=hospital.store, tenant={"name": "other"})
    other.browser.cookies = hospital.browser.cookies
    refused(other.browser.get(path.replace("general", "other")), 401, "This page has ended")
    assert other.server.fhir == [] and hospital.server.fhir == []


@pytest.mark.conformance("A61")
@pytest.mark.parametrize(
    ("status", "shown", "title"),
    [
        (403, 403, "The EHR does not allow this"),
        (404, 502, "The EHR's answer cannot be used"),
        (503, 503, "The EHR does not answer"),
        (302, 502, "The EHR's answer cannot be used"),
    ],
)
def test_what_the_ehr_says_to_a_reading(status: int, shown: int, title: str) -> None:
    hospital = Hospital()
    path = hospital.signed_in()
    hospital.server._fhir = lambda _request: httpx.Response(  # type: ignore[method-assign]
        status, json={"resourceType": "OperationOutcome", "diagnostics": SCRIPT}, headers={"Location": EVIL}
    )
    refused(hospital.page(path), shown, title)
    assert hospital.server.outside == []


@pytest.mark.conformance("A60")
def test_a_next_page_elsewhere_is_not_fetched() -> None:
    hospital = Hospital()
    path = hospital.signed_in()
    one = hospital.server._one

    def led_astray(url: str, grant: Any) -> tuple[int, dict[str, Any]]:
        status, body = one(url, grant)
        return status, {**body, "link": [{"relation": "next", "url": f"{EVIL}/RiskAssessment?page=2"}]}

    hospital.server._one = led_astray  # type: ignore[method-assign]
    refused(hospital.page(path), 502, "The EHR's answer cannot be used")
    assert hospital.server.outside == []


@pytest.mark.conformance("A60")
def test_references_elsewhere_are_neither_followed_nor_shown() -> None:
    hospital = Hospital()
    risk = next(iter(hospital.ehr.of_type("RiskAssessment")))
    hospital.ehr.put_raw({**risk, "basis": [*risk["basis"], {"reference": f"{EVIL}/Observation/9"}]})
    path = hospital.signed_in()
    body = hospital.page(path)["body"]
    for key in re.findall(r'"(/smart/general/app/[^"/]+/sources/[0-9a-f]+)"', body):
        body += hospital.page(key)["body"]
    assert "What the result was made from" in body and "evil" not in body.lower() and hospital.server.outside == []


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        ({}, {}),
        ({"token": "wrong"}, {}),
        ({"token": ""}, {}),
        (None, {"origin": "https://evil.test"}),
        (None, {"sec_fetch_site": "cross-site"}),
    ],
)
def test_a_form_that_is_not_of_our_page(form: dict[str, str] | None, headers: dict[str, str]) -> None:
    hospital = Hospital()
    path = hospital.signed_in()
    right = re.search(r'name="token" value="([^"]+)"', hospital.page(path)["body"])
    assert right
    sent_form = {"token": right[1]} if form is None else form
    refused(hospital.browser.post(f"{path}/close", sent_form, **headers), 403, "This form was not sent from Bedside")
    assert hospital.server.revoked == [] and hospital.page(path)["statusCode"] == 200


def test_a_form_in_a_get_does_nothing() -> None:
    hospital = Hospital()
    path = hospital.signed_in()
    assert hospital.browser.get(f"{path}/close")["statusCode"] == 404
    assert hospital.page(path)["statusCode"] == 200


class Broken(MemorySessions):
    """A store that fails in ways of its own."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def create(self, name: str, sealed: bytes, expires: int) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "status", "title"),
    [
        (ClientError({"Error": {"Code": "x", "Message": SCRIPT}}, "PutItem"), 503, "Bedside cannot answer now"),
        (ConfigurationError("SESSION_KEY_SECRET"), 500, "Bedside is not set up completely"),
        (RuntimeError(SCRIPT), 500, "Bedside cannot answer now"),
    ],
)
def test_our_own_trouble_is_a_page_too(
    error: Exception, status: int, title: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hospital = Hospital(store=Broken(error))
    refused(hospital.launch(), status, title)
    assert "alert" not in "".join(capsys.readouterr())


def test_a_key_that_is_not_there() -> None:
    hospital = Hospital()
    url = hospital.to_callback()
    hospital.keys._keys.clear()
    refused(hospital.browser.get(url), 500, "Bedside is not set up completely")
    assert sent(hospital) == []


def test_a_key_the_ehr_does_not_know() -> None:
    hospital = Hospital(key=EC)
    hospital.server.keys = []
    refused(hospital.callback(), 502, "The EHR did not complete the sign-in")


def test_no_page_says_more_than_its_texts() -> None:
    """Every refusal above shows its texts; here all that is not from them is looked at once more."""
    hospital = Hospital()
    first = hospital.launch(iss=EVIL)["body"]
    second = hospital.launch(iss=f"{EVIL}/{SCRIPT}", launch="CANARY")["body"]
    assert first == second


def test_keys_of_elliptic_curves_are_taken_too() -> None:
    assert isinstance(ISSUER_KEYS["ES384"], ECKey)
    assert Hospital(id_alg="ES384").page()["statusCode"] == 200


def test_another_patient_than_was_asked_for_is_never_shown() -> None:
    hospital = Hospital()
    hospital.ehr.put({"resourceType": "Patient", "id": "p2", "name": [{"text": "Second Person"}]})
    path = hospital.signed_in()
    one = hospital.server._one
    hospital.server._one = lambda url, grant: (  # type: ignore[method-assign]
        (200, hospital.ehr.resources["Patient/p2"]) if url == "Patient/p1" else one(url, grant)
    )
    refused(hospital.page(path), 502, "The EHR's answer cannot be used")


PAIRS = st.lists(
    st.tuples(
        st.sampled_from(["iss", "launch", "state", "code", "error", "error_description", "redirect_uri", "patient"]),
        st.sampled_from([BASE, EVIL, SCRIPT, "", "1", "access_denied"]) | st.text(max_size=12),
    ),
    max_size=6,
)


REACHED = ("launch-refused", "launch-incomplete", "launch-unregistered", "ehr-only", "state-unknown", "session-ended")


@cache
def standing() -> tuple[Hospital, set[str]]:
    """A hospital for many requests, and every page that they may lead to."""
    hospital = Hospital()
    pages = Pages()
    return hospital, {str(pages.message(code, 400, hospital.tenant, reference="request-1").body) for code in REACHED}


@settings(max_examples=150, deadline=None)
@given(PAIRS, st.text(max_size=8), st.sampled_from(["launch", "callback", "start", "app/x"]))
def test_whatever_is_asked_the_answer_is_one_of_few_pages(pairs: list[tuple[str, str]], tail: str, path: str) -> None:
    """No page depends on what was sent, and nothing leaves but to the registered EHR."""
    raw = urlencode(pairs, errors="replace") + quote(tail, safe="&=%+;", errors="replace")
    hospital, pages = standing()
    answer = hospital.browser.get(f"{APP}/smart/general/{path}?{raw}")
    if answer["statusCode"] == 303:
        assert answer["headers"]["Location"].startswith("https://login.test/authorize?tenant=7&")
    else:
        assert answer["statusCode"] in (400, 401) and answer["body"] in pages
    assert hospital.server.outside == [] and hospital.server.requests == []
