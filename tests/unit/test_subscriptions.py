"""Our Subscriptions: the dialect a server offers, what we send in it, and what becomes of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_adapter.client import FhirClient, RetryPolicy
from fhir_adapter.errors import ConfigurationError, FhirUnavailable
from fhir_adapter.evidence import check
from fhir_adapter.subscriptions import (
    Dialect,
    Offer,
    Subscriptions,
    Wanted,
    read_offer,
    subscription,
    subscription_id,
    wanted_of,
)
from infra.cli import subscribe, subscriptions
from infra.cli.main import main
from tests.fakes import BASE
from tests.samples import SECRET, tenant, tenant_json
from tests.strict_ehr import Offers, StrictEhr

Json = dict[str, Any]
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
TOPIC = "http://example.org/SubscriptionTopic/admission"
ENDPOINT = "https://us.test/notify"
DATA = Path(os.environ.get("BEDSIDE_DATA", Path(__file__).parents[3] / "shared" / "data"))


def wanted(**more: Any) -> Wanted:
    described = {"topic": TOPIC, "heartbeat_seconds": 120, **more}
    one = tenant(**described)
    return wanted_of(one, one.subscriptions["admissions"], ENDPOINT)


def at(ehr: StrictEhr) -> Subscriptions:
    client = FhirClient(BASE, transport=ehr.transport, retry=RetryPolicy(attempts=1), sleep=lambda _seconds: None)
    ticks = iter(range(1000))
    return Subscriptions(client, sleep=lambda _seconds: None, clock=lambda: float(next(ticks)))


def topic_based() -> StrictEhr:
    return StrictEhr(offers=Offers(backport=True, topics=(TOPIC, TOPIC + "-other")))


def extension(node: Json, name: str) -> Json:
    (found,) = [item for item in node["extension"] if item["url"] == f"{BACKPORT}/{name}"]
    return {key: value for key, value in found.items() if key != "url"}


@pytest.mark.conformance("C14")
def test_a_topic_based_subscription_is_written_as_the_guide_says() -> None:
    built = subscription(wanted(), Dialect.BACKPORT)
    check(built)
    assert built["criteria"] == TOPIC
    assert extension(built["_criteria"], "backport-filter-criteria") == {"valueString": "Encounter?class=IMP"}
    channel = built["channel"]
    assert extension(channel["_payload"], "backport-payload-content") == {"valueCode": "id-only"}
    assert extension(channel, "backport-heartbeat-period") == {"valueUnsignedInt": 120}
    assert extension(channel, "backport-timeout") == {"valueUnsignedInt": 30}
    assert extension(channel, "backport-max-count") == {"valuePositiveInt": 100}
    assert channel["header"] == [f"Authorization: Bearer {SECRET}"]
    assert channel["endpoint"] == f"{ENDPOINT}/general/admissions"
    assert built["meta"]["profile"] == [f"{BACKPORT}/backport-subscription"]
    assert "http://hl7.org/fhir/5.0/" not in json.dumps(built), "no cross-version extension of R5"


@pytest.mark.conformance("C14")
def test_it_has_the_shape_of_the_guides_own_example() -> None:
    example = DATA / "notifications" / "backport" / "BackportSubscriptionExampleAdmission.json"
    if not example.exists():
        pytest.skip("the shared notification data is not here")
    theirs = json.loads(example.read_text(encoding="utf-8"))
    ours = subscription(wanted(), Dialect.BACKPORT)
    assert theirs["_criteria"]["extension"][0].keys() == ours["_criteria"]["extension"][0].keys()
    assert theirs["_criteria"]["extension"][0]["url"] == ours["_criteria"]["extension"][0]["url"]
    assert theirs["channel"]["_payload"] == ours["channel"]["_payload"]
    kinds = [sorted(set(item) - {"url"}) for item in theirs["channel"]["extension"]]
    assert kinds == [sorted(set(item) - {"url"}) for item in ours["channel"]["extension"]]


@pytest.mark.conformance("D06")
def test_criteria_are_written_as_r4_says() -> None:
    built = subscription(wanted(), Dialect.CRITERIA)
    check(built)
    assert (built["criteria"], built["status"]) == ("Encounter?class=IMP", "requested")
    assert "extension" not in json.dumps(built)
    assert built["channel"]["header"] == [f"Authorization: Bearer {SECRET}"]


@pytest.mark.conformance("E03")
def test_r5_has_elements_for_all_of_it() -> None:
    built = subscription(wanted(filters=["Encounter?class=IMP&status:not=planned"]), Dialect.R5)
    assert (built["topic"], built["content"], built["contentType"]) == (TOPIC, "id-only", "application/fhir+json")
    assert built["channelType"]["code"] == "rest-hook"
    assert built["parameter"] == [{"name": "Authorization", "value": f"Bearer {SECRET}"}]
    assert (built["heartbeatPeriod"], built["timeout"], built["maxCount"]) == (120, 30, 100)
    assert built["filterBy"] == [
        {"resourceType": "Encounter", "filterParameter": "class", "value": "IMP"},
        {"resourceType": "Encounter", "filterParameter": "status", "modifier": "not", "value": "planned"},
    ]
    assert not {"criteria", "channel"} & set(built)


def offer(**more: Any) -> Offer:
    given: Json = {"fhir_version": "4.0.1", "subscriptions": True, "backport": True, "topics": (TOPIC,)}
    return Offer(**{**given, "status": True, "events": False, "update_create": True, **more})


@pytest.mark.conformance("C14", "E03")
@pytest.mark.parametrize(
    ("offered", "topic", "wished", "expected"),
    [
        (offer(), TOPIC, "auto", Dialect.BACKPORT),
        (offer(topics=()), TOPIC, "auto", Dialect.BACKPORT),
        (offer(), None, "auto", Dialect.CRITERIA),
        (offer(topics=("other",)), TOPIC, "auto", Dialect.CRITERIA),
        (offer(backport=False, topics=()), TOPIC, "auto", Dialect.CRITERIA),
        (offer(), TOPIC, "criteria", Dialect.CRITERIA),
        (offer(fhir_version="4.3.0"), TOPIC, "auto", Dialect.BACKPORT),
        (offer(fhir_version="5.0.0"), TOPIC, "auto", Dialect.R5),
        (offer(subscriptions=False), TOPIC, "auto", "offers no Subscriptions"),
        (offer(), None, "backport", f"it lists {TOPIC}"),
        (offer(topics=("other",)), TOPIC, "backport", "does not have the topic"),
        (offer(backport=False, topics=()), TOPIC, "backport", "does not claim"),
        (offer(fhir_version="5.0.0"), TOPIC, "criteria", "not of that version"),
        (offer(), TOPIC, "r5", "not of that version"),
    ],
)
def test_the_dialect_follows_from_what_the_server_offers(
    offered: Offer, topic: str | None, wished: str, expected: str
) -> None:
    if isinstance(expected, Dialect):
        assert offered.dialect(topic, wished) is expected
        return
    with pytest.raises(ConfigurationError, match=expected):
        offered.dialect(topic, wished)


def test_the_capability_statement_is_read_leniently() -> None:
    assert read_offer({}) == Offer("", False, False, (), False, False, True)
    assert read_offer({"rest": [{"resource": [{"type": "Subscription"}, "?"]}, 7]}).subscriptions
    found = read_offer(topic_based()._statement())
    assert (found.topics, found.status, found.events) == ((TOPIC, TOPIC + "-other"), True, False)


@pytest.mark.conformance("C14")
@pytest.mark.parametrize("update_create", [True, False])
def test_creating_twice_is_one_subscription_with_the_newest_secret(update_create: bool) -> None:
    ehr = topic_based()
    ehr.offers.update_create = update_create
    reference = at(ehr).create(wanted())
    assert at(ehr).create(wanted(secret="another-secret-of-ours")) == reference
    (stored,) = ehr.of_type("Subscription")
    assert stored["channel"]["header"] == ["Authorization: Bearer another-secret-of-ours"]
    assert at(ehr).wait(reference).status == "active"
    one = tenant()
    ours = subscription_id(one, one.subscriptions["admissions"])
    assert (reference == f"Subscription/{ours}") is update_create


def test_the_tenants_own_reference_names_it() -> None:
    one = tenant(reference="Subscription/theirs")
    assert subscription_id(one, one.subscriptions["admissions"]) == "theirs"


def test_waiting_ends() -> None:
    ehr = topic_based()
    ehr.activates = "requested"
    reference = at(ehr).create(wanted())
    with pytest.raises(FhirUnavailable, match="not active"):
        at(ehr).wait(reference, seconds=5)
    ehr.activates = "error"
    assert at(ehr).wait(at(ehr).create(wanted())).status == "error"


@pytest.mark.conformance("C04", "C12")
def test_the_state_says_what_the_server_counts() -> None:
    ehr = topic_based()
    ehr.event_log = [(number, "Encounter/e1") for number in (1, 2, 3)]
    reference = at(ehr).create(wanted())
    state = at(ehr).state(reference)
    assert (state.status, state.events, state.heartbeat, state.dialect) == ("active", 3, 120, Dialect.BACKPORT)
    assert at(ehr).state("Subscription/none").status == "missing"


@pytest.mark.conformance("C11")
@pytest.mark.parametrize("status", ["error", "off"])
def test_repair_asks_again_with_our_own_header(status: str) -> None:
    """A server that hides headers when it is read must not be given the mask back as the secret."""
    ehr = topic_based()
    reference = at(ehr).create(wanted())
    stored = ehr.resources[reference]
    masked = {**stored["channel"], "header": ["Authorization: ********"]}
    ehr.put({**stored, "status": status, "error": "no answer", "channel": masked})
    assert at(ehr).repair(reference, wanted()).status == "active"
    repaired = ehr.resources[reference]
    assert repaired["channel"]["header"] == [f"Authorization: Bearer {SECRET}"]
    assert extension(repaired["channel"], "backport-heartbeat-period") == {"valueUnsignedInt": 120}
    assert "error" not in repaired


def test_delete_or_turn_off() -> None:
    ehr = topic_based()
    reference = at(ehr).create(wanted())
    ehr.before = lambda request: httpx.Response(405) if request.method == "DELETE" else None
    assert at(ehr).delete(reference) is False
    assert ehr.resources[reference]["status"] == "off"
    ehr.before = lambda request: httpx.Response(204) if request.method == "DELETE" else None
    assert at(ehr).delete(reference) is True


def test_the_secret_is_never_shown() -> None:
    assert SECRET not in repr(wanted())
    with pytest.raises(ConfigurationError) as caught:
        wanted(secret=SECRET + "\r\nX-Evil: 1")
    assert SECRET not in str(caught.value)


@pytest.fixture
def command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[StrictEhr, str]:
    ehr = topic_based()

    def open_client(one: Any) -> FhirClient:
        return FhirClient(one.fhir_base, one.token, transport=ehr.transport, retry=RetryPolicy(attempts=1))

    for module in (subscribe, subscriptions):
        monkeypatch.setattr(module, "open_client", open_client)
    monkeypatch.delenv("NOTIFICATION_URL", raising=False)
    file = tmp_path / "tenants.json"
    file.write_text(json.dumps(tenant_json(topic=TOPIC)), encoding="utf-8")
    return ehr, str(file)


def test_the_commands(command_line: tuple[StrictEhr, str], capsys: pytest.CaptureFixture[str]) -> None:
    ehr, file = command_line
    assert main(["subscribe", "general", "--tenants", file]) == 2
    assert "--endpoint" in capsys.readouterr().err
    assert main(["subscribe", "general", "--tenants", file, "--endpoint", ENDPOINT, "--json"]) == 0
    (made,) = json.loads(capsys.readouterr().out)["subscriptions"]
    assert (made["status"], made["dialect"]) == ("active", "backport")
    stored = ehr.resources[made["reference"]]
    ehr.put({**stored, "status": "error", "error": "no answer"})
    assert main(["subscriptions", "--tenants", file]) == 1
    assert "error (backport): no answer" in capsys.readouterr().out
    assert main(["subscriptions", "general", "--tenants", file, "--repair", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tenants"]["general"][0]["status"] == "active"
    assert ehr.resources[made["reference"]]["channel"]["header"] == [f"Authorization: Bearer {SECRET}"]
    ehr.before = lambda request: httpx.Response(204) if request.method == "DELETE" else None
    assert main(["subscriptions", "general", "--tenants", file, "--delete", "admissions"]) == 0
    assert "deleted" in capsys.readouterr().out
    assert main(["subscriptions", "general", "--tenants", file, "--delete", "nothing"]) == 1
    assert main(["subscribe", "nobody", "--tenants", file, "--endpoint", ENDPOINT]) == 1
    assert "there is no tenant 'nobody'" in capsys.readouterr().err
