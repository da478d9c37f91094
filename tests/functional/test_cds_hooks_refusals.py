"""Calls of CDS services that are refused: each with its status, in words, and with nothing of the call in them."""

from __future__ import annotations

import base64
import copy
import json
import random
import time
from typing import Any

import pytest
from joserfc.jwk import ECKey

from tests import cds
from tests.cds import EC, ISS, JKU, OTHER, PATIENT_VIEW, RSA, URL, Hospital, authorization, body, claims, tenant, token
from tests.fakes import BASE
from tests.samples import admission, patient
from tests.strict_ehr import StrictEhr

Json = dict[str, Any]
PATH = f"/cds-services/{PATIENT_VIEW}"
CANARY = "<script>canary</script>"


@pytest.fixture
def found() -> Hospital:
    return Hospital(StrictEhr(*admission()), tenant())


def refused(found: Hospital, status: int, code: str, answer: Json, *words: str) -> None:
    """Check a refusal: its status, words that a person can act on, and that nothing was read or reflected."""
    assert (answer["statusCode"], cds.issue(answer)["code"]) == (status, code)
    for word in words:
        assert word in cds.issue(answer)["diagnostics"]
    assert "canary" not in json.dumps(answer)
    assert found.ehr.requests == []


# -- where --


@pytest.mark.conformance("F10")
@pytest.mark.parametrize("path", ["/cds-services/other", f"/cds-services/{CANARY}", f"{PATH}/feedback/more", "/other"])
def test_no_such_service_is_404(found: Hospital, path: str) -> None:
    refused(found, 404, "not-found", found.request(path, body()), "cds-services")


def test_no_such_tenant_is_404_as_is_one_without_services() -> None:
    from tests.samples import tenant as plain

    found = Hospital(StrictEhr(), plain())
    refused(found, 404, "not-found", found.request(PATH, body()), "tenant")


# -- who --


def unsigned() -> str:
    parts = ({"alg": "none", "typ": "JWT", "kid": "ec-1"}, claims())
    return ".".join([*(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts), ""])


def now() -> int:
    """The time of the test that asks, not of when it was collected: a whole run takes longer than a token lives."""
    return int(time.time())


BAD: dict[str, tuple[Any, str]] = {
    "no token": (lambda: None, "Bearer"),
    "no JWT": (lambda: "canary", "not a signed JWT"),
    "not base64": (lambda: "a.!.canary", "not a signed JWT"),
    "not objects": (lambda: "W10.W10.c2ln", "not a signed JWT"),
    "much too long": (lambda: f"{'a' * 9000}.b.c", "not a signed JWT"),
    "unsigned": (unsigned, "ES384 or RS384"),
    "symmetric": (lambda: cds.symmetric(claims()), "ES384 or RS384"),
    "typ missing": (cds.without_typ, "typ"),
    "typ of something else": (lambda: token(typ="at+jwt"), "typ"),
    "kid missing": (lambda: token(kid=None), "kid"),
    "kid unknown": (lambda: token(kid="canary"), "kid"),
    "another key of that kid": (lambda: token(key=OTHER), "signature"),
    "the alg of another key": (lambda: token(kid="rsa-1"), "alg"),
    "crit": (lambda: token(crit=["typ"]), "crit"),
    "iss unknown": (lambda: token(claims(iss="https://canary.test/")), "iss"),
    "iss missing": (lambda: token(claims(iss=None)), "iss"),
    "jku unknown": (lambda: token(jku="https://canary.test/jwks.json"), "jku"),
    "jku of the tenant's own host": (lambda: token(jku="https://ehr.test/other.json"), "jku"),
    "aud of another service": (lambda: token(claims("/cds-services/risk-order-select")), "aud"),
    "aud of the list": (lambda: token(claims("/cds-services")), "aud"),
    "aud with a slash more": (lambda: token(claims(f"{PATH}/")), "aud"),
    "aud missing": (lambda: token(claims(aud=None)), "aud"),
    "expired": (lambda: token(claims(exp=now() - 1, iat=now() - 200)), "expired"),
    "exp missing": (lambda: token(claims(exp=None)), "exp"),
    "exp far away": (lambda: token(claims(exp=now() + 86_400)), "iat and exp"),
    "exp no number": (lambda: token(claims(exp="canary")), "token"),
    "exp true": (lambda: token(claims(exp=True)), "token"),
    "iat long ago": (lambda: token(claims(iat=now() - 400, exp=now() + 60)), "iat and exp"),
    "iat to come": (lambda: token(claims(iat=now() + 200)), "iat"),
    "iat missing": (lambda: token(claims(iat=None)), "iat"),
    "jti missing": (lambda: token(claims(jti=None)), "jti"),
    "jti empty": (lambda: token(claims(jti="")), "jti"),
    "jti endless": (lambda: token(claims(jti="j" * 600)), "jti"),
}


@pytest.mark.conformance("F41", "F42", "F43", "F44")
@pytest.mark.parametrize("name", BAD)
def test_a_token_that_is_not_good_is_401(found: Hospital, name: str) -> None:
    made, word = BAD[name]
    # the body is not looked at before the caller is known
    answer = found.request(PATH, "not json", bearer=made())
    refused(found, 401, "login", answer, word)
    assert answer["headers"]["WWW-Authenticate"].startswith("Bearer")
    assert set(found.key_server.asked) <= {JKU}


@pytest.mark.conformance("F44")
@pytest.mark.parametrize("path", [PATH, f"{PATH}/feedback"])
def test_a_token_counts_once(found: Hospital, path: str) -> None:
    bearer = token(claims(path))
    entry = {"card": cds.body()["hookInstance"], "outcome": "overridden", "outcomeTimestamp": "2026-01-10T09:00:00Z"}
    sent = {"feedback": [entry]} if path.endswith("feedback") else body()
    assert found.request(path, sent, bearer=bearer)["statusCode"] == 200
    found.ehr.requests.clear()
    refused(found, 401, "login", found.request(path, sent, bearer=bearer), "used before", "jti")


@pytest.mark.conformance("F41", "F42")
@pytest.mark.parametrize("made", [{"key": RSA}, {"jku": None}, {"typ": "jwt"}, {"said": claims(aud=[URL + PATH])}])
def test_what_is_good_is_taken(found: Hospital, made: Json) -> None:
    assert found.request(PATH, body(), bearer=token(**made))["statusCode"] == 200


def test_a_clock_a_little_ahead_is_borne_with(found: Hospital) -> None:
    assert found.request(PATH, body(), bearer=token(claims(iat=now() + 20)))["statusCode"] == 200


@pytest.mark.conformance("F41")
def test_a_client_is_held_to_the_algorithms_it_registered() -> None:
    only = [{"iss": ISS, "jku": JKU, "algs": ["ES384"]}]
    found = Hospital(StrictEhr(*admission()), tenant(clients=only))
    refused(found, 401, "login", found.request(PATH, body(), bearer=token(key=RSA)), "ES384")


def test_a_short_key_is_not_taken(found: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fhir_adapter.cds_hooks.authentication.RSA_LEAST", 4096)
    refused(found, 401, "login", found.request(PATH, body(), bearer=token(key=RSA)), "shorter than 4096 bits")


@pytest.mark.conformance("F43")
def test_one_issuer_of_several_hospitals_is_held_to_its_tenant() -> None:
    found = Hospital(StrictEhr(*admission()), tenant(clients=[{"iss": ISS, "jku": JKU, "tenant": "ward-7"}]))
    for said in (None, "ward-8"):
        refused(found, 401, "login", found.request(PATH, body(), bearer=token(claims(tenant=said))), "tenant")
    assert found.request(PATH, body(), bearer=token(claims(tenant="ward-7")))["statusCode"] == 200


@pytest.mark.conformance("F43")
def test_keys_may_be_registered_themselves_and_then_no_jku_is_fetched() -> None:
    found = Hospital(StrictEhr(*admission()), tenant(clients=[{"iss": ISS, "jwks": cds.JWKS}]))
    assert found.request(PATH, body(), bearer=token(jku=None))["statusCode"] == 200
    found.ehr.requests.clear()
    refused(found, 401, "login", found.request(PATH, body(), bearer=token()), "jku")
    assert found.key_server.asked == []


@pytest.mark.conformance("F43")
def test_rotated_keys_are_found_and_floods_of_unknown_ones_ask_once(found: Hospital) -> None:
    found.now = time.time()
    assert found.request(PATH, body())["statusCode"] == 200
    new = ECKey.generate_key("P-384", {"kid": "ec-2", "alg": "ES384"})
    found.key_server.keys = {"keys": [new.as_dict(private=False)]}
    for _ in range(5):
        assert found.request(PATH, body(), bearer=token(key=new))["statusCode"] == 401
    assert len(found.key_server.asked) == 1
    found.now += 31
    assert found.request(PATH, body(), bearer=token(key=new))["statusCode"] == 200
    assert found.request(PATH, body(), bearer=token(key=EC))["statusCode"] == 401, "the old one was withdrawn"
    assert len(found.key_server.asked) == 2


def test_while_keys_cannot_be_fetched_the_known_ones_hold_for_an_hour(found: Hospital) -> None:
    start = found.now = time.time()
    assert found.request(PATH, body())["statusCode"] == 200
    found.key_server.status = 500

    def ask(after: float) -> Json:
        found.now = start + after
        said = claims(iat=int(found.now), exp=int(found.now) + 200)
        found.ehr.requests.clear()
        return found.request(PATH, body(), bearer=token(said))

    assert ask(700)["statusCode"] == 200
    refused(found, 503, "transient", ask(4400), "jku")


P384 = {"kid": "ec-1", "kty": "EC", "crv": "P-384"}


@pytest.mark.parametrize(
    "keys",
    [
        {"keys": "canary"},
        {"canary": []},
        {"keys": [{"kid": "ec-1", "kty": "EC"}]},
        {"keys": [P384]},
        {"keys": [{**P384, "x": "canary", "y": "canary"}]},
        {"keys": [{**P384, "x": 1, "y": 2}]},
        {"keys": [{**EC.as_dict(private=False), "use": "enc"}]},
    ],
)
def test_a_key_set_that_is_none_lets_nobody_in(found: Hospital, keys: Json) -> None:
    found.key_server.keys = keys
    refused(found, 401, "login", found.request(PATH, body()))


# -- what --


@pytest.mark.conformance("F10", "F11")
@pytest.mark.parametrize(
    ("sent", "word"),
    [
        ("", "JSON"),
        ("not json canary", "JSON"),
        ("[]", "object"),
        ("[" * 100 + "]" * 100, "nested"),
        (body(hook="order-select"), "hook"),
        (body(hook=CANARY), "hook"),
        (body(hookInstance="canary"), "hookInstance"),
        (body(hookInstance=None), "hookInstance"),
        ({**body(), "context": "canary"}, "context"),
        (body(context={"patientId": None}), "patientId"),
        (body(context={"patientId": "../Patient/canary"}), "patientId"),
        (body(context={"patientId": "p1&_id=canary"}), "patientId"),
        (body(context={"patientId": 7}), "patientId"),
        (body(context={"userId": None}), "userId"),
        (body(context={"userId": CANARY}), "userId"),
        (body(context={"encounterId": "a/b"}), "encounterId"),
        (body(prefetch=[]), "prefetch"),
        (body(prefetch={"patient": "canary"}), "prefetch"),
        (body(fhirServer=None), "fhirServer"),
        (body(fhirAuthorization="canary"), "fhirAuthorization"),
        (body(fhirAuthorization=authorization(token_type="mac")), "token_type"),
        (body(fhirAuthorization=authorization(access_token="canary\r\nX: y")), "access_token"),
        (body(fhirAuthorization=authorization(expires_in="soon")), "expires_in"),
        (body(fhirAuthorization=authorization(scope=None)), "scope"),
        (body(fhirAuthorization=authorization(patient="canary")), "patient"),
    ],
)
def test_a_body_that_is_not_the_request_of_its_hook_is_400(found: Hospital, sent: Any, word: str) -> None:
    refused(found, 400, "invalid", found.request(PATH, sent), word)


@pytest.mark.conformance("F11")
@pytest.mark.parametrize(
    ("hook", "context", "word"),
    [
        ("order-select", {}, "selections"),
        ("order-select", {"selections": ["canary one"], "draftOrders": {}}, "selections"),
        ("order-select", {"selections": ["ServiceRequest/1"]}, "draftOrders"),
        ("order-select", {"selections": [], "draftOrders": {"entry": "canary"}}, "draftOrders"),
        ("order-select", {"selections": [], "draftOrders": {"entry": [{"resource": "canary"}]}}, "draftOrders"),
        ("appointment-book", {}, "appointments"),
        ("appointment-book", {"appointments": "canary"}, "appointments"),
        ("encounter-discharge", {"encounterId": ""}, "encounterId"),
    ],
)
def test_a_context_that_is_not_its_hooks_is_400(found: Hospital, hook: str, context: Json, word: str) -> None:
    refused(found, 400, "invalid", found.request(f"/cds-services/risk-{hook}", body(hook, context)), word)


def test_a_content_type_that_is_not_json_is_400(found: Hospital) -> None:
    answer = found.request(PATH, body(), headers={"content-type": "text/plain"})
    refused(found, 400, "invalid", answer, "Content-Type")


def test_a_body_over_the_limit_is_413(found: Hospital) -> None:
    large = body(prefetch={"patient": {"resourceType": "Patient", "text": "canary" * 800_000}})
    refused(found, 413, "too-long", found.request(PATH, large), "4194304")


@pytest.mark.conformance("F10", "F13")
@pytest.mark.parametrize(
    "server",
    [
        "https://canary.test/fhir",
        "http://ehr.test/fhir",
        f"{BASE}/../canary",
        f"{BASE}@canary.test",
        "https://169.254.169.254/canary",
        7,
    ],
)
def test_another_fhir_server_than_the_tenants_is_403_and_gets_no_token(found: Hospital, server: Any) -> None:
    refused(found, 403, "forbidden", found.request(PATH, body(fhirServer=server)), "fhirServer")


def test_the_tenants_server_may_be_written_with_a_slash(found: Hospital) -> None:
    assert len(found.cards(body(fhirServer=f"{BASE}/"))) == 1


# -- prefetch --


@pytest.mark.conformance("F12")
@pytest.mark.parametrize("key", ["patient", "encounter", "observations", "conditions"])
def test_data_that_were_neither_sent_nor_can_be_read_are_412(found: Hospital, key: str) -> None:
    sent = found.prefetch()
    del sent[key]
    answer = found.request(PATH, body(prefetch=sent, authorized=False))
    refused(found, 412, "required", answer, f"prefetch.{key}", "no fhirAuthorization")


OUTCOME = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "forbidden"}]}
PAGED = {
    "resourceType": "Bundle",
    "type": "searchset",
    "link": [{"relation": "next", "url": f"{BASE}/Condition?page=2"}],
    "entry": [],
}


@pytest.mark.conformance("F14")
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("conditions", OUTCOME),
        ("conditions", PAGED),
        ("conditions", {"resourceType": "Bundle", "entry": "canary"}),
        ("conditions", {"resourceType": "Bundle", "link": "canary"}),
        ("conditions", {"canary": True}),
        ("patient", None),
        ("patient", OUTCOME),
        ("encounter", {}),
    ],
)
def test_prefetch_that_cannot_be_relied_on_is_as_good_as_none(found: Hospital, key: str, value: Any) -> None:
    sent = {**found.prefetch(), key: value}
    refused(found, 412, "required", found.request(PATH, body(prefetch=sent, authorized=False)), f"prefetch.{key}")
    (card,) = found.cards(body(prefetch=sent))
    assert "Congestive heart failure" in card["detail"]
    assert len(found.ehr.requests) == 1


@pytest.mark.conformance("F14", "F15")
@pytest.mark.parametrize("nothing", [None, {"resourceType": "Bundle", "type": "searchset"}])
def test_no_data_is_data(found: Hospital, nothing: Any) -> None:
    sent = {**found.prefetch(), "conditions": nothing, "results": nothing}
    assert found.cards(body(prefetch=sent, authorized=False)) == [], "without an infarction there is nothing to say"
    assert found.ehr.requests == []


ODD: tuple[Any, ...] = (None, True, 0, -1, 1e300, "", "canary", [], {}, [[]], ["canary"], {"canary": "canary"}, [{}])


def spoilt(value: Any, chosen: random.Random) -> Any:
    """Put something odd in one place of a document."""
    copied = copy.deepcopy(value)
    places = []
    todo = [copied]
    while todo:
        node = todo.pop()
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                todo.append(node[key])
    node, key = chosen.choice(places)
    node[key] = chosen.choice(ODD)
    return copied


@pytest.mark.conformance("F14")
@pytest.mark.parametrize("service", [PATIENT_VIEW, "risk-encounter-discharge"])
def test_prefetch_with_anything_odd_in_it_is_answered_or_refused(found: Hospital, service: str) -> None:
    found.predict()
    whole = found.prefetch(service)
    sent = body(service.removeprefix("risk-"), prefetch=whole, authorized=False)
    chosen, path, seen = random.Random(7), f"/cds-services/{service}", set()
    for _ in range(400):
        prefetch = spoilt(whole, chosen)
        if chosen.random() < 0.5:
            prefetch["results"] = None
        answer = found.request(path, {**sent, "prefetch": prefetch})
        seen.add(answer["statusCode"])
        assert answer["statusCode"] in (200, 400, 412), prefetch
    assert seen == {200, 400, 412}


@pytest.mark.parametrize("key", ["patient", "encounter", "observations", "conditions"])
def test_data_of_another_patient_are_400(found: Hospital, key: str) -> None:
    sent = found.prefetch()
    other: Json = {"reference": "Patient/canary"}
    if key == "patient":
        sent[key] = patient(id="canary")
    elif key == "encounter":
        sent[key] = {**sent[key], "subject": other}
    else:
        sent[key]["entry"][0]["resource"]["subject"] = other
    refused(found, 400, "invalid", found.request(PATH, body(prefetch=sent)), f"prefetch.{key}")


def test_another_encounter_than_the_one_of_the_context_is_400(found: Hospital) -> None:
    sent = found.prefetch()
    sent["encounter"]["id"] = "canary"
    refused(found, 400, "invalid", found.request(PATH, body(prefetch=sent)), "prefetch.encounter")


def test_an_ehr_that_answers_with_another_patients_data_is_not_believed(found: Hospital) -> None:
    for item in [*found.ehr.of_type("Encounter")]:
        found.ehr.put({**item, "subject": {"reference": "Patient/canary"}})
    answer = found.request(PATH, body())
    assert (answer["statusCode"], cds.issue(answer)["code"]) == (412, "required")


# -- feedback --


GOOD = {
    "card": "4e0a3a1e-3283-4575-ab82-028d55fe2719",
    "outcome": "overridden",
    "outcomeTimestamp": "2026-01-10T09:00:00Z",
}


@pytest.mark.conformance("F30")
@pytest.mark.parametrize(
    ("sent", "word"),
    [
        ({}, "feedback"),
        ({"feedback": []}, "feedback"),
        ({"feedback": ["canary"]}, "feedback"),
        ({"feedback": [GOOD] * 101}, "feedback"),
        ({"feedback": [{**GOOD, "card": "canary"}]}, "card"),
        ({"feedback": [{**GOOD, "outcome": "canary"}]}, "outcome"),
        ({"feedback": [{**GOOD, "outcomeTimestamp": "canary"}]}, "outcomeTimestamp"),
        ({"feedback": [{**GOOD, "outcomeTimestamp": None}]}, "outcomeTimestamp"),
        ({"feedback": [{**GOOD, "outcome": "accepted"}]}, "acceptedSuggestions"),
        ({"feedback": [{**GOOD, "outcome": "accepted", "acceptedSuggestions": [{"id": "canary"}]}]}, "id"),
        ({"feedback": [{**GOOD, "overrideReason": "canary"}]}, "overrideReason"),
        ({"feedback": [{**GOOD, "overrideReason": {"reason": {"code": "a canary sang"}}}]}, "reason"),
        ({"feedback": [{**GOOD, "overrideReason": {"userComment": "c" * 5000}}]}, "userComment"),
    ],
)
def test_feedback_that_is_none_is_400_and_nothing_is_kept(found: Hospital, sent: Json, word: str) -> None:
    refused(found, 400, "invalid", found.request(f"{PATH}/feedback", sent), word)
    assert found.feedback.items == {}


# -- web pages --


@pytest.mark.conformance("F45")
def test_web_pages_of_the_allow_list_may_call_and_no_others() -> None:
    found = Hospital(StrictEhr(*admission()), tenant(origins=["https://sandbox.test"]))
    for path in ("/cds-services", PATH, f"{PATH}/feedback"):
        for origin, allowed in (("https://sandbox.test", True), ("https://sandbox.test.evil.test", False)):
            answer = found.request(path, method="OPTIONS", bearer=None, headers={"origin": origin})
            assert answer["statusCode"] == 204
            assert answer["headers"]["Vary"] == "Origin"
            assert (answer["headers"].get("Access-Control-Allow-Origin") == origin) is allowed
            if allowed:
                assert answer["headers"]["Access-Control-Allow-Headers"] == "Authorization, Content-Type"
            assert ("evil" in json.dumps(answer)) is False
    # refusals are for the page to read, too
    for bearer, status in (("", 200), (None, 401)):
        answer = found.request(PATH, body(), bearer=bearer, headers={"origin": "https://sandbox.test"})
        assert (answer["statusCode"], answer["headers"]["Access-Control-Allow-Origin"]) == (
            status,
            "https://sandbox.test",
        )


@pytest.mark.conformance("F45")
def test_without_an_allow_list_no_web_page_may_call(found: Hospital) -> None:
    for origin in ("https://sandbox.test", "null", "*"):
        answer = found.request(PATH, method="OPTIONS", bearer=None, headers={"origin": origin})
        assert not any(name.startswith("Access-Control") for name in answer["headers"])


# -- ours --


def test_a_failure_of_ours_is_told_without_the_record(found: Hospital, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("canary")

    found.api._connect = broken
    refused(found, 500, "exception", found.request(PATH, body()))
    told = capsys.readouterr().out
    assert "canary" not in told and '"CdsFailed":[1.0]' in told
