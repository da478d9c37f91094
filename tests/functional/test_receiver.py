from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest

from fhir_adapter.tenants import MemoryTenants
from functions.receiver.api import Receiver
from functions.serving.cloud import MemoryQueue, QueueError, SecretTenants, SqsQueue
from functions.serving.events import Event
from tests.functional.conftest import Cloud
from tests.samples import SECRET, encounter, tenant

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
    def send(self, events: Any) -> None:
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
    assert body["resourceType"] == "OperationOutcome"
    (issue,) = body["issue"]
    assert issue["severity"] == "error" and issue["diagnostics"]
    return dict(issue)


def test_put_is_queued_and_answered_with_nothing(receiver: Receiver, queue: MemoryQueue, lambda_context: Any) -> None:
    body = json.dumps(encounter(meta={"versionId": "2"})).encode()
    answer = receiver(request("PUT", f"{ENDPOINT}/Encounter/e1", body), lambda_context)
    assert (answer["statusCode"], answer["body"]) == (202, "")
    (event,) = queue.events
    assert (event.kind, event.focus, event.version, event.patient) == ("focus", "Encounter/e1", "2", "Patient/p1")


def test_empty_post_asks_for_a_sweep(receiver: Receiver, queue: MemoryQueue, lambda_context: Any) -> None:
    assert receiver(request(), lambda_context)["statusCode"] == 202
    assert [event.kind for event in queue.events] == ["sweep"]


def test_gzip_body(receiver: Receiver, queue: MemoryQueue, lambda_context: Any) -> None:
    body = gzip.compress(json.dumps(encounter()).encode())
    answer = receiver(request(body=body, headers={"content-encoding": "gzip"}), lambda_context)
    assert answer["statusCode"] == 202
    assert queue.events[0].focus == "Encounter/e1"


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


@pytest.mark.parametrize(
    "path",
    ["/notify/general/other", "/notify/other/admissions", "/notify", "/", "/notify/general/admissions/Encounter"],
)
def test_unknown_is_404(receiver: Receiver, queue: MemoryQueue, lambda_context: Any, path: str) -> None:
    answer = receiver(request(path=path), lambda_context)
    assert answer["statusCode"] == 404
    assert outcome(answer)["code"] == "not-found"
    assert queue.events == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "structure"),
        (b"\xff\xfe", 400, "structure"),
        (b'{"resourceType":"Encounter","x":' + b"[" * 200 + b"]" * 200 + b"}", 400, "structure"),
        (b'{"resourceType":"Encounter","x":' + b"[" * 5000, 400, "structure"),
        (b'{"resourceType":"Encounter","id":"' + b"x" * 1_100_000 + b'"}', 413, "too-long"),
        (b"\xff" * 1_100_000, 413, "too-long"),
    ],
    ids=["cut", "binary", "deep", "deep and cut", "large", "large binary"],
)
def test_bad_bodies_are_named_and_never_queued(
    receiver: Receiver, queue: MemoryQueue, lambda_context: Any, body: bytes, status: int, code: str
) -> None:
    answer = receiver(request(body=body), lambda_context)
    assert answer["statusCode"] == status
    assert outcome(answer)["code"] == code
    assert queue.events == []


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
