"""The survival function's handler on its whole road: SQS batch in, resources in the EHR, ledger, dead letters."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from fhir_adapter.client import FhirClient, RetryPolicy
from fhir_adapter.evidence import horizon_days
from fhir_adapter.tenants import Tenant
from functions.serving.events import Event, new_event
from functions.serving.handler import ModelFunction
from functions.serving.marks import TableMarks
from functions.survival.app import handler as survival_handler
from tests.fakes import BASE, FakeEhr
from tests.functional.conftest import Cloud
from tests.samples import admission, encounter, observation, patient

Run = Callable[..., list[str]]


def connect_to(ehr: FakeEhr) -> Callable[[Tenant], FhirClient]:
    def connect(tenant: Tenant) -> FhirClient:
        return FhirClient(
            tenant.fhir_base,
            tenant.token,
            transport=ehr.transport,
            retry=RetryPolicy(attempts=2),
            sleep=lambda _seconds: None,
        )

    return connect


@pytest.fixture
def ehr() -> FakeEhr:
    return FakeEhr(*admission())


@pytest.fixture
def run(ehr: FakeEhr, cloud: Cloud, lambda_context: Any, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Hand messages to the handler; returns the ids of those that go back to the queue."""
    # a logger of its own: Powertools keeps one a service, with the stream of whichever test made it
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", f"test-{uuid4()}")
    function = ModelFunction(survival_handler.models, connect_to(ehr))

    def invoke(*messages: Event | str, receives: int = 1) -> list[str]:
        records = [
            {
                "messageId": f"m{index}",
                "receiptHandle": "r",
                "body": message if isinstance(message, str) else message.to_json(),
                "attributes": {"ApproximateReceiveCount": str(receives)},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:events",
                "awsRegion": "eu-central-1",
            }
            for index, message in enumerate(messages)
        ]
        answer = function({"Records": records}, lambda_context)
        return [item["itemIdentifier"] for item in answer["batchItemFailures"]]

    return invoke


def admitted(version: str | None = "1", patient_hint: str | None = "Patient/p1", focus: str = "Encounter/e1") -> Event:
    return new_event("general", "admissions", "focus", focus, version, patient_hint)


def test_an_admission_becomes_a_prediction_in_two_round_trips(run: Run, ehr: FakeEhr, cloud: Cloud) -> None:
    assert run(admitted()) == []
    assert [request.method for request in ehr.requests] == ["POST", "POST"]
    (risk,) = ehr.of_type("RiskAssessment")
    assert [horizon_days(item) for item in risk["prediction"]] == [30, 180, 365, 1095]
    percentages = [item["probabilityDecimal"] for item in risk["prediction"]]
    assert percentages == sorted(percentages)
    assert all(0 < value < 100 for value in percentages)
    (entry,) = cloud.entries()
    assert entry["outcome"] == "predicted"
    assert entry["result"] == f"RiskAssessment/{risk['id']}"
    assert entry["latency_ms"] >= 0


def test_without_a_hint_one_more_round_trip_finds_the_patient(run: Run, ehr: FakeEhr) -> None:
    assert run(admitted(patient_hint=None)) == []
    assert len(ehr.requests) == 3
    assert len(ehr.of_type("RiskAssessment")) == 1


def test_a_wrong_hint_is_not_believed(run: Run, ehr: FakeEhr) -> None:
    ehr.put(patient(id="other", birthDate="1920-01-01"))
    assert run(admitted(patient_hint="Patient/other")) == []
    (risk,) = ehr.of_type("RiskAssessment")
    assert risk["subject"] == {"reference": "Patient/p1"}


def test_the_same_event_twice_writes_once(run: Run, ehr: FakeEhr, cloud: Cloud) -> None:
    event = admitted()
    assert run(event) == []
    requests = len(ehr.requests)
    assert run(event, admitted()) == []
    assert len(ehr.requests) == requests, "a remembered answer asks the EHR nothing"
    assert len(ehr.of_type("RiskAssessment")) == 1
    assert sorted(entry["outcome"] for entry in cloud.entries()) == ["duplicate", "predicted"]


def test_the_same_inputs_write_once_even_when_nothing_is_remembered(run: Run, ehr: FakeEhr, cloud: Cloud) -> None:
    assert run(admitted(version=None)) == []
    assert run(admitted(version=None)) == []
    results = [*ehr.of_type("RiskAssessment"), *ehr.of_type("Provenance"), *ehr.of_type("Device")]
    assert [result["meta"]["versionId"] for result in results] == ["1", "1", "1"]
    assert sorted(entry["outcome"] for entry in cloud.entries()) == ["duplicate", "predicted"]


def test_a_new_version_of_an_input_is_a_new_result(run: Run, ehr: FakeEhr) -> None:
    run(admitted("1"))
    ehr.put(observation("hr", "8867-4", 120, "/min"))
    ehr.put(encounter())
    run(admitted("2"))
    assert len(ehr.of_type("RiskAssessment")) == 2
    assert len(ehr.of_type("Device")) == 1


@pytest.mark.conformance("G34")
def test_a_newer_result_marks_the_older_one_and_says_so(run: Run, ehr: FakeEhr, cloud: Cloud) -> None:
    run(admitted("1"))
    (older,) = ehr.of_type("RiskAssessment")
    requests = len(ehr.requests)
    ehr.put(observation("hr", "8867-4", 120, "/min"))
    ehr.put(encounter())
    run(admitted("2"))
    assert len(ehr.requests) == requests + 2, "superseding costs no further round trip"
    (live,) = [item for item in ehr.of_type("RiskAssessment") if item["status"] == "preliminary"]
    assert ehr.resources[f"RiskAssessment/{older['id']}"]["status"] == "entered-in-error"
    provenance = next(
        item for item in ehr.of_type("Provenance") if {"reference": f"RiskAssessment/{live['id']}"} in item["target"]
    )
    revised = {item["what"]["reference"] for item in provenance["entity"] if item["role"] == "revision"}
    assert f"RiskAssessment/{older['id']}/_history/1" in revised
    transaction = json.loads(ehr.requests[-1].content)
    marks = [entry["request"] for entry in transaction["entry"] if "ifMatch" in entry["request"]]
    assert {mark["ifMatch"] for mark in marks} == {'W/"1"'}
    assert len(marks) == 2
    assert sorted(entry["replaced"] for entry in cloud.entries()) == [0, 2]


def test_an_abstention_takes_the_place_of_a_prediction_too(run: Run, ehr: FakeEhr) -> None:
    run(admitted("1"))
    ehr.put(encounter(status="cancelled"))
    run(admitted("2"))
    assert [item["status"] for item in ehr.of_type("RiskAssessment")] == ["entered-in-error"]


def test_what_a_person_confirmed_is_not_taken_back(run: Run, ehr: FakeEhr) -> None:
    run(admitted("1"))
    (risk,) = ehr.of_type("RiskAssessment")
    ehr.put({**risk, "status": "final"})
    ehr.put(encounter())
    run(admitted("2"))
    assert sorted(item["status"] for item in ehr.of_type("RiskAssessment")) == ["final", "preliminary"]


@pytest.mark.conformance("D05")
def test_an_older_event_that_comes_late_changes_nothing(run: Run, ehr: FakeEhr, cloud: Cloud) -> None:
    """Everything is read again, so the late event of version 1 is answered from version 2, which is there."""
    ehr.put(encounter())
    run(admitted("2"))
    (risk,) = ehr.of_type("RiskAssessment")
    run(admitted("1"))
    assert ehr.of_type("RiskAssessment") == [risk]
    assert sorted(entry["outcome"] for entry in cloud.entries()) == ["duplicate", "predicted"]


def test_our_own_writes_do_not_trigger_us(run: Run, ehr: FakeEhr, cloud: Cloud) -> None:
    run(admitted())
    before = dict(ehr.resources)
    kinds = ("Observation", "RiskAssessment", "Provenance", "Device")
    ours = [f"{kind}/{item['id']}" for kind in kinds for item in ehr.of_type(kind) if item["meta"].get("tag")]
    assert len(ours) >= 4
    assert run(*(admitted(focus=focus) for focus in ours)) == []
    assert ehr.resources == before
    outcomes = [entry["outcome"] for entry in cloud.entries()]
    assert sorted(outcomes) == sorted(["predicted", *["ignored"] * len(ours)])
    assert cloud.messages(cloud.dead_letter_url) == []


@pytest.mark.conformance("D03", "D04")
@pytest.mark.parametrize("hint", ["Patient/p1", None])
def test_a_deleted_focus_withdraws_its_results(run: Run, ehr: FakeEhr, cloud: Cloud, hint: str | None) -> None:
    run(admitted())
    del ehr.resources["Encounter/e1"]
    assert run(new_event("general", "admissions", "focus", "Encounter/e1", None, hint, deleted=True)) == []
    assert [item["status"] for item in ehr.of_type("RiskAssessment")] == ["entered-in-error"]
    assert "withdrawn" in {entry["outcome"] for entry in cloud.entries()}


def test_a_deletion_of_what_was_never_answered_or_is_still_there(run: Run, ehr: FakeEhr, cloud: Cloud) -> None:
    gone = new_event("general", "admissions", "focus", "Encounter/none", None, None, deleted=True)
    stale = new_event("general", "admissions", "focus", "Encounter/e1", "1", "Patient/p1", deleted=True)
    assert run(gone, stale) == []
    assert len(ehr.of_type("RiskAssessment")) == 1, "the record says that it is there, and counts"
    assert sorted(entry["outcome"] for entry in cloud.entries()) == ["ignored", "predicted"]


@pytest.mark.conformance("G33", "G34")
def test_a_record_that_never_stands_still_goes_back_to_the_queue(run: Run, ehr: FakeEhr) -> None:
    def conflict(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(412) if b'"transaction"' in request.content else None

    ehr.before = conflict
    assert run(admitted()) == ["m0"]
    assert ehr.of_type("RiskAssessment") == []


@pytest.mark.conformance("C10")
def test_event_numbers_are_marked_when_their_events_have_ended(run: Run, ehr: FakeEhr, cloud: Cloud) -> None:
    events = [
        new_event("general", "admissions", "focus", "Encounter/e1", "1", "Patient/p1", event_number=number)
        for number in (7, 5)
    ]
    ehr.before = lambda _request: httpx.Response(503)
    assert run(*events) == ["m0", "m1"]
    marks = TableMarks("ledger")
    assert marks.state("general", "admissions").numbers == set()
    ehr.before = None
    assert run(*events, receives=2) == []
    assert marks.state("general", "admissions").gaps() == ((6, 6),)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda ehr: ehr.resources.pop("Observation/hr"), "missing-input"),
        (lambda ehr: ehr.resources.pop("Condition/mi"), "outside-population"),
        (lambda ehr: ehr.put(encounter(period={"end": "2026-01-12"})), "no-index-time"),
        (lambda ehr: ehr.put(encounter(status="cancelled")), "outside-population"),
    ],
)
def test_what_cannot_be_answered_is_an_abstention_on_record(
    run: Run, ehr: FakeEhr, cloud: Cloud, change: Callable[[FakeEhr], Any], reason: str
) -> None:
    change(ehr)
    assert run(admitted()) == []
    assert ehr.of_type("RiskAssessment") == []
    (entry,) = cloud.entries()
    assert (entry["outcome"], entry["reason"]) == ("abstained", reason)
    kind, identifier = entry["result"].split("/")
    assert kind == "Observation"
    written = ehr.resources[f"Observation/{identifier}"]
    assert written["dataAbsentReason"]["coding"][1]["code"] == reason


def test_an_ehr_that_is_down_is_retried_then_put_aside_with_its_cause(run: Run, ehr: FakeEhr, cloud: Cloud) -> None:
    ehr.before = lambda _request: httpx.Response(503)
    event = admitted()
    assert run(event, receives=1) == ["m0"]
    assert run(event, receives=2) == ["m0"]
    assert cloud.messages(cloud.dead_letter_url) == []
    assert run(event, receives=3) == []
    (dead,) = cloud.messages(cloud.dead_letter_url)
    assert Event.from_json(dead["Body"]) == event
    assert dead["MessageAttributes"]["cause"]["StringValue"] == "FhirUnavailable: the FHIR server answered 503"
    (entry,) = cloud.entries()
    assert (entry["outcome"], entry["reason"]) == ("failed", "FhirUnavailable")


def test_an_ehr_that_recovers_loses_nothing(run: Run, ehr: FakeEhr) -> None:
    ehr.before = lambda _request: httpx.Response(503)
    event = admitted()
    assert run(event) == ["m0"]
    ehr.before = None
    assert run(event, receives=2) == []
    assert len(ehr.of_type("RiskAssessment")) == 1


def test_a_lost_answer_to_the_write_makes_no_second_result(run: Run, ehr: FakeEhr) -> None:
    """Kill between request and response: the transaction was taken, its answer was lost, the event comes again."""

    def take_and_lose(request: httpx.Request) -> httpx.Response | None:
        if b'"transaction"' in request.content and lost:
            lost.pop()
            ehr._bundle(json.loads(request.content))
            raise httpx.ReadTimeout("lost")
        return None

    lost = [True, True]
    ehr.before = take_and_lose
    assert run(admitted()) == ["m0"]
    assert run(admitted(), receives=2) == []
    assert len(ehr.of_type("RiskAssessment")) == 1
    assert len(ehr.of_type("Provenance")) == 1


def test_one_bad_event_does_not_hold_up_the_others(run: Run, ehr: FakeEhr, cloud: Cloud) -> None:
    assert run("not an event", admitted(focus="Encounter/none"), admitted(focus="Patient/p1"), admitted()) == []
    assert len(ehr.of_type("RiskAssessment")) == 1
    causes = sorted(
        message["MessageAttributes"]["cause"]["StringValue"] for message in cloud.messages(cloud.dead_letter_url)
    )
    assert causes == [
        "EventRejected: whas500 answers Encounter notifications, not this type",
        "FhirRejected: the FHIR server answered 404 inside a batch",
        "the message is not an event of the receiver",
    ]


def test_an_unknown_error_is_kept_by_type_only(run: Run, ehr: FakeEhr, cloud: Cloud) -> None:
    def fail(_request: httpx.Request) -> httpx.Response:
        raise ZeroDivisionError("canary-name")

    ehr.before = fail
    assert run(admitted(), receives=3) == []
    (dead,) = cloud.messages(cloud.dead_letter_url)
    assert dead["MessageAttributes"]["cause"]["StringValue"] == "ZeroDivisionError"


def test_a_sweep_queues_what_matches_and_remembers_how_far_it_came(run: Run, ehr: FakeEhr, cloud: Cloud) -> None:
    sweep = new_event("general", "admissions", "sweep")
    assert run(sweep) == []
    (message,) = cloud.messages(cloud.queue_url)
    found = Event.from_json(message["Body"])
    assert (found.focus, found.version, found.patient) == ("Encounter/e1", "1", "Patient/p1")
    assert "_lastUpdated" not in dict(ehr.requests[-1].url.params)
    assert run(new_event("general", "admissions", "sweep")) == []
    assert ehr.requests[-1].url.params["_lastUpdated"] == "ge2025-12-31T23:55:00+00:00"
    assert run(found) == []
    assert len(ehr.of_type("RiskAssessment")) == 1


def test_logs_and_metrics_hold_no_patient_data(
    run: Run, ehr: FakeEhr, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    ehr.put(patient(id="canary-patient", name=[{"family": "canary-family"}]))
    ehr.put(encounter(id="canary-encounter", subject={"reference": "Patient/canary-patient"}))
    run(admitted(patient_hint="Patient/canary-patient", focus="Encounter/canary-encounter"))
    run(admitted(patient_hint="Patient/canary-patient", focus="Encounter/canary-missing"))
    printed = "".join([*capsys.readouterr(), *(str(record.__dict__) for record in caplog.records)])
    assert "event answered" in printed
    assert "_aws" in printed
    assert "canary" not in printed


def test_the_token_goes_to_the_own_server_only(run: Run, ehr: FakeEhr) -> None:
    run(admitted())
    assert {str(request.url).startswith(BASE) for request in ehr.requests} == {True}
