"""Where AuditEvents go, and what of them a log may hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from fhir_adapter.audit.parts import RECIPIENT
from fhir_adapter.codes import BALP_ENTITY_TYPE, Json

__all__ = ["AuditSink", "LogAudit", "MemoryAudit", "audited", "redacted"]


class AuditSink(Protocol):
    """Where AuditEvents go that no EHR keeps."""

    def record(self, event: Json) -> None:
        """Keep one; the same id again is the same event."""


class MemoryAudit:
    """AuditEvents in memory, by id."""

    def __init__(self) -> None:
        self.events: dict[str, Json] = {}

    def record(self, event: Json) -> None:
        """Keep it."""
        self.events[event["id"]] = event


class LogAudit:
    """AuditEvents as lines of a log, without anything about the patient.

    Parameters
    ----------
    write : callable
        Writes one AuditEvent as a line; a structured logger, such as
        ``lambda event: logger.info("audit", audit=event)``.
    """

    def __init__(self, write: Callable[[Json], None]) -> None:
        self._write = write

    def record(self, event: Json) -> None:
        """Write what a log may hold."""
        self._write(redacted(event))


def redacted(event: Json) -> Json:
    """Return an AuditEvent that may go to a log.

    Of the entities, only the id of the request remains; of the agents, nobody who is a person.
    """
    agents = []
    for agent in event["agent"]:
        person = agent.get("type") == RECIPIENT
        agents.append({**agent, "who": {"display": "a user"}} if person else agent)
    entities = [item for item in event.get("entity", []) if item.get("type", {}).get("system") == BALP_ENTITY_TYPE]
    out = {**event, "agent": agents}
    return {**out, "entity": entities} if entities else {name: out[name] for name in out if name != "entity"}


def audited(bundle: Json | None, events: Sequence[Json]) -> Json:
    """Return a transaction that writes AuditEvents too; with nothing else to write, it writes them alone.

    PUT under ids of our own: the transaction stays safe to repeat, and an event answered twice is one AuditEvent.
    """
    bundle = bundle or {"resourceType": "Bundle", "type": "transaction", "entry": []}
    entries = [
        {
            "fullUrl": f"urn:uuid:{event['id']}",
            "resource": event,
            "request": {"method": "PUT", "url": f"AuditEvent/{event['id']}"},
        }
        for event in events
    ]
    return {**bundle, "entry": [*bundle["entry"], *entries]}
