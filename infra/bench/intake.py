"""How fast notifications are taken in, against the least that any receiver does: parse the JSON, sign the body."""

from __future__ import annotations

import hmac
import os
import resource
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from itertools import islice
from statistics import median
from time import process_time, thread_time_ns
from types import SimpleNamespace
from typing import IO, Any

import orjson

from fhir_adapter.notifications import Origin, check_media_type, decode_body, parse_notification
from fhir_adapter.tenants import MemoryTenants, Tenant
from functions.serving.events import Event

__all__ = ["measure"]

BASE = "https://ehr.example/fhir"
SECRET = "a-secret-for-the-bench-only"  # noqa: S105 - no one's
SIGNED = "X-Hub-Signature-256"
AT = "2026-01-10T08:30:00.1882432+00:00"


def measure(rounds: int = 300, notifications: int = 20_000) -> dict[str, Any]:
    """Time intake and its floor, interleaved and in CPU time, so that a busy machine changes neither.

    Parameters
    ----------
    rounds : int
        Single notifications timed of each; bundles a fifth of it.
    notifications : int
        Sent through the whole receiver, to each queue.

    Returns
    -------
    dict
        ``one_us``, ``floor_us`` and ``ratio`` for a full-resource notification: authenticated by secret and
        signature and parsed, against ``orjson.loads`` and one HMAC-SHA256 of the same body. ``bundles``: for bundles
        of 1,000 events, parsing against ``orjson.loads``. ``per_second`` of CPU time through the whole receiver with
        its log and metrics, to a queue in memory and to a file. ``growth_kb``: how much the process's peak memory
        grew while these were sent, after the first tenth.
    """
    through = _through(notifications)  # first, since large bundles raise the peak by themselves
    return {
        **_one(rounds),
        "bundles": {name: _bundle(body, max(3, rounds // 5)) for name, body in _bundles()},
        **through,
        "rounds": rounds,
        "notifications": notifications,
    }


def _one(rounds: int) -> dict[str, Any]:
    from functions.receiver.authentication import check_secret, check_signature

    body = _full_resource(1)
    subscription = _tenant(signed=True).subscriptions["admissions"]
    origin = Origin(BASE)
    key = SECRET.encode()
    headers = {
        "authorization": f"Bearer {SECRET}",
        "content-type": "application/fhir+json; fhirVersion=4.0",
        SIGNED.lower(): "sha256=" + hmac.digest(key, body, "sha256").hex(),
    }

    def intake() -> Any:
        check_secret(headers, subscription)
        check_signature(headers, body, subscription)
        plain = decode_body(body, headers.get("content-encoding") or "")
        check_media_type(headers.get("content-type") or "")
        return parse_notification("POST", None, plain, subscription, origin)

    def floor() -> Any:
        return orjson.loads(body), hmac.digest(key, body, "sha256")

    ours, least = _interleaved(intake, floor, rounds)
    return {
        "one_us": round(ours, 1),
        "floor_us": round(least, 1),
        "ratio": round(ours / least, 2),
        "one_bytes": len(body),
    }


def _bundle(body: bytes, rounds: int) -> dict[str, Any]:
    subscription = _tenant().subscriptions["admissions"]
    origin = Origin(BASE)

    def parse() -> Any:
        return parse_notification("POST", None, body, subscription, origin)

    ours, least = _interleaved(parse, lambda: orjson.loads(body), rounds)
    events = len(parse())
    return {
        "parse_us": round(ours),
        "orjson_us": round(least),
        "ratio": round(ours / least, 2),
        "events": events,
        "bytes": len(body),
    }


def _interleaved(ours: Callable[[], Any], floor: Callable[[], Any], rounds: int) -> tuple[float, float]:
    """Return the medians of both in microseconds of CPU time, so that waiting for a busy core does not count."""
    timings: tuple[list[int], list[int]] = ([], [])
    for number in range(-rounds // 5, rounds):
        for series, run in zip(timings, (ours, floor), strict=True):
            started = thread_time_ns()
            run()
            elapsed = thread_time_ns() - started
            if number >= 0:
                series.append(elapsed)
    return median(timings[0]) / 1000, median(timings[1]) / 1000


class _Forgetting:
    """A queue in memory that someone empties."""

    def send(self, events: Sequence[Event], models: Sequence[str] = ()) -> None:  # noqa: ARG002 - one for all
        self.last = [event.to_json() for event in events]


class _Lines:
    """A queue that is a file: one line an event, handed to the operating system before the answer."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def send(self, events: Sequence[Event], models: Sequence[str] = ()) -> None:  # noqa: ARG002 - one for all
        self._file.writelines(event.to_json() + "\n" for event in events)
        self._file.flush()


def _through(notifications: int) -> dict[str, Any]:
    """Send notifications through the whole receiver, and watch its memory."""
    with _quiet(), tempfile.TemporaryFile("w") as file:
        rates = {}
        growth = {}
        for name, queue in (("memory", _Forgetting()), ("file", _Lines(file))):
            rates[name], growth[name] = _send(queue, notifications)
    return {"per_second": rates, "growth_kb": growth}


def _send(queue: Any, notifications: int) -> tuple[int, int]:
    from functions.receiver.api import Receiver

    receiver = Receiver(MemoryTenants(_tenant()), queue)
    requests = _requests()
    first = notifications // 10
    _all(receiver, islice(requests, first))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = process_time()
    _all(receiver, islice(requests, notifications - first))
    rate = (notifications - first) / (process_time() - started)
    return round(rate), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak


def _all(receiver: Any, requests: Iterator[dict[str, Any]]) -> None:
    context = SimpleNamespace(aws_request_id="bench", function_name="bench")
    for request in requests:
        status = receiver(request, context)["statusCode"]
        if status != 202:
            raise RuntimeError(f"the receiver answered {status}")


def _requests() -> Iterator[dict[str, Any]]:
    """Full-resource notifications, each of another encounter, as an HTTP API sends them."""
    path = "/notify/bench/admissions"
    number = 0
    while True:
        number += 1
        yield {
            "version": "2.0",
            "rawPath": path,
            "rawQueryString": "",
            "headers": {"authorization": f"Bearer {SECRET}", "content-type": "application/json"},
            "requestContext": {"http": {"method": "POST", "path": path}, "stage": "$default", "requestId": "bench"},
            "body": _full_resource(1, number).decode(),
            "isBase64Encoded": False,
        }


@contextmanager
def _quiet() -> Iterator[None]:
    """Send log and metrics to nowhere, at the cost of a write."""
    before = os.environ.get("POWERTOOLS_METRICS_NAMESPACE")
    os.environ["POWERTOOLS_METRICS_NAMESPACE"] = before or "Bench"
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):  # noqa: PTH123
            yield
    finally:
        if before is None:
            del os.environ["POWERTOOLS_METRICS_NAMESPACE"]


def _tenant(signed: bool = False) -> Tenant:
    tenant = Tenant.from_dict(
        {
            "name": "bench",
            "fhir_base": BASE,
            "subscriptions": {
                "admissions": {
                    "secret": SECRET,
                    "criteria": "Encounter?class=IMP",
                    "reference": "Subscription/admission",
                    "models": ["whas500"],
                }
            },
        }
    )
    if not signed:
        return tenant
    entry = replace(tenant.subscriptions["admissions"], hmac_secret=SECRET, signature_header=SIGNED)
    return replace(tenant, subscriptions={"admissions": entry})


def _bundles() -> list[tuple[str, bytes]]:
    return [
        ("r4_full_resource", _full_resource(1000, small=True)),
        ("r4_id_only", _r4(1000, 1, [])),
        ("r4_id_only_with_patient", _r4(1000, 1, [], patient=True)),
        ("r4b_id_only", _r4b(1000)),
    ]


def _id(number: int) -> str:
    return f"{number:08d}-eabe-42bf-8c02-b112b18cb616"


def _full_resource(events: int, first: int = 1, small: bool = False) -> bytes:
    """The Backport's full-resource notification for R4."""
    entries = []
    for number in range(first, first + events):
        encounter = _encounter(number)
        if small:  # a thousand of the others are over the receiver's limit of 1 MiB
            encounter = {key: encounter[key] for key in ("resourceType", "id", "meta", "status", "class", "subject")}
        entries.append(
            {
                "fullUrl": f"{BASE}/Encounter/{_id(number)}",
                "resource": encounter,
                "request": {"method": "POST", "url": "Encounter"},
                "response": {"status": "201"},
            }
        )
    return _r4(events, first, entries)


def _r4(events: int, first: int, entries: list[dict[str, Any]], patient: bool = False) -> bytes:
    parameters: list[dict[str, Any]] = [
        {"name": "subscription", "valueReference": {"reference": f"{BASE}/Subscription/admission"}},
        {"name": "topic", "valueCanonical": "http://hl7.org/SubscriptionTopic/admission"},
        {"name": "status", "valueCode": "active"},
        {"name": "type", "valueCode": "event-notification"},
        {"name": "events-since-subscription-start", "valueString": str(first + events)},
    ]
    for number in range(first, first + events):
        part: list[dict[str, Any]] = [
            {"name": "event-number", "valueString": str(number)},
            {"name": "timestamp", "valueInstant": AT},
            {"name": "focus", "valueReference": {"reference": f"{BASE}/Encounter/{_id(number)}"}},
        ]
        if patient:
            reference = {"reference": f"{BASE}/Patient/{_id(number)}"}
            part.append({"name": "additional-context", "valueReference": reference})
        parameters.append({"name": "notification-event", "part": part})
    status = {"resourceType": "Parameters", "id": _id(0), "parameter": parameters}
    return _history(status, entries)


def _r4b(events: int) -> bytes:
    status = {
        "resourceType": "SubscriptionStatus",
        "id": _id(0),
        "status": "active",
        "type": "event-notification",
        "subscription": {"reference": f"{BASE}/Subscription/admission"},
        "topic": "http://hl7.org/SubscriptionTopic/admission",
        "eventsSinceSubscriptionStart": str(events),
        "notificationEvent": [
            {"eventNumber": str(number), "timestamp": AT, "focus": {"reference": f"{BASE}/Encounter/{_id(number)}"}}
            for number in range(1, events + 1)
        ],
    }
    return _history(status, [])


def _history(status: dict[str, Any], entries: list[dict[str, Any]]) -> bytes:
    url = f"{BASE}/Subscription/admission/$status"
    first = {
        "fullUrl": f"urn:uuid:{_id(0)}",
        "resource": status,
        "request": {"method": "GET", "url": url},
        "response": {"status": "200"},
    }
    return orjson.dumps({"resourceType": "Bundle", "type": "history", "timestamp": AT, "entry": [first, *entries]})


def _encounter(number: int) -> dict[str, Any]:
    """An inpatient encounter as EHRs send it."""
    act = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    return {
        "resourceType": "Encounter",
        "id": _id(number),
        "meta": {
            "versionId": "3",
            "lastUpdated": AT,
            "profile": ["http://hl7.org/fhir/us/core/StructureDefinition/us-core-encounter"],
        },
        "identifier": [{"use": "official", "system": f"{BASE}/visits", "value": f"V{number:09d}"}],
        "status": "in-progress",
        "class": {"system": act, "code": "IMP", "display": "inpatient encounter"},
        "type": [
            {"coding": [{"system": "http://snomed.info/sct", "code": "183452005"}], "text": "Emergency admission"}
        ],
        "priority": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActPriority", "code": "EM"}]},
        "subject": {"reference": f"{BASE}/Patient/{_id(number)}"},
        "participant": [
            {
                "type": [
                    {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": role}]}
                ],
                "period": {"start": AT},
                "individual": {"reference": f"{BASE}/Practitioner/{_id(number + 7)}"},
            }
            for role in ("ADM", "ATND")
        ],
        "period": {"start": AT},
        "reasonCode": [{"coding": [{"system": "http://snomed.info/sct", "code": "22298006"}]}],
        "hospitalization": {
            "admitSource": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/admit-source", "code": "emd"}]}
        },
        "location": [{"location": {"reference": f"{BASE}/Location/{_id(3)}"}, "status": "active"}],
        "serviceProvider": {"reference": f"{BASE}/Organization/{_id(1)}"},
    }
