"""The protocol's parts, each by itself: configuration, scopes, launch, context, keys, and the app's registration."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

import fhir_adapter.smart
from fhir_adapter.auth import AuthorizationUnavailable
from fhir_adapter.errors import ConfigurationError, FhirAdapterError, Unavailable
from fhir_adapter.smart import (
    ContextItem,
    Discovery,
    EhrSilent,
    EhrUnsuitable,
    Feature,
    IdentityKeys,
    IdTokenRefused,
    SmartConfiguration,
    SmartError,
    challenge_of,
    context_of,
    covers,
    features_of,
    fhir_user_of,
    is_scope,
    read_configuration,
    requested_scopes,
)
from fhir_adapter.tenants import SmartApp, Tenant
from functions.smart_app.words import LANGUAGES, language_of
from tests.fakes import BASE
from tests.samples import tenant_json
from tests.smart import Clock, smart_tenant

Json = dict[str, Any]
TENANT = smart_tenant()
DOCUMENT: Json = {
    "issuer": "https://login.test/oidc",
    "jwks_uri": "https://login.test/jwks",
    "authorization_endpoint": "https://login.test/authorize",
    "token_endpoint": "https://login.test/token",
    "code_challenge_methods_supported": ["S256"],
    "capabilities": [
        *("launch-ehr", "client-confidential-asymmetric", "sso-openid-connect", "permission-v2"),
        *("permission-patient", "context-ehr-patient"),
    ],
}


def test_everything_that_is_exported_is_there() -> None:
    assert fhir_adapter.smart.__all__ == sorted(fhir_adapter.smart.__all__, key=lambda name: (not name.isupper(), name))
    assert all(hasattr(fhir_adapter.smart, name) for name in fhir_adapter.smart.__all__)


# ---- configuration ----


@pytest.mark.conformance("A12")
@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("https://login.test/a", "https://login.test/a"),
        ("auth/token", f"{BASE}/auth/token"),
        ("/oauth/token", "https://ehr.test/oauth/token"),
        ("//login.test/token", "https://login.test/token"),
        ("https://LOGIN.test:443/a?x=1", "https://login.test/a?x=1"),
    ],
)
def test_relative_endpoints_are_resolved_against_the_base(given: str, read: str) -> None:
    configuration = read_configuration(TENANT, {**DOCUMENT, "token_endpoint": given, "authorization_endpoint": given})
    assert configuration.token_endpoint == configuration.authorization_endpoint == read


@pytest.mark.conformance("A12")
@pytest.mark.parametrize(
    "given",
    [
        *("https://login.test.evil.test/a", "https://login.test:8443/a", "https://login.test@evil.test/a"),
        *("https://login.test\\@evil.test/a", "https://evil.test#login.test", "ftp://login.test/a", "https://[::1/a"),
        *("http://login.test/a", "https://login.test/a#x", "", 7, None, ["https://login.test/a"]),
    ],
)
def test_endpoints_elsewhere_are_not_used(given: Any) -> None:
    with pytest.raises(EhrUnsuitable, match="token_endpoint") as caught:
        read_configuration(TENANT, {**DOCUMENT, "token_endpoint": given})
    assert "evil" not in str(caught.value)


def test_the_issuer_is_the_registered_one_where_one_is_registered() -> None:
    tenant = smart_tenant({"issuer": "https://idp.example.org/x/"})
    configuration = read_configuration(tenant, {**DOCUMENT, "issuer": "https://idp.example.org/x/"})
    assert configuration.issuer == "https://idp.example.org/x/"
    with pytest.raises(EhrUnsuitable, match="issuer"):
        read_configuration(tenant, DOCUMENT)


@pytest.mark.conformance("A13")
def test_a_launch_that_is_not_offered_is_not_begun() -> None:
    configuration = read_configuration(TENANT, DOCUMENT)
    configuration.require_launch(TENANT, from_ehr=True)
    with pytest.raises(EhrUnsuitable, match="launch-standalone, context-standalone-patient"):
        configuration.require_launch(TENANT, from_ehr=False)
    with pytest.raises(EhrUnsuitable, match="permission-user"):
        read_configuration(smart_tenant({"scopes": ["user/Patient.r"]}), DOCUMENT)


class Wellknown:
    """Answers discovery, counts, and can be told to fail."""

    def __init__(self, answer: httpx.Response | Exception | None = None) -> None:
        self.requests: list[httpx.Request] = []
        self.answer = answer
        self.gate: threading.Event | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.gate is not None:
            self.gate.wait(5)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or httpx.Response(200, json=DOCUMENT)

    @property
    def http(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self))


@pytest.mark.conformance("A11")
@pytest.mark.parametrize("base", [BASE, f"{BASE}/", "https://ehr.test/a/b/fhir/", "https://ehr.test"])
def test_where_the_configuration_is(base: str) -> None:
    server = Wellknown()
    Discovery().of(smart_tenant(None, {"fhir_base": base}), server.http)
    (request,) = server.requests
    assert str(request.url) == f"{base.removesuffix('/')}/.well-known/smart-configuration"
    assert request.headers["accept"] == "application/json" and "authorization" not in request.headers


def test_the_configuration_is_kept_for_an_hour_and_asked_for_once() -> None:
    clock, server = Clock(), Wellknown()
    discovery = Discovery(clock)
    server.gate = threading.Event()
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(discovery.of, TENANT, server.http) for _ in range(8)]
        server.gate.set()
        assert len({future.result() for future in asked}) == 1
    assert len(server.requests) == 1
    clock.now += 3599
    discovery.of(TENANT, server.http)
    assert len(server.requests) == 1
    clock.now += 2
    discovery.of(TENANT, server.http)
    discovery.forget(TENANT)
    discovery.of(TENANT, server.http)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(404), EhrUnsuitable),
        (httpx.Response(200, text="<html>"), EhrUnsuitable),
        (httpx.Response(200, content=b"x" * 100_000), EhrUnsuitable),
        (httpx.Response(503, headers={"Retry-After": "9"}), EhrSilent),
        (httpx.ConnectError("no"), EhrSilent),
    ],
)
def test_discovery_that_fails_is_told_and_tried_again_next_time(
    answer: httpx.Response | Exception, error: type[SmartError]
) -> None:
    server, discovery = Wellknown(answer), Discovery()
    with pytest.raises(error):
        discovery.of(TENANT, server.http)
    server.answer = None
    assert discovery.of(TENANT, server.http).token_endpoint == "https://login.test/token"


# ---- scopes ----


@pytest.mark.conformance("A25")
@pytest.mark.parametrize(
    ("scope", "right"),
    [
        ("patient/Observation.rs", True),
        ("user/Observation.cruds", True),
        ("system/*.r", True),
        ("patient/Observation.rs?category=laboratory", True),
        ("patient/Observation.rs?category=laboratory&code=http://loinc.org|1-8", True),
        ("launch", True),
        ("launch/patient", True),
        ("launch/imagingstudy?role=https://example.org/role", True),
        ("openid", True),
        ("fhirUser", True),
        ("patient/Observation.sr", False),
        ("patient/Observation.rr", False),
        ("patient/Observation.", False),
        ("patient/Observation.read", False),
        ("patient/Observation.rs?", False),
        ("patient/Observation.rs?category", False),
        ("patient/observation.rs", False),
        ("patient/Observation.rs ", False),
        ("launch/Patient", False),
        ("launch/patient?role=a&role=b", False),
        ("launch/patient?other=a", False),
        ("", False),
    ],
)
def test_the_grammar_of_scopes(scope: str, right: bool) -> None:
    assert is_scope(scope) is right


@pytest.mark.conformance("A25", "A26")
@pytest.mark.parametrize("from_ehr", [True, False])
@pytest.mark.parametrize("refresh", ["online", "offline", "none"])
def test_what_is_asked_for_is_of_the_grammar_and_no_more_than_is_used(from_ehr: bool, refresh: str) -> None:
    app = smart_tenant({"refresh": refresh}).smart
    assert app is not None
    scopes = requested_scopes(app, from_ehr=from_ehr)
    assert all(map(is_scope, scopes)) and len(set(scopes)) == len(scopes)
    assert not [scope for scope in scopes if "*" in scope or scope.startswith("system/")]
    assert [scope for scope in scopes if "/" in scope and not scope.startswith("launch")] == [
        *("patient/Patient.r", "patient/RiskAssessment.rs", "patient/Observation.rs")
    ]


@pytest.mark.conformance("A27")
def test_neither_max_age_nor_auth_time_is_asked_for() -> None:
    from fhir_adapter.smart import begin, launch_of

    launch = launch_of(TENANT, [("iss", BASE), ("launch", "1")])
    _, url = begin(TENANT, read_configuration(TENANT, DOCUMENT), launch, "https://app.test/cb", 0.0)
    assert not {"max_age", "auth_time", "claims", "prompt"} & set(dict(httpx.URL(url).params))


@pytest.mark.conformance("A50")
@pytest.mark.parametrize(
    ("granted", "needed", "enough"),
    [
        ("patient/Observation.rs", "patient/Observation.rs", True),
        ("patient/Observation.r patient/Observation.s", "patient/Observation.rs", True),
        ("patient/*.cruds", "patient/Observation.rs", True),
        ("patient/Observation.read", "patient/Observation.rs", True),
        ("patient/*.*", "patient/Observation.u", True),
        ("user/Observation.rs", "patient/Observation.rs", True),
        ("patient/Observation.rs", "user/Observation.rs", False),
        ("system/Observation.rs", "patient/Observation.rs", False),
        ("patient/Observation.r", "patient/Observation.rs", False),
        ("patient/Observation.write", "patient/Observation.r", False),
        ("patient/Observation.rs?category=laboratory", "patient/Observation.rs", False),
        ("patient/Observation.rs", "patient/Observation.rs?category=laboratory", True),
        ("patient/Condition.rs", "patient/Observation.rs", False),
        ("", "patient/Observation.rs", False),
        ("nonsense patient/ /Observation.rs patient/Observation", "patient/Observation.rs", False),
    ],
)
def test_what_covers_what(granted: str, needed: str, enough: bool) -> None:
    assert covers(granted.split(), needed) is enough


def test_features_by_what_was_granted() -> None:
    features = (
        Feature("look", ("patient/Observation.rs",)),
        Feature("confirm", ("patient/Observation.u", "patient/Provenance.c")),
    )
    assert features_of(features, ["patient/Observation.rsu"]) == (
        frozenset({"look"}),
        {"confirm": ["patient/Provenance.c"]},
    )
    with pytest.raises(ValueError, match="confirm"):
        Feature("confirm", ("patient/Observation.write",))


# ---- launch ----


@pytest.mark.conformance("A23")
def test_the_challenge_is_that_of_the_rfc() -> None:
    """RFC 7636, appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert challenge_of(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


# ---- context ----


@pytest.mark.conformance("A52")
def test_what_else_is_open() -> None:
    found = context_of(
        TENANT,
        {
            "patient": "p1",
            "fhirContext": [
                {"reference": "ImagingStudy/i1"},
                {"reference": "ImagingStudy/i2", "role": "launch"},
                {"reference": f"{BASE}/DiagnosticReport/r1"},
                {"reference": "ImagingStudy/i3", "role": "https://example.org/prior"},
                {"reference": "Patient/p2"},
                {"reference": "Encounter/e9", "role": "launch"},
                {"reference": "Patient/p3", "role": "https://example.org/mother"},
                {"reference": "https://evil.test/fhir/ImagingStudy/i4"},
                {"reference": "ImagingStudy/../x"},
                {"canonical": "http://example.org/Questionnaire/q|1", "type": "Questionnaire"},
                {"identifier": {"system": "urn:oid:1", "value": "7"}, "type": "ImagingStudy"},
                {"role": "launch"},
                {"reference": 7},
                "ImagingStudy/i5",
                None,
                {"reference": "ImagingStudy/i6", "role": ["launch"]},
            ],
        },
    )
    assert found.references("ImagingStudy") == ("ImagingStudy/i1", "ImagingStudy/i2")
    assert found.references("ImagingStudy", ["https://example.org/prior"]) == ("ImagingStudy/i3",)
    assert found.references("DiagnosticReport") == ("DiagnosticReport/r1",)
    assert found.references("Patient") == () and found.references("Encounter") == ()
    assert found.references("Patient", ["https://example.org/mother"]) == ("Patient/p3",)
    assert found.patient == "p1" and found.encounter is None
    assert ContextItem("Questionnaire", canonical="http://example.org/Questionnaire/q|1") in found.items
    assert ContextItem("ImagingStudy", identifier=("urn:oid:1", "7")) in found.items
    assert "evil" not in repr(found)


@pytest.mark.conformance("A52")
@pytest.mark.parametrize("given", [None, {}, "ImagingStudy/1", 7, [[]], [{"reference": None}]])
def test_a_context_that_is_none_is_empty(given: Any) -> None:
    assert context_of(TENANT, {"patient": "p1", "fhirContext": given}).items == ()


@pytest.mark.conformance("A53")
@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://ehr.test/style.json", "https://ehr.test/style.json"),
        ("https://login.test/style.json", "https://login.test/style.json"),
        ("http://ehr.test/style.json", None),
        ("https://evil.test/style.json", None),
        ("https://ehr.test@evil.test/", None),
        ("//ehr.test/style.json", None),
        ("javascript:alert(1)", None),
        (7, None),
        (None, None),
    ],
)
def test_a_style_is_taken_from_the_tenants_hosts_only(url: Any, kept: str | None) -> None:
    assert context_of(TENANT, {"smart_style_url": url}).style_url == kept


@pytest.mark.parametrize(
    ("given", "kept"), [('{"view":"1"}', '{"view":"1"}'), ({"view": "1"}, None), ("x" * 2001, None), ("", None)]
)
def test_what_a_card_handed_over_is_text_and_not_long(given: Any, kept: str | None) -> None:
    assert context_of(TENANT, {"appContext": given}).app_context == kept


@pytest.mark.conformance("A53")
@pytest.mark.parametrize(("given", "needed"), [(True, True), (False, False), (None, True), ("false", True), (0, True)])
def test_the_banner_is_left_out_only_when_the_ehr_says_so(given: Any, needed: bool) -> None:
    assert context_of(TENANT, {"need_patient_banner": given}).need_patient_banner is needed


@pytest.mark.conformance("A54")
@pytest.mark.parametrize(
    ("claim", "user"),
    [
        ("Practitioner/1", "Practitioner/1"),
        (f"{BASE}/PractitionerRole/2", "PractitionerRole/2"),
        ("https://ehr.test/other/Practitioner/1", None),
        (f"{BASE}.evil.test/Practitioner/1", None),
        ("Organization/1", None),
        ("Practitioner/1?x", None),
        (["Practitioner/1"], None),
    ],
)
def test_who_the_user_is_at_this_ehr(claim: Any, user: str | None) -> None:
    assert fhir_user_of(TENANT, claim) == user


# ---- the issuer's keys ----

CONFIGURATION = SmartConfiguration("https://a", "https://t", "https://i", "https://login.test/jwks")


@pytest.mark.conformance("A54")
def test_keys_are_kept_and_looked_for_again_when_one_is_not_known() -> None:
    clock, server = Clock(), Wellknown(httpx.Response(200, json={"keys": [{"kid": "1"}, "x"]}))
    keys, http = IdentityKeys(clock), server.http
    assert keys.of(CONFIGURATION, http, "1") == ({"kid": "1"},)
    keys.of(CONFIGURATION, http, "1")
    assert len(server.requests) == 1
    keys.of(CONFIGURATION, http, "2")
    assert len(server.requests) == 1, "not at once, so that made-up names cannot drive us"
    clock.now += 31
    keys.of(CONFIGURATION, http, "2")
    assert len(server.requests) == 2
    clock.now += 601
    keys.of(CONFIGURATION, http, "1")
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(404, json={"keys": []}), IdTokenRefused),
        (httpx.Response(200, json={"keys": {}}), IdTokenRefused),
        (httpx.Response(200, text="x"), IdTokenRefused),
        (httpx.Response(500), EhrSilent),
        (httpx.ConnectError("no"), EhrSilent),
    ],
)
def test_keys_that_cannot_be_had(answer: httpx.Response | Exception, error: type[SmartError]) -> None:
    with pytest.raises(error):
        IdentityKeys().of(CONFIGURATION, Wellknown(answer).http)


# ---- the registration ----


@pytest.mark.conformance("A26")
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"client_id": None}, "client_id"),
        ({"client_id": ""}, "client_id"),
        ({"client_id": "a\r\nb"}, "client_id"),
        ({"auth": "basic"}, "auth"),
        ({"alg": "RS256"}, "alg"),
        ({"key": None}, "key"),
        ({"auth": "public"}, "key"),
        ({"auth": "client-secret", "key": None}, "client_secret"),
        ({"client_secret": "SECRET"}, "client_secret"),
        ({"scopes": ["patient/*.rs"]}, "scopes"),
        ({"scopes": ["system/Patient.r"]}, "scopes"),
        ({"scopes": ["patient/Patient.read"]}, "scopes"),
        ({"scopes": ["launch"]}, "scopes"),
        ({"scopes": [7]}, "scopes"),
        ({"refresh": "always"}, "refresh"),
        ({"standalone": "yes"}, "standalone"),
        ({"issuer": "http://login.test"}, "issuer"),
        ({"jwks_url": "https://x/?y"}, "jwks_url"),
        ({"frame_ancestors": "https://ehr.test"}, "frame_ancestors"),
        ({"frame_ancestors": ["https://*.ehr.test"]}, "frame_ancestors"),
        ({"frame_ancestors": ["https://ehr.test/path"]}, "frame_ancestors"),
        ({"frame_ancestors": ["https://ehr.test; script-src *"]}, "frame_ancestors"),
        ({"frame_ancestors": ["http://ehr.test"]}, "frame_ancestors"),
        ({"frame_ancestors": ["*"]}, "frame_ancestors"),
        ({"redirect_uri": "https://x"}, "redirect_uri"),
    ],
)
def test_a_registration_that_is_wrong_is_named_and_shows_no_secret(change: Json, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named) as caught:
        smart_tenant(change)
    assert "tenant 'general'" in str(caught.value) and "SECRET" not in str(caught.value)


def test_a_registration_is_read_and_shows_no_secret() -> None:
    tenant = smart_tenant(
        {
            "auth": "client-secret",
            "key": None,
            "client_secret": "SECRET",
            "scopes": "patient/Patient.r user/Observation.rs?category=laboratory",
            "frame_ancestors": ["https://ehr.test", "https://portal.ehr.test:8443/"],
        }
    )
    assert tenant.smart is not None
    assert tenant.smart.scopes == ("patient/Patient.r", "user/Observation.rs?category=laboratory")
    assert tenant.smart.frame_ancestors == ("https://ehr.test", "https://portal.ehr.test:8443")
    assert "SECRET" not in repr(tenant)
    twin = Tenant.from_dict(
        {
            **tenant_json(),
            "fhir_base": "http://127.0.0.1:8000/fhir",
            "allow_private": True,
            "smart": {"client_id": "x", "auth": "public", "frame_ancestors": ["http://127.0.0.1:9000"]},
        }
    )
    assert twin.smart == SmartApp("x", "public", frame_ancestors=("http://127.0.0.1:9000",))
    assert Tenant.from_dict(tenant_json()).smart is None


# ---- errors and their texts ----


def errors() -> list[type[SmartError]]:
    found: list[type[SmartError]] = [SmartError]
    for kind in found:
        found += kind.__subclasses__()
    return found[1:]


def test_errors_are_of_the_tree() -> None:
    assert issubclass(SmartError, FhirAdapterError) and issubclass(EhrSilent, Unavailable)
    assert not issubclass(AuthorizationUnavailable, SmartError)
    assert all(400 <= kind.status <= 503 and kind.code for kind in errors())


def test_each_code_has_texts_in_each_language() -> None:
    from pathlib import Path

    from fhir_adapter.smart.callback import ERRORS

    root = Path(fhir_adapter.smart.__file__).parents[2]
    written = [*(root / "fhir_adapter/smart").glob("*.py"), root / "functions/smart_app/api.py"]
    source = "".join(path.read_text(encoding="utf-8") for path in written)
    named = set(re.findall(r'"(launch-incomplete|launch-unregistered|ehr-only|mixed-up|[a-z]+-refused)"', source))
    codes = named | {kind.code for kind in errors()} | {code for code, _ in ERRORS.values()}
    codes |= {"not-permitted", "ehr-answer", "unknown-tenant", "not-found", "setup", "unavailable", "signed-out"}
    for language in LANGUAGES:
        for code in codes - {"smart"}:
            assert all(language(f"{code}.{part}") for part in ("title", "text", "action")), (language.tag, code)


def test_both_languages_say_the_same_things() -> None:
    english, chinese = (language.texts for language in LANGUAGES)
    assert set(english) == set(chinese)
    for name, text in english.items():
        assert re.findall(r"\{\w+\}", text) == re.findall(r"\{\w+\}", chinese[name]), name
        if name not in ("app",) and not name.endswith(".*"):
            assert re.search(r"[\u4e00-\u9fff]", chinese[name]), name
    assert not re.search(r"[\u4e00-\u9fff]", "".join(english.values()))


@pytest.mark.parametrize(
    ("locale", "tag"),
    [
        ("en", "en"),
        ("de-AT", "en"),
        ("zh", "zh-Hans"),
        ("zh-CN", "zh-Hans"),
        ("zh_cn", "zh-Hans"),
        ("zh-Hans-SG", "zh-Hans"),
        ("zh-TW", "en"),
        ("zh-Hant", "en"),
        ("", "en"),
    ],
)
def test_whose_language(locale: str, tag: str) -> None:
    assert language_of(locale).tag == tag


def test_numbers_in_words() -> None:
    english, chinese = LANGUAGES
    assert [english.percent(value) for value in (0.0, 0.99, 1.0, 24.6, 99.0, 99.5)] == [
        *("under 1%", "under 1%", "1%", "25%", "99%", "over 99%")
    ]
    assert english.interval((0.1, 0.4)) == "under 1%" and english.interval((5, 12)) == "5% to 12%"
    assert [english.horizon(days) for days in (None, 30, 365, 1825)] == ["now", "30 days", "1 year", "5 years"]
    assert chinese.horizon(730) == "2 年内" and chinese.frequency(0.5) == "100 名类似患者中不到 1 名"
    assert english.of("declined", "leads") == "The model may not answer on this record (leads)."
