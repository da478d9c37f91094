"""What is remembered of a study between two looks: counts and times, under a name that tells nobody whose it is."""

from __future__ import annotations

import hashlib
import time
from functools import cached_property
from typing import Any, Protocol

import boto3
import orjson

from fhir_adapter.imaging_study import GateState

__all__ = ["MemoryStudies", "StudyStates", "TableStudies", "key_of_study"]

KEEP_DAYS = 30


def key_of_study(tenant: str, model: str, study: str) -> str:
    """Return the name under which a study is remembered, for one model.

    Parameters
    ----------
    study : str
        Study Instance UID.
    """
    return f"study#{hashlib.sha256('|'.join((tenant, model, study)).encode()).hexdigest()}"


class StudyStates(Protocol):
    """Where states of studies are kept. The last one wins: a state is only what was seen, and is seen again."""

    def get(self, key: str) -> GateState | None:
        """Return the state, None before the first look."""

    def keep(self, key: str, state: GateState) -> None:
        """Keep the state."""


class MemoryStudies:
    """States in a dict."""

    def __init__(self) -> None:
        self.states: dict[str, GateState] = {}

    def get(self, key: str) -> GateState | None:
        """Return the state, None before the first look."""
        return self.states.get(key)

    def keep(self, key: str, state: GateState) -> None:
        """Keep the state."""
        self.states[key] = state


class TableStudies:
    """States in the ledger's DynamoDB table, key ``pk``; they hold UIDs of series, counts and times only."""

    def __init__(self, table: str) -> None:
        self._name = table

    @cached_property
    def _table(self) -> Any:
        return boto3.resource("dynamodb").Table(self._name)

    def get(self, key: str) -> GateState | None:
        """Return the state, None before the first look."""
        item = self._table.get_item(Key={"pk": key}, ConsistentRead=True).get("Item")
        return GateState.from_dict(orjson.loads(str(item["state"]))) if item else None

    def keep(self, key: str, state: GateState) -> None:
        """Keep the state for a month; a study that changes later is looked at as if for the first time."""
        text = orjson.dumps(state.as_dict()).decode()
        self._table.put_item(Item={"pk": key, "state": text, "expires": int(time.time()) + KEEP_DAYS * 86_400})
