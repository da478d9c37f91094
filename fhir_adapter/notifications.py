"""Notifications of FHIR Subscriptions, in the dialects EHRs send, as one :class:`Notification`.

- R4 rest-hook (FHIR R4 subscription.html): an empty POST to the endpoint; with a payload
  ``PUT {endpoint}/{Type}/{id}``; several servers send ``POST {endpoint}`` with the resource instead.
- Subscriptions R5 Backport for R4 (hl7.fhir.uv.subscriptions-backport): a ``history`` Bundle whose first entry is
  a Parameters with the subscription's status: handshake, heartbeat, event-notification.

A payload is a hint where to read, never data to decide on: the worker reads everything again.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from fhir_adapter.codes import Json
from fhir_adapter.errors import MalformedNotification, NotificationTooLarge, UnknownSubscription
from fhir_adapter.tenants import SubscriptionEntry

__all__ = ["MAX_BODY", "Kind", "Notification", "decode_body", "parse_json", "parse_notification"]

MAX_BODY = 1_048_576
MAX_DEPTH = 64


class Kind(StrEnum):
    """What a notification asks for."""

    FOCUS = "focus"
    SWEEP = "sweep"
    HANDSHAKE = "handshake"
    HEARTBEAT = "heartbeat"
    ERROR = "error"


@dataclass(frozen=True)
class Notification:
    """One thing to do.

    Parameters
    ----------
    kind : Kind
        FOCUS: a resource changed. SWEEP: something changed, look for it. The others ask for no work.
    focus : str or None
        ``Type/id``.
    version : str or None
        meta.versionId, when the notification tells.
    patient : str or None
        ``Patient/id``, when the notification tells; only a hint.
    event_number : int or None
        Of a Backport subscription.
    """

    kind: Kind
    focus: str | None = None
    version: str | None = None
    patient: str | None = None
    event_number: int | None = None


Relative = Callable[[str], str | None]


def decode_body(body: bytes, encoding: str, limit: int = MAX_BODY) -> bytes:
    """Undo a gzip content coding without letting a small body grow past the limit.

    Raises
    ------
    NotificationTooLarge
        When the body, coded or decoded, is over the limit.
    MalformedNotification
        When the coding is unknown or broken.
    """
    if len(body) > limit:
        raise NotificationTooLarge(f"the body is over the limit of {limit} bytes")
    coding = encoding.strip().lower()
    if coding in ("", "identity"):
        return body
    if coding != "gzip":
        raise MalformedNotification("the Content-Encoding is not supported; send identity or gzip")
    inflater = zlib.decompressobj(wbits=31)
    try:
        plain = inflater.decompress(body, limit + 1)
    except zlib.error:
        raise MalformedNotification("the body is not gzip, as its Content-Encoding says") from None
    if len(plain) > limit:
        raise NotificationTooLarge(f"the body inflates over the limit of {limit} bytes")
    if not inflater.eof:
        raise MalformedNotification("the gzip body is cut short")
    return plain


def parse_json(body: bytes, depth: int = MAX_DEPTH) -> Json:
    """Parse a resource, refusing what is not one.

    Raises
    ------
    MalformedNotification
        Not JSON, nested deeper than `depth`, no object, or no resourceType.
    """
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedNotification(f"the body is not JSON (line {error.lineno}, column {error.colno})") from None
    level: list[Any] = [parsed]
    for _ in range(depth):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            break
    else:
        raise MalformedNotification(f"the body is nested deeper than {depth} levels")
    if not isinstance(parsed, dict) or not isinstance(parsed.get("resourceType"), str):
        raise MalformedNotification("the body is not a FHIR resource: resourceType is missing")
    return parsed


def parse_notification(
    method: str,
    path: tuple[str, str] | None,
    body: bytes,
    subscription: SubscriptionEntry,
    relative: Relative,
) -> list[Notification]:
    """Read one HTTP request from an EHR.

    Parameters
    ----------
    method : str
        ``POST`` or ``PUT``.
    path : (str, str) or None
        Type and id after the endpoint, for ``PUT {endpoint}/{Type}/{id}``.
    body : bytes
        Decoded body.
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
    if not body.strip():
        if path is not None:
            raise MalformedNotification("PUT of a resource needs a body")
        return [Notification(Kind.SWEEP)]
    resource = parse_json(body)
    if path is not None:
        return [_put(path, resource, relative)]
    if method != "POST":
        raise MalformedNotification(f"{method} needs the resource's type and id in the path")
    if resource["resourceType"] == "Bundle":
        return _bundle(resource, subscription, relative)
    return [_focus_on(resource, relative)]


def _put(path: tuple[str, str], resource: Json, relative: Relative) -> Notification:
    """R4 subscription.html, 'rest-hook' with payload: an update, so path and body must agree (http.html#update)."""
    kind, identifier = path
    if resource["resourceType"] != kind or resource.get("id") != identifier:
        raise MalformedNotification("the resource's type and id differ from those in the path")
    return _focus_on(resource, relative)


def _focus_on(resource: Json, relative: Relative) -> Notification:
    focus = relative(f"{resource['resourceType']}/{resource.get('id', '')}")
    if focus is None:
        raise MalformedNotification("the resource has no valid id, so it cannot be read again")
    meta = resource.get("meta")
    version = meta.get("versionId") if isinstance(meta, dict) else None
    return Notification(
        Kind.FOCUS,
        focus=focus,
        version=str(version) if version is not None else None,
        patient=patient_of(resource, relative),
    )


def patient_of(resource: Json, relative: Relative) -> str | None:
    """Return ``Patient/id`` a resource is about, when it says so by a reference into this tenant."""
    if resource.get("resourceType") == "Patient":
        return relative(f"Patient/{resource.get('id', '')}")
    for key in ("subject", "patient"):
        reference = (resource.get(key) or {}).get("reference") if isinstance(resource.get(key), dict) else None
        target = relative(reference) if isinstance(reference, str) else None
        if target and target.startswith("Patient/"):
            return target
    return None


def _bundle(bundle: Json, subscription: SubscriptionEntry, relative: Relative) -> list[Notification]:
    """Backport: Bundle.type history, first entry the status (component notifications, R4)."""
    entries = bundle.get("entry") or []
    first = (entries[0].get("resource") or {}) if entries and isinstance(entries[0], dict) else {}
    if bundle.get("type") != "history" or first.get("resourceType") != "Parameters":
        raise MalformedNotification(
            "a notification Bundle has type history and a Parameters with the subscription's status first"
        )
    status = _parameters(first.get("parameter") or [])
    _check_subscription(status, subscription, relative)
    kind = _value(status.get("type", [{}])[0])
    if kind == "handshake":
        return [Notification(Kind.HANDSHAKE)]
    if kind == "heartbeat":
        return [Notification(Kind.HEARTBEAT)]
    if _value(status.get("status", [{}])[0]) in ("error", "off"):
        return [Notification(Kind.ERROR)]
    if kind != "event-notification":
        raise MalformedNotification("the notification's type is not handshake, heartbeat or event-notification")
    resources = {
        f"{entry['resource'].get('resourceType')}/{entry['resource'].get('id')}": entry["resource"]
        for entry in entries[1:]
        if isinstance(entry, dict) and isinstance(entry.get("resource"), dict)
    }
    events = [_event(part, resources, relative) for part in status.get("notification-event", [])]
    return events or [Notification(Kind.SWEEP)]


def _event(parameter: Json, resources: dict[str, Json], relative: Relative) -> Notification:
    parts = _parameters(parameter.get("part") or [])
    number = _value(parts.get("event-number", [{}])[0])
    event_number = int(number) if number is not None and str(number).isdigit() else None
    focus_value = _value(parts.get("focus", [{}])[0])
    if focus_value is None:
        return Notification(Kind.SWEEP, event_number=event_number)
    focus = _reference(focus_value, relative)
    if focus is None:
        raise MalformedNotification("a focus points outside this EHR")
    context = [_reference(_value(part), relative) for part in parts.get("additional-context", [])]
    patient = next((item for item in context if item and item.startswith("Patient/")), None)
    if focus in resources:
        found = _focus_on(resources[focus], relative)
        return Notification(Kind.FOCUS, focus, found.version, found.patient or patient, event_number)
    if focus.startswith("Patient/"):
        patient = focus
    return Notification(Kind.FOCUS, focus, None, patient, event_number)


def _check_subscription(status: dict[str, list[Json]], subscription: SubscriptionEntry, relative: Relative) -> None:
    if subscription.reference is None:
        return
    named = _reference(_value(status.get("subscription", [{}])[0]), relative)
    if named != subscription.reference:
        raise UnknownSubscription("the notification names a subscription that is not the one of this endpoint")


def _reference(value: Any, relative: Relative) -> str | None:
    if isinstance(value, dict):
        value = value.get("reference")
    return relative(value) if isinstance(value, str) else None


def _parameters(parameters: list[Any]) -> dict[str, list[Json]]:
    """Group parameters by name; what is not one is passed over."""
    grouped: dict[str, list[Json]] = {}
    for parameter in parameters:
        if isinstance(parameter, dict) and isinstance(parameter.get("name"), str):
            grouped.setdefault(parameter["name"], []).append(parameter)
    return grouped


def _value(parameter: Json) -> Any:
    """Return value[x], whichever type it has."""
    return next((value for key, value in parameter.items() if key.startswith("value")), None)
