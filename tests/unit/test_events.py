from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from functions.serving.errors import EventRejected
from functions.serving.events import Event, new_event

OLD = {
    "v": 1,
    "id": "5b1d4f0e-8f0c-4f0a-9c6b-2f1f5b1d4f0e",
    "tenant": "general",
    "subscription": "admissions",
    "kind": "focus",
    "focus": "Encounter/e1",
    "version": "2",
    "patient": "Patient/p1",
    "received": "2026-01-10T08:00:00+00:00",
}


def test_a_message_of_an_older_receiver_is_read() -> None:
    event = Event.from_json(json.dumps(OLD))
    assert (event.focus, event.event_number, event.deleted) == ("Encounter/e1", None, False)


def test_an_older_worker_can_read_what_needs_no_new_member() -> None:
    assert json.loads(Event.from_json(json.dumps(OLD)).to_json()) == OLD


def test_number_and_deletion_travel() -> None:
    event = new_event("general", "admissions", "focus", "Encounter/e1", event_number=2**63 - 1, deleted=True)
    assert Event.from_json(event.to_json()) == event
    assert (datetime.now(UTC) - datetime.fromisoformat(event.received)).total_seconds() >= 0


@pytest.mark.parametrize(
    "change", [{"v": 2}, {"kind": "other"}, {"focus": None}, {"received": "yesterday"}, {"unheard-of": 1}, {"id": ...}]
)
def test_what_is_no_event_of_ours_is_rejected(change: dict[str, object]) -> None:
    data = {name: value for name, value in (OLD | change).items() if value is not ...}
    with pytest.raises(EventRejected):
        Event.from_json(json.dumps(data))
    with pytest.raises(EventRejected):
        Event.from_json("[]")
