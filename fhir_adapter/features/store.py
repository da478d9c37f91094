"""Where the needed resources of many patients wait until a record is complete: in memory, or on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import orjson

from fhir_adapter.codes import Json
from fhir_adapter.features.record import moment

__all__ = ["KINDS", "DiskStore", "MemoryStore", "Store"]

KINDS = ("Patient", "Encounter", "Observation", "Condition")
BATCH = 500
CACHE_KIB = 2048


class Store(Protocol):
    """Resources by type and key, each belonging to a patient; of two with one key the newer one stays."""

    def put(self, key: str, patient: str, resource: Json) -> None:
        """Keep a resource of one of `KINDS`; for a Patient both keys are its own."""

    def drop(self, kind: str, key: str) -> None:
        """Forget a resource."""

    def patient(self, key: str) -> Json | None:
        """Return a Patient."""

    def encounters(self) -> Iterator[tuple[str, Json]]:
        """Yield every Encounter with its patient's key, in the order of arrival."""

    def resources(self, patient: str) -> Iterator[Json]:
        """Yield the Observations and Conditions of a patient."""


def updated(resource: Json) -> float:
    """Return when a resource was last updated, 0 when it does not say (FHIR R4 resource.html#Meta)."""
    meta = resource.get("meta")
    when = moment(meta.get("lastUpdated")) if isinstance(meta, dict) else None
    return when.timestamp() if when else 0.0


class MemoryStore:
    """For what is in memory anyway."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, tuple[str, Json]]] = {kind: {} for kind in KINDS}
        self._owned: dict[str, dict[tuple[str, str], Json]] = {}

    def put(self, key: str, patient: str, resource: Json) -> None:
        """Keep a resource."""
        kind = resource["resourceType"]
        known = self._kept[kind].get(key)
        if known is not None and updated(resource) < updated(known[1]):
            return
        self.drop(kind, key)
        self._kept[kind][key] = (patient, resource)
        if kind in ("Observation", "Condition"):
            self._owned.setdefault(patient, {})[kind, key] = resource

    def drop(self, kind: str, key: str) -> None:
        """Forget a resource."""
        known = self._kept[kind].pop(key, None)
        if known is not None:
            self._owned.get(known[0], {}).pop((kind, key), None)

    def patient(self, key: str) -> Json | None:
        """Return a Patient."""
        found = self._kept["Patient"].get(key)
        return found[1] if found else None

    def encounters(self) -> Iterator[tuple[str, Json]]:
        """Yield every Encounter with its patient's key."""
        yield from self._kept["Encounter"].values()

    def resources(self, patient: str) -> Iterator[Json]:
        """Yield the Observations and Conditions of a patient."""
        yield from self._owned.get(patient, {}).values()


class DiskStore:
    """SQLite in a directory of mode 0700 that goes away with it; memory stays the same however much it holds."""

    def __init__(self, directory: Path | None = None) -> None:
        import sqlite3

        self._folder = tempfile.TemporaryDirectory(prefix="bedside-", dir=directory)
        self._waiting: dict[str, list[tuple[str, str, float, bytes]]] = {kind: [] for kind in KINDS}
        # autocommit off and never committed to anything that outlives this object: no journal is needed
        self._sql = sqlite3.connect(Path(self._folder.name) / "resources.sqlite", isolation_level=None)
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "temp_store=MEMORY", f"cache_size=-{CACHE_KIB}"):
            self._sql.execute(f"PRAGMA {pragma}")
        for kind in KINDS:
            self._sql.execute(f"CREATE TABLE {kind} (key TEXT PRIMARY KEY, patient TEXT, updated REAL, body BLOB)")
        self._indexed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sql.close()
        self._folder.cleanup()

    def put(self, key: str, patient: str, resource: Json) -> None:
        """Keep a resource."""
        kind = resource["resourceType"]
        waiting = self._waiting[kind]
        waiting.append((key, patient, updated(resource), orjson.dumps(resource)))
        if len(waiting) >= BATCH:
            self._flush(kind)

    def drop(self, kind: str, key: str) -> None:
        """Forget a resource."""
        self._flush(kind)
        self._sql.execute(f"DELETE FROM {kind} WHERE key = ?", (key,))  # noqa: S608 - one of four constants

    def patient(self, key: str) -> Json | None:
        """Return a Patient."""
        self._ready()
        row = self._sql.execute("SELECT body FROM Patient WHERE key = ?", (key,)).fetchone()
        return _json(row[0]) if row else None

    def encounters(self) -> Iterator[tuple[str, Json]]:
        """Yield every Encounter with its patient's key."""
        self._ready()
        for patient, body in self._sql.execute("SELECT patient, body FROM Encounter ORDER BY rowid"):
            yield patient, _json(body)

    def resources(self, patient: str) -> Iterator[Json]:
        """Yield the Observations and Conditions of a patient."""
        self._ready()
        for kind in ("Observation", "Condition"):
            query = f"SELECT body FROM {kind} WHERE patient = ? ORDER BY rowid"  # noqa: S608 - one of two constants
            for (body,) in self._sql.execute(query, (patient,)):
                yield _json(body)

    def _flush(self, kind: str) -> None:
        if self._waiting[kind]:
            self._sql.execute("BEGIN")
            self._sql.executemany(
                f"INSERT INTO {kind} VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET patient = excluded.patient, "  # noqa: S608
                "updated = excluded.updated, body = excluded.body WHERE excluded.updated >= updated",
                self._waiting[kind],
            )
            self._sql.execute("COMMIT")
            self._waiting[kind].clear()

    def _ready(self) -> None:
        for kind in KINDS:
            self._flush(kind)
        if not self._indexed:
            for kind in ("Observation", "Condition"):
                self._sql.execute(f"CREATE INDEX {kind}Patient ON {kind} (patient)")
            self._indexed = True


def _json(body: bytes) -> Json:
    found: Any = orjson.loads(body)
    return dict(found)
