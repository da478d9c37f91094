"""One HTTP request of an EHR to the notifications in it."""

from __future__ import annotations

from operator import attrgetter

from fhir_adapter.codes import Json
from fhir_adapter.errors import MalformedNotification, UnknownSubscription
from fhir_adapter.notifications.body import parse_json
from fhir_adapter.notifications.hints import focus_on
from fhir_adapter.notifications.model import Kind, Notification, Relative, SubscriptionStatus
from fhir_adapter.notifications.status import parse_status
from fhir_adapter.tenants import SubscriptionEntry

__all__ = ["parse_notification"]

# Never what a subscription watches: someone sent the wrong thing, such as the Subscription itself.
NO_FOCUS = frozenset(
    {
        "Bundle",
        "CapabilityStatement",
        "OperationOutcome",
        "Parameters",
        "Subscription",
        "SubscriptionStatus",
        "SubscriptionTopic",
    }
)

_EVENT_NUMBER = attrgetter("event_number")


def parse_notification(
    method: str,
    path: tuple[str, str] | None,
    body: bytes,
    subscription: SubscriptionEntry,
    relative: Relative,
) -> list[Notification]:
    """Read one HTTP request from an EHR.

    A resource by itself comes from a criteria-based subscription (FHIR R4 subscription.html, 'rest-hook'):
    ``PUT {endpoint}/{Type}/{id}``; some servers POST or PUT it to the endpoint, and tell a deletion by
    ``DELETE {endpoint}/{Type}/{id}``. A Bundle comes from a topic-based one.

    Parameters
    ----------
    method : str
        ``POST``, ``PUT`` or ``DELETE``.
    path : (str, str) or None
        Type and id after the endpoint.
    body : bytes
        Decoded body; that of a DELETE has no meaning (RFC 9110, 9.3.5).
    subscription : SubscriptionEntry
        The authenticated subscription.
    relative : callable
        Turns a reference into ``Type/id`` of this tenant, or None when it points elsewhere.

    Returns
    -------
    list of Notification
        At least one.

    Raises
    ------
    MalformedNotification, UnknownSubscription
    """
    if method == "DELETE":
        return [_deleted(path, relative)]
    if method not in ("POST", "PUT"):
        raise MalformedNotification(f"{method} is no way to notify; POST, PUT or DELETE")
    if not body or body.isspace():
        if path is not None or method == "PUT":
            raise MalformedNotification("PUT of a resource needs a body")
        return [Notification(Kind.SWEEP)]
    resource = parse_json(body)
    kind = resource["resourceType"]
    if path is not None and (kind, resource.get("id")) != path:
        raise MalformedNotification("the resource's type and id differ from those in the path")
    if kind == "Bundle" and path is None and method == "POST":
        return _bundle(resource, subscription, relative)
    _check_watched(kind)
    return [focus_on(resource, relative)]


def _check_watched(kind: str) -> None:
    if kind in NO_FOCUS:
        raise MalformedNotification(
            f"a {kind} by itself is no notification; send the resource that changed, or POST a Bundle whose first "
            "entry is the subscription's status"
        )


def _deleted(path: tuple[str, str] | None, relative: Relative) -> Notification:
    focus = relative("/".join(path)) if path else None
    if path is None or focus is None:
        raise MalformedNotification("DELETE needs the resource's type and id in the path")
    _check_watched(path[0])
    return Notification(Kind.FOCUS, focus, patient=focus if focus.startswith("Patient/") else None, deleted=True)


def _bundle(bundle: Json, subscription: SubscriptionEntry, relative: Relative) -> list[Notification]:
    if bundle.get("type") == "searchset":
        raise MalformedNotification("a searchset is an answer, not a notification")
    status = parse_status(bundle, relative)
    if subscription.reference is not None and status.subscription != subscription.reference:
        raise UnknownSubscription("the notification names a subscription that is not the one of this endpoint")
    if status.broken:
        # what it lists is not relied on: everything since the last event is looked for
        return [Notification(Kind.ERROR, events_since_start=status.events_since_start)]
    if status.type in ("handshake", "heartbeat"):
        return [*_alarm(status), Notification(Kind(status.type), events_since_start=status.events_since_start)]
    if status.type != "event-notification":
        raise MalformedNotification("the notification's type is not handshake, heartbeat or event-notification")
    events = _once(status.events) or [Notification(Kind.SWEEP, events_since_start=status.events_since_start)]
    return [*_alarm(status), *events]


def _alarm(status: SubscriptionStatus) -> list[Notification]:
    """An error listed beside an active status: something was lost, though the server goes on."""
    return [Notification(Kind.ERROR, events_since_start=status.events_since_start)] if status.error else []


def _once(events: tuple[Notification, ...]) -> list[Notification]:
    """Each event once, in the order sent; the server may list one twice."""
    numbers = set(map(_EVENT_NUMBER, events))
    return list(events) if len(numbers) == len(events) else list(dict.fromkeys(events))
