"""What is remembered of calls: tokens that were used, and what became of cards. DynamoDB, and in memory.

One table with the key ``pk`` and its time to live in ``expires``. DynamoDB drops what has expired within days, not at
once, so the time is looked at as well.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from fhir_adapter.cds_hooks import CallerUnknowable, Feedback

__all__ = ["FeedbackStore", "Kept", "MemoryFeedback", "TableFeedback", "TableReplays"]

KEEP_DAYS = 365
REFUSED = "ConditionalCheckFailedException"
# A call has less than half a second in all.
PATIENCE = Config(connect_timeout=1, read_timeout=1, retries={"max_attempts": 2, "mode": "standard"})


class _Table:
    def __init__(self, name: str) -> None:
        self._name = name

    @cached_property
    def _table(self) -> Any:
        return boto3.resource("dynamodb", config=PATIENCE).Table(self._name)

    def _put(self, item: dict[str, Any], condition: str, names: dict[str, str], values: dict[str, Any]) -> bool:
        """Put an item under a condition; returns whether it held."""
        try:
            self._table.put_item(
                Item=item,
                ConditionExpression=condition,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != REFUSED:
                raise
            return False
        return True


class TableReplays(_Table):
    """Used tokens in a DynamoDB table; a :class:`fhir_adapter.cds_hooks.Replays`."""

    def first(self, key: str, until: float, now: float) -> bool:
        """Put the token, unless it is there and has not ended: one condition, so that of many only one wins.

        Raises
        ------
        CallerUnknowable
            The table does not answer. Nobody is let in then.
        """
        item = {"pk": f"token#{key}", "expires": int(until) + 1}
        try:
            return self._put(item, "attribute_not_exists(pk) OR #e < :now", {"#e": "expires"}, {":now": int(now)})
        except (BotoCoreError, ClientError):
            raise CallerUnknowable("the record of used tokens cannot be read now; send the call again") from None


@dataclass(frozen=True)
class Kept:
    """What became of one card.

    Parameters
    ----------
    tenant, service : str
    feedback : Feedback
    model, version : str or None
        Whose card it was, None for one that is not of a model of today.
    """

    tenant: str
    service: str
    feedback: Feedback
    model: str | None = None
    version: str | None = None

    @property
    def key(self) -> str:
        """One card has one entry: the last thing a person did with it counts."""
        return f"feedback#{self.tenant}#{self.feedback.card}"


class FeedbackStore(Protocol):
    """Where it is kept what people did with cards."""

    def keep(self, entries: Sequence[Kept], *, comments: bool) -> None:
        """Keep entries; told again, or told late, they change nothing.

        Parameters
        ----------
        comments : bool
            Whether to keep what people wrote; that there was a comment is kept in any case.
        """


class TableFeedback(_Table):
    """Feedback in a DynamoDB table."""

    def keep(self, entries: Sequence[Kept], *, comments: bool) -> None:
        """Put each, unless something later is known of its card.

        Raises
        ------
        botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError
        """
        for entry in entries:
            item = {"pk": entry.key, "expires": int(time.time()) + KEEP_DAYS * 86_400, **_item(entry, comments)}
            self._put(item, "attribute_not_exists(pk) OR #at <= :at", {"#at": "at"}, {":at": item["at"]})


class MemoryFeedback:
    """Feedback in a dict, by key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.items: dict[str, dict[str, Any]] = {}

    def keep(self, entries: Sequence[Kept], *, comments: bool) -> None:
        """Keep each, unless something later is known of its card."""
        with self._lock:
            for entry in entries:
                item = _item(entry, comments)
                if self.items.get(entry.key, item)["at"] <= item["at"]:
                    self.items[entry.key] = item


def _item(entry: Kept, comments: bool) -> dict[str, Any]:
    told = entry.feedback
    item: dict[str, Any] = {
        "tenant": entry.tenant,
        "service": entry.service,
        "card": told.card,
        "outcome": told.outcome,
        # one form of writing, so that instants compare as text
        "at": told.at.isoformat(timespec="milliseconds"),
        "commented": bool(told.comment),
    }
    if told.suggestions:
        item["suggestions"] = list(told.suggestions)
    if told.reason:
        item |= {"reason_system": told.reason[0], "reason_code": told.reason[1]}
    if told.comment and comments:
        item["comment"] = told.comment
    if entry.model:
        item |= {"model": entry.model, "version": entry.version}
    return item
