"""Which event numbers of a subscription arrived, and when it was last heard of.

Subscriptions R5 Backport numbers events from the start of a subscription, without gaps; a missing number is a
lost notification. The worker notes a number once its event is handled or put aside, so the receiver needs no
database to answer an EHR; a number still on its way looks like a gap, and being asked for twice does no harm.

Notes come in any order and from many workers at once. They are only ever added to sets, one item for every
`BUCKET` numbers, so that none overwrites another and no item grows without bound.

Where a subscription asks several models, each number is an event for every one of them, and one may be lost while the
others are answered: the numbers are then kept by model, under a channel of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import boto3
from botocore.exceptions import ClientError

__all__ = ["Marks", "MemoryMarks", "Seen", "TableMarks", "channel_of", "channels"]

BUCKET = 256
KEEP_DAYS = 90


def channel_of(subscription: str, model: str | None) -> str:
    """Return the name under which numbers are kept, of a subscription or of one of its models."""
    return subscription if model is None else f"{subscription}/{model}"


def channels(subscription: str, models: Iterable[str]) -> tuple[str, ...]:
    """Return the channels of a subscription: its own for one model, else one for each."""
    named = tuple(dict.fromkeys(models))
    return tuple(channel_of(subscription, name) for name in named) if len(named) > 1 else (subscription,)


@dataclass(frozen=True)
class Seen:
    """What is known of one subscription.

    Parameters
    ----------
    floor : int or None
        Every number up to here is accounted for; None before the first repair.
    numbers : frozenset of int
        Numbers seen above the floor.
    last : str or None
        When anything was last heard of it, ISO 8601 in UTC.
    """

    floor: int | None = None
    numbers: frozenset[int] = frozenset()
    last: str | None = None

    @property
    def base(self) -> int:
        """The floor; before the first repair, what lies below the first number seen."""
        if self.floor is not None:
            return self.floor
        return min(self.numbers, default=1) - 1

    @property
    def highest(self) -> int:
        """The highest number seen."""
        return max(self.numbers, default=self.base)

    def gaps(self, upto: int | None = None) -> tuple[tuple[int, int], ...]:
        """Return the runs of numbers that should have come and did not, first and last of each.

        Parameters
        ----------
        upto : int, optional
            Number of the newest event, when the server tells; else the highest seen.
        """
        found = []
        before = self.base
        for number in (*sorted(self.numbers), max(self.highest, upto or 0) + 1):
            if number > before + 1:
                found.append((before + 1, number - 1))
            before = max(before, number)
        return tuple(found)


class Marks(Protocol):
    """Where event numbers are kept. Adding is atomic, in any order, by many at once."""

    def seen(self, tenant: str, subscription: str, number: int | None, at: str) -> None:
        """Note that something was heard at an instant: an event with its number, or a heartbeat without one."""

    def state(self, tenant: str, subscription: str) -> Seen:
        """Return what is known."""

    def repaired(self, tenant: str, subscription: str, upto: int) -> None:
        """Raise the floor: everything up to a number is accounted for."""

    def restart(self, tenant: str, subscription: str) -> None:
        """Forget the numbers: the server counts from the start again."""


class TableMarks:
    """Marks in the ledger's DynamoDB table, key ``pk``.

    One head item a subscription (``last``, ``floor``, ``buckets``), and one item with a number set for every
    `BUCKET` numbers.
    """

    def __init__(self, table: str) -> None:
        self._name = table

    @cached_property
    def _table(self) -> Any:
        return boto3.resource("dynamodb").Table(self._name)

    def seen(self, tenant: str, subscription: str, number: int | None, at: str) -> None:
        """Add a number to its bucket, then to the head; the head's instant only moves forward."""
        head = _head(tenant, subscription)
        if number is not None:
            bucket = number // BUCKET
            self._table.update_item(
                Key={"pk": f"{head}#{bucket}"},
                UpdateExpression="ADD numbers :n SET expires = :e",
                ExpressionAttributeValues={":n": {number}, ":e": int(time.time()) + KEEP_DAYS * 86_400},
            )
            self._table.update_item(
                Key={"pk": head}, UpdateExpression="ADD buckets :b", ExpressionAttributeValues={":b": {bucket}}
            )
        self._if(
            Key={"pk": head},
            UpdateExpression="SET #last = :at",
            ConditionExpression="attribute_not_exists(#last) OR #last < :at",
            ExpressionAttributeNames={"#last": "last"},
            ExpressionAttributeValues={":at": at},
        )

    def state(self, tenant: str, subscription: str) -> Seen:
        """Read the head and its buckets."""
        head = _head(tenant, subscription)
        item = self._table.get_item(Key={"pk": head}, ConsistentRead=True).get("Item", {})
        floor = int(item["floor"]) if "floor" in item else None
        numbers: set[int] = set()
        for bucket in item.get("buckets", ()):
            found = self._table.get_item(Key={"pk": f"{head}#{int(bucket)}"}, ConsistentRead=True).get("Item", {})
            numbers |= {int(number) for number in found.get("numbers", ())}
        above = frozenset(number for number in numbers if floor is None or number > floor)
        return Seen(floor, above, item.get("last"))

    def repaired(self, tenant: str, subscription: str, upto: int) -> None:
        """Raise the floor, never lower it, and drop the buckets that lie below it."""
        head = _head(tenant, subscription)
        raised = self._if(
            Key={"pk": head},
            UpdateExpression="SET floor = :f",
            ConditionExpression="attribute_not_exists(floor) OR floor < :f",
            ExpressionAttributeValues={":f": upto},
        )
        if raised:
            item = self._table.get_item(Key={"pk": head}, ConsistentRead=True).get("Item", {})
            self._drop(head, [bucket for bucket in item.get("buckets", ()) if (int(bucket) + 1) * BUCKET <= upto + 1])

    def restart(self, tenant: str, subscription: str) -> None:
        """Drop the buckets and the floor; when it was last heard of stays."""
        head = _head(tenant, subscription)
        item = self._table.get_item(Key={"pk": head}, ConsistentRead=True).get("Item", {})
        self._drop(head, item.get("buckets", ()))
        self._table.update_item(
            Key={"pk": head}, UpdateExpression="SET floor = :f", ExpressionAttributeValues={":f": 0}
        )

    def _drop(self, head: str, buckets: Iterable[Any]) -> None:
        """Take buckets off the head first: what is left behind by a crash expires, what is named must exist."""
        dropped = {int(bucket) for bucket in buckets}
        if not dropped:
            return
        self._table.update_item(
            Key={"pk": head}, UpdateExpression="DELETE buckets :b", ExpressionAttributeValues={":b": dropped}
        )
        for bucket in dropped:
            self._table.delete_item(Key={"pk": f"{head}#{bucket}"})

    def _if(self, **update: Any) -> bool:
        """Update under a condition; returns whether it held."""
        try:
            self._table.update_item(**update)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        return True


def _head(tenant: str, subscription: str) -> str:
    return f"marks#{tenant}#{subscription}"


@dataclass
class _Kept:
    floor: int | None = None
    numbers: set[int] = field(default_factory=set)
    last: str | None = None


class MemoryMarks:
    """Marks in dicts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], _Kept] = {}

    def _of(self, tenant: str, subscription: str) -> _Kept:
        return self._kept.setdefault((tenant, subscription), _Kept())

    def seen(self, tenant: str, subscription: str, number: int | None, at: str) -> None:
        """Add the number; keep the later instant."""
        with self._lock:
            kept = self._of(tenant, subscription)
            if number is not None:
                kept.numbers.add(number)
            kept.last = max(kept.last or "", at)

    def state(self, tenant: str, subscription: str) -> Seen:
        """Return a copy."""
        with self._lock:
            kept = self._of(tenant, subscription)
            above = frozenset(number for number in kept.numbers if kept.floor is None or number > kept.floor)
            return Seen(kept.floor, above, kept.last)

    def repaired(self, tenant: str, subscription: str, upto: int) -> None:
        """Raise the floor."""
        with self._lock:
            kept = self._of(tenant, subscription)
            kept.floor = max(kept.floor if kept.floor is not None else upto, upto)
            kept.numbers = {number for number in kept.numbers if number > kept.floor}

    def restart(self, tenant: str, subscription: str) -> None:
        """Forget the numbers."""
        with self._lock:
            kept = self._of(tenant, subscription)
            kept.floor, kept.numbers = 0, set()
