"""The app from the launch to the page, through the handler, against a strict server."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from functions.smart_app import app
from functions.smart_app.api import launch_url, redirect_uri
from tests.fake_authorization import CLIENT, claims_of, header_of
from tests.fakes import BASE
from tests.functional.conftest import Cloud
from tests.samples import encounter, patient, tenant_json
from tests.smart import (
    APP,
    EHR_ORIGIN,
    NAME,
    RSA,
    Browser,
    Hospital,
    declined,
    lambda_context,
    predicted,
    with_interval,
)

pytestmark = pytest.mark.usefixtures("namespace")


def asked(answer: dict[str, Any]) -> dict[str, str]:
    """Return the parameters of an authorization request."""
    return dict(parse_qsl(urlsplit(answer["headers"]["Location"]).query, strict_parsing=True))


def token_forms(hospital: Hospital) -> list[dict[str, str]]:
    return [dict(parse_qsl(request.content.decode())) for request in hospital.server.requests]


@pytest.mark.conformance("A01", "A10", "A11", "A20", "A21", "A40", "A55", "A60")
def test_from_the_launch_to_the_page() -> None:
    hospital = Hospital()
    started = hospital.launch()
    request = asked(started)
    assert started["statusCode"] == 303
    assert request["response_type"] == "code" and request["client_id"] == CLIENT and request["aud"] == BASE
    assert request["redirect_uri"] == redirect_uri(APP, "general") == f"{APP}/smart/general/callback"
    assert request["scope"].split() == [
        *("launch", "openid", "fhirUser", "online_access"),
        *("patient/Patient.r", "patient/RiskAssessment.rs", "patient/Observation.rs"),
    ]
    page = hospital.page(
        hospital.browser.get(hospital.server.authorize(started["headers"]["Location"]))["headers"]["Location"]
    )
    assert page["statusCode"] == 200
    assert "Canary" in page["body"] and "Death after acute myocardial infarction" in page["body"]
    (form,) = token_forms(hospital)
    assert form["grant_type"] == "authorization_code" and form["redirect_uri"] == hospital.redirect_uri
    assert hospital.server.refused == [] and hospital.server.outside == []


@pytest.mark.conformance("A60")
def test_one_round_trip_brings_the_page_and_the_token_goes_to_the_base_only() -> None:
    hospital = Hospital()
    hospital.page()
    (request,) = hospital.server.fhir
    assert str(request.url) == BASE and request.headers["authorization"].startswith("Bearer ")
    assert all("Bearer" not in str(sent.headers) for sent in hospital.server.requests)


def test_risks_stand_in_words_and_numbers_with_their_interval() -> None:
    hospital = Hospital(resources=[patient(name=[NAME]), encounter(), *predicted()])
    body = hospital.page()["body"]
    assert "about 7 of 100 such patients" in body and "30 days" in body
    assert "preliminary, not confirmed by a clinician" in body and "states no interval" in body
    hospital = Hospital(resources=[patient(name=[NAME]), encounter(), with_interval()])
    row = re.search(r'<th scope="row">1 year</th>(.*?)</tr>', hospital.page()["body"], re.DOTALL)
    assert row and '<span class="number">25%</span>' in row[1] and "20% to 31%" in row[1]


def test_why_there_is_no_prediction_and_what_there_was_before() -> None:
    body = Hospital(resources=[patient(name=[NAME]), encounter(), *declined()]).page()["body"]
    assert "A required measurement is missing." in body and "heart rate" in body
    assert "25% within 1 year" not in body
    hospital = Hospital()
    path = hospital.signed_in()
    body = hospital.page(path)["body"]
    assert "Other results of this model (1)" in body and "A required measurement is missing." in body
    key = re.search(r'\?show=([0-9a-f]{20})"', body)
    assert key and "25% within 1 year" in body + hospital.page(f"{path}?show={key[1]}")["body"]
    assert hospital.page(f"{path}?show=<script>&done=<b>")["body"].count("<b>") == 0


def test_names_are_escaped_and_nothing_else_runs() -> None:
    body = Hospital().page()["body"]
    assert "&lt;b&gt;Bold&lt;/b&gt;" in body and "<b>" not in body
    assert "<script" not in body and "style=" not in body and not re.search(r"\son[a-z]+=", body)


@pytest.mark.conformance("A81", "A82", "A55")
def test_headers_of_every_page() -> None:
    hospital = Hospital()
    path = hospital.signed_in()
    answers = [
        hospital.launch(),
        hospital.page(path),
        hospital.launch(iss="https://evil.test/fhir"),
        hospital.browser.get(f"{APP}/smart/general/callback?state=x&code=y"),
    ]
    for answer in answers:
        headers = answer["headers"]
        assert headers["Cache-Control"] == "no-store" and headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff" and "max-age=" in headers["Strict-Transport-Security"]
        assert "X-Frame-Options" not in headers
        policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
        assert policy["frame-ancestors"] == EHR_ORIGIN and policy["default-src"] == "'none'"
        assert "unsafe" not in headers["Content-Security-Policy"]
    elsewhere = hospital.browser.get(f"{APP}/smart/nobody/launch?iss={BASE}&launch=1")
    assert "frame-ancestors 'none'" in elsewhere["headers"]["Content-Security-Policy"]


@pytest.mark.conformance("A80", "A55")
def test_cookies_work_in_a_frame_and_hold_no_token() -> None:
    hospital = Hospital()
    path = hospital.signed_in()
    # the browser of the fake refuses a cookie that would be lost in a frame
    assert len(hospital.browser.set_cookies) == 3, "launch; launch removed; session"
    given = " ".join(hospital.browser.set_cookies) + path
    secrets = [*hospital.server.tokens, *hospital.server._refreshes, "p1"]
    assert not [secret for secret in secrets if secret in given]


@pytest.mark.conformance("A22", "A23")
def test_state_nonce_and_challenge_are_new_each_time_and_the_verifier_stays_here() -> None:
    hospital = Hospital()
    requests = [asked(hospital.launch()) for _ in range(20)]
    for name in ("state", "nonce", "code_challenge"):
        values = {request[name] for request in requests}
        assert len(values) == 20 and all(len(value) >= 22 for value in values)
    hospital.signed_in()
    (form,) = token_forms(hospital)
    verifier = form["code_verifier"]
    assert re.fullmatch(r"[A-Za-z0-9_-]{43,128}", verifier)
    assert verifier not in " ".join(hospital.browser.set_cookies) and verifier not in str(
        hospital.server.authorizations
    )


@pytest.mark.conformance("A21")
def test_launch_is_echoed_byte_for_byte() -> None:
    hospital = Hospital()
    hospital.signed_in(launch="xyz 123+/=&?#%äöü")
    assert hospital.server.authorizations[0]["launch"] == "xyz 123+/=&?#%äöü"


@pytest.mark.conformance("A21")
def test_outside_the_ehr_a_patient_is_chosen_at_its_server() -> None:
    hospital = Hospital({"standalone": True})
    page = hospital.page(hospital.signed_in(path="start"))
    assert page["statusCode"] == 200 and "Canary" in page["body"]
    request = hospital.server.authorizations[0]
    assert "launch" not in request
    assert "launch/patient" in request["scope"].split() and "launch" not in request["scope"].split()


def test_outside_the_ehr_it_is_opened_only_where_the_tenant_wants_that() -> None:
    answer = Hospital().launch(path="start")
    assert answer["statusCode"] == 400 and "Open Bedside in the EHR" in answer["body"]


@pytest.mark.conformance("A20", "A11")
def test_an_iss_with_a_slash_at_its_end_is_the_same_ehr_and_stays_as_it_was() -> None:
    hospital = Hospital()
    assert hospital.page(hospital.signed_in(iss=f"{BASE}/"))["statusCode"] == 200
    assert hospital.server.authorizations[0]["aud"] == f"{BASE}/"


@pytest.mark.conformance("A24")
def test_the_request_is_short_enough_for_a_query() -> None:
    assert len(Hospital().launch()["headers"]["Location"]) < 2000


@pytest.mark.conformance("A04", "A41", "A42", "A43")
@pytest.mark.parametrize("registered", ["es384", "rs384", "secret", "public"])
def test_every_way_of_showing_who_we_are(registered: str) -> None:
    changes: dict[str, dict[str, Any]] = {
        "es384": {"smart": {"jwks_url": "https://app.test/.well-known/jwks.json"}},
        "rs384": {"key": RSA},
        "secret": {
            "smart": {"auth": "client-secret", "key": None, "client_secret": "s:e +c"},
            "client_auth": "client-secret",
            "secret": "s:e +c",
        },
        "public": {"smart": {"auth": "public", "key": None}, "client_auth": "public"},
    }
    hospital = Hospital(**changes[registered])
    assert hospital.page()["statusCode"] == 200
    (form,) = token_forms(hospital)
    assert ("client_id" in form) is (registered == "public")
    if "client_assertion" in form:
        claims, header = claims_of(form["client_assertion"]), header_of(form["client_assertion"])
        assert claims["iss"] == claims["sub"] == CLIENT and claims["aud"] == "https://login.test/token"
        assert header["alg"] == registered.upper() and header["kid"]
        assert header.get("jku") == hospital.tenant.smart.jwks_url  # type: ignore[union-attr]


@pytest.mark.conformance("A53")
def test_the_banner_stands_where_the_ehr_shows_none_itself() -> None:
    assert 'class="banner"' in Hospital().page()["body"]
    assert 'class="banner"' in Hospital(context={"patient": "p1"}).page()["body"], "where it does not say"
    body = Hospital(context={"patient": "p1", "need_patient_banner": False, "intent": "unknown"}).page()["body"]
    assert 'class="banner"' not in body and "Death after acute myocardial infarction" in body


@pytest.mark.conformance("A50")
@pytest.mark.parametrize(
    ("granted", "shown", "lacking"),
    [
        ("launch openid patient/Patient.r patient/RiskAssessment.rs", ["Canary", "25%"], ["patient/Observation.rs"]),
        ("launch patient/Patient.read patient/*.read", ["Canary", "25%", "missing"], []),
        ("launch user/Patient.rs user/RiskAssessment.cruds user/Observation.rs", ["Canary", "25%", "missing"], []),
        # the risks are in the Observation as well
        ("launch patient/Patient.r patient/Observation.rs", ["25%", "missing"], ["patient/RiskAssessment.rs"]),
        (
            "launch patient/RiskAssessment.rs patient/Observation.rs?category=laboratory",
            ["25%", "name is not shown"],
            ["patient/Patient.r", "patient/Observation.rs"],
        ),
        (
            "launch patient/Patient.r patient/RiskAssessment.r",
            ["Canary"],
            ["patient/RiskAssessment.rs", "patient/Observation.rs"],
        ),
        (
            "",
            ["Not everything is shown"],
            ["patient/Patient.r", "patient/RiskAssessment.rs", "patient/Observation.rs"],
        ),
    ],
)
def test_what_was_not_granted_is_left_out_and_named(granted: str, shown: list[str], lacking: list[str]) -> None:
    hospital = Hospital(grants=granted)
    page = hospital.page()
    assert page["statusCode"] == 200
    assert [text for text in shown if text not in page["body"]] == []
    assert re.findall(r"<code>([^<]+)</code>", page["body"]) == lacking
    asked_for = [
        entry["request"]["url"] for request in hospital.server.fhir for entry in json.loads(request.content)["entry"]
    ]
    assert not [url for url in asked_for for scope in lacking if url.startswith(scope[8:].partition(".")[0])]


def test_what_the_ehr_refuses_in_spite_of_the_scope_is_named_too() -> None:
    hospital = Hospital()
    path = hospital.signed_in()
    one = hospital.server._one
    hospital.server._one = lambda url, grant: (403, {}) if url.startswith("Risk") else one(url, grant)  # type: ignore[method-assign]
    body = hospital.page(path)["body"]
    assert "does not allow this user to see" in body and "risk assessments" in body and "Canary" in body


def test_an_ehr_without_batches_is_read_one_by_one() -> None:
    hospital = Hospital(batches=False)
    path = hospital.signed_in()
    assert "25%" in hospital.page(path)["body"]
    assert [request.method for request in hospital.server.fhir] == ["POST", "GET", "GET", "GET"]
    hospital.page(path)
    assert [request.method for request in hospital.server.fhir][4:] == ["GET", "GET", "GET"], "not tried again"


def test_results_of_another_patient_are_not_shown_whatever_the_ehr_sends() -> None:
    hospital = Hospital()
    foreign = {**with_interval(), "id": "other", "subject": {"reference": "Patient/p2"}}
    hospital.ehr.put(foreign)
    path = hospital.signed_in()
    hospital.ehr._matches = lambda *_: True  # type: ignore[method-assign] # a server that does not filter
    assert "20% to 31%" not in hospital.page(path)["body"]


def test_two_charts_side_by_side_stay_two() -> None:
    """A page that is loaded again never shows the patient that was opened after it."""
    hospital = Hospital()
    first = hospital.signed_in()
    hospital.ehr.put({"resourceType": "Patient", "id": "p2", "name": [{"text": "Second Person"}]})
    hospital.server.context["patient"] = "p2"
    second = hospital.signed_in()
    assert "Canary" in hospital.page(first)["body"] and "Second Person" in hospital.page(second)["body"]
    assert "Canary" in hospital.page(first)["body"]


def test_two_launches_at_the_same_time_both_come_back() -> None:
    hospital = Hospital()
    first, second = hospital.to_callback(), hospital.to_callback()
    assert [hospital.browser.get(url)["statusCode"] for url in (second, first)] == [303, 303]


def test_cookies_do_not_pile_up() -> None:
    hospital = Hospital()
    for _ in range(40):
        hospital.signed_in()
    newest = hospital.signed_in()
    assert len(hospital.browser.cookies) <= 20
    assert hospital.page(newest)["statusCode"] == 200


def test_signing_out_ends_the_session_and_gives_the_tokens_back() -> None:
    hospital = Hospital()
    path = hospital.signed_in()
    tokens = {*hospital.server.tokens, *hospital.server._refreshes}
    token = re.search(r'name="token" value="([^"]+)"', hospital.page(path)["body"])
    assert token
    answer = hospital.browser.post(f"{path}/close", {"token": token[1]})
    assert answer["statusCode"] == 200 and "Closed" in answer["body"]
    assert set(hospital.server.revoked) == tokens and hospital.server.refused == []
    assert hospital.browser.cookies == {}
    assert hospital.page(path)["statusCode"] == 401


def test_signing_out_works_where_nothing_can_be_revoked() -> None:
    hospital = Hospital(configuration={"revocation_endpoint": None})
    path = hospital.signed_in()
    token = re.search(r'name="token" value="([^"]+)"', hospital.page(path)["body"])
    assert token
    assert hospital.browser.post(f"{path}/close", {"token": token[1]})["statusCode"] == 200
    assert hospital.server.revoked == [] and hospital.page(path)["statusCode"] == 401


@pytest.mark.parametrize("locale", ["zh-CN", "zh-Hans", "zh"])
def test_in_chinese(locale: str) -> None:
    hospital = Hospital(tenant={"locale": locale}, resources=[patient(name=[NAME]), encounter(), *predicted()])
    body = hospital.page()["body"]
    assert '<html lang="zh-Hans">' in body and "该患者的结果" in body and "100 名类似患者中约 7 名" in body
    assert "急性心肌梗死后死亡" in body and "风险：全因死亡" in body and "年龄" in body and "81 岁" in body
    for resource in declined():
        hospital.ehr.put(resource)
    assert "缺少必需的测量值" in hospital.page()["body"]
    refused = hospital.launch(iss="https://evil.test/fhir")["body"]
    assert "该电子病历系统未登记" in refused and "怎么办" in refused


def test_the_style_sheet_is_ours_and_named_by_its_content() -> None:
    hospital = Hospital()
    found = re.search(r'href="(/smart/-/app\.css\?v=[0-9a-f]{16})"', hospital.page()["body"])
    assert found
    answer = hospital.browser.get(found[1])
    assert answer["statusCode"] == 200 and answer["headers"]["Content-Type"].startswith("text/css")
    assert "immutable" in answer["headers"]["Cache-Control"]
    assert hospital.browser.get("/smart/-/app.py")["statusCode"] == 404


@pytest.mark.conformance("A55")
def test_nothing_of_patient_or_session_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    hospital = Hospital()
    path = hospital.signed_in()
    hospital.page(path)
    hospital.callback()
    hospital.browser.get(f"{APP}/smart/general/callback?state=CANARY-STATE&code=CANARY-CODE&error=<script>")
    told = "".join(capsys.readouterr())
    assert "SessionsOpened" in told and "smart request refused" in told
    secrets = [*hospital.server.tokens, *hospital.server._refreshes, *hospital.browser.cookies.values()]
    states = [request["state"] for request in hospital.server.authorizations]
    assert not [text for text in (*secrets, *states, "Canary", "CANARY", 'p1"', "launch-1", "dr1") if text in told]


@pytest.mark.conformance("A01")
def test_the_handler_finds_everything_in_its_environment(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in AWS: tenants, keys and the session key in Secrets Manager, sessions in DynamoDB."""
    import boto3

    hospital = Hospital()
    secrets = boto3.client("secretsmanager")
    described = {
        **tenant_json(),
        "name": "hill",
        "allowed_hosts": ["login.test"],
        "smart": {"client_id": CLIENT, "auth": "public"},
    }
    secrets.create_secret(Name="bedside/tenants/hill", SecretString=json.dumps(described))
    secrets.create_secret(Name="bedside/session-key", SecretString=json.dumps({"kid": "1", "k": "r" * 64}))
    boto3.resource("dynamodb").create_table(
        TableName="sessions",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for name, value in {
        "SESSION_TABLE": "sessions",
        "SESSION_KEY_SECRET": "bedside/session-key",
        "SMART_BASE_URL": APP,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(app, "_frontend", None)
    monkeypatch.setattr("functions.smart_app.ehr.transport_for", lambda tenant, _inner: hospital.server.transport)
    hospital.server.clock = __import__("time").time
    hospital.server.client_auth = "public"
    hospital.server.redirect_uri = redirect_uri(APP, "hill")
    browser = Browser(app.handler, lambda_context(), APP)
    started = browser.get(f"{launch_url(APP, 'hill')}?iss={BASE}&launch=launch-1")
    back = browser.get(hospital.server.authorize(started["headers"]["Location"]))
    page = browser.get(back["headers"]["Location"])
    assert page["statusCode"] == 200 and "Canary" in page["body"]
    items = boto3.resource("dynamodb").Table("sessions").scan()["Items"]
    assert [item["pk"].partition("#")[0] for item in items] == ["session"], "the launch is gone"
    lying = repr(items)
    assert not [
        text for text in (*hospital.server.tokens, *hospital.server._refreshes, "p1", "Canary") if text in lying
    ]
    assert parse_qs(urlsplit(started["headers"]["Location"]).query)["state"][0] not in lying
