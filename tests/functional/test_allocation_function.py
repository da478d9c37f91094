"""The allocation function's handler: events become one solve a ward and minute, solves become proposals."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import boto3
import pytest

from fhir_adapter.client import FhirClient, RetryPolicy
from fhir_adapter.tenants import Tenant
from functions.allocation.debounce import MemorySolves, SqsSolves, solve_from, told_to_solve
from functions.allocation.handler import AllocationFunction
from functions.allocation.solving import Solve
from functions.serving.errors import EventRejected
from functions.serving.events import new_event
from functions.serving.marks import TableMarks
from tests.functional.conftest import Cloud
from tests.samples import tenant_json
from tests.wards import NOW, WardEhr, encounter, location, patient, small_house

Run = Callable[..., list[str]]
QUEUE = "arn:aws:sqs:eu-central-1:123456789012:events"


@pytest.fixture
def ehr() -> WardEhr:
    return WardEhr(*small_house())


@pytest.fixture
def solves() -> MemorySolves:
    return MemorySolves()


@pytest.fixture
def function(ehr: WardEhr, solves: MemorySolves, cloud: Cloud) -> AllocationFunction:
    def connect(tenant: Tenant) -> FhirClient:
        return FhirClient(
            tenant.fhir_base, tenant.token, transport=ehr.transport, retry=RetryPolicy(attempts=2), sleep=lambda _: None
        )

    return AllocationFunction(connect, solves, lambda: NOW)


@pytest.fixture
def run(function: AllocationFunction, lambda_context: Any) -> Run:
    """Hand messages to the handler; returns the ids of those that go back to the queue."""

    def invoke(*bodies: str, arn: str = QUEUE, receives: int = 1) -> list[str]:
        records = [
            {
                "messageId": f"m{index}",
                "receiptHandle": "r",
                "body": body,
                "attributes": {"ApproximateReceiveCount": str(receives), "MessageGroupId": "g"},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": arn,
                "awsRegion": "eu-central-1",
            }
            for index, body in enumerate(bodies)
        ]
        answer = function({"Records": records}, lambda_context)
        return [item["itemIdentifier"] for item in answer["batchItemFailures"]]

    return invoke


def event(focus: str, **more: Any) -> str:
    return new_event("general", "admissions", "focus", focus, "1", **more).to_json()


SOLVE = told_to_solve(Solve("general", "Location/w"))


def test_events_of_a_minute_ask_for_one_solve_of_the_ward(run: Run, solves: MemorySolves, ehr: WardEhr) -> None:
    assert run(event("Encounter/p1"), event("Location/a1"), event("Encounter/p1")) == []
    assert solves.asked == [Solve("general", "Location/w")]
    assert not any(request.method == "PUT" for request in ehr.requests)


def test_an_admission_without_a_place_concerns_every_ward(run: Run, solves: MemorySolves, ehr: WardEhr) -> None:
    ehr.put(location("v", "wa"))
    run(event("Encounter/p2"))
    assert {solve.ward for solve in solves.asked} == {"Location/w", "Location/v"}


def test_the_queue_has_a_group_a_ward_and_a_message_a_minute(cloud: Cloud) -> None:
    client = boto3.client("sqs")
    url = client.create_queue(
        QueueName="solves.fifo", Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "false"}
    )["QueueUrl"]
    queue, solve = SqsSolves(url), Solve("general", "Location/w")
    for seconds in (0, 20, 59):
        queue.ask(solve, NOW + timedelta(seconds=seconds))
    queue.ask(Solve("general", "Location/v"), NOW)
    queue.ask(solve, NOW + timedelta(seconds=61))
    found = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"])["Messages"]
    bodies = [solve_from(message["Body"]) for message in found]
    assert bodies.count(solve) + bodies.count(Solve("general", "Location/v")) == len(found)
    groups = {message["Attributes"]["MessageGroupId"] for message in found}
    assert all("Location" not in group for group in groups)
    count = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    waiting = int(count["ApproximateNumberOfMessages"]) + int(count["ApproximateNumberOfMessagesNotVisible"])
    assert waiting == 3


def test_a_solve_writes_proposals_and_moves_nobody(run: Run, ehr: WardEhr) -> None:
    before = copy.deepcopy(ehr.resources["Encounter/p1"])
    assert run(SOLVE, arn=f"{QUEUE}.fifo") == []
    (task,) = ehr.of_type("Task")
    assert (task["status"], task["intent"], task["for"]["reference"]) == ("requested", "proposal", "Patient/p2")
    assert ehr.resources["Encounter/p1"] == before
    assert {item["status"] for item in ehr.of_type("Observation")} == {"preliminary"}
    assert len(ehr.of_type("Provenance")) == 1


def test_the_same_solve_twice_writes_once(run: Run, ehr: WardEhr) -> None:
    run(SOLVE, arn=f"{QUEUE}.fifo")
    versions = {name: item["meta"]["versionId"] for name, item in ehr.resources.items()}
    run(SOLVE, arn=f"{QUEUE}.fifo")
    assert {name: item["meta"]["versionId"] for name, item in ehr.resources.items()} == versions


def test_an_admission_replans_with_few_moves(run: Run, ehr: WardEhr) -> None:
    run(SOLVE, arn=f"{QUEUE}.fifo")
    ehr.put(patient("p3"))
    ehr.put(encounter("p3"))
    run(SOLVE, arn=f"{QUEUE}.fifo")
    live = [task for task in ehr.of_type("Task") if task["status"] == "requested"]
    assert {task["for"]["reference"] for task in live} >= {"Patient/p3"}
    summaries = [
        item
        for item in ehr.of_type("Observation")
        if item["subject"]["reference"] == "Location/w" and item["status"] == "preliminary"
    ]
    (summary,) = summaries
    numbers = {part["code"]["coding"][0]["code"]: part["valueQuantity"]["value"] for part in summary["component"]}
    assert numbers["moves"] <= 1
    assert numbers["without-bed"] == 0


def test_what_we_wrote_is_no_reason_to_plan_again(run: Run, ehr: WardEhr, solves: MemorySolves) -> None:
    run(SOLVE, arn=f"{QUEUE}.fifo")
    (task,) = ehr.of_type("Task")
    run(event(f"Task/{task['id']}"))
    assert solves.asked == []


def test_a_deleted_focus_concerns_every_ward(run: Run, solves: MemorySolves, ehr: WardEhr) -> None:
    run(event("Encounter/gone"), event("Encounter/p1", deleted=True))
    assert solves.asked == [Solve("general", "Location/w")]


def test_a_schedule_asks_for_every_ward(
    function: AllocationFunction, solves: MemorySolves, lambda_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENANTS", "general")
    assert function({"source": "aws.events"}, lambda_context) == {"asked": 1}
    assert solves.asked == [Solve("general", "Location/w")]


def test_a_ward_that_is_not_there_is_put_aside_with_its_cause(run: Run, cloud: Cloud) -> None:
    assert run(told_to_solve(Solve("general", "Location/nowhere")), arn=f"{QUEUE}.fifo") == []
    (message,) = cloud.messages(cloud.dead_letter_url)
    assert "is no ward of this house" in message["MessageAttributes"]["cause"]["StringValue"]


def test_an_ehr_that_is_down_sends_the_message_back_and_at_last_aside(run: Run, ehr: WardEhr, cloud: Cloud) -> None:
    ehr.down = True
    assert run(SOLVE, arn=f"{QUEUE}.fifo") == ["m0"]
    assert cloud.messages(cloud.dead_letter_url) == []
    assert run(SOLVE, arn=f"{QUEUE}.fifo", receives=3) == []
    (message,) = cloud.messages(cloud.dead_letter_url)
    assert message["MessageAttributes"]["cause"]["StringValue"].startswith("FhirUnavailable")


def test_a_change_between_reading_and_writing_is_read_again(run: Run, ehr: WardEhr) -> None:
    run(SOLVE, arn=f"{QUEUE}.fifo")
    ehr.put(patient("p3"))
    ehr.put(encounter("p3"))
    (task,) = [item for item in ehr.of_type("Task") if item["status"] == "requested"]
    done = []

    def interfere(request: Any) -> None:
        body = json.loads(request.content or b"{}")
        if body.get("type") == "transaction" and not done:
            done.append(True)
            current = ehr.resources[f"Observation/{summary['id']}"]
            ehr.put({**current, "note": [{"text": "seen"}]})

    summary = next(item for item in ehr.of_type("Observation") if item["subject"]["reference"] == "Location/w")
    ehr.before = interfere
    assert run(SOLVE, arn=f"{QUEUE}.fifo") == []
    assert done
    assert ehr.resources[f"Observation/{summary['id']}"]["status"] == "entered-in-error"
    assert ehr.resources[f"Task/{task['id']}"]["status"] in ("requested", "cancelled")


def test_nothing_of_a_patient_is_logged(
    run: Run, ehr: WardEhr, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    ehr.put(patient("p2", birthDate="1901-02-03", id="p2"))
    run(event("Encounter/p1"), SOLVE)
    told = "".join([*capsys.readouterr(), *(str(record.__dict__) for record in caplog.records)])
    assert "ward planned" in told
    for canary in ("Patient/", "Encounter/", "1901-02-03"):
        assert canary not in told


def test_how_each_ended_is_on_record(run: Run, ehr: WardEhr, cloud: Cloud) -> None:
    run(event("Encounter/p1", event_number=7), SOLVE)
    asked, solved = sorted(cloud.entries(), key=lambda entry: entry["outcome"])
    assert (asked["outcome"], asked["model"], asked["found"]) == ("asked", "ward", 1)
    assert (solved["pk"], solved["outcome"], solved["model"]) == ("event#m1", "proposed", "ward")
    assert ehr.resources[solved["result"]]["subject"]["reference"] == "Location/w"
    assert TableMarks("ledger").state("general", "admissions").numbers == {7}
    run(SOLVE)
    assert {entry["outcome"] for entry in cloud.entries()} == {"proposed", "asked", "unchanged"}


def test_what_failed_is_on_record_with_its_cause(run: Run, ehr: WardEhr, cloud: Cloud) -> None:
    run(told_to_solve(Solve("general", "Location/nowhere")))
    (entry,) = cloud.entries()
    assert (entry["pk"], entry["outcome"], entry["reason"]) == ("event#m0", "failed", "EventRejected")
    ehr.down = True
    assert run(event("Encounter/p1", event_number=3), receives=3) == []
    assert {entry["reason"] for entry in cloud.entries()} == {"EventRejected", "FhirUnavailable"}
    assert TableMarks("ledger").state("general", "admissions").numbers == {3}


def test_an_event_of_a_subscription_that_is_gone_is_put_aside(run: Run, cloud: Cloud, solves: MemorySolves) -> None:
    assert run(new_event("general", "gone", "focus", "Encounter/p1", "1").to_json()) == []
    assert len(cloud.messages(cloud.dead_letter_url)) == 1
    assert solves.asked == []


def test_the_ehr_keeps_who_looked_at_whose_record_and_what_was_written(run: Run, ehr: WardEhr, cloud: Cloud) -> None:
    boto3.client("secretsmanager").put_secret_value(
        SecretId="bedside/tenants/general", SecretString=json.dumps({**tenant_json(), "audit": "ehr"})
    )
    assert run(SOLVE) == []
    found = {item["action"]: item for item in ehr.of_type("AuditEvent")}
    assert set(found) == {"E", "C"}
    for item in found.values():
        named = [entity["what"] for entity in item["entity"] if "what" in entity]
        people = {what["reference"] for what in named if what.get("reference", "").startswith("Patient/")}
        assert people == {"Patient/p1", "Patient/p2"}
        assert named[-1] == {"identifier": {"value": "m0"}}
    written = {entity["what"].get("reference") for entity in found["C"]["entity"]}
    assert {f"Task/{task['id']}" for task in ehr.of_type("Task")} <= written
    run(SOLVE)
    assert len(ehr.of_type("AuditEvent")) == 2, "a second try of a message is the same event"


def test_a_log_keeps_of_audits_what_tells_of_no_patient(
    run: Run, ehr: WardEhr, caplog: pytest.LogCaptureFixture
) -> None:
    run(SOLVE)
    audits = [record.__dict__["audit"] for record in caplog.records if "audit" in record.__dict__]
    assert sorted(item["action"] for item in audits) == ["C", "E"]
    assert "Patient/" not in json.dumps(audits)
    assert not ehr.of_type("AuditEvent")


def test_messages_that_are_neither(run: Run, cloud: Cloud) -> None:
    assert run("not JSON", json.dumps({"solve": {"tenant": 1}})) == []
    assert len(cloud.messages(cloud.dead_letter_url)) == 2
    with pytest.raises(EventRejected):
        solve_from('{"solve": 1}')
