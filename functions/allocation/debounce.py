"""From events to solves: at most one a ward and minute, and none that misses an event.

An admission, discharge, transfer or bed status (Encounter, Location, ServiceRequest, Appointment, Flag) says which
wards it concerns. For each, a message goes to an SQS FIFO queue whose group is the ward, so that two solves of a ward
never run at once, and whose deduplication id is the ward and the minute, so that a minute has one (SQS, Using the
message deduplication ID). The queue's delay (`DelaySeconds` of 60) hands it over after the minute has ended: what it
reads then holds every event of the minute, those that sent no message of their own as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol

import boto3
import orjson

from fhir_adapter.client import FhirClient
from fhir_adapter.codes import Json
from functions.allocation.fromfhir.elements import codes_of, items, reference
from functions.allocation.solving import Solve
from functions.serving.errors import EventRejected

__all__ = ["MemorySolves", "SolveQueue", "SqsSolves", "concerned", "solve_from", "told_to_solve"]

DEEPEST = 6


class SolveQueue(Protocol):
    """Where solves are asked for."""

    def ask(self, solve: Solve, at: datetime) -> None:
        """Ask for a solve of the minute of `at`; asked for again in it, it is the same."""


class SqsSolves:
    """Solves on an SQS FIFO queue."""

    def __init__(self, url: str) -> None:
        self._url = url

    @cached_property
    def _client(self) -> Any:
        return boto3.client("sqs")

    def ask(self, solve: Solve, at: datetime) -> None:
        """Send a message, in the group of the ward, unless the minute has one."""
        group, minute = _digest(solve.tenant, solve.ward), at.strftime("%Y%m%dT%H%M")
        self._client.send_message(
            QueueUrl=self._url,
            MessageBody=told_to_solve(solve),
            MessageGroupId=group,
            MessageDeduplicationId=f"{group[:64]}-{minute}",
        )


class MemorySolves:
    """Solves in a list, each minute of a ward once."""

    def __init__(self) -> None:
        self.asked: list[Solve] = []
        self._minutes: set[tuple[Solve, str]] = set()

    def ask(self, solve: Solve, at: datetime) -> None:
        """Keep it, unless the minute has it."""
        key = solve, at.strftime("%Y%m%dT%H%M")
        if key not in self._minutes:
            self._minutes.add(key)
            self.asked.append(solve)


def _digest(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode()).hexdigest()


def told_to_solve(solve: Solve) -> str:
    """Return the message that asks for a solve."""
    return orjson.dumps({"solve": {"tenant": solve.tenant, "ward": solve.ward}}).decode()


def solve_from(body: str) -> Solve | None:
    """Return the solve that a message asks for; None when it is another message.

    Raises
    ------
    EventRejected
        It asks for one, and does not say of what.
    """
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(data, Mapping) or "solve" not in data:
        return None
    asked = data["solve"]
    if not isinstance(asked, Mapping) or not all(isinstance(asked.get(name), str) for name in ("tenant", "ward")):
        raise EventRejected("the message asks for a solve without a tenant and a ward")
    return Solve(asked["tenant"], asked["ward"])


def concerned(client: FhirClient, focus: Json) -> tuple[str, ...]:
    """Return the wards that a changed resource concerns: by its places; all of them where it names none.

    A patient who left a bed is told of by the place of the Encounter, whatever its status; a discharge therefore
    concerns the ward that was left.
    """
    wards: dict[str, None] = {}
    for place in _places(focus):
        ward = _ward_above(client, place)
        if ward is not None:
            wards[ward] = None
    if wards:
        return tuple(wards)
    found = client.complete(client.read("Location?_count=500"))
    return tuple(f"Location/{item['id']}" for item in found if _is_ward(item) and item.get("status") != "inactive")


def _places(focus: Json) -> Iterable[str]:
    if focus.get("resourceType") == "Location":
        yield f"Location/{focus.get('id')}"
    listed = [reference(item, "location") for item in items(focus, "location")]
    listed += [reference({"at": item}, "at") for item in items(focus, "locationReference")]
    listed += [reference(item, "actor") for item in items(focus, "participant")]
    yield from (name for name in listed if name and name.startswith("Location/"))


def _ward_above(client: FhirClient, place: str) -> str | None:
    here: str | None = place
    for _ in range(DEEPEST):
        if here is None:
            return None
        (answer,) = client.batch([here])
        if answer.resource is None or answer.status >= 400:
            return None
        if _is_ward(answer.resource):
            return here
        here = reference(answer.resource, "partOf")
    return None


def _is_ward(location: Json) -> bool:
    return "wa" in codes_of(location, "physicalType")
