"""One subscription, several models: an event and model each for itself, through receiver, worker and reconciliation."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import boto3
import httpx
import pytest

from fhir_adapter.client import FhirClient, RetryPolicy
from fhir_adapter.features import applies_if_from
from fhir_adapter.tenants import MemoryTenants, SubscriptionEntry, Tenant
from functions.receiver.api import Receiver
from functions.reconcile.reconcile import Reconciler, Report
from functions.serving.cloud import MemoryLedger, MemoryQueue, PassedOver, TableLedger
from functions.serving.events import Event, for_models, new_event
from functions.serving.handler import ModelFunction
from functions.serving.marks import MemoryMarks, TableMarks
from functions.serving.package import Model
from functions.serving.worker import Outcome, answer_event
from functions.survival.app import handler as survival
from tests.fakes import BASE, FakeEhr
from tests.functional.conftest import Cloud
from tests.functional.test_receiver import request
from tests.samples import SECRET, admission, condition, encounter, tenant, tenant_json
from tests.strict_ehr import Clock, Offers, StrictEhr

MODELS = ["whas500", "stroke"]
STROKE = {"display": "stroke", "system": "http://snomed.info/sct", "codes": ["230690007"], "look_ahead": "P1D"}
TOPIC = "http://example.org/SubscriptionTopic/admission"
Run = Callable[..., list[str]]


def stroke() -> Model:
    """The infarction's model, for another population: who has had a stroke."""
    model = survival.models["whas500"]
    package = model.package
    identity = replace(package.identity, name="stroke", digest="5" * 64, title="Death after stroke", card="")
    return Model(replace(package, identity=identity, applies_if=applies_if_from({"condition": STROKE})), model.predict)


HERE = {"whas500": survival.models["whas500"], "stroke": stroke()}


def about(model: str | None, version: str | None = "1", **more: Any) -> Event:
    event = new_event("general", "admissions", "focus", "Encounter/e1", version, "Patient/p1", **more)
    return replace(event, model=model)


def results(ehr: FakeEhr | StrictEhr, model: str) -> list[dict[str, Any]]:
    found = [*ehr.of_type("RiskAssessment"), *ehr.of_type("Observation")]
    return [item for item in found if any(tag["code"] == model for tag in item["meta"].get("tag", []))]


# -- events --


def test_an_event_becomes_one_for_each_model_and_the_same_ones_when_asked_again() -> None:
    event = about(None, event_number=7)
    one, other = for_models(event, [*MODELS, "whas500"])
    assert (one.model, other.model) == ("whas500", "stroke")
    assert len({event.id, one.id, other.id}) == 3
    assert {item.event_number for item in (one, other)} == {7}
    assert for_models(event, MODELS) == [one, other]
    assert Event.from_json(one.to_json()) == one
    assert for_models(one, MODELS) == [one]
    assert for_models(event, ["whas500"]) == [event]
    sweep = new_event("general", "admissions", "sweep")
    assert for_models(sweep, MODELS) == [sweep]


@pytest.mark.parametrize(("models", "named"), [(MODELS, MODELS), (["whas500"], [None]), ([], [None])])
def test_the_receiver_queues_one_message_for_each_model(
    lambda_context: Any, models: list[str], named: list[str | None]
) -> None:
    queue = MemoryQueue()
    receiver = Receiver(MemoryTenants(tenant(models=models)), queue)
    sent = request("PUT", "/notify/general/admissions/Encounter/e1", json.dumps(encounter()).encode())
    assert receiver(sent, lambda_context)["statusCode"] == 202
    assert [event.model for event in queue.events] == named
    assert {event.focus for event in queue.events} == {"Encounter/e1"}


# -- the worker --


@pytest.fixture
def ehr() -> FakeEhr:
    return FakeEhr(*admission())


@pytest.fixture
def run(ehr: FakeEhr, cloud: Cloud, lambda_context: Any, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Hand messages to a function that has both models; returns the ids of those that go back to the queue."""
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", f"test-{uuid4()}")
    subscribe(*MODELS)

    def connect(one: Tenant) -> FhirClient:
        retry = RetryPolicy(attempts=1)
        return FhirClient(one.fhir_base, one.token, transport=ehr.transport, retry=retry, sleep=lambda _seconds: None)

    function = ModelFunction(HERE, connect)

    def invoke(*events: Event, receives: int = 1) -> list[str]:
        records = [
            {
                "messageId": f"m{index}",
                "receiptHandle": "r",
                "body": event.to_json(),
                "attributes": {"ApproximateReceiveCount": str(receives)},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:events",
                "awsRegion": "eu-central-1",
            }
            for index, event in enumerate(events)
        ]
        answer = function({"Records": records}, lambda_context)
        return [item["itemIdentifier"] for item in answer["batchItemFailures"]]

    return invoke


def subscribe(*models: str) -> None:
    from aws_lambda_powertools.utilities import parameters

    text = json.dumps(tenant_json(models=list(models)))
    boto3.client("secretsmanager").put_secret_value(SecretId="bedside/tenants/general", SecretString=text)
    parameters.clear_caches()


def outcomes(cloud: Cloud) -> dict[str, str]:
    return {entry["model"]: entry["outcome"] for entry in cloud.entries()}


def test_each_model_answers_for_itself_and_one_that_does_not_apply_writes_nothing(
    run: Run, ehr: FakeEhr, cloud: Cloud
) -> None:
    assert run(*for_models(about(None), MODELS)) == []
    assert outcomes(cloud) == {"whas500": "predicted", "stroke": "not-applicable"}
    assert len(results(ehr, "whas500")) == 2
    assert results(ehr, "stroke") == []
    (passed,) = [entry for entry in cloud.entries() if entry["model"] == "stroke"]
    assert (passed["reason"], passed["written"], passed["result"]) == ("outside-population", 0, "Encounter/e1")


def test_a_patient_of_both_gets_both(run: Run, ehr: FakeEhr, cloud: Cloud) -> None:
    ehr.put(condition("stroke", "230690007"))
    assert run(*for_models(about(None), MODELS)) == []
    assert set(outcomes(cloud).values()) == {"predicted"}
    assert {len(results(ehr, model)) for model in MODELS} == {2}
    statuses = {item["status"] for model in MODELS for item in results(ehr, model)}
    assert statuses == {"preliminary"}, "one model's result does not take another's place"


def test_alone_the_same_model_says_in_the_record_why_it_does_not_answer(run: Run, ehr: FakeEhr, cloud: Cloud) -> None:
    subscribe("stroke")
    assert run(about(None)) == []
    (abstention,) = results(ehr, "stroke")
    assert abstention["dataAbsentReason"]["coding"][1]["code"] == "outside-population"
    assert outcomes(cloud) == {"stroke": "abstained"}


def test_what_is_missing_is_an_abstention_all_the_same(run: Run, ehr: FakeEhr, cloud: Cloud) -> None:
    del ehr.resources["Observation/hr"]
    assert run(*for_models(about(None), MODELS)) == []
    assert outcomes(cloud) == {"whas500": "abstained", "stroke": "not-applicable"}
    assert len(results(ehr, "whas500")) == 1


def test_a_repeated_event_is_remembered_for_each_model(run: Run, ehr: FakeEhr, cloud: Cloud) -> None:
    events = for_models(about(None), MODELS)
    assert run(*events) == []
    requests = len(ehr.requests)
    assert run(*events) == []
    assert run(*for_models(about(None), MODELS)) == []
    assert len(ehr.requests) == requests
    assert sorted(entry["outcome"] for entry in cloud.entries()) == [
        "duplicate",
        "duplicate",
        "not-applicable",
        "predicted",
    ]


def test_a_model_that_no_function_has_is_a_dead_letter_and_the_others_answer(
    run: Run, ehr: FakeEhr, cloud: Cloud
) -> None:
    subscribe("whas500", "dementia")
    assert run(*for_models(about(None), ["whas500", "dementia"])) == []
    (dead,) = cloud.messages(cloud.dead_letter_url)
    cause = "EventRejected: no model dementia here; this function has stroke, whas500"
    assert dead["MessageAttributes"]["cause"]["StringValue"] == cause
    assert Event.from_json(dead["Body"]).model == "dementia"
    assert outcomes(cloud) == {"whas500": "predicted", "dementia": "failed"}
    assert len(results(ehr, "whas500")) == 2


@pytest.mark.parametrize(
    ("models", "asked", "cause"),
    [
        (["stroke"], "whas500", "EventRejected: the subscription does not name the model whas500 any more"),
        ([], None, "EventRejected: the subscription names no model"),
    ],
)
def test_a_model_that_the_subscription_does_not_name_does_not_answer(
    run: Run, ehr: FakeEhr, cloud: Cloud, models: list[str], asked: str | None, cause: str
) -> None:
    subscribe(*models)
    assert run(about(asked)) == []
    (dead,) = cloud.messages(cloud.dead_letter_url)
    assert dead["MessageAttributes"]["cause"]["StringValue"] == cause
    assert ehr.requests == []


def test_a_message_from_before_there_were_several_is_split(run: Run, ehr: FakeEhr, cloud: Cloud) -> None:
    old = about(None, event_number=4)
    assert run(old) == []
    assert run(old) == []
    sent = [Event.from_json(message["Body"]) for message in cloud.messages(cloud.queue_url)]
    assert sent == [*for_models(old, MODELS)] * 2
    assert TableMarks("ledger").state("general", "admissions").numbers == frozenset()
    assert run(*sent) == []
    assert sorted(entry["outcome"] for entry in cloud.entries()) == ["not-applicable", "predicted", "split"]


def test_a_number_counts_for_the_model_whose_event_has_ended(run: Run, ehr: FakeEhr) -> None:
    mine, other = for_models(about(None, event_number=9), MODELS)
    assert run(mine) == []
    marks = TableMarks("ledger")
    assert marks.state("general", "admissions/whas500").numbers == {9}
    assert marks.state("general", "admissions/stroke").numbers == frozenset()
    assert run(other) == []
    assert marks.state("general", "admissions/stroke").numbers == {9}


def test_a_sweep_queues_for_each_model_and_counts_for_all(run: Run, cloud: Cloud) -> None:
    assert run(new_event("general", "admissions", "sweep", event_number=12)) == []
    sent = [Event.from_json(message["Body"]) for message in cloud.messages(cloud.queue_url)]
    assert [(event.focus, event.model) for event in sent] == [("Encounter/e1", model) for model in MODELS]
    marks = TableMarks("ledger")
    assert {marks.state("general", f"admissions/{model}").highest for model in MODELS} == {12}


def test_a_patient_who_leaves_the_population_takes_the_earlier_result_along(
    run: Run, ehr: FakeEhr, cloud: Cloud
) -> None:
    ehr.put(condition("stroke", "230690007"))
    assert run(about("stroke")) == []
    refuted = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": "refuted"}]}
    ehr.put(condition("stroke", "230690007", verificationStatus=refuted))
    ehr.put(encounter())
    assert run(about("stroke", "2")) == []
    assert {item["status"] for item in results(ehr, "stroke")} == {"entered-in-error"}
    withdrawn = [item for item in ehr.of_type("Provenance") if item["activity"]["coding"][0]["code"] == "NULLIFY"]
    assert "No stroke is on record" in withdrawn[0]["activity"]["text"]
    entry = max(cloud.entries(), key=lambda item: item["finished"])
    assert (entry["outcome"], entry["replaced"]) == ("not-applicable", 2)
    assert run(about("stroke", "3")) == []
    assert len([item for item in ehr.of_type("Provenance") if "NULLIFY" in str(item["activity"])]) == 1


def test_a_slower_worker_sees_that_the_focus_has_moved_on(run: Run, ehr: FakeEhr, cloud: Cloud) -> None:
    """While it writes, the admission changes, and a faster worker has passed the patient over without a word."""
    ehr.put(condition("stroke", "230690007"))

    def overtake(sent: httpx.Request) -> httpx.Response | None:
        if b'"transaction"' in sent.content and "Condition/stroke" in ehr.resources:
            del ehr.resources["Condition/stroke"]
            ehr.put(encounter())
        return None

    ehr.before = overtake
    assert run(about("stroke")) == []
    assert {item["status"] for item in results(ehr, "stroke")} == {"entered-in-error"}
    assert outcomes(cloud) == {"stroke": "not-applicable"}


# -- reconciliation --


class Ward:
    """A tenant with two models, its EHR, our queue and memory, and a clock."""

    def __init__(self, offers: Offers | None = None, **entry: Any) -> None:
        self.clock = Clock()
        self.ehr = StrictEhr(*admission(), clock=self.clock, offers=offers)
        self.client = FhirClient(BASE, transport=self.ehr.transport, retry=RetryPolicy(attempts=1))
        self.tenant = tenant(models=MODELS, reference="Subscription/admissions", **entry)
        self.queue, self.ledger, self.marks = MemoryQueue(), MemoryLedger(), MemoryMarks()

    def subscribe(self, criteria: str = "Encounter?class=IMP") -> None:
        channel = {"type": "rest-hook", "endpoint": "https://us.test/notify"}
        resource = {"resourceType": "Subscription", "id": "admissions", "status": "active", "reason": "Tell us"}
        self.ehr.put({**resource, "criteria": criteria, "channel": channel})

    def reconcile(self) -> list[Report]:
        url = "https://us.test/notify"
        return Reconciler(self.tenant, self.client, self.queue, self.ledger, self.marks, self.clock(), url).run()

    def work(self, only: str | None = None) -> list[Outcome]:
        """Answer what is queued, as the function does; what another model is asked stays."""
        mine = [event for event in self.queue.events if only in (None, event.model)]
        self.queue.events = [event for event in self.queue.events if event not in mine]
        return [self.answer(event) for event in mine]

    def answer(self, event: Event) -> Outcome:
        name = event.model or self.tenant.subscriptions[event.subscription].models[0]
        several = len(self.tenant.subscriptions[event.subscription].models) > 1
        outcome = answer_event(event, self.tenant, self.client, HERE[name], shared=several)
        if outcome.focus_version:
            self.ledger.pass_over(PassedOver("general", name, outcome.result, outcome.focus_version))
        self.marks.seen("general", f"admissions/{name}", event.event_number, self.clock().isoformat())
        return outcome


def test_what_a_model_passed_over_is_not_asked_again_until_it_changes() -> None:
    ward = Ward()
    ward.subscribe()
    ward.reconcile()
    assert sorted(outcome.outcome for outcome in ward.work()) == ["not-applicable", "predicted"]
    ward.ledger.advance("general", "admissions", "2026-01-11T00:00:00.000000+00:00")
    ward.clock.forward(minutes=20)
    (report,) = ward.reconcile()
    assert (report.unanswered, ward.queue.events) == (0, [])
    ward.ehr.put(encounter(priority={"text": "urgent"}))
    ward.clock.forward(minutes=20)
    (report,) = ward.reconcile()
    assert [event.model for event in ward.queue.events] == ["stroke"]
    assert report.unanswered == 1


def test_an_event_lost_for_one_model_is_missing_for_that_model_only() -> None:
    ward = Ward(Offers(backport=True, events=True, topics=(TOPIC,)), topic=TOPIC)
    ward.subscribe(TOPIC)
    ward.ehr.event_log = [(number, "Encounter/e1") for number in range(1, 6)]
    for model, numbers in {"whas500": range(1, 6), "stroke": (1, 2, 4)}.items():
        for number in numbers:
            ward.marks.seen("general", f"admissions/{model}", number, ward.clock().isoformat())
    (report,) = ward.reconcile()
    assert (report.missing, report.fetched) == (2, 2)
    fetched = [(event.event_number, event.model) for event in ward.queue.events if event.event_number]
    assert fetched == [(3, "stroke"), (5, "stroke")]
    assert ward.reconcile()[0].missing == 0


def test_a_gap_of_both_is_asked_for_once_and_a_model_added_lately_has_none() -> None:
    ward = Ward(Offers(backport=True, events=True, topics=(TOPIC,)), topic=TOPIC)
    ward.subscribe(TOPIC)
    ward.ehr.event_log = [(number, "Encounter/e1") for number in range(1, 4)]
    ward.marks.seen("general", "admissions/whas500", 1, ward.clock().isoformat())
    (report,) = ward.reconcile()
    assert (report.missing, report.fetched) == (2, 2)
    assert {event.model for event in ward.queue.events if event.event_number} == {"whas500"}
    ward.queue.events.clear()
    ward.ehr.event_log.append((4, "Encounter/e1"))
    (report,) = ward.reconcile()
    assert (report.missing, report.fetched) == (1, 2)
    asked = [sent for sent in ward.ehr.requests if "$events" in str(sent.url)]
    assert len(asked) == 2
    assert {event.model for event in ward.queue.events if event.event_number == 4} == set(MODELS)


def test_a_result_keeps_its_ground_while_any_subscription_asks_for_it() -> None:
    ward = Ward()
    ward.subscribe()
    ward.reconcile()
    ward.work()
    outpatients = SubscriptionEntry("visits", SECRET, "Encounter?class=AMB", None, ("whas500",))
    ward.tenant.subscriptions["visits"] = outpatients  # type: ignore[index]
    ward.ehr.put(encounter(**{"class": {"code": "AMB"}}))
    ward.clock.forward(minutes=20)
    assert [report.withdrawn for report in ward.reconcile()] == [0, 0]
    ward.ehr.put(encounter(**{"class": {"code": "VR"}}))
    assert sum(report.withdrawn for report in ward.reconcile()) == 2


def test_the_ledger_in_dynamodb_remembers_many_without_a_name(cloud: Cloud) -> None:
    ledger = TableLedger("ledger")
    known = [PassedOver("general", "stroke", f"Encounter/canary-{number}", "1") for number in range(130)]
    for one in known:
        ledger.pass_over(one)
    other = PassedOver("general", "stroke", "Encounter/canary-1", "2")
    assert ledger.passed_over([*known, other]) == set(known)
    assert ledger.passed_over([]) == set()
    assert "canary" not in str(cloud.ledger.scan()["Items"])
