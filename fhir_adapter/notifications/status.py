"""The status of a topic-based subscription, in the three forms it is sent in.

- Subscriptions R5 Backport for R4 (hl7.fhir.uv.subscriptions-backport): a Parameters resource.
- The same for R4B, and R5 (FHIR R5 subscriptionstatus.html): a SubscriptionStatus. They differ in the Bundle around
  it, ``history`` or ``subscription-notification``, and in the version of the resources sent along.

Numbers of events were integers in early servers, are strings in R4's Parameters, and integer64, which JSON writes as
a string, in R5. Whatever else a status holds is not looked at: authorization hints and related queries are the
server's advice, and nothing is fetched because a notification says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_adapter.codes import Json
from fhir_adapter.errors import MalformedNotification, UnknownSubscription
from fhir_adapter.notifications.along import Along, reference_of
from fhir_adapter.notifications.events import (
    Event,
    events_of_elements,
    events_of_parts,
    notifications_of,
    number_of,
    value_of,
)
from fhir_adapter.notifications.model import Relative, SubscriptionStatus

__all__ = ["NOTIFICATIONS", "parse_status", "parse_statuses"]

# Types of Bundle that notify, and the resources that may tell the status in them.
NOTIFICATIONS = {"history": ("Parameters", "SubscriptionStatus"), "subscription-notification": ("SubscriptionStatus",)}
_STATUS = ("Parameters", "SubscriptionStatus")


def parse_status(resource: Json, relative: Relative) -> SubscriptionStatus:
    """Read one status: of a notification, of an answer to ``$status`` or ``$events``, or a status by itself.

    Parameters
    ----------
    resource : dict
        A Bundle of type history, subscription-notification or searchset, or a Parameters or SubscriptionStatus.
    relative : callable
        Turns a reference into ``Type/id`` of this tenant, or None when it points elsewhere.

    Raises
    ------
    MalformedNotification
        There is no status where one belongs, or a focus points outside this EHR.
    UnknownSubscription
        The status names no subscription of this EHR.
    """
    found = next(_statuses(resource, relative), None)
    if found is None:
        raise MalformedNotification("the answer holds no subscription's status")
    return found


def parse_statuses(resource: Json, relative: Relative) -> tuple[SubscriptionStatus, ...]:
    """Read every status, as ``Subscription/$status`` answers for several subscriptions; there may be none."""
    return tuple(_statuses(resource, relative))


def _statuses(resource: Json, relative: Relative) -> Iterator[SubscriptionStatus]:
    if resource.get("resourceType") in _STATUS:
        yield _read(resource, Along(relative))
        return
    kind = resource.get("type")
    entries = resource.get("entry") or []
    if resource.get("resourceType") != "Bundle" or not isinstance(entries, list) or not isinstance(kind, str):
        raise MalformedNotification("a subscription's status comes in a Bundle, a Parameters or a SubscriptionStatus")
    resources = [entry.get("resource") if isinstance(entry, dict) else None for entry in entries]
    if kind == "searchset":
        for found in resources:
            if isinstance(found, dict) and found.get("resourceType") in _STATUS:
                yield _read(found, Along(relative))
        return
    first = resources[0] if resources else None
    if not isinstance(first, dict) or first.get("resourceType") not in NOTIFICATIONS.get(kind, ()):
        raise MalformedNotification(
            "a notification Bundle has type history, with a Parameters or SubscriptionStatus first, or type "
            "subscription-notification, with a SubscriptionStatus first"
        )
    yield _read(first, Along(relative, entries[1:], kind == "subscription-notification"))


def _read(status: Json, along: Along) -> SubscriptionStatus:
    header, events = _parameters(status) if status["resourceType"] == "Parameters" else _elements(status)
    subscription = along.target(reference_of(header.get("subscription")))
    if subscription is None or not subscription.startswith("Subscription/"):
        raise UnknownSubscription("the notification names no subscription of this EHR")
    since = number_of(header.get("since"))
    return SubscriptionStatus(
        subscription=subscription,
        topic=_text(header.get("topic")),
        type=_text(header.get("type")),
        status=_text(header.get("status")),
        events_since_start=since,
        events=tuple(notifications_of(events, since, along)),
        error=bool(header.get("error")),
    )


_NAMES = {
    "subscription": "subscription",
    "topic": "topic",
    "type": "type",
    "status": "status",
    "events-since-subscription-start": "since",
    "error": "error",
}


def _parameters(status: Json) -> tuple[Json, list[Event]]:
    """R4: a parameter whose name we do not know is passed over; of a name given twice the first counts."""
    header: Json = {}
    parts = []
    for parameter in _list(status.get("parameter")):
        if not isinstance(parameter, dict):
            raise MalformedNotification("a parameter of the subscription's status is no object")
        name = parameter.get("name")
        if name == "notification-event":
            parts.append(parameter.get("part"))
        elif isinstance(name, str) and name in _NAMES:
            header.setdefault(_NAMES[name], value_of(parameter))
    return header, events_of_parts(parts)


def _elements(status: Json) -> tuple[Json, list[Event]]:
    """R4B and R5."""
    header = {name: status.get(name) for name in ("subscription", "topic", "type", "status", "error")}
    header["since"] = status.get("eventsSinceSubscriptionStart")
    return header, events_of_elements(_list(status.get("notificationEvent")))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
