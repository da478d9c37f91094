"""What waits in the twin's queues, what died in them, and how events ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from infra.local.aws import LEDGER_TABLE, Queue
from infra.local.deadletters import DeadLetter, put_back, read_dead_letters

__all__ = ["Queues", "ended_events"]

COUNTED = tuple(f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed"))


class Queues:
    """The queues of all functions, looked at together.

    Parameters
    ----------
    sqs : boto3 SQS client
    queues : sequence of Queue
    """

    def __init__(self, sqs: Any, queues: Sequence[Queue]) -> None:
        self._sqs = sqs
        self._queues = tuple(queues)

    def waiting(self) -> int:
        """Return the number of events queued, delayed or being handled."""
        return sum(self._count(queue.url) for queue in self._queues)

    def dead_letter_count(self) -> int:
        """Return the number of dead letters."""
        return sum(self._count(queue.dead_letter_url) for queue in self._queues)

    def dead_letters(self) -> list[DeadLetter]:
        """Return the dead letters; they stay where they are."""
        found: list[DeadLetter] = []
        for queue in self._queues:
            letters = read_dead_letters(self._sqs, queue.dead_letter_url)
            put_back(self._sqs, queue.dead_letter_url, letters)
            found += letters
        return sorted(found, key=lambda letter: letter.sent)

    def _count(self, url: str) -> int:
        found = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(COUNTED))["Attributes"]
        return sum(int(found.get(name, 0)) for name in COUNTED)


def ended_events(dynamodb: Any) -> list[dict[str, Any]]:
    """Return the ledger's items of events, as plain values.

    Parameters
    ----------
    dynamodb : boto3 DynamoDB client
    """
    from boto3.dynamodb.types import TypeDeserializer

    plain = TypeDeserializer()
    items: list[dict[str, Any]] = []
    for page in dynamodb.get_paginator("scan").paginate(TableName=LEDGER_TABLE):
        items += [{name: plain.deserialize(value) for name, value in item.items()} for item in page["Items"]]
    return [item for item in items if str(item["pk"]).startswith("event#")]
