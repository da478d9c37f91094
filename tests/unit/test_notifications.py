from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from fhir_adapter.errors import MalformedNotification, NotificationTooLarge, UnknownSubscription
from fhir_adapter.notifications import (
    Kind,
    Notification,
    Origin,
    check_media_type,
    decode_body,
    normalise_r5,
    parse_json,
    parse_notification,
    parse_status,
)
from fhir_adapter.references import relative_reference
from tests.fakes import BASE
from tests.samples import encounter, tenant


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


@pytest.mark.conformance("D02", "D05")
def test_put_with_payload() -> None:
    resource = encounter(meta={"versionId": "7"})
    assert parse("PUT", resource, ("Encounter", "e1")) == [
        Notification(Kind.FOCUS, "Encounter/e1", "7", "Patient/p1", None)
    ]


@pytest.mark.conformance("D02")
@pytest.mark.parametrize("path", [("Encounter", "other"), ("Patient", "e1")])
def test_put_must_agree_with_its_path(path: tuple[str, str]) -> None:
    with pytest.raises(MalformedNotification, match="path"):
        parse("PUT", encounter(), path)


@pytest.mark.conformance("D03")
def test_post_with_payload() -> None:
    assert parse("POST", encounter())[0].focus == "Encounter/e1"


@pytest.mark.conformance("D01")
@pytest.mark.parametrize("body", [b"", b" \n"])
def test_empty_post_is_a_call_to_look(body: bytes) -> None:
    assert parse("POST", body) == [Notification(Kind.SWEEP)]


def test_empty_put_is_malformed() -> None:
    with pytest.raises(MalformedNotification):
        parse("PUT", b"", ("Encounter", "e1"))


@pytest.mark.conformance("C03", "C04")
@pytest.mark.parametrize(("kind", "expected"), [("handshake", Kind.HANDSHAKE), ("heartbeat", Kind.HEARTBEAT)])
def test_backport_signs_of_life(kind: str, expected: Kind) -> None:
    assert parse("POST", status(kind)) == [Notification(expected)]


@pytest.mark.conformance("C06", "C08", "C09")
def test_backport_events_out_of_order_with_every_form_of_number() -> None:
    bundle = status(
        "event-notification",
        event({"valueString": "12"}, "Encounter/e2", "Patient/p2"),
        event({"valueUnsignedInt": 11}, f"{BASE}/Encounter/e1"),
        event({"valueInteger": 10}, "Encounter/e3"),
        event({"valueInteger64": "9223372036854775807"}, "Encounter/e4"),
    )
    first, second, *others = parse("POST", bundle, reference="Subscription/s1")
    assert (first.focus, first.patient, first.event_number) == ("Encounter/e2", "Patient/p2", 12)
    assert (second.focus, second.patient, second.event_number) == ("Encounter/e1", None, 11)
    assert [other.event_number for other in others] == [10, 2**63 - 1]


@pytest.mark.conformance("C07")
def test_backport_full_resource_tells_version_and_patient() -> None:
    bundle = status("event-notification", event({"valueString": "1"}, "Encounter/e1"))
    bundle["entry"].append({"resource": encounter(meta={"versionId": "3"})})
    (only,) = parse("POST", bundle)
    assert (only.version, only.patient, only.event_number) == ("3", "Patient/p1", 1)


@pytest.mark.conformance("C05")
def test_backport_empty_event_is_a_call_to_look() -> None:
    assert parse("POST", status("event-notification", event({"valueString": "4"})))[0].kind is Kind.SWEEP


@pytest.mark.conformance("C11")
def test_backport_error_is_no_data() -> None:
    assert parse("POST", status("event-notification", state="error")) == [Notification(Kind.ERROR)]


@pytest.mark.conformance("C15")
def test_backport_must_name_its_own_subscription() -> None:
    with pytest.raises(UnknownSubscription):
        parse("POST", status("handshake", subscription="Subscription/other"), reference="Subscription/s1")


def test_a_focus_on_another_server_is_refused() -> None:
    with pytest.raises(MalformedNotification, match="outside"):
        parse("POST", status("event-notification", event({"valueString": "1"}, "https://elsewhere.test/Encounter/1")))


@pytest.mark.conformance("C02")
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
        b'{"resourceType": "Bundle", "type": "history", "entry": {"resource": {"resourceType": "Parameters"}}}',
        b'{"resourceType": "Bundle", "type": "history", "entry": [{}, {"resource": {"resourceType": "Parameters"}}]}',
        b'{"resourceType": "Bundle", "type": ["history"]}',
        b'{"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Parameters"}}]}',
        b'{"resourceType": "Bundle", "type": "subscription-notification", '
        b'"entry": [{"resource": {"resourceType": "Parameters"}}]}',
        b'{"resourceType": "Encounter", "id": 5}',
        b'{"resourceType": "Encounter", "id": null}',
    ],
)
def test_what_is_no_notification_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedNotification):
        parse("POST", body)


@pytest.mark.conformance("C18")
@pytest.mark.parametrize("levels", [64, 65, 900, 100_000])
def test_deep_nesting_is_refused(levels: int) -> None:
    body = b'{"resourceType": "Encounter", "x": ' + b"[" * levels + b"]" * levels + b"}"
    with pytest.raises(MalformedNotification):
        parse_json(body)


@pytest.mark.conformance("C18")
def test_a_gzip_bomb_is_refused_without_being_inflated() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < 100_000
    with pytest.raises(NotificationTooLarge):
        decode_body(bomb, "gzip")


def test_content_codings() -> None:
    assert decode_body(gzip.compress(b"{}"), "gzip") == b"{}"
    assert decode_body(b"{}", "identity") == b"{}"
    assert decode_body(gzip.compress(b"{}"), " X-GZIP ") == b"{}"
    assert decode_body(gzip.compress(b"x" * 10), "gzip", limit=10**6) == b"x" * 10
    for body, coding in [
        (b"{}", "gzip"),
        (gzip.compress(b"{}" * 99)[:-12], "gzip"),
        (b"{}", "br"),
        (gzip.compress(gzip.compress(b"{}")), "gzip, gzip"),
        (gzip.compress(b"{}") + b"more", "gzip"),
        (gzip.compress(b"{}") * 2, "gzip"),
    ]:
        with pytest.raises(MalformedNotification):
            decode_body(body, coding)
    with pytest.raises(NotificationTooLarge):
        decode_body(bytes(11), "", limit=10)


def subscription_status(
    kind: str, *events: dict[str, Any], bundle: str = "history", also: Any = (), **elements: Any
) -> Any:
    """The status as R4B sends it, and R5 in another Bundle."""
    resource = {
        "resourceType": "SubscriptionStatus",
        "status": "active",
        "type": kind,
        "subscription": {"reference": f"{BASE}/Subscription/s1"},
        "eventsSinceSubscriptionStart": "12",
        "notificationEvent": list(events),
        **elements,
    }
    return {"resourceType": "Bundle", "type": bundle, "entry": [{"resource": resource}, *also]}


def about(number: Any, reference: str | None = None, *context: str) -> dict[str, Any]:
    found: dict[str, Any] = {"eventNumber": number}
    if reference:
        found["focus"] = {"reference": reference}
    if context:
        found["additionalContext"] = [{"reference": item} for item in context]
    return found


R5 = "subscription-notification"
ENCOUNTER_R5: dict[str, Any] = {
    "resourceType": "Encounter",
    "id": "e1",
    "meta": {"versionId": "4"},
    "status": "discharged",
    "class": [{"text": "inpatient"}, {"coding": [{"system": "urn:x", "code": "IMP"}]}],
    "subject": {"reference": "Patient/p1"},
    "subjectStatus": {"text": "departed"},
    "actualPeriod": {"start": "2026-01-10T08:00:00+00:00"},
    "plannedStartDate": "2026-01-09",
    "admission": {"origin": {"display": "home"}},
}


@pytest.mark.conformance("C02", "C08", "C09", "E01")
@pytest.mark.parametrize("bundle", ["history", R5])
def test_subscription_status_of_r4b_and_r5(bundle: str) -> None:
    sent = subscription_status(
        "event-notification",
        about("12", "Encounter/e2", "Practitioner/x", "Patient/p2"),
        about(11, f"{BASE}/Encounter/e1/_history/3"),
        about("10"),
        about("9", "Patient/p3"),
        bundle=bundle,
    )
    assert parse("POST", sent, reference="Subscription/s1") == [
        Notification(Kind.FOCUS, "Encounter/e2", None, "Patient/p2", 12, False, 12),
        Notification(Kind.FOCUS, "Encounter/e1", "3", None, 11, False, 12),
        Notification(Kind.SWEEP, event_number=10, events_since_start=12),
        Notification(Kind.FOCUS, "Patient/p3", None, "Patient/p3", 9, False, 12),
    ]


@pytest.mark.conformance("C08")
@pytest.mark.parametrize(
    "number", [None, "", "-1", -1, "1.0", 1.5, True, "9" * 19, "9" * 5000, 2**63, "٣", "1e3", " 1", [], {}]
)
def test_what_is_no_number_leaves_the_event_standing(number: Any) -> None:
    for sent in (
        subscription_status("event-notification", about(number, "Encounter/e1"), about("2", "Encounter/e2")),
        status("event-notification", event({"valueX": number}, "Encounter/e1"), event({"valueX": "2"}, "Encounter/e2")),
    ):
        first, second = parse("POST", sent)
        assert (first.kind, first.focus, first.event_number) == (Kind.FOCUS, "Encounter/e1", None)
        assert (second.focus, second.event_number) == ("Encounter/e2", 2)


@pytest.mark.conformance("C09")
def test_an_event_listed_twice_is_one() -> None:
    sent = subscription_status(
        "event-notification", about("1", "Encounter/e1"), about("1", "Encounter/e1"), about("1", "Encounter/e2")
    )
    assert [found.focus for found in parse("POST", sent)] == ["Encounter/e1", "Encounter/e2"]


@pytest.mark.conformance("C05")
def test_an_event_notification_without_events_is_a_call_to_look() -> None:
    assert parse("POST", subscription_status("event-notification")) == [Notification(Kind.SWEEP, events_since_start=12)]


@pytest.mark.conformance("C06", "C07")
@pytest.mark.parametrize(
    ("entry", "version", "patient", "deleted"),
    [
        ({"resource": encounter(meta={"versionId": "3"})}, "3", "Patient/p1", False),
        ({"resource": encounter(meta={"versionId": 3})}, "3", "Patient/p1", False),
        ({"resource": encounter(meta={"versionId": "a/b"})}, None, "Patient/p1", False),
        ({"resource": encounter(), "response": {"status": "200", "etag": 'W/"8"'}}, "8", "Patient/p1", False),
        ({"fullUrl": f"{BASE}/Encounter/e1", "request": {"method": "PUT", "url": "Encounter/e1"}}, None, None, False),
        ({"request": {"method": "PUT", "url": "Encounter/e1"}, "response": {"etag": '"9"'}}, "9", None, False),
        ({"request": {"method": "DELETE", "url": "Encounter/e1"}, "response": {"status": "204"}}, None, None, True),
        ({"fullUrl": f"{BASE}/Encounter/e1", "request": {"method": "DELETE"}}, None, None, True),
        ({"fullUrl": "https://elsewhere.test/Encounter/e1", "request": {"method": "DELETE"}}, None, None, False),
        ({"resource": encounter(subject={"reference": "https://elsewhere.test/Patient/p1"})}, None, None, False),
        ({"resource": None, "fullUrl": 5, "request": [], "response": "x"}, None, None, False),
    ],
)
def test_what_an_entry_tells_of_the_focus(entry: Any, version: Any, patient: Any, deleted: bool) -> None:
    bundle = status("event-notification", event({"valueString": "1"}, "Encounter/e1"))
    bundle["entry"] += [entry, None, {"resource": {"resourceType": "Practitioner", "id": "x"}}]
    assert parse("POST", bundle) == [Notification(Kind.FOCUS, "Encounter/e1", version, patient, 1, deleted, None)]


@pytest.mark.conformance("C07")
def test_a_focus_sent_in_two_versions_is_read_again_without_one() -> None:
    bundle = status("event-notification", event({"valueString": "1"}, "Encounter/e1"))
    bundle["entry"] += [{"resource": encounter(meta={"versionId": number})} for number in "34"]
    assert parse("POST", bundle)[0].version is None


@pytest.mark.conformance("C13")
def test_advice_in_a_notification_is_not_followed() -> None:
    """Nothing but references to the focus and its context is resolved, and those by name only."""
    asked: list[str] = []

    def relative(reference: str) -> str | None:
        asked.append(reference)
        return relative_reference(BASE, reference)

    elsewhere = "https://elsewhere.test/secret"
    bundle = status(
        "event-notification",
        [
            *event({"valueString": "1"}, "Encounter/e1"),
            {"name": "authorization-value", "valueString": elsewhere},
            {"name": "related-query", "part": [{"name": "query", "valueString": elsewhere}]},
            {"name": 5},
            {},
        ],
    )
    bundle["entry"][0]["resource"]["parameter"] += [{"name": "x", "valueUrl": elsewhere}, {"name": ["type"]}]
    body = json.dumps(bundle).encode()
    found = parse_notification("POST", None, body, tenant().subscriptions["admissions"], relative)
    assert [one.focus for one in found] == ["Encounter/e1"]
    assert elsewhere not in asked
    r4b = subscription_status(
        "event-notification",
        {**about("1", "Encounter/e1"), "extension": [{"url": elsewhere, "valueUrl": elsewhere}]},
        extension=[{"url": elsewhere}],
    )
    parse_notification("POST", None, json.dumps(r4b).encode(), tenant().subscriptions["admissions"], relative)
    assert elsewhere not in asked


@pytest.mark.conformance("C11")
@pytest.mark.parametrize("state", ["error", "off", "entered-in-error"])
@pytest.mark.parametrize("kind", ["heartbeat", "event-notification", "handshake", "query-status"])
def test_a_broken_subscription_is_an_error_whatever_it_notifies(state: str, kind: str) -> None:
    sent = subscription_status(kind, about("12", "Encounter/e1"), status=state)
    assert parse("POST", sent) == [Notification(Kind.ERROR, events_since_start=12)]


@pytest.mark.conformance("C11")
def test_an_error_beside_an_active_status_is_an_alarm_and_loses_no_event() -> None:
    error = {"coding": [{"code": "no-response"}]}
    sent = subscription_status("event-notification", about("12", "Encounter/e1"), error=[error])
    assert [found.kind for found in parse("POST", sent)] == [Kind.ERROR, Kind.FOCUS]
    r4 = status("heartbeat")
    r4["entry"][0]["resource"]["parameter"].append({"name": "error", "valueCodeableConcept": error})
    assert [found.kind for found in parse("POST", r4)] == [Kind.ERROR, Kind.HEARTBEAT]


@pytest.mark.conformance("C12")
@pytest.mark.parametrize("kind", ["query-status", "query-event", "", None, 5])
def test_answers_are_no_notifications(kind: Any) -> None:
    with pytest.raises(MalformedNotification, match="type"):
        parse("POST", subscription_status(kind, about("12", "Encounter/e1")))


@pytest.mark.conformance("C10", "C12")
def test_an_answer_to_dollar_events_is_read_by_the_same_code() -> None:
    answer = subscription_status("query-event", about("11", "Encounter/e1"), about("12", "Encounter/e2"))
    found = parse_status(answer, Origin(BASE))
    assert (found.subscription, found.type, found.broken) == ("Subscription/s1", "query-event", False)
    assert [(one.focus, one.event_number) for one in found.events] == [("Encounter/e1", 11), ("Encounter/e2", 12)]


@pytest.mark.conformance("C15")
@pytest.mark.parametrize(
    "subscription", [None, {}, 5, {"reference": "https://elsewhere.test/Subscription/s1"}, {"reference": "Patient/s1"}]
)
def test_a_subscription_elsewhere_is_not_known_even_where_none_is_configured(subscription: Any) -> None:
    with pytest.raises(UnknownSubscription):
        parse("POST", subscription_status("heartbeat", subscription=subscription))


@pytest.mark.conformance("C13", "C15")
@pytest.mark.parametrize("focus", [{}, 5, "", {"reference": 5}, {"display": "x"}, {"reference": "#contained"}, []])
def test_a_focus_that_is_no_literal_reference_is_refused(focus: Any) -> None:
    for sent in (
        subscription_status("event-notification", {"eventNumber": "1", "focus": focus}, about("2", "Encounter/e1")),
        status("event-notification", [{"name": "focus", "valueReference": focus, "valueX": focus}]),
    ):
        if focus == "" and sent["entry"][0]["resource"]["resourceType"] == "Parameters":
            continue  # an empty value is none
        with pytest.raises(MalformedNotification, match="focus"):
            parse("POST", sent)


@pytest.mark.parametrize("odd", [None, 5, "x", []])
def test_events_that_are_no_objects_are_refused(odd: Any) -> None:
    with pytest.raises(MalformedNotification):
        parse("POST", subscription_status("event-notification", odd))
    bundle = status("event-notification")
    bundle["entry"][0]["resource"]["parameter"].append(odd)
    with pytest.raises(MalformedNotification):
        parse("POST", bundle)
    with pytest.raises(MalformedNotification):
        parse("POST", status("event-notification", [odd]))


@pytest.mark.conformance("E02")
def test_an_r5_encounter_in_the_shape_of_r4() -> None:
    before = json.dumps(ENCOUNTER_R5)
    assert normalise_r5(ENCOUNTER_R5) == {
        "resourceType": "Encounter",
        "id": "e1",
        "meta": {"versionId": "4"},
        "status": "finished",
        "class": {"system": "urn:x", "code": "IMP"},
        "subject": {"reference": "Patient/p1"},
        "period": {"start": "2026-01-10T08:00:00+00:00"},
        "hospitalization": {"origin": {"display": "home"}},
    }
    assert json.dumps(ENCOUNTER_R5) == before
    observation = {"resourceType": "Observation", "class": "untouched"}
    assert normalise_r5(observation) is observation


@pytest.mark.conformance("E02")
@pytest.mark.parametrize(
    ("r5", "r4"),
    [
        ("planned", "planned"),
        ("in-progress", "in-progress"),
        ("on-hold", "onleave"),
        ("discharged", "finished"),
        ("completed", "finished"),
        ("cancelled", "cancelled"),
        ("discontinued", "unknown"),
        ("entered-in-error", "entered-in-error"),
        ("unknown", "unknown"),
    ],
)
def test_every_status_of_an_r5_encounter(r5: str, r4: str) -> None:
    assert normalise_r5({"resourceType": "Encounter", "status": r5}) == {"resourceType": "Encounter", "status": r4}


@pytest.mark.conformance("E02")
def test_an_r5_notification_carries_r5_encounters() -> None:
    sent = subscription_status("event-notification", about("1", "Encounter/e1"), bundle=R5)
    sent["entry"].append({"resource": ENCOUNTER_R5})
    assert parse("POST", sent) == [Notification(Kind.FOCUS, "Encounter/e1", "4", "Patient/p1", 1, False, 12)]
    sent["entry"][1] = {"resource": encounter()}
    with pytest.raises(MalformedNotification, match="R4"):
        parse("POST", sent)
    sent["type"] = "history"
    assert parse("POST", sent)[0].patient == "Patient/p1"


@pytest.mark.conformance("D03")
def test_deletions() -> None:
    assert parse("DELETE", b"", ("Encounter", "e1")) == [Notification(Kind.FOCUS, "Encounter/e1", deleted=True)]
    assert parse("DELETE", b"{", ("Patient", "p1")) == [
        Notification(Kind.FOCUS, "Patient/p1", patient="Patient/p1", deleted=True)
    ]
    for path in (None, ("encounter", "e1"), ("Encounter", "a b"), ("Encounter", ""), ("Bundle", "b1")):
        with pytest.raises(MalformedNotification):
            parse("DELETE", b"", path)


@pytest.mark.conformance("D02", "D03")
def test_methods_and_paths() -> None:
    expected = [Notification(Kind.FOCUS, "Encounter/e1", None, "Patient/p1")]
    for method in ("POST", "PUT"):
        for path in (None, ("Encounter", "e1")):
            assert parse(method, encounter(), path) == expected
    refused: list[tuple[str, Any, tuple[str, str] | None]] = [
        ("PUT", b"", None),
        ("POST", b"", ("Encounter", "e1")),
        ("PATCH", encounter(), None),
        ("PUT", status("handshake"), None),
        ("POST", {**status("handshake"), "id": "b1"}, ("Bundle", "b1")),
        ("POST", {"resourceType": "OperationOutcome", "id": "x"}, None),
    ]
    for method, body, path in refused:
        with pytest.raises(MalformedNotification):
            parse(method, body, path)


@pytest.mark.conformance("D07")
def test_what_a_vendor_adds_does_no_harm() -> None:
    odd = encounter(vendorElement={"x": [1, {"y": None}]}, _status={"extension": []}, meta=[], subject="Patient/p1")
    assert parse("POST", odd) == [Notification(Kind.FOCUS, "Encounter/e1")]


def test_of_duplicate_keys_the_last_counts() -> None:
    body = b'{"resourceType": "Patient", "id": "p1", "resourceType": "Encounter", "id": "e1", "id": "e2"}'
    assert parse("POST", body)[0].focus == "Encounter/e2"


@pytest.mark.conformance("C18")
@pytest.mark.parametrize("text", ["[" * 200, "]" * 200, "{}" * 200, '\\"' + "[" * 100, "}{" * 99])
def test_brackets_in_texts_are_not_nesting(text: str) -> None:
    body = json.dumps(encounter(note=text)).encode()
    assert parse("POST", body)[0].focus == "Encounter/e1"
    deep = json.dumps(encounter(note=text)).encode()[:-1] + b', "x": ' + b"[" * 64 + b"]" * 64 + b"}"
    with pytest.raises(MalformedNotification, match="deeper"):
        parse("POST", deep)


@pytest.mark.conformance("C18")
def test_the_depth_that_is_allowed() -> None:
    for levels, allowed in ((63, True), (64, False)):
        body = b'{"resourceType": "Encounter", "x": ' + b'{"a":' * levels + b"1" + b"}" * levels + b"}"
        if allowed:
            assert parse_json(body)["resourceType"] == "Encounter"
        else:
            with pytest.raises(MalformedNotification, match="deeper"):
                parse_json(body)


@pytest.mark.conformance("C18")
@pytest.mark.parametrize(
    "text",
    [b"\x00", b"\\u0000", b"\\\\\\u0000", b"\\ud800", b"\xed\xa0\x80", b"\xc0\x80", b"\xff", b"\xf4\x90\x80\x80"],
)
def test_texts_that_are_none(text: bytes) -> None:
    with pytest.raises(MalformedNotification):
        parse("POST", b'{"resourceType": "Encounter", "id": "e1", "x": "' + text + b'"}')


@pytest.mark.parametrize("text", [b"\\\\u0000", b"u0000", b"\xf0\x9f\x92\x89", b"\\ud83d\\udc89", b"\\n"])
def test_texts_that_only_look_bad(text: bytes) -> None:
    assert parse("POST", b'{"resourceType": "Encounter", "id": "e1", "x": "' + text + b'"}')


@pytest.mark.conformance("C01")
def test_media_types() -> None:
    for good in (
        "",
        "application/fhir+json",
        "Application/FHIR+JSON; fhirVersion=4.0",
        "application/json;charset=UTF8",
    ):
        check_media_type(good)
    for bad in ("text/html", "application/fhir+xml", "application/json; charset=utf-16", "json", ";charset=latin-1"):
        with pytest.raises(MalformedNotification):
            check_media_type(bad)


REFERENCES = [
    "Encounter/1",
    f"{BASE}/Encounter/1",
    f"{BASE}/Encounter/1/_history/2",
    "Encounter/1/_history/2",
    "https://elsewhere.test/fhir/Encounter/1",
    f"x{BASE}/Encounter/1",
    f"{BASE}{BASE}/Encounter/1",
    "Encounter/1\n",
    "\nEncounter/1",
    "Encounter/1\nEncounter/2",
    "Encounter/1\rx",
    "Encounter/1\u2028Encounter/2",
    "/Encounter/1",
    "Encounter/../1",
    "Encounter/" + "1" * 64,
    "Encounter/" + "1" * 65,
    "#contained",
    "urn:uuid:9e41ff6d-5be6-4e6a-8b85-abd4e7f58400",
    "",
    None,
]


@pytest.mark.conformance("C15")
def test_many_references_at_once_come_out_as_one_by_one() -> None:
    origin = Origin(BASE + "/")
    one_by_one = [None if found is None else relative_reference(BASE, found) for found in REFERENCES]
    assert origin.all(REFERENCES) == one_by_one
    for number in range(len(REFERENCES)):
        for other in range(len(REFERENCES)):
            pair = [REFERENCES[number], REFERENCES[other]]
            assert origin.all(pair) == [one_by_one[number], one_by_one[other]]
    assert origin.all([]) == []
