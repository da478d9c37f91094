"""Sessions in their stores: sealed, taken once, refreshed by one; in memory and in DynamoDB."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl

import boto3
import httpx
import pytest

from fhir_adapter.errors import ConfigurationError
from fhir_adapter.smart import EhrSilent, SessionEnded, TokenRefused
from functions.smart_app.refreshing import Patience, SessionTokens
from functions.smart_app.sealing import MasterKey, Sealer, master_keys, secret_keys
from functions.smart_app.sessions import Sessions
from functions.smart_app.store import MemorySessions, Record, SessionStore, TableSessions
from tests.functional.conftest import Cloud
from tests.smart import APP, Hospital

pytestmark = pytest.mark.usefixtures("namespace")


@pytest.fixture(params=["memory", "table"])
def store(request: pytest.FixtureRequest) -> Iterator[SessionStore]:
    if request.param == "memory":
        yield MemorySessions()
        return
    request.getfixturevalue("cloud")
    boto3.resource("dynamodb").create_table(
        TableName="sessions",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    yield TableSessions("sessions")


def test_a_record_is_taken_once(store: SessionStore) -> None:
    store.create("a", b"sealed", 100)
    assert store.take("a", 50) == b"sealed"
    assert store.take("a", 50) is None and store.get("a", 50) is None


def test_what_expired_is_not_there_though_it_lies_there_still(store: SessionStore) -> None:
    store.create("a", b"sealed", 100)
    assert store.get("a", 99) == Record(b"sealed", 100)
    assert store.get("a", 100) is None and store.take("a", 100) is None


def test_only_who_saw_the_newest_version_replaces_it(store: SessionStore) -> None:
    store.create("a", b"one", 100)
    assert store.replace("a", b"two", 200, 1)
    assert not store.replace("a", b"three", 200, 1)
    assert store.get("a", 50) == Record(b"two", 200, 2)
    store.delete("a")
    assert not store.replace("a", b"four", 200, 2), "what was ended is not brought back"
    assert store.get("a", 50) is None


def test_a_version_is_claimed_by_one(store: SessionStore) -> None:
    store.create("a", b"one", 100)
    assert store.claim("a", 1, 7.5) and not store.claim("a", 1, 8)
    assert store.get("a", 50) == Record(b"one", 100, 1, claimed_at=7)
    store.release("a", 1)
    assert store.claim("a", 1, 9)
    assert store.replace("a", b"two", 100, 1)
    assert not store.claim("a", 1, 10), "an old version"
    assert store.claim("a", 2, 10)
    store.release("a", 1)
    assert not store.claim("a", 2, 11), "the claim on another version stays"
    assert not store.claim("nothing", 1, 10)
    store.release("nothing", 1)


def test_an_end_is_moved_where_there_is_one(store: SessionStore) -> None:
    store.touch("a", 100)
    assert store.get("a", 1) is None
    store.create("a", b"one", 100)
    store.touch("a", 300)
    assert store.get("a", 200) == Record(b"one", 300)


def test_of_many_at_once_one_takes_and_one_claims(store: SessionStore) -> None:
    store.create("a", b"one", 100)
    store.create("b", b"two", 100)
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: store.take("a", 1), range(8)))
        claimed = list(pool.map(lambda _: store.claim("b", 1, 1), range(8)))
    assert sorted(item is not None for item in taken) == [False] * 7 + [True]
    assert sorted(claimed) == [False] * 7 + [True]


# ---- sealing ----

KEYS = [MasterKey("2", b"n" * 43), MasterKey("1", b"o" * 43)]


def test_what_is_sealed_opens_with_both_secrets_at_its_own_place_only() -> None:
    sealer = Sealer(lambda: KEYS)
    sealed = sealer.seal("session#1", "browser", b"content")
    assert b"content" not in sealed and sealer.open("session#1", "browser", sealed) == b"content"
    assert sealer.open("session#2", "browser", sealed) is None
    assert sealer.open("session#1", "another", sealed) is None
    assert Sealer(lambda: [MasterKey("2", b"x" * 43)]).open("session#1", "browser", sealed) is None
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        assert sealer.open("session#1", "browser", bytes(changed)) is None
        assert sealer.open("session#1", "browser", sealed[:position]) is None


def test_keys_rotate_without_ending_sessions() -> None:
    old = Sealer(lambda: KEYS[1:]).seal("a", "b", b"content")
    assert Sealer(lambda: KEYS).open("a", "b", old) == b"content"
    new = Sealer(lambda: KEYS).seal("a", "b", b"content")
    assert Sealer(lambda: KEYS[1:]).open("a", "b", new) is None
    assert Sealer(lambda: KEYS[:1]).open("a", "b", old) is None, "a retired key"


def test_the_same_content_is_never_sealed_the_same_way() -> None:
    sealer = Sealer(lambda: KEYS)
    assert len({sealer.seal("a", "b", b"content") for _ in range(50)}) == 50


@pytest.mark.parametrize(
    "stored",
    [{}, {"kid": "1"}, {"kid": "", "k": "x" * 43}, {"kid": "1", "k": "SHORT"}, {"keys": []}, {"keys": ["SHORT"]}],
)
def test_a_session_key_that_is_none(stored: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        master_keys(stored)
    assert "SHORT" not in str(caught.value)


def test_keys_are_not_shown() -> None:
    assert "nnn" not in repr(KEYS[0]) and "sealed" not in repr(Record(b"sealed", 1))


def test_the_session_key_lies_in_secrets_manager(cloud: Cloud) -> None:
    secrets = boto3.client("secretsmanager")
    with pytest.raises(ConfigurationError, match="SESSION_KEY_SECRET"):
        secret_keys("bedside/session-key")()
    secrets.create_secret(Name="bedside/session-key", SecretString='{"keys": [{"kid": "1", "k": "%s"}]}' % ("r" * 64))
    assert secret_keys("bedside/session-key")()[0].kid == "1"
    secrets.create_secret(Name="bedside/other", SecretString="[]")
    with pytest.raises(ConfigurationError, match="JSON object"):
        secret_keys("bedside/other")()


# ---- refreshing ----


def refreshes(hospital: Hospital) -> list[dict[str, str]]:
    forms = [dict(parse_qsl(request.content.decode())) for request in hospital.server.requests]
    return [form for form in forms if form["grant_type"] == "refresh_token"]


def tokens_of(hospital: Hospital, path: str, waits: list[float] | None = None, **patience: float) -> SessionTokens:
    from functions.smart_app.cookies import Jar

    jar = Jar(f"{name}={value}" for name, value in hospital.browser.cookies.items())
    found = hospital.sessions.find(hospital.tenant, path.rpartition("/")[2], jar)
    ehr = hospital.frontend._ehrs.of(hospital.tenant)
    sleep = (lambda _seconds: None) if waits is None else waits.append
    return SessionTokens(found, hospital.sessions, ehr.endpoint, Patience(**patience), sleep)


@pytest.mark.conformance("A70", "A71")
def test_a_token_that_ended_is_refreshed_and_its_refresh_token_replaced(store: SessionStore) -> None:
    hospital = Hospital(store=store, lifetimes=(60, 60, 60, 60))
    path = hospital.signed_in()
    for count in range(1, 4):
        hospital.clock.now += 61
        assert hospital.page(path)["statusCode"] == 200
        assert len(refreshes(hospital)) == count
    used = [form["refresh_token"] for form in refreshes(hospital)]
    assert len(set(used)) == 3 and hospital.server.refused == []
    for form in refreshes(hospital):
        assert set(form) == {"grant_type", "refresh_token", "client_assertion_type", "client_assertion"}


@pytest.mark.conformance("A70")
def test_a_token_that_is_good_is_not_refreshed() -> None:
    hospital = Hospital()
    path = hospital.signed_in()
    for _ in range(3):
        hospital.page(path)
    assert refreshes(hospital) == []


@pytest.mark.conformance("A71")
def test_a_server_that_keeps_its_refresh_token_is_asked_with_it_again() -> None:
    hospital = Hospital(lifetimes=(60,))
    path = hospital.signed_in()
    (kept,) = hospital.server._refreshes
    grant = hospital.server._refreshes[kept]
    hospital.server.answers = {"refresh_token": None}
    for _ in range(2):
        hospital.clock.now += 61
        hospital.server._refreshes[kept] = grant
        assert hospital.page(path)["statusCode"] == 200
    assert [form["refresh_token"] for form in refreshes(hospital)] == [kept, kept]


@pytest.mark.conformance("A71")
def test_of_many_requests_at_once_one_refreshes(store: SessionStore) -> None:
    """As with many copies of the function: nothing is shared between them but the store."""
    hospital = Hospital(store=store, lifetimes=(60, 300))
    path = hospital.signed_in()
    hospital.clock.now += 61
    sources = [tokens_of(hospital, path, step=0.0, longest=1e9) for _ in range(8)]
    barrier = threading.Barrier(8)

    def ask(source: SessionTokens) -> str:
        barrier.wait()
        return source.token()

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(ask, sources))
    assert len(found) == 1 and len(refreshes(hospital)) == 1 and hospital.server.refused == []
    assert hospital.page(path)["statusCode"] == 200


@pytest.mark.conformance("A61", "A71")
def test_a_401_leads_to_one_refresh_and_then_to_the_end() -> None:
    hospital = Hospital()
    path = hospital.signed_in()
    hospital.server.tokens.clear()
    assert hospital.page(path)["statusCode"] == 200 and len(refreshes(hospital)) == 1
    hospital.server.accepts = lambda _request: False  # type: ignore[method-assign]
    answer = hospital.page(path)
    assert answer["statusCode"] == 401 and "This page has ended" in answer["body"]
    assert len(refreshes(hospital)) == 2 and len(hospital.server.fhir) == 4, "no loop"


@pytest.mark.conformance("A72")
def test_a_refresh_that_is_refused_ends_the_session(store: SessionStore) -> None:
    hospital = Hospital(store=store, lifetimes=(60,))
    path = hospital.signed_in()
    hospital.server._refreshes.clear()
    hospital.clock.now += 61
    for _ in range(2):
        answer = hospital.page(path)
        assert answer["statusCode"] == 401 and "Open Bedside again" in answer["body"]
    assert len(refreshes(hospital)) == 1, "asked once"


def test_without_a_refresh_token_the_session_ends_with_its_token() -> None:
    hospital = Hospital({"refresh": "none"})
    path = hospital.signed_in()
    assert "online_access" not in hospital.server.authorizations[0]["scope"]
    assert hospital.page(path)["statusCode"] == 200
    hospital.clock.now += 301
    assert hospital.page(path)["statusCode"] == 401
    assert refreshes(hospital) == []


def test_a_token_whose_life_is_not_told_is_used_until_the_ehr_says_no() -> None:
    hospital = Hospital({"refresh": "none"}, lifetimes=(None,))
    path = hospital.signed_in()
    hospital.server.tokens = dict.fromkeys(hospital.server.tokens, hospital.clock.now + 1000)
    hospital.clock.now += 900
    assert hospital.page(path)["statusCode"] == 200
    hospital.clock.now += 200
    assert hospital.page(path)["statusCode"] == 401


@pytest.mark.conformance("A71")
@pytest.mark.parametrize(
    ("answer", "ends"),
    [
        (httpx.ConnectError("CANARY"), False),
        (httpx.Response(503), False),
        (httpx.Response(429), False),
        (httpx.Response(401, json={"error": "invalid_client"}), False),
        (httpx.ReadTimeout("CANARY"), True),
        (httpx.Response(502), True),
        (httpx.Response(400, json={"error": "invalid_grant"}), True),
        (httpx.Response(200, json={"access_token": "x"}), True),
    ],
)
def test_a_refresh_token_that_may_be_spent_is_not_used_again(answer: httpx.Response | Exception, ends: bool) -> None:
    hospital = Hospital(lifetimes=(60, 300))
    path = hospital.signed_in()
    hospital.clock.now += 61

    def instead(_request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    hospital.server.before = instead
    assert hospital.page(path)["statusCode"] in ({401} if ends else {502, 503})
    hospital.server.before = None
    assert hospital.page(path)["statusCode"] == (401 if ends else 200)
    assert len(refreshes(hospital)) == (1 if ends else 2)
    assert hospital.server.refused == []


def test_a_key_that_is_missing_for_a_moment_ends_nothing() -> None:
    hospital = Hospital(lifetimes=(60, 300))
    path = hospital.signed_in()
    hospital.clock.now += 61
    kept = dict(hospital.keys._keys)
    hospital.keys._keys.clear()
    assert hospital.page(path)["statusCode"] == 500
    hospital.keys._keys.update(kept)
    assert hospital.page(path)["statusCode"] == 200


def test_a_refresh_that_answers_with_another_patient_ends_the_session() -> None:
    hospital = Hospital(lifetimes=(60,))
    path = hospital.signed_in()
    hospital.clock.now += 61
    hospital.server.answers = {"patient": "p2"}
    assert hospital.page(path)["statusCode"] == 401
    assert hospital.server.fhir == []


def test_fewer_scopes_after_a_refresh_are_fewer() -> None:
    hospital = Hospital(lifetimes=(60, 300))
    path = hospital.signed_in()
    hospital.clock.now += 61
    hospital.server.grants = "launch openid online_access patient/RiskAssessment.rs"
    body = hospital.page(path)["body"]
    assert "patient/Observation.rs" in re.findall(r"<code>([^<]+)</code>", body) and "25%" in body


def test_who_waits_too_long_is_told_to_try_again() -> None:
    hospital = Hospital(lifetimes=(60,))
    path = hospital.signed_in()
    hospital.clock.now += 61
    waits: list[float] = []
    tokens = tokens_of(hospital, path, waits, step=0.5, longest=2.0)
    (name,) = hospital.store.records  # type: ignore[attr-defined]
    assert hospital.store.claim(name, 1, hospital.clock())
    with pytest.raises(EhrSilent):
        tokens.token()
    assert waits == [0.5] * 4
    hospital.clock.now += 61
    with pytest.raises(SessionEnded, match="never finished"):
        tokens.token()
    assert refreshes(hospital) == [] and hospital.store.get(name, 0) is None


def test_a_session_that_is_closed_during_a_refresh_stays_closed() -> None:
    hospital = Hospital(lifetimes=(60,))
    path = hospital.signed_in()
    hospital.clock.now += 61
    tokens = tokens_of(hospital, path)
    (name,) = hospital.store.records  # type: ignore[attr-defined]

    def closed(_request: httpx.Request) -> None:
        hospital.store.delete(name)

    hospital.server.before = closed
    with pytest.raises(SessionEnded):
        tokens.token()
    assert hospital.store.get(name, 0) is None


def test_renewing_takes_what_another_request_brought() -> None:
    hospital = Hospital(lifetimes=(60, 300))
    path = hospital.signed_in()
    first, second = tokens_of(hospital, path), tokens_of(hospital, path)
    hospital.clock.now += 61
    old = first._found.session.token.value
    new = first.token()
    assert second.renew(old) == new and len(refreshes(hospital)) == 1
    assert first.session == second.session and "general" in repr(first) and new not in repr(first)


def test_a_client_that_is_not_known_any_more_is_our_trouble() -> None:
    hospital = Hospital(lifetimes=(60,))
    path = hospital.signed_in()
    hospital.clock.now += 61
    hospital.server.keys = []
    with pytest.raises(TokenRefused):
        tokens_of(hospital, path).token()


def test_a_session_is_the_same_when_it_is_read_again() -> None:
    items = [
        {"reference": "ImagingStudy/i1"},
        {"reference": "Task/t1", "role": "work"},
        {"identifier": {"system": "urn:x", "value": "1"}, "type": "ServiceRequest"},
    ]
    hospital = Hospital(
        context={"patient": "p1", "fhirContext": items, "intent": "reconcile", "need_patient_banner": False}
    )
    path = hospital.signed_in()
    session = tokens_of(hospital, path)._found.session
    assert session.context.references("ImagingStudy") == ("ImagingStudy/i1",)
    assert session.context.items[2].identifier == ("urn:x", "1")
    assert session.fhir_user == "Practitioner/dr1" and session.context.need_patient_banner is False
    assert session.token.value in hospital.server.tokens
    shown = repr(session)
    assert session.token.value not in shown and "p1" not in shown and "dr1" not in shown


def test_another_key_in_the_secret_ends_sessions_and_breaks_nothing() -> None:
    hospital = Hospital()
    path = hospital.signed_in()
    keys = Sealer(lambda: [MasterKey("9", b"z" * 43)])
    hospital.frontend._sessions = Sessions(hospital.store, keys, hospital.clock)
    assert hospital.page(path)["statusCode"] == 401
    assert hospital.browser.get(f"{APP}{path}")["statusCode"] == 401
