from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import sys
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
from aws_lambda_powertools.event_handler import Response
from fhir.resources.R4B.operationoutcome import OperationOutcome

from fhir_adapter.tenants import MemoryTenants
from functions.receiver import app
from functions.receiver.api import Receiver
from functions.serving.cloud import MemoryQueue, QueueError, SqsQueue
from functions.serving.events import Event
from functions.serving.marks import MemoryMarks, TableMarks
from functions.serving.tenants import SecretTenants
from tests.functional.conftest import Cloud
from tests.samples import SECRET, encounter, tenant
from tests.unit.test_notifications import event as event_of
from tests.unit.test_notifications import status as status_of

ENDPOINT = "/notify/general/admissions"


def request(
    method: str = "POST",
    path: str = ENDPOINT,
    body: bytes = b"",
    secret: str | None = SECRET,
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    """An HTTP API event, payload format 2.0, as API Gateway sends it."""
    sent = {"content-type": "application/fhir+json", **(headers or {})}
    if secret is not None:
        sent["authorization"] = f"Bearer {secret}"
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": sent,
        "requestContext": {
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
            "stage": "$default",
            "requestId": "test",
        },
        "isBase64Encoded": False,
    }
    try:
        event["body"] = body.decode()
    except UnicodeDecodeError:
        event |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    return event


class Refusing(MemoryQueue):
    def send(self, events: Any, models: Any = ()) -> None:
        raise QueueError("full")


@pytest.fixture
def queue() -> MemoryQueue:
    return MemoryQueue()


@pytest.fixture
def receiver(queue: MemoryQueue) -> Receiver:
    return Receiver(MemoryTenants(tenant()), queue)


def outcome(answer: dict[str, Any]) -> dict[str, Any]:
    """Check that an answer is an OperationOutcome, and return its only issue."""
    assert answer["headers"]["Content-Type"] == "application/fhir+json"
    body = json.loads(answer["body"])
    assert OperationOutcome.model_validate(body)
    (issue,) = body["issue"]
    assert issue["severity"] == "error" and issue["diagnostics"]
    return dict(issue)


@pytest.mark.conformance("C01", "C17", "C18", "D02")
def test_put_is_queued_and_answered_with_nothing(receiver: Receiver, queue: MemoryQueue, lambda_context: Any) -> None:
    body = json.dumps(encounter(meta={"versionId": "2"})).encode()
    answer = receiver(request("PUT", f"{ENDPOINT}/Encounter/e1", body), lambda_context)
    assert (answer["statusCode"], answer["body"]) == (202, "")
    (event,) = queue.events
    assert (event.kind, event.focus, event.version, event.patient) == ("focus", "Encounter/e1", "2", "Patient/p1")


@pytest.mark.conformance("D01", "C05")
def test_empty_post_asks_for_a_sweep(receiver: Receiver, queue: MemoryQueue, lambda_context: Any) -> None:
    assert receiver(request(), lambda_context)["statusCode"] == 202
    assert [event.kind for event in queue.events] == ["sweep"]


def test_gzip_body(receiver: Receiver, queue: MemoryQueue, lambda_context: Any) -> None:
    body = gzip.compress(json.dumps(encounter()).encode())
    answer = receiver(request(body=body, headers={"content-encoding": "gzip"}), lambda_context)
    assert answer["statusCode"] == 202
    assert queue.events[0].focus == "Encounter/e1"


@pytest.mark.conformance("C16", "D06")
@pytest.mark.parametrize("secret", [None, "", "wrong", SECRET + "x", SECRET[:-1], SECRET.upper()])
def test_wrong_secret_is_401_before_the_body_is_looked_at(
    receiver: Receiver, queue: MemoryQueue, lambda_context: Any, secret: str | None
) -> None:
    answer = receiver(request(body=b"not json", secret=secret), lambda_context)
    assert answer["statusCode"] == 401
    assert outcome(answer)["code"] == "login"
    assert answer["headers"]["WWW-Authenticate"].startswith("Bearer")
    assert queue.events == []


def test_another_scheme_is_401(receiver: Receiver, lambda_context: Any) -> None:
    sent = request(secret=None, headers={"authorization": f"Basic {SECRET}"})
    assert receiver(sent, lambda_context)["statusCode"] == 401


@pytest.mark.conformance("C15")
@pytest.mark.parametrize(
    "path",
    [
        "/notify/general/other",
        "/notify/other/admissions",
        "/notify",
        "/",
        "/notify/general/admissions/Encounter",
        "/notify/general/admissions/Encounter/e1/more",
    ],
)
def test_unknown_is_404(receiver: Receiver, queue: MemoryQueue, lambda_context: Any, path: str) -> None:
    answer = receiver(request(path=path), lambda_context)
    assert answer["statusCode"] == 404
    assert outcome(answer)["code"] == "not-found"
    assert queue.events == []


@pytest.mark.conformance("C17", "C18")
@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "structure"),
        (b"\xff\xfe", 400, "structure"),
        (b'{"resourceType":"Encounter","x":' + b"[" * 200 + b"]" * 200 + b"}", 400, "structure"),
        (b'{"resourceType":"Encounter","x":' + b"[" * 5000, 400, "structure"),
        (b'{"resourceType":"Encounter","id":"' + b"x" * 1_100_000 + b'"}', 413, "too-long"),
        (b"\xff" * 1_100_000, 413, "too-long"),
        (b'\xef\xbb\xbf{"resourceType":"Encounter","id":"e1"}', 400, "structure"),
        (b'{"resourceType":"Encounter","id":"e1","x":"\\ud800"}', 400, "structure"),
        (b'{"resourceType":"Encounter","id":"e1","x":"\xed\xa0\x80"}', 400, "structure"),
        (b'{"resourceType":"Encounter","id":"e1","x":"\xc0\xaf"}', 400, "structure"),
        (b'{"resourceType":"Encounter","id":"e1","x":"\x00"}', 400, "structure"),
        (b'{"resourceType":"Encounter","id":"e1","x":"\\u0000"}', 400, "structure"),
        ('{"resourceType":"Encounter","id":"e1"}'.encode("utf-16"), 400, "structure"),
    ],
    ids=[
        "cut",
        "binary",
        "deep",
        "deep and cut",
        "large",
        "large binary",
        "byte-order mark",
        "escaped lone surrogate",
        "lone surrogate",
        "overlong",
        "raw NUL",
        "escaped NUL",
        "UTF-16",
    ],
)
def test_bad_bodies_are_named_and_never_queued(
    receiver: Receiver, queue: MemoryQueue, lambda_context: Any, body: bytes, status: int, code: str
) -> None:
    answer = receiver(request(body=body), lambda_context)
    assert answer["statusCode"] == status
    assert outcome(answer)["code"] == code
    assert queue.events == []


@pytest.mark.conformance("C17")
def test_a_queue_that_refuses_is_503_so_that_the_ehr_sends_again(lambda_context: Any) -> None:
    answer = Receiver(MemoryTenants(tenant()), Refusing())(request(), lambda_context)
    assert answer["statusCode"] == 503
    assert outcome(answer)["code"] == "transient"


def test_logs_hold_no_patient_data(
    receiver: Receiver, lambda_context: Any, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    canary = encounter(id="canary-id", subject={"reference": "Patient/canary-patient"}, text={"div": "canary-name"})
    receiver(request("PUT", f"{ENDPOINT}/Encounter/canary-id", json.dumps(canary).encode()), lambda_context)
    receiver(request(body=b'{"canary-name'), lambda_context)
    receiver(request(secret="canary-secret"), lambda_context)
    printed = "".join([*capsys.readouterr(), *(str(record.__dict__) for record in caplog.records)])
    assert "notification accepted" in printed
    assert "canary" not in printed
    assert SECRET not in printed


def test_tenants_from_secrets_and_events_on_sqs(cloud: Cloud, lambda_context: Any) -> None:
    receiver = Receiver(SecretTenants("bedside/tenants/"), SqsQueue(cloud.queue_url))
    body = json.dumps(encounter()).encode()
    assert receiver(request("PUT", f"{ENDPOINT}/Encounter/e1", body), lambda_context)["statusCode"] == 202
    assert receiver(request(path="/notify/nobody/admissions"), lambda_context)["statusCode"] == 404
    assert receiver(request(path="/notify/..%2Fgeneral/admissions"), lambda_context)["statusCode"] == 404
    events = [Event.from_json(message["Body"]) for message in cloud.messages(cloud.queue_url)]
    assert [event.focus for event in events] == ["Encounter/e1"]


@pytest.mark.conformance("C04")
def test_the_handler_notes_a_heartbeat_in_the_ledger(
    cloud: Cloud, lambda_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "_receiver", None)
    body = json.dumps(status_of("heartbeat")).encode()
    assert app.handler(request(body=body), lambda_context)["statusCode"] == 202
    assert TableMarks("ledger").state("general", "admissions").last is not None
    assert cloud.messages(cloud.queue_url) == []


def count(capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    """Sum the metrics that were written since the last look."""
    found: dict[str, float] = {}
    for line in capsys.readouterr().out.splitlines():
        data = json.loads(line)
        for group in data.get("_aws", {}).get("CloudWatchMetrics", []):
            for metric in group["Metrics"]:
                found[metric["Name"]] = found.get(metric["Name"], 0) + sum(data[metric["Name"]])
    return found


@pytest.mark.conformance("D03")
@pytest.mark.parametrize(
    ("method", "rest"), [("POST", ""), ("PUT", ""), ("POST", "/Encounter/e1"), ("PUT", "/Encounter/e1")]
)
def test_a_resource_may_come_by_post_or_put_with_or_without_its_path(
    receiver: Receiver, queue: MemoryQueue, lambda_context: Any, method: str, rest: str
) -> None:
    answer = receiver(request(method, ENDPOINT + rest, json.dumps(encounter()).encode()), lambda_context)
    assert answer["statusCode"] == 202
    assert [(event.focus, event.deleted) for event in queue.events] == [("Encounter/e1", False)]


@pytest.mark.conformance("D03")
def test_a_deletion_is_an_event(receiver: Receiver, queue: MemoryQueue, lambda_context: Any) -> None:
    answer = receiver(request("DELETE", f"{ENDPOINT}/Encounter/e1"), lambda_context)
    assert (answer["statusCode"], answer["body"]) == (202, "")
    (event,) = queue.events
    assert (event.kind, event.focus, event.deleted) == ("focus", "Encounter/e1", True)
    assert Event.from_json(event.to_json()) == event


@pytest.mark.conformance("D02")
@pytest.mark.parametrize(
    ("method", "rest", "body"),
    [
        ("PUT", "/Encounter/other", encounter()),
        ("POST", "/Patient/e1", encounter()),
        ("PUT", "/Encounter/e1", None),
        ("POST", "/Encounter/e1", None),
        ("PUT", "", None),
        ("DELETE", "/encounter/e1", None),
        ("DELETE", "/Subscription/s1", None),
    ],
)
def test_path_and_body_must_agree(
    receiver: Receiver, queue: MemoryQueue, lambda_context: Any, method: str, rest: str, body: Any
) -> None:
    sent = request(method, ENDPOINT + rest, json.dumps(body).encode() if body else b"")
    answer = receiver(sent, lambda_context)
    assert (answer["statusCode"], outcome(answer)["code"]) == (400, "structure")
    assert queue.events == []


@pytest.mark.conformance("C01")
@pytest.mark.parametrize(
    "content_type",
    [
        "application/fhir+json",
        "application/json",
        "application/fhir+json; fhirVersion=4.0",
        "application/fhir+json;charset=UTF-8",
        'application/json; fhirVersion=4.0; charset="utf-8"',
        "application/json+fhir",
        "",
    ],
)
def test_content_types_of_fhir_json(receiver: Receiver, lambda_context: Any, content_type: str) -> None:
    sent = request(body=json.dumps(encounter()).encode(), headers={"content-type": content_type})
    assert receiver(sent, lambda_context)["statusCode"] == 202


@pytest.mark.conformance("C01")
@pytest.mark.parametrize(
    "content_type",
    ["application/fhir+xml", "text/plain", "application/fhir+json; charset=utf-16", "application/json;charset=latin1"],
)
def test_other_content_types_are_refused(
    receiver: Receiver, queue: MemoryQueue, lambda_context: Any, content_type: str
) -> None:
    sent = request(body=json.dumps(encounter()).encode(), headers={"content-type": content_type})
    answer = receiver(sent, lambda_context)
    assert (answer["statusCode"], outcome(answer)["code"]) == (400, "structure")
    assert queue.events == []


HMAC_SECRET = "another-secret-for-the-tests"


def signed_receiver(queue: MemoryQueue, header: str = "X-Hub-Signature-256") -> Receiver:
    hospital = tenant()
    entry = replace(hospital.subscriptions["admissions"], hmac_secret=HMAC_SECRET, signature_header=header)
    return Receiver(MemoryTenants(replace(hospital, subscriptions={"admissions": entry})), queue)


def digest(body: bytes, secret: str = HMAC_SECRET) -> bytes:
    return hmac.new(secret.encode(), body, hashlib.sha256).digest()


@pytest.mark.conformance("C16")
@pytest.mark.parametrize("header", ["X-Hub-Signature-256", "X-Signature"])
@pytest.mark.parametrize("form", ["prefixed", "bare", "upper", "base64"])
def test_a_signed_hook(queue: MemoryQueue, lambda_context: Any, header: str, form: str) -> None:
    """Over the bytes as they were sent, so before their gzip is undone."""
    for body, coding in ((json.dumps(encounter()).encode(), ""), (gzip.compress(b""), "gzip"), (b"", "")):
        mac = digest(body)
        forms = {
            "prefixed": f"sha256={mac.hex()}",
            "bare": mac.hex(),
            "upper": mac.hex().upper(),
            "base64": base64.b64encode(mac).decode(),
        }
        sent = request(body=body, headers={header.lower(): forms[form], "content-encoding": coding})
        assert signed_receiver(queue, header)(sent, lambda_context)["statusCode"] == 202
    assert [event.kind for event in queue.events] == ["focus", "sweep", "sweep"]


@pytest.mark.conformance("C16")
@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        "sha256=",
        digest(b"other").hex(),
        digest(b"{", secret=SECRET).hex(),
        "sha1=" + digest(b"{").hex(),
        digest(b"{").hex()[:-1],
        "\ud800",
        "é" * 64,
    ],
)
def test_a_wrong_signature_is_401_before_the_body_is_looked_at(
    queue: MemoryQueue, lambda_context: Any, signature: str | None
) -> None:
    headers = {} if signature is None else {"x-hub-signature-256": signature}
    answer = signed_receiver(queue)(request(body=b"{", headers=headers), lambda_context)
    assert (answer["statusCode"], outcome(answer)["code"]) == (401, "login")
    assert HMAC_SECRET not in answer["body"]
    assert queue.events == []


@pytest.mark.conformance("C16", "D06")
def test_a_signature_does_not_stand_for_the_secret(queue: MemoryQueue, lambda_context: Any) -> None:
    body = json.dumps(encounter()).encode()
    sent = request(body=body, secret="wrong", headers={"x-hub-signature-256": digest(body).hex()})
    assert signed_receiver(queue)(sent, lambda_context)["statusCode"] == 401
    assert queue.events == []


@pytest.mark.conformance("C15", "C16", "C18")
def test_the_order_of_the_checks(lambda_context: Any) -> None:
    """Each request below has every later fault as well."""
    large = b"{" * 1_100_000
    signature = {"x-hub-signature-256": digest(large).hex()}
    receiver = signed_receiver(Refusing())
    for sent, status in [
        (request(path="/notify/general/other", body=large, secret="wrong"), 404),
        (request(body=large, secret="wrong"), 401),
        (request(body=large), 401),
        (request(body=large, headers=signature), 413),
        (request(body=b"{", headers={"x-hub-signature-256": digest(b"{").hex()}), 400),
        (request(body=b"", headers={"x-hub-signature-256": digest(b"").hex()}), 503),
    ]:
        assert receiver(sent, lambda_context)["statusCode"] == status


@pytest.mark.parametrize("body", ["not base64!", "e"])
def test_an_event_that_is_not_what_it_says_is_400(receiver: Receiver, lambda_context: Any, body: str) -> None:
    sent = request() | {"body": body, "isBase64Encoded": True}
    assert receiver(sent, lambda_context)["statusCode"] == 400
    lone = request() | {"body": "\ud800"}
    assert receiver(lone, lambda_context)["statusCode"] == 400


@pytest.mark.parametrize("secret", ["\ud800", "é", "\x00"])
def test_odd_secrets_are_401(receiver: Receiver, lambda_context: Any, secret: str) -> None:
    assert receiver(request(secret=secret), lambda_context)["statusCode"] == 401


@pytest.mark.conformance("C03", "C04")
@pytest.mark.parametrize("kind", ["handshake", "heartbeat"])
def test_signs_of_life_are_noted_and_are_no_work(queue: MemoryQueue, lambda_context: Any, kind: str) -> None:
    marks = MemoryMarks()
    receiver = Receiver(MemoryTenants(tenant()), queue, marks)
    assert marks.state("general", "admissions").last is None
    answer = receiver(request(body=json.dumps(status_of(kind)).encode()), lambda_context)
    assert (answer["statusCode"], answer["body"]) == (202, "")
    assert marks.state("general", "admissions").last is not None
    assert queue.events == []


@pytest.mark.conformance("C11")
@pytest.mark.parametrize("state", ["error", "off"])
def test_a_subscription_in_error_raises_an_alarm_and_asks_for_a_sweep(
    receiver: Receiver, queue: MemoryQueue, lambda_context: Any, capsys: pytest.CaptureFixture[str], state: str
) -> None:
    body = status_of("event-notification", event_of({"valueString": "3"}, "Encounter/e1"), state=state)
    assert receiver(request(body=json.dumps(body).encode()), lambda_context)["statusCode"] == 202
    assert [event.kind for event in queue.events] == ["sweep"]
    assert count(capsys)["SubscriptionErrors"] == 1


@pytest.mark.conformance("C05")
def test_many_empty_events_ask_for_one_sweep(receiver: Receiver, queue: MemoryQueue, lambda_context: Any) -> None:
    body = status_of("event-notification", *(event_of({"valueString": str(number)}) for number in (7, 9, 8)))
    assert receiver(request(body=json.dumps(body).encode()), lambda_context)["statusCode"] == 202
    assert [(event.kind, event.event_number) for event in queue.events] == [("sweep", 9)]


@pytest.mark.conformance("C09")
def test_a_thousand_events_in_one_bundle(receiver: Receiver, queue: MemoryQueue, lambda_context: Any) -> None:
    numbers = [*range(500, 1000), *range(500)]
    events = [event_of({"valueString": str(number)}, f"Encounter/e{number}") for number in numbers]
    body = gzip.compress(json.dumps(status_of("event-notification", *events)).encode())
    answer = receiver(request(body=body, headers={"content-encoding": "gzip"}), lambda_context)
    assert answer["statusCode"] == 202
    assert [event.event_number for event in queue.events] == numbers
    assert {event.focus for event in queue.events} == {f"Encounter/e{number}" for number in numbers}


@pytest.mark.conformance("C15")
@pytest.mark.parametrize("subscription", ["Subscription/other", "https://elsewhere.test/fhir/Subscription/s1"])
def test_another_subscription_is_404_and_queues_nothing(
    queue: MemoryQueue, lambda_context: Any, subscription: str
) -> None:
    receiver = Receiver(MemoryTenants(tenant(reference="Subscription/s1")), queue)
    body = status_of("event-notification", event_of({"valueString": "1"}, "Encounter/e1"))
    body["entry"][0]["resource"]["parameter"][0]["valueReference"]["reference"] = subscription
    answer = receiver(request(body=json.dumps(body).encode()), lambda_context)
    assert (answer["statusCode"], outcome(answer)["code"]) == (404, "not-found")
    assert queue.events == []


def test_every_refusal_is_counted_by_its_reason(
    receiver: Receiver, lambda_context: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for sent, reason in [
        (request(path="/nowhere"), "NoRoute"),
        (request(method="DELETE"), "NoRoute"),
        (request(method="GET"), "NoRoute"),
        (request(path="/notify/general/other"), "UnknownSubscription"),
        (request(secret=None), "NotificationUnauthorized"),
        (request(body=b"x" * 1_100_000), "NotificationTooLarge"),
        (request(body=b"{"), "MalformedNotification"),
    ]:
        receiver(sent, lambda_context)
        assert count(capsys) == {"NotificationsRefused": 1, f"Refused{reason}": 1}
    receiver(request(), lambda_context)
    assert count(capsys) == {"NotificationsAccepted": 1, "EventsQueued": 1}


def test_public_keys_are_answered_by_their_own_module(
    receiver: Receiver, lambda_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = ModuleType("functions.receiver.jwks")
    keys.jwks_response = lambda: Response(  # type: ignore[attr-defined]
        200, content_type="application/json", body='{"keys":[]}', headers={"Cache-Control": "public, max-age=3600"}
    )
    monkeypatch.setitem(sys.modules, "functions.receiver.jwks", keys)
    answer = receiver(request("GET", "/.well-known/jwks.json", secret=None), lambda_context)
    assert (answer["statusCode"], json.loads(answer["body"])) == (200, {"keys": []})
    assert answer["headers"] == {"Content-Type": "application/json", "Cache-Control": "public, max-age=3600"}
