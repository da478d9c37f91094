"""HL7's example notifications (hl7.fhir.uv.subscriptions-backport, CC0), and what each must come to, by hand.

The three of r5/ that are refused carry an Encounter in the shape of R4 (class is one Coding) in a Bundle that says
R5. Where version and shape contradict each other nothing else in the payload can be trusted to mean what R5 means, so
the notification is refused (400); the server sends it again or, being told no, reports the subscription as in error,
and the event is found by its number. The same Bundles with the Encounter in R5's shape are accepted.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from fhir_adapter.errors import MalformedNotification, NotificationError
from fhir_adapter.notifications import (
    Kind,
    Notification,
    Origin,
    SubscriptionStatus,
    parse_notification,
    parse_status,
    parse_statuses,
)
from fhir_adapter.tenants import MemoryTenants, Tenant
from functions.receiver.api import Receiver
from functions.serving.cloud import MemoryQueue
from tests.functional.conftest import lambda_context, namespace
from tests.functional.test_receiver import request
from tests.samples import tenant_json

__all__ = ["lambda_context", "namespace"]

DATA = Path(os.environ.get("BEDSIDE_DATA", Path(__file__).parents[3] / "shared" / "data")) / "notifications"
BASE = "https://example.org/fhir"
ENCOUNTER = "Encounter/86009987-eabe-42bf-8c02-b112b18cb616"
PATIENT = "Patient/1599eb66-431a-447c-a3de-6897fe9ae9a1"
TOPIC = "http://hl7.org/SubscriptionTopic/admission"

HANDSHAKE = [Notification(Kind.HANDSHAKE, events_since_start=0)]
HEARTBEAT = [Notification(Kind.HEARTBEAT, events_since_start=2)]
ERROR = [Notification(Kind.ERROR, events_since_start=3)]
EMPTY = [Notification(Kind.SWEEP, event_number=2, events_since_start=2)]
ID_ONLY = [Notification(Kind.FOCUS, ENCOUNTER, None, None, 2, False, 2)]
WITH_PATIENT = [Notification(Kind.FOCUS, ENCOUNTER, None, PATIENT, 2, False, 2)]

NOTIFICATION = "BackportNotificationExample"
EXPECTED: dict[str, list[Notification] | str] = {
    # R4: history, Parameters first
    f"backport/{NOTIFICATION}EmptyR4": EMPTY,
    f"backport/{NOTIFICATION}EmptyWithAuthR4": EMPTY,
    f"backport/{NOTIFICATION}ErrorR4": ERROR,
    f"backport/{NOTIFICATION}FullResourceR4": WITH_PATIENT,
    f"backport/{NOTIFICATION}FullResourceWithQueryR4": WITH_PATIENT,
    f"backport/{NOTIFICATION}HandshakeR4": HANDSHAKE,
    f"backport/{NOTIFICATION}HeartbeatR4": HEARTBEAT,
    f"backport/{NOTIFICATION}IdOnlyR4": ID_ONLY,
    f"backport/{NOTIFICATION}IdOnlyWithAuthR4": ID_ONLY,
    f"backport/{NOTIFICATION}IdOnlyWithQueryR4": ID_ONLY,
    f"backport/{NOTIFICATION}MultiResourceR4": WITH_PATIENT,
    # R4B: history, SubscriptionStatus first
    f"backport/{NOTIFICATION}Empty": EMPTY,
    f"backport/{NOTIFICATION}EmptyWithAuth": EMPTY,
    f"backport/{NOTIFICATION}Error": ERROR,
    f"backport/{NOTIFICATION}FullResource": WITH_PATIENT,
    f"backport/{NOTIFICATION}FullResourceWithQuery": WITH_PATIENT,
    f"backport/{NOTIFICATION}Handshake": HANDSHAKE,
    f"backport/{NOTIFICATION}Heartbeat": HEARTBEAT,
    f"backport/{NOTIFICATION}IdOnly": ID_ONLY,
    f"backport/{NOTIFICATION}IdOnlyWithAuth": ID_ONLY,
    f"backport/{NOTIFICATION}IdOnlyWithQuery": ID_ONLY,
    f"backport/{NOTIFICATION}MultiResource": WITH_PATIENT,
    # a status without its Bundle answers $status; it does not notify
    "backport/BackportNotificationStatusExample": "a SubscriptionStatus by itself is no notification",
    "backport/BackportNotificationStatusExampleR4": "a Parameters by itself is no notification",
    # what we would send to the EHR, not what it sends to us
    "backport/BackportSubscriptionExampleAdmission": "a Subscription by itself is no notification",
    "backport/BackportSubscriptionExampleCustomChannel": "a Subscription by itself is no notification",
    "backport/BackportSubscriptionExampleMultiResource": "a Subscription by itself is no notification",
    # R5: subscription-notification, SubscriptionStatus first
    f"r5/{NOTIFICATION}Empty": EMPTY,
    f"r5/{NOTIFICATION}EmptyWithAuth": EMPTY,
    f"r5/{NOTIFICATION}Error": ERROR,
    f"r5/{NOTIFICATION}Handshake": HANDSHAKE,
    f"r5/{NOTIFICATION}Heartbeat": HEARTBEAT,
    f"r5/{NOTIFICATION}IdOnly": ID_ONLY,
    f"r5/{NOTIFICATION}IdOnlyWithAuth": ID_ONLY,
    f"r5/{NOTIFICATION}IdOnlyWithQuery": ID_ONLY,
    f"r5/{NOTIFICATION}FullResource": "an Encounter in an R5 notification has the shape of R4",
    f"r5/{NOTIFICATION}FullResourceWithQuery": "an Encounter in an R5 notification has the shape of R4",
    f"r5/{NOTIFICATION}MultiResource": "an Encounter in an R5 notification has the shape of R4",
}

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the HL7 example notifications are not here ($BEDSIDE_DATA)")


def example(name: str) -> bytes:
    return (DATA / f"{name}.json").read_bytes()


def hospital() -> Tenant:
    return Tenant.from_dict(tenant_json(reference="Subscription/admission") | {"fhir_base": BASE})


def parse(body: bytes) -> list[Notification]:
    return parse_notification("POST", None, body, hospital().subscriptions["admissions"], Origin(BASE))


def test_every_example_has_its_expected_result() -> None:
    here = {str(path.relative_to(DATA).with_suffix("")) for path in DATA.rglob("*.json")}
    assert here == set(EXPECTED)


@pytest.mark.conformance("C02", "C03", "C04", "C05", "C06", "C07", "C08", "C11", "C12", "C13", "E01", "E02")
@pytest.mark.parametrize("name", EXPECTED)
def test_example(name: str) -> None:
    expected = EXPECTED[name]
    if isinstance(expected, str):
        with pytest.raises(NotificationError, match=expected):
            parse(example(name))
    else:
        assert parse(example(name)) == expected


@pytest.mark.conformance("C03", "C04", "C13", "C17")
@pytest.mark.parametrize("name", EXPECTED)
def test_example_through_the_receiver(name: str, lambda_context: Any) -> None:
    queue = MemoryQueue()
    answer = Receiver(MemoryTenants(hospital()), queue)(request(body=example(name)), lambda_context)
    expected = EXPECTED[name]
    if isinstance(expected, str):
        assert answer["statusCode"] == 400
        assert expected in json.loads(answer["body"])["issue"][0]["diagnostics"]
        assert queue.events == []
        return
    assert (answer["statusCode"], answer["body"]) == (202, "")
    wanted = {
        Kind.FOCUS: [("focus", ENCOUNTER, expected[0].patient, 2)],
        Kind.SWEEP: [("sweep", None, None, 2)],
        Kind.ERROR: [("sweep", None, None, None)],
        Kind.HANDSHAKE: [],
        Kind.HEARTBEAT: [],
    }[expected[0].kind]
    assert [(event.kind, event.focus, event.patient, event.event_number) for event in queue.events] == wanted


@pytest.mark.conformance("E01", "E02")
@pytest.mark.parametrize("name", ["FullResource", "FullResourceWithQuery", "MultiResource"])
def test_r5_example_with_its_encounter_in_the_shape_of_r5(name: str) -> None:
    bundle = json.loads(example(f"r5/{NOTIFICATION}{name}"))
    encounter = bundle["entry"][1]["resource"]
    encounter["class"] = [{"coding": [encounter["class"]]}]
    encounter["actualPeriod"] = {"start": "2020-05-29T11:44:13-05:00"}
    encounter["subjectStatus"] = {"text": "arrived"}
    assert parse(json.dumps(bundle).encode()) == WITH_PATIENT


@pytest.mark.conformance("C12")
@pytest.mark.parametrize("name", ["BackportNotificationStatusExample", "BackportNotificationStatusExampleR4"])
def test_a_status_answers_dollar_status(name: str) -> None:
    status = json.loads(example(f"backport/{name}"))
    expected = SubscriptionStatus(
        subscription="Subscription/admission",
        topic=TOPIC,
        type="event-notification",
        status="active",
        events_since_start=2,
        events=(Notification(Kind.SWEEP, event_number=2, events_since_start=2),),
    )
    answer = {
        "resourceType": "Bundle",
        "type": "searchset",
        "entry": [
            {"resource": {"resourceType": "OperationOutcome"}, "search": {"mode": "outcome"}},
            {"resource": status, "search": {"mode": "match"}},
        ],
    }
    assert parse_status(answer, Origin(BASE)) == expected
    assert parse_status(status, Origin(BASE)) == expected
    assert parse_statuses({**answer, "entry": answer["entry"] * 2}, Origin(BASE)) == (expected, expected)
    with pytest.raises(MalformedNotification, match="answer"):
        parse(json.dumps(answer).encode())


@pytest.mark.conformance("C11", "C12")
@pytest.mark.parametrize("name", [f"backport/{NOTIFICATION}ErrorR4", f"backport/{NOTIFICATION}Error"])
def test_the_error_example_as_a_status(name: str) -> None:
    status = parse_status(json.loads(example(name)), Origin(BASE))
    assert (status.type, status.status, status.error, status.broken) == ("query-status", "error", True, True)
    assert (status.events_since_start, status.events) == (3, ())
