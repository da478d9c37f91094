"""Reconciliation, with an EHR and a queue in memory: what notifications did not tell is found and put right."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fhir_adapter.client import FhirClient, RetryPolicy
from fhir_adapter.codes import MODEL_TAG
from fhir_adapter.errors import FhirUnavailable
from fhir_adapter.evidence import check
from fhir_adapter.tenants import Tenant
from functions.reconcile import app
from functions.reconcile.reconcile import Reconciler, Report
from functions.serving.cloud import MemoryLedger, MemoryQueue
from functions.serving.events import Event
from functions.serving.marks import MemoryMarks
from functions.serving.worker import Outcome, answer_event
from functions.survival.app import handler as survival
from tests.fakes import BASE
from tests.functional.conftest import Cloud
from tests.samples import admission, encounter, tenant
from tests.strict_ehr import Clock, Offers, StrictEhr

TOPIC = "http://example.org/SubscriptionTopic/admission"
SUBSCRIPTION = "Subscription/admissions"


class Ward:
    """A tenant's EHR, our queue and our memory of it, and a clock."""

    def __init__(self, *resources: dict[str, Any], offers: Offers | None = None, **entry: Any) -> None:
        self.clock = Clock()
        self.ehr = StrictEhr(*resources, clock=self.clock, offers=offers)
        self.client = FhirClient(
            BASE, transport=self.ehr.transport, retry=RetryPolicy(attempts=2), sleep=lambda _seconds: None
        )
        self.tenant = tenant(reference=SUBSCRIPTION, **entry)
        self.queue = MemoryQueue()
        self.ledger = MemoryLedger()
        self.marks = MemoryMarks()

    def subscribe(self, status: str = "active", **channel: Any) -> None:
        criteria = TOPIC if self.ehr.offers.backport else "Encounter?class=IMP"
        resource = {"resourceType": "Subscription", "id": "admissions", "status": status}
        resource |= {"criteria": criteria, "reason": "Tell us"}
        self.ehr.put({**resource, "channel": {"type": "rest-hook", "endpoint": "https://us.test/notify", **channel}})

    def reconcile(self, since: datetime | None = None) -> Report:
        reconciler = Reconciler(
            self.tenant, self.client, self.queue, self.ledger, self.marks, self.clock(), "https://us.test/notify"
        )
        (report,) = reconciler.run(since)
        return report

    def work(self) -> list[Outcome]:
        """Handle what is queued, as the worker does."""
        events, self.queue.events = self.queue.events, []
        return [self.answer(event) for event in events]

    def answer(self, event: Event) -> Outcome:
        outcome = answer_event(event, self.tenant, self.client, survival.models["whas500"])
        self.marks.seen(event.tenant, event.subscription, event.event_number, self.clock().isoformat())
        return outcome

    def settle(self, minutes: float = 20) -> Report:
        """Answer everything, let time pass, and reconcile again."""
        self.work()
        self.clock.forward(minutes=minutes)
        return self.reconcile()


@pytest.fixture
def ward() -> Ward:
    ward = Ward(*admission())
    ward.subscribe()
    return ward


def withdrawals(ward: Ward) -> list[dict[str, Any]]:
    return [
        provenance
        for provenance in ward.ehr.of_type("Provenance")
        if provenance["activity"]["coding"][0]["code"] == "NULLIFY"
    ]


@pytest.mark.conformance("D01", "D04", "C05")
def test_a_change_nobody_told_of_is_swept_and_answered_once(ward: Ward) -> None:
    assert ward.reconcile() == Report("general", "admissions", status="active", swept=1)
    assert [outcome.outcome for outcome in ward.work()] == ["predicted"]
    ward.clock.forward(minutes=20)
    report = ward.reconcile()
    assert (report.unanswered, report.doubled, report.withdrawn) == (0, 0, 0)
    assert {outcome.outcome for outcome in ward.work()} <= {"duplicate"}
    assert len(ward.ehr.of_type("RiskAssessment")) == 1


@pytest.mark.conformance("D04", "G34")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda ehr: ehr.delete("Encounter/e1"), "no longer in the record"),
        (lambda ehr: ehr.put(encounter(status="cancelled")), "cancelled"),
        (lambda ehr: ehr.put(encounter(status="entered-in-error")), "entered-in-error"),
        (lambda ehr: ehr.put(encounter(**{"class": {"code": "AMB"}})), "no longer matches"),
    ],
    ids=["deleted", "cancelled", "in error", "stopped matching"],
)
def test_what_results_are_about_is_gone(ward: Ward, change: Any, words: str) -> None:
    ward.reconcile()
    ward.work()
    change(ward.ehr)
    ward.clock.forward(minutes=20)
    assert ward.reconcile().withdrawn == 2
    (risk,) = ward.ehr.of_type("RiskAssessment")
    assert risk["status"] == "entered-in-error"
    assert [item for item in ward.ehr.live("Observation") if item["meta"].get("tag")] == []
    (provenance,) = withdrawals(ward)
    check(provenance)
    assert words in provenance["activity"]["text"]
    assert {item["reference"] for item in provenance["target"]} >= {f"RiskAssessment/{risk['id']}"}
    assert {item["what"]["reference"].partition("/_history/")[2] for item in provenance["entity"]} == {"1"}
    assert ward.reconcile().withdrawn == 0


def test_what_a_person_confirmed_is_left_to_people(ward: Ward) -> None:
    ward.reconcile()
    ward.work()
    (risk,) = ward.ehr.of_type("RiskAssessment")
    ward.ehr.put({**risk, "status": "final"})
    (seen,) = [item for item in ward.ehr.of_type("Observation") if item["meta"].get("tag")]
    ward.ehr.put({**seen, "status": "final"})
    ward.ehr.delete("Encounter/e1")
    assert ward.reconcile().withdrawn == 0
    assert [item["status"] for item in ward.ehr.of_type("RiskAssessment")] == ["final"]


def test_a_match_without_a_result_is_queued_when_its_event_had_time_enough(ward: Ward) -> None:
    ward.reconcile()
    ward.queue.events.clear()  # lost between us
    ward.clock.forward(minutes=5)
    ward.ledger.advance("general", "admissions", (ward.clock() + timedelta(hours=1)).isoformat())
    assert ward.reconcile().unanswered == 0, "it may still be on its way"
    ward.clock.forward(minutes=6)
    assert ward.reconcile().unanswered == 1
    assert [outcome.outcome for outcome in ward.work()] == ["predicted"]
    assert ward.reconcile().unanswered == 0


def test_two_live_results_are_made_one(ward: Ward) -> None:
    ward.reconcile()
    ward.work()
    (risk,) = ward.ehr.of_type("RiskAssessment")
    twin = {**risk, "id": "stale", "identifier": [{**risk["identifier"][0], "value": "stale"}]}
    ward.ehr.put(twin)
    assert ward.reconcile().doubled == 1
    assert "duplicate" in {outcome.outcome for outcome in ward.work()}
    assert [item["id"] for item in ward.ehr.live()] == [risk["id"]]
    assert ward.reconcile().doubled == 0


@pytest.mark.conformance("C11")
@pytest.mark.parametrize(("status", "repaired", "after"), [("error", True, "active"), ("off", False, "off")])
def test_a_subscription_in_error_is_asked_for_again_and_one_switched_off_is_not(
    ward: Ward, status: str, repaired: bool, after: str
) -> None:
    ward.subscribe(status)
    report = ward.reconcile()
    assert (report.status, report.repaired, report.swept) == (status, repaired, 1)
    stored = ward.ehr.resources[SUBSCRIPTION]
    assert stored["status"] == after
    if repaired:
        assert stored["channel"]["header"] == ["Authorization: Bearer a-secret-for-the-tests-only"]


def test_an_ehr_that_shows_no_subscription_is_swept_all_the_same() -> None:
    ward = Ward(*admission())
    assert (ward.reconcile().status, len(ward.queue.events)) == ("missing", 1)


@pytest.fixture
def numbered() -> Ward:
    ward = Ward(*admission(), offers=Offers(backport=True, events=True, topics=(TOPIC,)), topic=TOPIC)
    ward.subscribe()
    ward.ehr.event_log = [(number, "Encounter/e1") for number in range(1, 8)]
    return ward


def hear(ward: Ward, *numbers: int) -> None:
    for number in numbers:
        ward.marks.seen("general", "admissions", number, ward.clock().isoformat())


@pytest.mark.conformance("C10", "C12")
def test_a_gap_is_asked_for_by_number(numbered: Ward) -> None:
    hear(numbered, 1, 2, 5)  # 3 and 4 are lost in between, 6 and 7 at the end, where only $status tells
    report = numbered.reconcile()
    assert (report.missing, report.fetched) == (4, 4)
    fetched = [event.event_number for event in numbered.queue.events if event.event_number]
    assert fetched == [3, 4, 6, 7]
    assert numbered.marks.state("general", "admissions").floor == 7
    assert numbered.reconcile().missing == 0


@pytest.mark.conformance("C10")
def test_a_gap_is_swept_where_events_cannot_be_asked_for(numbered: Ward) -> None:
    numbered.ehr.offers.events = False
    hear(numbered, 1, 4)
    report = numbered.reconcile()
    assert (report.missing, report.fetched, report.swept) == (5, 0, 1)
    assert numbered.reconcile().missing == 0


@pytest.mark.conformance("C10")
def test_numbers_that_start_again_are_no_gap(numbered: Ward) -> None:
    hear(numbered, *range(1, 8))
    numbered.reconcile()
    numbered.ehr.event_log = [(1, "Encounter/e1"), (2, "Encounter/e1")]
    hear(numbered, 1)
    report = numbered.reconcile()
    assert numbered.marks.state("general", "admissions").floor == 2
    assert report.fetched == report.missing <= 2


@pytest.mark.conformance("C04")
def test_silence_beyond_two_heartbeats_is_told(numbered: Ward) -> None:
    url = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-heartbeat-period"
    numbered.subscribe(extension=[{"url": url, "valueUnsignedInt": 60}])
    hear(numbered, 1)
    numbered.clock.forward(seconds=119)
    assert not numbered.reconcile().silent
    numbered.clock.forward(seconds=2)
    assert numbered.reconcile().silent
    numbered.marks.seen("general", "admissions", None, numbered.clock().isoformat())  # a heartbeat
    assert not numbered.reconcile().silent


def test_since_looks_further_back_than_the_last_sweep(ward: Ward) -> None:
    ward.reconcile()
    ward.work()
    ward.clock.forward(days=3)
    assert ward.reconcile().swept == 0 or len(ward.queue.events) == 1  # the overlap
    ward.ledger.advance("general", "admissions", ward.clock().isoformat())
    ward.queue.events.clear()
    assert ward.reconcile().swept == 0
    assert ward.reconcile(since=datetime(2026, 1, 1, tzinfo=UTC)).swept == 1


def test_what_we_wrote_ourselves_is_never_queued() -> None:
    ward = Ward(*admission(), criteria="Observation?code=http://loinc.org|8867-4")
    ours = {
        "resourceType": "Observation",
        "id": "ours",
        "status": "preliminary",
        "subject": {"reference": "Patient/p1"},
    }
    code = {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}
    ward.ehr.put({**ours, "code": code, "meta": {"tag": [{"system": MODEL_TAG, "code": "whas500"}]}})
    ward.reconcile()
    assert [event.focus for event in ward.queue.events] == ["Observation/hr"]


def test_an_ehr_that_is_down_changes_nothing(ward: Ward) -> None:
    ward.ehr.down = True
    with pytest.raises(FhirUnavailable):
        ward.reconcile()
    assert (ward.queue.events, ward.ledger.checkpoints) == ([], {})


def test_the_function_goes_on_past_a_tenant_that_fails(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ehr = StrictEhr(*admission())

    def connect(one: Tenant) -> FhirClient:
        return FhirClient(one.fhir_base, one.token, transport=ehr.transport, retry=RetryPolicy(attempts=1))

    monkeypatch.setattr(app.reconcile_tenant, "__defaults__", (None, connect, None))
    monkeypatch.setattr(app.reconcile_all, "__defaults__", (connect,))
    monkeypatch.setenv("TENANTS", "nowhere, general")
    with pytest.raises(app.ReconcileFailed, match=r"nowhere \(ConfigurationError\)$"):
        app.handler({}, None)
    (message,) = cloud.messages(cloud.queue_url)
    assert Event.from_json(message["Body"]).focus == "Encounter/e1"
    monkeypatch.setenv("TENANTS", "general")
    (report,) = app.handler({}, None)["reports"]
    assert (report["tenant"], report["swept"]) == ("general", 1)
    logged = "".join(str(record.__dict__) for record in caplog.records)
    assert "reconciled" in logged
    assert "Patient" not in logged and "Encounter" not in logged
