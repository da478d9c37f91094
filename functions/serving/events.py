"""The message between the receiver and a worker: where to look, never what is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Literal
from uuid import uuid4, uuid5

import orjson

from fhir_adapter.codes import BEDSIDE
from functions.serving.errors import EventRejected

__all__ = ["Event", "for_models", "new_event"]

VERSION = 1
_DEFAULTS = {"event_number": None, "deleted": False, "model": None}


@dataclass(frozen=True)
class Event:
    """One queue message.

    Parameters
    ----------
    id : str
        UUID of this notification.
    tenant, subscription : str
        Who sent it, on which subscription.
    kind : str
        ``focus``: answer for one resource. ``sweep``: find what changed.
    focus : str or None
        ``Type/id``.
    version : str or None
        Version that was notified.
    patient : str or None
        ``Patient/id``, a hint that saves a round trip.
    received : str
        When the notification arrived, ISO 8601 with a time zone.
    event_number : int or None
        Number of the event on a topic-based subscription (FHIR R5 SubscriptionStatus.notificationEvent.eventNumber).
    deleted : bool
        The EHR said that the focus was deleted.
    model : str or None
        Which model is to answer, where the subscription names several; None leaves it to the subscription.
    """

    id: str
    tenant: str
    subscription: str
    kind: Literal["focus", "sweep"]
    focus: str | None
    version: str | None
    patient: str | None
    received: str
    event_number: int | None = None
    deleted: bool = False
    model: str | None = None

    def to_json(self) -> str:
        """Return the message body; what has its default is left out, so that an older worker can read it."""
        data = {name: value for name, value in asdict(self).items() if _DEFAULTS.get(name, ...) != value}
        return orjson.dumps({"v": VERSION, **data}).decode()

    @classmethod
    def from_json(cls, body: str) -> Event:
        """Read a message body.

        Raises
        ------
        EventRejected
            When it is not one of ours.
        """
        try:
            data = orjson.loads(body)
            if data.pop("v") != VERSION:
                raise EventRejected("the message has a version this function does not know")
            event = cls(**data)
            datetime.fromisoformat(event.received)
        except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError):
            raise EventRejected("the message is not an event of the receiver") from None
        if event.kind not in ("focus", "sweep") or (event.kind == "focus" and not event.focus):
            raise EventRejected("the message names neither a focus nor a sweep")
        return event

    def age_ms(self, now: datetime) -> int:
        """Milliseconds since the notification arrived."""
        return max(0, round((now - datetime.fromisoformat(self.received)).total_seconds() * 1000))


def new_event(
    tenant: str,
    subscription: str,
    kind: Literal["focus", "sweep"],
    focus: str | None = None,
    version: str | None = None,
    patient: str | None = None,
    *,
    event_number: int | None = None,
    deleted: bool = False,
    received: str | None = None,
) -> Event:
    """Return an event; received now, unless it is said when."""
    at = received or datetime.now(UTC).isoformat()
    return Event(str(uuid4()), tenant, subscription, kind, focus, version, patient, at, event_number, deleted)


def for_models(event: Event, models: Sequence[str]) -> list[Event]:
    """Return one event for each model that a subscription names; each is tried, put aside and recorded by itself.

    Where one model is named, or none, the event stays as it is: which one it means is no question, and a worker of
    before there were several can read it. The ids follow from the event's, so that the same event asked for twice
    gives the same ones.

    Parameters
    ----------
    models : sequence of str
        Names, in the order of the subscription; repetitions count once.
    """
    named = list(dict.fromkeys(models))
    if event.kind == "sweep" or event.model is not None or len(named) < 2:
        return [event]
    return [replace(event, id=str(uuid5(BEDSIDE, f"event|{event.id}|{name}")), model=name) for name in named]
