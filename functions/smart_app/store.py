"""Where launches and sessions lie between two requests: a Protocol, in memory, and in DynamoDB.

A record is opaque here: its name is a hash, its content is sealed. What the store is for is order between many
copies of the function: a record is taken once, replaced only by who has seen its newest version, and each version is
claimed by one at a time.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import boto3
from botocore.exceptions import ClientError

__all__ = ["MemorySessions", "Record", "SessionStore", "TableSessions"]


@dataclass(frozen=True)
class Record:
    """A record as it was read.

    Parameters
    ----------
    sealed : bytes
        Never shown.
    expires : int
        Seconds since the epoch from which it is not there any more, whether or not it was deleted.
    version : int
        Rises with each replacement, from 1.
    claimed_at : int or None
        When this version was claimed, seconds since the epoch.
    """

    sealed: bytes
    expires: int
    version: int = 1
    claimed_at: int | None = None

    def __repr__(self) -> str:
        return f"Record(version={self.version}, expires={self.expires})"


class SessionStore(Protocol):
    """Sealed records by name. Each call is atomic."""

    def create(self, name: str, sealed: bytes, expires: int) -> None:
        """Put a record that is not there yet."""

    def take(self, name: str, now: float) -> bytes | None:
        """Remove a record and return its content, to one caller only."""

    def get(self, name: str, now: float) -> Record | None:
        """Return a record that has not expired, as it is now."""

    def replace(self, name: str, sealed: bytes, expires: int, version: int) -> bool:
        """Put the next version over `version`; returns whether that was the newest, and still there."""

    def claim(self, name: str, version: int, now: float) -> bool:
        """Claim a version; returns True to the first who asks, as long as it is the newest."""

    def release(self, name: str, version: int) -> None:
        """Give a claim back."""

    def touch(self, name: str, expires: int) -> None:
        """Move the end of a record that is there."""

    def delete(self, name: str) -> None:
        """Remove a record."""


class MemorySessions:
    """Records in a dict."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.records: dict[str, Record] = {}

    def create(self, name: str, sealed: bytes, expires: int) -> None:
        """Put it."""
        with self._lock:
            self.records.setdefault(name, Record(sealed, expires))

    def take(self, name: str, now: float) -> bytes | None:
        """Pop it."""
        with self._lock:
            record = self.records.pop(name, None)
        return record.sealed if record and record.expires > now else None

    def get(self, name: str, now: float) -> Record | None:
        """Return it."""
        record = self.records.get(name)
        return record if record and record.expires > now else None

    def replace(self, name: str, sealed: bytes, expires: int, version: int) -> bool:
        """Compare and put."""
        with self._lock:
            newest = self.records.get(name)
            if newest is None or newest.version != version:
                return False
            self.records[name] = Record(sealed, expires, version + 1)
            return True

    def claim(self, name: str, version: int, now: float) -> bool:
        """Compare and mark."""
        with self._lock:
            record = self.records.get(name)
            if record is None or record.version != version or record.claimed_at is not None:
                return False
            self.records[name] = replace(record, claimed_at=int(now))
            return True

    def release(self, name: str, version: int) -> None:
        """Unmark."""
        with self._lock:
            record = self.records.get(name)
            if record is not None and record.version == version:
                self.records[name] = replace(record, claimed_at=None)

    def touch(self, name: str, expires: int) -> None:
        """Move its end."""
        with self._lock:
            if name in self.records:
                self.records[name] = replace(self.records[name], expires=expires)

    def delete(self, name: str) -> None:
        """Drop it."""
        with self._lock:
            self.records.pop(name, None)


class TableSessions:
    """Records in a DynamoDB table with the key ``pk``; its time-to-live attribute is ``expires``.

    DynamoDB deletes expired items within days, so that the time is looked at on every read.
    """

    def __init__(self, table: str) -> None:
        self._name = table

    @cached_property
    def _table(self) -> Any:
        return boto3.resource("dynamodb").Table(self._name)

    def create(self, name: str, sealed: bytes, expires: int) -> None:
        """Put an item that is not there."""
        self._table.put_item(
            Item={"pk": name, "sealed": sealed, "expires": expires, "version": 1},
            ConditionExpression="attribute_not_exists(pk)",
        )

    def take(self, name: str, now: float) -> bytes | None:
        """Delete the item; the one whose deletion found it gets the content."""
        item = self._table.delete_item(Key={"pk": name}, ReturnValues="ALL_OLD").get("Attributes")
        return bytes(item["sealed"]) if item and int(item["expires"]) > now else None

    def get(self, name: str, now: float) -> Record | None:
        """Read the item, consistently."""
        item = self._table.get_item(Key={"pk": name}, ConsistentRead=True).get("Item")
        if item is None or int(item["expires"]) <= now:
            return None
        claimed = item.get("claimed_at")
        return Record(
            bytes(item["sealed"]),
            int(item["expires"]),
            int(item["version"]),
            None if claimed is None else int(claimed),
        )

    def replace(self, name: str, sealed: bytes, expires: int, version: int) -> bool:
        """Put the item under the condition that the version is the one that was read."""
        return self._if(
            self._table.put_item,
            Item={"pk": name, "sealed": sealed, "expires": expires, "version": version + 1},
            ConditionExpression="version = :version",
            ExpressionAttributeValues={":version": version},
        )

    def claim(self, name: str, version: int, now: float) -> bool:
        """Mark the item, unless it is marked or has another version."""
        return self._if(
            self._table.update_item,
            Key={"pk": name},
            UpdateExpression="SET claimed_at = :now",
            ConditionExpression="version = :version AND attribute_not_exists(claimed_at)",
            ExpressionAttributeValues={":version": version, ":now": int(now)},
        )

    def release(self, name: str, version: int) -> None:
        """Unmark the item, where it still has this version."""
        self._if(
            self._table.update_item,
            Key={"pk": name},
            UpdateExpression="REMOVE claimed_at",
            ConditionExpression="version = :version",
            ExpressionAttributeValues={":version": version},
        )

    def touch(self, name: str, expires: int) -> None:
        """Move the item's end, where there is one."""
        self._if(
            self._table.update_item,
            Key={"pk": name},
            UpdateExpression="SET expires = :expires",
            ConditionExpression="attribute_exists(pk)",
            ExpressionAttributeValues={":expires": expires},
        )

    def delete(self, name: str) -> None:
        """Delete the item."""
        self._table.delete_item(Key={"pk": name})

    @staticmethod
    def _if(change: Any, **arguments: Any) -> bool:
        """Change under a condition; returns whether it held."""
        try:
            change(**arguments)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        return True
