"""What may never happen, whatever an EHR sends; and a coverage-guided fuzzer that tries to make it happen.

    python -m tests.faults.fuzz_notifications CORPUS [libFuzzer options, such as -max_total_time=600]

needs atheris (Apache-2.0). CORPUS is a folder: what is found is added to it, and the HL7 examples go in first.
pytest does not collect this file; tests/faults/test_notification_fuzz.py checks the same with Hypothesis.
"""

from __future__ import annotations

import base64
import json
import os
import random
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fhir_adapter.errors import NotificationError
from fhir_adapter.notifications import Kind, Origin, decode_body, parse_notification
from fhir_adapter.tenants import MemoryTenants, Tenant
from tests.samples import SECRET, tenant_json

BASE = "https://example.org/fhir"
DATA = Path(os.environ.get("BEDSIDE_DATA", Path(__file__).parents[3] / "shared" / "data"))
HEAD = 2  # bytes of a fuzzer's input before the body
METHODS = ("POST", "PUT", "DELETE", "GET")
PATHS = ((), ("Encounter", "e1"), ("Patient", "p1"), ("Subscription", "s1"), ("encounter", "../x"), ("Encounter", ""))
CODINGS = ("", "identity", "gzip", "br")
TYPES = ("application/fhir+json", "application/json; charset=utf-8", "", "text/xml", "application/json;charset=utf-16")
STATUSES = {202, 400, 401, 404, 413, 503}
FOCUS = re.compile(r"[A-Z][A-Za-z]{1,63}/[A-Za-z0-9\-.]{1,64}\Z")
VERSION = re.compile(r"[A-Za-z0-9\-.]{1,64}\Z")

HOSPITAL = Tenant.from_dict(tenant_json(reference="Subscription/admission") | {"fhir_base": BASE})
BOUND = HOSPITAL.subscriptions["admissions"]
OPEN = replace(BOUND, reference=None)


def check_parser(method: str, path: tuple[str, ...], coding: str, body: bytes) -> None:
    """Parse, as the receiver does; only the documented errors may come out, and only what is safe to queue."""
    where = (path[0], path[1]) if path else None
    for subscription in (OPEN, BOUND):
        for relative in (Origin(BASE), Origin(BASE).__call__):
            try:
                found = parse_notification(method, where, decode_body(body, coding), subscription, relative)
            except NotificationError as error:
                assert error.status in STATUSES, error
                continue
            assert found
            for one in found:
                assert isinstance(one.kind, Kind)
                assert one.focus is None or FOCUS.match(one.focus)
                assert one.patient is None or (FOCUS.match(one.patient) and one.patient.startswith("Patient/"))
                assert one.version is None or VERSION.match(one.version)
                for number in (one.event_number, one.events_since_start):
                    assert number is None or (type(number) is int and 0 <= number < 2**63)
                assert (one.focus is not None) == (one.kind is Kind.FOCUS)


class Target:
    """A receiver, with everything around it in memory."""

    def __init__(self) -> None:
        from functions.receiver.api import Receiver
        from functions.serving.cloud import MemoryQueue

        self.queue = MemoryQueue()
        self.receiver = Receiver(MemoryTenants(HOSPITAL), self.queue)
        self.context: Any = SimpleNamespace(
            function_name="fuzz",
            function_version="$LATEST",
            invoked_function_arn="arn:aws:lambda:eu-central-1:123456789012:function:fuzz",
            memory_limit_in_mb=512,
            aws_request_id="00000000-0000-0000-0000-000000000000",
        )

    def check(self, method: str, path: str, headers: dict[str, str], body: str, coded: bool) -> int:
        """Send one request; whatever is not accepted is explained and leaves nothing behind."""
        self.queue.events.clear()
        event = {
            "version": "2.0",
            "rawPath": path,
            "rawQueryString": "",
            "headers": headers,
            "requestContext": {
                "http": {"method": method, "path": path, "sourceIp": "127.0.0.1"},
                "stage": "$default",
                "requestId": "fuzz",
            },
            "body": body,
            "isBase64Encoded": coded,
        }
        answer = self.receiver(event, self.context)
        status = int(answer["statusCode"])
        assert status in STATUSES, status
        if status == 202:
            assert answer["body"] == ""
            for queued in self.queue.events:
                assert type(queued).from_json(queued.to_json()) == queued
        else:
            assert self.queue.events == []
            outcome = json.loads(answer["body"])
            assert outcome["resourceType"] == "OperationOutcome" and outcome["issue"][0]["diagnostics"]
        return status


def split(data: bytes) -> tuple[str, tuple[str, ...], str, str, bytes]:
    """Read a fuzzer's input: the first two bytes choose method, path, coding and type; the rest is the body."""
    first, second = (data + b"\0\0")[:HEAD]
    method = METHODS[first % 4]
    path = PATHS[first // 4 % len(PATHS)]
    return method, path, CODINGS[second % 4], TYPES[second // 4 % len(TYPES)], data[HEAD:]


def mutate(data: bytes, most: int, seed: int, otherwise: Any) -> bytes:
    """Change one node of the JSON, so that the parser is reached; every fourth time, bytes."""
    chance = random.Random(seed)
    if chance.random() < 0.25:
        return bytes(otherwise(data, most))
    try:
        tree = json.loads(data[HEAD:])
    except (ValueError, RecursionError):
        return bytes(otherwise(data, most))
    nodes = list(_nodes(tree))
    if not nodes:
        return bytes(otherwise(data, most))
    holder, key = chance.choice(nodes)
    spare = chance.choice(nodes)
    choices = ["", "2", "9" * 30, -1, 2, 1.5, 10**30, True, None, [], {}, "Patient/p1", "\ud7ff", "é" * 70, "a\u0000"]
    what = chance.randrange(5)
    if what == 0 and isinstance(holder, dict):
        holder[chance.choice(["resource", "reference", "valueString", "part", "x"])] = holder.pop(key)
    elif what == 1:
        holder[key] = spare[0][spare[1]]
    elif what == 2 and isinstance(holder, list):
        holder.append(holder[key])
    else:
        holder[key] = chance.choice(choices)
    try:
        body = json.dumps(tree).encode()
    except (ValueError, RecursionError):  # a node was put into itself
        return bytes(otherwise(data, most))
    return (data[:HEAD] + body)[:most]


def _nodes(tree: Any) -> Any:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        for key in keys:
            yield node, key
            waiting.append(node[key])


def seed_corpus(folder: Path) -> None:
    """Put the HL7 examples into the corpus, as POSTs to the endpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(sorted((DATA / "notifications").rglob("*.json"))):
        body = json.dumps(json.loads(path.read_bytes())).encode()
        (folder / f"seed-{number:02d}").write_bytes(b"\0\0" + body)


def main() -> None:
    """Fuzz until libFuzzer's options say stop; a finding ends the run with a traceback."""
    import atheris

    os.environ |= {"POWERTOOLS_LOG_LEVEL": "CRITICAL", "POWERTOOLS_METRICS_NAMESPACE": "Bedside"}
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # metrics go there; libFuzzer writes to the other
    folder = Path(sys.argv[1])
    seed_corpus(folder)
    target = Target()
    count = 0

    def one(data: bytes) -> None:
        nonlocal count
        count += 1
        method, path, coding, media, body = split(data)
        check_parser(method, path, coding, body)
        if count % 4 == 0:  # the receiver around the parser costs ten times as much
            where = "/".join(["/notify/general/admissions", *path])
            headers = {"authorization": f"Bearer {SECRET}", "content-encoding": coding, "content-type": media}
            target.check(method, where, headers, base64.b64encode(body).decode(), True)

    def change(data: bytes, most: int, seed: int) -> bytes:
        return mutate(data, most, seed, atheris.Mutate)

    for module in list(sys.modules.values()):
        if module.__name__.startswith(("fhir_adapter.notifications", "functions.receiver", "fhir_adapter.references")):
            _instrument(atheris, module)
    atheris.Setup([sys.argv[0], *sys.argv[1:]], one, custom_mutator=change)
    atheris.Fuzz()


def _instrument(atheris: Any, module: Any) -> None:
    """Count branches in our functions only; the modules are loaded already, since this file imports them."""
    for name, value in list(vars(module).items()):
        if getattr(value, "__module__", None) != module.__name__:
            continue
        if isinstance(value, type):
            for method, code in list(vars(value).items()):
                if hasattr(code, "__code__"):
                    setattr(value, method, atheris.instrument_func(code))
        elif hasattr(value, "__code__"):
            setattr(module, name, atheris.instrument_func(value))


if __name__ == "__main__":
    main()
