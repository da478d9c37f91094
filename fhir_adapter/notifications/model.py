"""What a notification says, whichever dialect it came in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

__all__ = ["Kind", "Notification", "Relative", "SubscriptionStatus"]

Relative = Callable[[str], str | None]
"""Turns a reference into ``Type/id`` of one FHIR server, or None when it points elsewhere."""


class Kind(StrEnum):
    """What a notification asks for."""

    FOCUS = "focus"
    SWEEP = "sweep"
    HANDSHAKE = "handshake"
    HEARTBEAT = "heartbeat"
    ERROR = "error"


class Notification(NamedTuple):
    """One thing to do. A tuple, since one request may bring a thousand, and a dataclass takes three times as long.

    Parameters
    ----------
    kind : Kind
        FOCUS: a resource changed. SWEEP: something changed, look for it. ERROR: the subscription does not work any
        more, so look for what it did not tell. The others ask for no work.
    focus : str or None
        ``Type/id``.
    version : str or None
        meta.versionId, when the notification tells.
    patient : str or None
        ``Patient/id``, when the notification tells; only a hint.
    event_number : int or None
        SubscriptionStatus.notificationEvent.eventNumber, of a topic-based subscription.
    deleted : bool
        The focus was deleted at the EHR.
    events_since_start : int or None
        SubscriptionStatus.eventsSinceSubscriptionStart, of a topic-based subscription.
    """

    kind: Kind
    focus: str | None = None
    version: str | None = None
    patient: str | None = None
    event_number: int | None = None
    deleted: bool = False
    events_since_start: int | None = None


@dataclass(frozen=True)
class SubscriptionStatus:
    """A subscription's state as its server tells it (FHIR R5 subscriptionstatus.html, and its form in R4 Parameters).

    Parameters
    ----------
    subscription : str
        ``Subscription/id``.
    topic : str or None
        Canonical URL of the SubscriptionTopic.
    type : str or None
        ``handshake``, ``heartbeat``, ``event-notification``, ``query-status`` or ``query-event``.
    status : str or None
        ``requested``, ``active``, ``error``, ``off`` or ``entered-in-error``.
    events_since_start : int or None
        Events the server has had since the subscription began, sent or not.
    events : tuple of Notification
        One for each notificationEvent, in the order sent.
    error : bool
        Whether the server lists an error.
    """

    subscription: str
    topic: str | None
    type: str | None
    status: str | None
    events_since_start: int | None
    events: tuple[Notification, ...] = ()
    error: bool = False

    @property
    def broken(self) -> bool:
        """Whether the server has stopped telling: what happened since must be asked for."""
        return self.status in ("error", "off", "entered-in-error")
