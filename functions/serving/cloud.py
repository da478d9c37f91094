"""AWS behind small Protocols: queues and the ledger, each with an in-memory form for tests.

Clients are made when first used, so that importing this module opens no connection.
"""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import boto3
from botocore.exceptions import ClientError

from fhir_adapter.errors import ConfigurationError
from functions.serving.events import Event

__all__ = ["EventQueue", "Ledger", "MemoryLedger", "MemoryQueue", "PassedOver", "SqsQueue", "TableLedger"]

KEEP_DAYS = 90
BATCH = 10
READ_AT_ONCE = 100
LONGEST_DELAY = 900


class EventQueue(Protocol):
    """Where events go."""

    def send(self, events: Sequence[Event], models: Sequence[str] = ()) -> None:
        """Send all of them, or raise.

        Parameters
        ----------
        models : sequence of str
            Those of the subscription: where there are queues for different functions, an event that names no model is
            for the first of them.
        """


class QueueError(Exception):
    """The queue did not take every event."""


class SqsQueue:
    """Events on Amazon SQS."""

    def __init__(self, url: str) -> None:
        self._url = url

    @cached_property
    def _client(self) -> Any:
        return boto3.client("sqs")

    def send(self, events: Sequence[Event], models: Sequence[str] = ()) -> None:  # noqa: ARG002 - one for all
        """Send in batches of ten; the queue is that of all models.

        Raises
        ------
        QueueError
            When SQS refused one; the others may have been taken, and being sent twice does no harm.
        """
        self.send_later(events, 0)

    def send_later(self, events: Sequence[Event], seconds: float) -> None:
        """Send them so that they arrive in some seconds, at most 15 minutes (SQS SendMessage, DelaySeconds).

        Raises
        ------
        QueueError
        """
        delay = min(max(math.ceil(seconds), 0), LONGEST_DELAY)
        for batch in _batches(events):
            entries: list[Any] = [
                {"Id": str(index), "MessageBody": event.to_json(), **({"DelaySeconds": delay} if delay else {})}
                for index, event in enumerate(batch)
            ]
            answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
            if answer.get("Failed"):
                raise QueueError(f"the queue refused {len(answer['Failed'])} of {len(batch)} events")

    def send_dead(self, body: str, cause: str, event_id: str) -> None:
        """Put a message on this (dead-letter) queue with its cause as an attribute."""
        self._client.send_message(
            QueueUrl=self._url,
            MessageBody=body,
            MessageAttributes={
                "cause": {"DataType": "String", "StringValue": cause[:1000]},
                "event": {"DataType": "String", "StringValue": event_id},
            },
        )


def _batches(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    for start in range(0, len(events), BATCH):
        yield events[start : start + BATCH]


class MemoryQueue:
    """Events in a list."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def send(self, events: Sequence[Event], models: Sequence[str] = ()) -> None:  # noqa: ARG002 - one for all
        """Append them."""
        self.events.extend(events)


@dataclass(frozen=True)
class PassedOver:
    """A version of a resource that a model does not apply to: there is no result in the EHR that says so.

    Parameters
    ----------
    tenant, model : str
    focus : str
        ``Type/id``.
    version : str
    """

    tenant: str
    model: str
    focus: str
    version: str

    @property
    def key(self) -> str:
        """Its name in the ledger, which tells nobody what it is about."""
        whole = "|".join((self.tenant, self.model, self.focus, self.version))
        return f"passed-over#{hashlib.sha256(whole.encode()).hexdigest()}"


class Ledger(Protocol):
    """How every event ended, and how far a subscription was swept. Holds no patient data."""

    def record(self, event: Event, entry: Mapping[str, Any]) -> None:
        """Note how an event ended."""

    def checkpoint(self, tenant: str, subscription: str) -> str | None:
        """Return the instant up to which a subscription was swept."""

    def advance(self, tenant: str, subscription: str, until: str) -> None:
        """Move the checkpoint forward, never back; instants compare as text (ISO 8601 in UTC)."""

    def pass_over(self, found: PassedOver) -> None:
        """Note that a model does not apply to a version of a resource."""

    def passed_over(self, asked: Sequence[PassedOver]) -> set[PassedOver]:
        """Return those of which it was noted."""


class TableLedger:
    """The ledger in a DynamoDB table with the key ``pk``."""

    def __init__(self, table: str) -> None:
        self._name = table

    @cached_property
    def _table(self) -> Any:
        return boto3.resource("dynamodb").Table(self._name)

    def record(self, event: Event, entry: Mapping[str, Any]) -> None:
        """Put one item a notification; written again, it is the same item."""
        item = {
            "pk": f"event#{event.id}",
            "tenant": event.tenant,
            "subscription": event.subscription,
            "expires": int(time.time()) + KEEP_DAYS * 86_400,
            **{key: value for key, value in entry.items() if value is not None},
        }
        self._table.put_item(Item=item)

    def checkpoint(self, tenant: str, subscription: str) -> str | None:
        """Return the checkpoint, or None before the first sweep."""
        key = {"pk": f"checkpoint#{tenant}#{subscription}"}
        item = self._table.get_item(Key=key, ConsistentRead=True).get("Item")
        return str(item["until"]) if item else None

    def advance(self, tenant: str, subscription: str, until: str) -> None:
        """Put the checkpoint, unless another sweep came further meanwhile."""
        try:
            self._table.put_item(
                Item={"pk": f"checkpoint#{tenant}#{subscription}", "until": until},
                ConditionExpression="attribute_not_exists(pk) OR #until < :until",
                ExpressionAttributeNames={"#until": "until"},
                ExpressionAttributeValues={":until": until},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise

    def pass_over(self, found: PassedOver) -> None:
        """Put an item that expires with the events' own."""
        self._table.put_item(Item={"pk": found.key, "expires": int(time.time()) + KEEP_DAYS * 86_400})

    def passed_over(self, asked: Sequence[PassedOver]) -> set[PassedOver]:
        """Read the items, a hundred at once."""
        resource = boto3.resource("dynamodb")
        known: set[str] = set()
        keys = sorted({one.key for one in asked})
        for start in range(0, len(keys), READ_AT_ONCE):
            chunk = [{"pk": key} for key in keys[start : start + READ_AT_ONCE]]
            wanted: Any = {self._name: {"Keys": chunk, "ConsistentRead": True}}
            while wanted:
                answer = resource.batch_get_item(RequestItems=wanted)
                known |= {str(item["pk"]) for item in answer["Responses"].get(self._name, ())}
                wanted = answer.get("UnprocessedKeys")
        return {one for one in asked if one.key in known}


class MemoryLedger:
    """The ledger in dicts."""

    def __init__(self) -> None:
        self.entries: dict[str, dict[str, Any]] = {}
        self.checkpoints: dict[tuple[str, str], str] = {}
        self._passed_over: set[PassedOver] = set()

    def record(self, event: Event, entry: Mapping[str, Any]) -> None:
        """Keep one entry a notification."""
        self.entries[event.id] = dict(entry)

    def checkpoint(self, tenant: str, subscription: str) -> str | None:
        """Return the checkpoint."""
        return self.checkpoints.get((tenant, subscription))

    def advance(self, tenant: str, subscription: str, until: str) -> None:
        """Keep the later checkpoint."""
        self.checkpoints[tenant, subscription] = max(until, self.checkpoints.get((tenant, subscription), ""))

    def pass_over(self, found: PassedOver) -> None:
        """Keep it."""
        self._passed_over.add(found)

    def passed_over(self, asked: Sequence[PassedOver]) -> set[PassedOver]:
        """Return those that were kept."""
        return self._passed_over & set(asked)


def setting(name: str) -> str:
    """Return an environment variable a function cannot do without.

    Raises
    ------
    ConfigurationError
        Naming it.
    """
    value = os.environ.get(name)
    if not value:
        raise ConfigurationError(f"the environment variable {name} is not set")
    return value
