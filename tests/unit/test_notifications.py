from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from fhir_adapter.errors import MalformedNotification, NotificationTooLarge, UnknownSubscription
from fhir_adapter.notifications import Kind, Notification, decode_body, parse_json, parse_notification
from fhir_adapter.references import relative_reference
from tests.fakes import BASE
from tests.samples import encounter, tenant

DATA = Path(os.environ.get("BEDSIDE_DATA", Path(__file__).parents[3] / "shared" / "data"))


def parse(
    method: str, body: Any, path: tuple[str, str] | None = None, base: str = BASE, **entry: Any
) -> list[Notification]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    subscription = tenant(**entry).subscriptions["admissions"]
    return parse_notification(method, path, content, subscription, lambda ref: relative_reference(base, ref))


def status(kind: str, *events: dict[str, Any], subscription: str = "Subscription/s1", state: str = "active") -> Any:
    return {
        "resourceType": "Bundle",
        "type": "history",
        "entry": [
            {
                "resource": {
                    "resourceType": "Parameters",
                    "parameter": [
                        {"name": "subscription", "valueReference": {"reference": f"{BASE}/{subscription}"}},
                        {"name": "status", "valueCode": state},
                        {"name": "type", "valueCode": kind},
                        {"name": "unheard-of", "valueString": "ignored"},
                        *({"name": "notification-event", "part": event} for event in events),
                    ],
                }
            }
        ],
    }


def event(number: Any, focus: str | None = None, *context: str) -> Any:
    parts: list[Any] = [{"name": "event-number", **number}]
    if focus:
        parts.append({"name": "focus", "valueReference": {"reference": focus}})
    parts += [{"name": "additional-context", "valueReference": {"reference": item}} for item in context]
    return parts


def test_put_with_payload() -> None:
    resource = encounter(meta={"versionId": "7"})
    assert parse("PUT", resource, ("Encounter", "e1")) == [
        Notification(Kind.FOCUS, "Encounter/e1", "7", "Patient/p1", None)
    ]


@pytest.mark.parametrize("path", [("Encounter", "other"), ("Patient", "e1")])
def test_put_must_agree_with_its_path(path: tuple[str, str]) -> None:
    with pytest.raises(MalformedNotification, match="path"):
        parse("PUT", encounter(), path)


def test_post_with_payload() -> None:
    assert parse("POST", encounter())[0].focus == "Encounter/e1"


@pytest.mark.parametrize("body", [b"", b" \n"])
def test_empty_post_is_a_call_to_look(body: bytes) -> None:
    assert parse("POST", body) == [Notification(Kind.SWEEP)]


def test_empty_put_is_malformed() -> None:
    with pytest.raises(MalformedNotification):
        parse("PUT", b"", ("Encounter", "e1"))


@pytest.mark.parametrize(("kind", "expected"), [("handshake", Kind.HANDSHAKE), ("heartbeat", Kind.HEARTBEAT)])
def test_backport_signs_of_life(kind: str, expected: Kind) -> None:
    assert parse("POST", status(kind)) == [Notification(expected)]


def test_backport_events_out_of_order_with_every_form_of_number() -> None:
    bundle = status(
        "event-notification",
        event({"valueString": "12"}, "Encounter/e2", "Patient/p2"),
        event({"valueUnsignedInt": 11}, f"{BASE}/Encounter/e1"),
    )
    first, second = parse("POST", bundle, reference="Subscription/s1")
    assert (first.focus, first.patient, first.event_number) == ("Encounter/e2", "Patient/p2", 12)
    assert (second.focus, second.patient, second.event_number) == ("Encounter/e1", None, 11)


def test_backport_full_resource_tells_version_and_patient() -> None:
    bundle = status("event-notification", event({"valueString": "1"}, "Encounter/e1"))
    bundle["entry"].append({"resource": encounter(meta={"versionId": "3"})})
    (only,) = parse("POST", bundle)
    assert (only.version, only.patient, only.event_number) == ("3", "Patient/p1", 1)


def test_backport_empty_event_is_a_call_to_look() -> None:
    assert parse("POST", status("event-notification", event({"valueString": "4"})))[0].kind is Kind.SWEEP


def test_backport_error_is_no_data() -> None:
    assert parse("POST", status("event-notification", state="error")) == [Notification(Kind.ERROR)]


def test_backport_must_name_its_own_subscription() -> None:
    with pytest.raises(UnknownSubscription):
        parse("POST", status("handshake", subscription="Subscription/other"), reference="Subscription/s1")


def test_a_focus_on_another_server_is_refused() -> None:
    with pytest.raises(MalformedNotification, match="outside"):
        parse("POST", status("event-notification", event({"valueString": "1"}, "https://elsewhere.test/Encounter/1")))


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"resourceType": 3}',
        b"\xff\xfe",
        b'{"resourceType": "Encounter"}',
        b'{"resourceType": "Encounter", "id": "../../metadata"}',
        b'{"resourceType": "Bundle", "type": "transaction", "entry": []}',
        b'{"resourceType": "Bundle", "type": "history", "entry": [{"resource": {"resourceType": "Patient"}}]}',
        b'{"resourceType": "Bundle", "type": "history", "entry": [null]}',
    ],
)
def test_what_is_no_notification_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedNotification):
        parse("POST", body)


@pytest.mark.parametrize("levels", [65, 900, 100_000])
def test_deep_nesting_is_refused(levels: int) -> None:
    body = b'{"resourceType": "Encounter", "x": ' + b"[" * levels + b"]" * levels + b"}"
    with pytest.raises(MalformedNotification):
        parse_json(body)


def test_a_gzip_bomb_is_refused_without_being_inflated() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < 100_000
    with pytest.raises(NotificationTooLarge):
        decode_body(bomb, "gzip")


def test_content_codings() -> None:
    assert decode_body(gzip.compress(b"{}"), "gzip") == b"{}"
    assert decode_body(b"{}", "identity") == b"{}"
    for body, coding in [(b"{}", "gzip"), (gzip.compress(b"{}" * 99)[:-12], "gzip"), (b"{}", "br")]:
        with pytest.raises(MalformedNotification):
            decode_body(body, coding)
    with pytest.raises(NotificationTooLarge):
        decode_body(bytes(11), "", limit=10)


VECTORS = {
    "EmptyR4": [Kind.SWEEP],
    "HandshakeR4": [Kind.HANDSHAKE],
    "HeartbeatR4": [Kind.HEARTBEAT],
    "IdOnlyR4": [Kind.FOCUS],
    "FullResourceR4": [Kind.FOCUS],
}


@pytest.mark.skipif(not DATA.exists(), reason="the HL7 example notifications are not here ($BEDSIDE_DATA)")
@pytest.mark.parametrize("name", VECTORS)
def test_backport_r4_examples(name: str) -> None:
    """The examples of hl7.fhir.uv.subscriptions-backport (CC0)."""
    body = (DATA / "notifications" / "backport" / f"BackportNotificationExample{name}.json").read_bytes()
    found = parse("POST", body, base="https://example.org/fhir")
    assert [notification.kind for notification in found] == VECTORS[name]
