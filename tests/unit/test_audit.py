from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from fhir_adapter.audit import Auditor, LogAudit, MemoryAudit, audited, redacted
from fhir_adapter.errors import (
    InvalidResourceError,
    MalformedNotification,
    NotificationTooLarge,
    NotificationUnauthorized,
    UnknownSubscription,
)
from fhir_adapter.evidence import check
from tests.peering import require_peer

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
AUDITOR = Auditor("general", "General Hospital", "https://ehr.test/fhir", "bedside-survival", "Device/d1", check)
PATIENT = "Patient/canary-patient"
QUERIES = ("Patient/canary-patient", "Observation?patient=canary-patient&code=http://loinc.org|8867-4")
USER = "Practitioner/canary-doctor"
Make = Callable[[str], dict[str, Any]]

EVENTS: dict[str, Make] = {
    "read": lambda event: AUDITOR.read(event, PATIENT, QUERIES, NOW),
    "write": lambda event: AUDITOR.write(event, PATIENT, "RiskAssessment/r1", ["Observation/o1", "Provenance/p1"], NOW),
    "shown": lambda event: AUDITOR.shown(event, PATIENT, "RiskAssessment/r1", USER, NOW),
    "cds-call": lambda event: AUDITOR.cds_call(event, PATIENT, USER, NOW, failed=False),
    "cds-call without a user": lambda event: AUDITOR.cds_call(event, PATIENT, None, NOW, failed=True),
    "launch": lambda event: AUDITOR.launch(event, PATIENT, USER, NOW, failed=False),
    "refused launch": lambda event: AUDITOR.launch(event, None, None, NOW, failed=True),
    "token": lambda event: AUDITOR.token_failed(event, "invalid_client", NOW),
    "rejected": lambda event: AUDITOR.notification_rejected(event, NotificationUnauthorized("canary text"), NOW),
    "malformed": lambda event: AUDITOR.notification_rejected(event, MalformedNotification("canary text"), NOW),
}


@pytest.mark.conformance("J01", "J02", "J03")
@pytest.mark.peer("fhirkit-rs")
@pytest.mark.parametrize("kind", EVENTS)
def test_every_audit_event_is_whole(kind: str) -> None:
    require_peer("fhirkit-rs", module="fhirkit")
    import fhirkit

    event = EVENTS[kind]("e1")
    assert fhirkit.validate(event) == []
    check(event)
    assert event["type"]["code"]
    assert event["subtype"]
    assert event["action"] in "CRUDE"
    assert event["recorded"] == "2026-01-10T12:00:00.000+00:00"
    assert event["outcome"] in ("0", "4", "8")
    assert [agent["requestor"] for agent in event["agent"]].count(True) == 1
    assert event["source"]["observer"]["display"] == "Bedside"
    assert event["purposeOfEvent"][0]["coding"][0]["code"] == "TREAT"
    assert event["entity"][-1]["what"]["identifier"]["value"] == "e1"


@pytest.mark.conformance("J03")
def test_a_read_is_a_patient_query() -> None:
    event = EVENTS["read"]("e1")
    assert [item["code"] for item in event["subtype"]] == ["search-type", "batch"]
    assert event["action"] == "E"
    roles = {agent["type"]["coding"][0]["code"]: agent for agent in event["agent"]}
    assert roles["110153"]["who"]["reference"] == "Device/d1"
    assert roles["110152"]["network"] == {"address": "https://ehr.test/fhir", "type": "5"}
    patient, query, _ = event["entity"]
    assert patient["what"] == {"reference": PATIENT}
    assert (query["type"]["code"], query["role"]["code"]) == ("2", "24")
    assert base64.b64decode(query["query"]).decode().splitlines() == [f"GET {url}" for url in QUERIES]
    assert "what" not in query


@pytest.mark.conformance("J01", "J03")
def test_a_write_names_the_result_and_what_came_with_it() -> None:
    event = EVENTS["write"]("e1")
    assert event["action"] == "C"
    # BALP: exactly one entity is the resource the event is about
    (data,) = [item for item in event["entity"] if item["type"]["code"] == "2"]
    assert data["what"] == {"reference": "RiskAssessment/r1"}
    beside = [
        item["what"]["reference"] for item in event["entity"] if item["type"]["system"].endswith("resource-types")
    ]
    assert beside == ["Observation/o1", "Provenance/p1"]


@pytest.mark.conformance("J02")
def test_a_person_who_is_shown_a_prediction_is_the_requestor() -> None:
    event = EVENTS["shown"]("r1")
    (user,) = [agent for agent in event["agent"] if agent["requestor"]]
    assert user["who"] == {"reference": USER}
    assert "network" not in user


@pytest.mark.conformance("J02")
@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (NotificationUnauthorized("canary"), "110113", "401 login"),
        (UnknownSubscription("canary"), "110113", "404 not-found"),
        (NotificationTooLarge("canary"), "rest", "413 too-long"),
        (MalformedNotification("canary"), "rest", "400 structure"),
    ],
)
def test_a_refused_notification_is_told_without_its_words(error: Any, kind: str, said: str) -> None:
    event = AUDITOR.notification_rejected("e1", error, NOW, address="192.0.2.1")
    assert (event["type"]["code"], event["outcome"], event["outcomeDesc"]) == (kind, "4", said)
    assert "canary" not in json.dumps(event)
    (sender,) = [agent for agent in event["agent"] if agent["requestor"]]
    assert sender["network"] == {"address": "192.0.2.1", "type": "2"}
    check(event)


@pytest.mark.conformance("J02")
@pytest.mark.parametrize("error", [None, "secret token eyJhbGciOi", "INVALID", "a" * 41])
def test_a_failed_token_request_is_told_by_its_code_only(error: str | None) -> None:
    assert EVENTS["token"]("e1")["outcomeDesc"] == "invalid_client"
    event = AUDITOR.token_failed("e1", error, NOW)
    assert event["outcomeDesc"] == "no answer"
    assert (event["outcome"], event["subtype"][0]["code"]) == ("8", "ITI-71")


@pytest.mark.conformance("J02")
def test_a_second_try_is_the_same_event_and_another_notification_another() -> None:
    ids = [EVENTS[kind](event)["id"] for kind in ("read", "write") for event in ("e1", "e1", "e2")]
    assert len(set(ids)) == 4
    elsewhere = Auditor("other", "Other", "https://other.test/fhir").read("e1", PATIENT, QUERIES, NOW)
    assert elsewhere["id"] not in ids
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [{"request": {"method": "PUT", "url": "X/1"}}]}
    whole = audited(bundle, [EVENTS["read"]("e1"), EVENTS["write"]("e1")])
    assert [entry["request"]["url"] for entry in whole["entry"]] == [
        "X/1",
        f"AuditEvent/{ids[0]}",
        f"AuditEvent/{ids[3]}",
    ]
    assert len(bundle["entry"]) == 1
    assert len(audited(None, [EVENTS["read"]("e1")])["entry"]) == 1


@pytest.mark.conformance("J02")
@pytest.mark.parametrize("kind", EVENTS)
def test_a_log_holds_nothing_of_the_patient(kind: str) -> None:
    lines: list[dict[str, Any]] = []
    event = EVENTS[kind]("e1")
    LogAudit(lines.append).record(event)
    (said,) = lines
    line = json.dumps(said)
    assert "canary" not in line
    assert base64.b64encode(b"GET Patient")[:10].decode() not in line
    assert said["id"] == event["id"]
    assert said["entity"][0]["what"]["identifier"]["value"] == "e1", "leads to the ledger"
    check(said)
    assert redacted(said) == said


def test_auditing_loads_no_library_that_validates() -> None:
    """The receiver, which audits what it refuses, has none."""
    code = "import sys, fhir_adapter.audit; print({'fhir', 'pydantic'} & {name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_sink_keeps_an_event_once() -> None:
    sink = MemoryAudit()
    sink.record(EVENTS["read"]("e1"))
    sink.record(EVENTS["read"]("e1"))
    assert len(sink.events) == 1


@pytest.mark.conformance("J01")
@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda event: event["agent"][1].update(requestor=True), "exactly one agent"),
        (lambda event: event["agent"][0].update(requestor=False), "exactly one agent"),
        (lambda event: event["entity"][1].update(name="x"), "sev-1"),
        (lambda event: event.update(action="X"), "action"),
        (lambda event: event.update(outcome="1"), "outcome"),
        (lambda event: event["source"].pop("observer"), "observer"),
    ],
)
def test_what_is_no_audit_event(change: Callable[[dict[str, Any]], Any], rule: str) -> None:
    event = EVENTS["read"]("e1")
    change(event)
    with pytest.raises(InvalidResourceError, match=rule):
        check(event)
