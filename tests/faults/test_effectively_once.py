"""Duplicates, eight workers at once, and a kill at any step: one live result, and no event is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, Queue
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from aws_lambda_powertools import Logger

from fhir_adapter.client import FhirClient, RetryPolicy
from fhir_adapter.tenants import Tenant
from functions.serving.events import Event, new_event
from functions.serving.handler import ModelFunction
from functions.serving.steps import Step
from functions.survival.app import handler as survival_handler
from tests.functional.conftest import Cloud, cloud, namespace  # noqa: F401 - fixtures
from tests.samples import admission, encounter, observation
from tests.strict_ehr import Offers, StrictEhr

WORKERS = 8
DUPLICATES = 19
# Where the connection may break: the worker has no say in between, so the EHR tells.
WIRE = ("wire:sent", "wire:stored")
STEPS = (*map(str, Step), *WIRE)
PATIENCE = 60.0


class Killed(BaseException):
    """The process is gone: no handler of exceptions runs, no record is tidied up."""


class Killer:
    """Kills the first workers that come to a step; the kills are all there is to a step's name."""

    def __init__(self, step: str | None, times: int) -> None:
        self.step = step
        self.left = times
        self.passed: list[str] = []
        self._lock = threading.Lock()

    def __call__(self, step: str) -> None:
        with self._lock:
            self.passed.append(str(step))
            if str(step) != self.step or self.left == 0:
                return
            self.left -= 1
        raise Killed(step)


class NoMetrics:
    def add_metric(self, *_: object) -> None: ...

    def flush_metrics(self) -> None: ...


class Fleet:
    """Workers that take from one queue as Lambda does: what is not acknowledged comes again."""

    def __init__(self, ehr: StrictEhr, killer: Killer, cloud: Cloud) -> None:  # noqa: F811
        self.queue: Queue[str] = Queue()
        self.answered: list[str] = []
        self._killer = killer
        self._lock = threading.Lock()
        ehr.before = self._on_wire("wire:sent")
        ehr.committed = self._on_wire("wire:stored")
        connect = connect_to(ehr)
        self._functions = [ModelFunction(survival_handler.models, connect, killer) for _ in range(WORKERS)]
        for function in self._functions:
            # its handlers would outlive this test and write to a stream that is closed
            function._logger = Logger(service="fleet", level="CRITICAL")
            # Powertools keeps one set of metrics a process, and Lambda one worker a process
            function._metrics = NoMetrics()  # type: ignore[assignment]
            # made before the threads start: boto3's default session is not theirs to race for
            _ = function._answer_once, function._ledger._table, function._marks._table
            _ = function._queue._default._client, function._dead_letters._client

    def _on_wire(self, step: str) -> Callable[[httpx.Request], None]:
        """Only the write counts as the wire; reads have their own steps."""

        def at(request: httpx.Request) -> None:
            if b'"PUT"' in request.content or b'"transaction"' in request.content or request.method == "PUT":
                self._killer(step)

        return at

    def run(self, events: list[Event]) -> None:
        for event in events:
            self.queue.put(event.to_json())
        deadline = time.monotonic() + PATIENCE
        with ThreadPoolExecutor(WORKERS) as pool:
            for done in [pool.submit(self._work, function, len(events), deadline) for function in self._functions]:
                done.result()

    def _work(self, function: ModelFunction, total: int, deadline: float) -> None:
        while len(self.answered) < total:
            assert time.monotonic() < deadline, "an event was lost, or never came to an end"
            try:
                body = self.queue.get(timeout=0.02)
            except Empty:
                continue
            try:
                again = function({"Records": [record(body)]}, context())["batchItemFailures"]
            except Killed:
                again = ["killed"]
            if again:
                self.queue.put(body)
            else:
                with self._lock:
                    self.answered.append(body)


def connect_to(ehr: StrictEhr) -> Callable[[Tenant], FhirClient]:
    def connect(tenant: Tenant) -> FhirClient:
        policy = RetryPolicy(attempts=2)
        return FhirClient(
            tenant.fhir_base, tenant.token, transport=ehr.transport, retry=policy, sleep=lambda _seconds: None
        )

    return connect


def record(body: str) -> dict[str, Any]:
    return {
        "messageId": "m",
        "receiptHandle": "r",
        "body": body,
        "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:events",
        "awsRegion": "eu-central-1",
    }


def context() -> Any:
    """A worker with 30 ms to live, so that a killed one does not hold the others up for long."""
    return SimpleNamespace(
        function_name="test",
        invoked_function_arn="arn:aws:lambda:eu-central-1:123456789012:function:test",
        memory_limit_in_mb=512,
        aws_request_id="0",
        get_remaining_time_in_millis=lambda: 30,
    )


def duplicates(number: int = DUPLICATES) -> list[Event]:
    return [new_event("general", "admissions", "focus", "Encounter/e1", "1", "Patient/p1") for _ in range(number)]


def one_whole_result(ehr: StrictEhr) -> dict[str, Any]:
    """Exactly one live RiskAssessment, its Observation live too, a Provenance for both."""
    (live,) = ehr.live()
    (observed,) = [item for item in ehr.live("Observation") if item["meta"].get("tag")]
    assert f"Observation/{observed['id']}" in {item["reference"] for item in live["basis"]}
    targets = [
        {target["reference"] for target in provenance["target"]}
        for provenance in ehr.of_type("Provenance")
        if provenance["activity"]["coding"][0]["code"] == "CREATE"
    ]
    assert {f"RiskAssessment/{live['id']}", f"Observation/{observed['id']}"} in targets
    return live


@pytest.mark.conformance("C10", "G33")
def test_every_step_is_passed_by_an_ordinary_event(cloud: Cloud) -> None:  # noqa: F811
    killer = Killer(None, 0)
    Fleet(StrictEhr(*admission()), killer, cloud).run(duplicates(1))
    assert list(dict.fromkeys(killer.passed)) == sorted(set(STEPS), key=killer.passed.index)
    assert set(killer.passed) == set(STEPS)


@pytest.mark.conformance("C09", "C10", "G30", "G32", "G33")
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("kills", [1, WORKERS])
def test_duplicates_workers_and_a_kill_at_every_step(step: str, kills: int, cloud: Cloud) -> None:  # noqa: F811
    ehr = StrictEhr(*admission())
    killer = Killer(step, kills)
    events = duplicates()
    Fleet(ehr, killer, cloud).run(events)
    assert killer.left == 0 or killer.passed.count(step) < kills, "the kill was made"
    assert killer.left < kills
    live = one_whole_result(ehr)
    assert len(ehr.of_type("RiskAssessment")) == 1
    # two workers that read at the same moment put the same resource twice: still one, and the same
    versions = ehr.history[f"RiskAssessment/{live['id']}"]
    assert all({**version, "meta": None} == {**live, "meta": None} for version in versions)
    entries = cloud.entries()
    assert {entry["pk"] for entry in entries} == {f"event#{event.id}" for event in events}
    assert {entry["outcome"] for entry in entries} <= {"predicted", "duplicate"}
    assert cloud.messages(cloud.dead_letter_url) == []


@pytest.mark.conformance("G35", "G33")
@pytest.mark.parametrize("update_create", [True, False])
@pytest.mark.parametrize("nth", range(1, 7))
def test_without_transactions_a_kill_between_two_writes_is_mended(
    update_create: bool,
    nth: int,
    cloud: Cloud,  # noqa: F811
) -> None:
    """One by one, the kill comes after the n-th resource is stored; the next worker writes what is left."""
    offers = Offers(transaction=False, update_create=update_create)
    ehr = StrictEhr(*admission(), offers=offers)
    killer = Killer(None, 0)
    fleet = Fleet(ehr, killer, cloud)
    stored = iter(range(1, 1000))

    def die(request: httpx.Request) -> None:
        if request.method in ("PUT", "POST") and b'"Bundle"' not in request.content and next(stored) == nth:
            raise Killed

    ehr.before, ehr.committed = None, die
    fleet.run(duplicates(3))
    one_whole_result(ehr)
    assert len(ehr.of_type("RiskAssessment")) == 1
    assert len(ehr.of_type("Device")) == 1
    assert len(ehr.of_type("Provenance")) == 1
    assert cloud.messages(cloud.dead_letter_url) == []


@pytest.mark.conformance("G34")
@pytest.mark.parametrize("step", [Step.AFTER_READ, Step.BEFORE_WRITE, Step.AFTER_WRITE, WIRE[1]], ids=str)
def test_versions_out_of_order_and_at_once_leave_the_newest(step: str, cloud: Cloud) -> None:  # noqa: F811
    """The record changes while eight workers answer shuffled events of all its versions, and one is killed."""
    ehr = StrictEhr(*admission())
    killer = Killer(step, 1)
    fleet = Fleet(ehr, killer, cloud)
    rates = iter(range(100, 160, 10))
    on_wire = ehr.before
    assert on_wire is not None

    def change(request: httpx.Request) -> httpx.Response | None:
        """While a result is on its way, the patient's heart rate changes."""
        if b'"transaction"' in request.content and (rate := next(rates, None)):
            ehr.put(observation("hr", "8867-4", rate, "/min"))
            ehr.put(encounter())
        return on_wire(request)

    ehr.before = change
    events = [
        new_event("general", "admissions", "focus", "Encounter/e1", str(version), "Patient/p1")
        for version in (3, 1, 7, 2, 5, 4, 6, 1, 7, 3)
    ]
    fleet.run(events)
    # the last change may have come after the last event's read; its own event tells
    fleet.answered.clear()
    newest = ehr.resources["Encounter/e1"]["meta"]["versionId"]
    fleet.run([new_event("general", "admissions", "focus", "Encounter/e1", f"{newest}-last", "Patient/p1")])
    live = one_whole_result(ehr)
    heart_rate = ehr.resources["Observation/hr"]["meta"]["versionId"]
    assert f"Observation/hr/_history/{heart_rate}" in {item["reference"] for item in live["basis"]}
    older = [item for item in ehr.of_type("RiskAssessment") if item["id"] != live["id"]]
    assert older, "results of older versions are kept"
    assert {item["status"] for item in older} == {"entered-in-error"}
    assert cloud.messages(cloud.dead_letter_url) == []
