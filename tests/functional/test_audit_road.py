"""AuditEvents on the road of an event: written with the result, or kept elsewhere, and never twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from fhir_adapter.audit import MemoryAudit
from fhir_adapter.client import FhirClient, RetryPolicy
from fhir_adapter.errors import FhirUnavailable
from fhir_adapter.evidence import check
from functions.serving.events import Event, new_event
from functions.serving.package import Model, load_package
from functions.serving.worker import Outcome, answer_event
from functions.survival.predict import SurvivalModel
from tests.fakes import BASE, FakeEhr
from tests.samples import admission, tenant

PACKAGE = load_package(Path("functions/survival/packages/whas500"))
MODEL = Model(PACKAGE, SurvivalModel(PACKAGE).predict)


@pytest.fixture
def ehr() -> FakeEhr:
    return FakeEhr(*admission())


def admitted(number: int = 1) -> Event:
    """An event of a fixed id: a random one would hold any two digits, a patient's value too, one time in ten."""
    event = new_event("general", "admissions", "focus", "Encounter/e1", "1", "Patient/p1")
    return replace(event, id=f"00000000-0000-4000-8000-00000000000{number}")


def answer(ehr: FakeEhr, event: Event, audit: str, sink: MemoryAudit) -> Outcome:
    client = FhirClient(BASE, transport=ehr.transport, retry=RetryPolicy(attempts=1))
    return answer_event(event, replace(tenant(), audit=audit), client, MODEL, audit=sink)


@pytest.mark.conformance("J01", "J02")
def test_one_for_the_read_and_one_for_the_write_in_the_same_two_round_trips(ehr: FakeEhr) -> None:
    sink = MemoryAudit()
    outcome = answer(ehr, admitted(), "ehr", sink)
    assert len(ehr.requests) == 2
    read, write = ehr.of_type("AuditEvent")
    assert (read["subtype"][0]["code"], write["subtype"][0]["code"]) == ("search-type", "create")
    for event in (read, write):
        check(event)
        assert event["entity"][0]["what"] == {"reference": "Patient/p1"}
    named = [item["what"]["reference"] for item in write["entity"] if "reference" in item.get("what", {})]
    assert outcome.result in named
    assert {reference.split("/")[0] for reference in named} >= {"RiskAssessment", "Observation", "Provenance"}
    assert "96" not in json.dumps([item for item in write["entity"] if "reference" not in item.get("what", {})])
    assert sink.events == {}


@pytest.mark.conformance("J02")
def test_a_retry_doubles_no_audit_event_and_a_second_notification_adds_its_read(ehr: FakeEhr) -> None:
    lost = [True]

    def take_and_lose(request: httpx.Request) -> httpx.Response | None:
        if b'"transaction"' in request.content and lost:
            lost.pop()
            ehr._bundle(json.loads(request.content))
            raise httpx.ReadTimeout("lost")
        return None

    ehr.before = take_and_lose
    event = admitted()
    with pytest.raises(FhirUnavailable):
        answer(ehr, event, "ehr", MemoryAudit())
    assert answer(ehr, event, "ehr", MemoryAudit()).outcome == "duplicate"
    assert len(ehr.of_type("AuditEvent")) == 2
    assert answer(ehr, admitted(2), "ehr", MemoryAudit()).outcome == "duplicate"
    assert [item["action"] for item in ehr.of_type("AuditEvent")] == ["E", "C", "E"]
    assert len(ehr.of_type("RiskAssessment")) == 1


@pytest.mark.conformance("J02")
def test_an_ehr_that_keeps_no_audit_record_is_not_asked_to(ehr: FakeEhr) -> None:
    sink = MemoryAudit()
    answer(ehr, admitted(), "log", sink)
    assert ehr.of_type("AuditEvent") == []
    assert [event["action"] for event in sink.events.values()] == ["E", "C"]
    answer(ehr, admitted(2), "log", sink)
    assert [event["action"] for event in sink.events.values()] == ["E", "C", "E"]
