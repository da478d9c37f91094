"""The events of a status, a thousand as fast as one: each step is done for all of them at once.

What every server sends is read without asking what it is, and where that fails anything goes: a stray shape costs
time, never an event.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import Any

from fhir_adapter.codes import Json
from fhir_adapter.errors import MalformedNotification
from fhir_adapter.notifications.along import Along, reference_of
from fhir_adapter.notifications.model import Kind, Notification

__all__ = ["Event", "events_of_elements", "events_of_parts", "notifications_of", "number_of", "value_of"]

_INTEGER64 = 19  # digits of the largest

Event = tuple[Any, str | None, Sequence[str | None]]
"""Number as it was sent; reference to the focus, None without one and empty when it is none; those of its context."""


def events_of_parts(sent: list[Any]) -> list[Event]:
    """Read the parts of each ``notification-event`` (R4); what has a name we do not know is passed over."""
    events: list[Event] = []
    try:
        for parts in sent:
            number = focus = None
            context: tuple[str, ...] = ()
            for part in parts:
                name = part["name"]
                if name == "event-number":
                    number = part["valueString"]
                elif name == "focus":
                    focus = part["valueReference"]["reference"] + ""
                elif name == "additional-context":
                    context = (*context, part["valueReference"]["reference"] + "")
            events.append((number, focus, context))
    except (KeyError, TypeError):
        return list(map(_parts, sent))
    return events


def _parts(parts: Any) -> Event:
    number = focus = None
    context = []
    for part in parts if isinstance(parts, list) else []:
        if not isinstance(part, dict):
            raise MalformedNotification("a part of a notification-event is no object")
        name = part.get("name")
        if name == "event-number":
            number = value_of(part)
        elif name == "focus":
            focus = value_of(part)
        elif name == "additional-context":
            context.append(reference_of(value_of(part)))
    return number, _focus(focus), context


def events_of_elements(sent: list[Any]) -> list[Event]:
    """Read the elements of each SubscriptionStatus.notificationEvent (R4B, R5)."""
    try:
        return [
            (event["eventNumber"], event["focus"]["reference"] + "", _context(event["additionalContext"]))
            if "additionalContext" in event
            else (event["eventNumber"], event["focus"]["reference"] + "", ())
            for event in sent
        ]
    except (KeyError, TypeError):
        return list(map(_elements, sent))


def _elements(event: Any) -> Event:
    if not isinstance(event, dict):
        raise MalformedNotification("SubscriptionStatus.notificationEvent holds something that is no event")
    return event.get("eventNumber"), _focus(event.get("focus")), _context(event.get("additionalContext"))


def _context(sent: Any) -> list[str | None]:
    return list(map(reference_of, sent)) if isinstance(sent, list) else []


def _focus(sent: Any) -> str | None:
    return None if sent is None else reference_of(sent) or ""


def notifications_of(events: list[Event], since: int | None, along: Along) -> list[Notification]:
    """Turn events into what to do; one without a focus (payload 'empty') is a call to look.

    Raises
    ------
    MalformedNotification
        A focus points outside this EHR.
    """
    numbers = _numbers([number for number, _, _ in events])
    references = [reference for _, reference, _ in events]
    foci = along.targets(references)
    patients = _patients(events, along)
    if along.empty and None not in foci and _plain(references):
        kinds, none, no = repeat(Kind.FOCUS), repeat(None), repeat(False)
        return list(map(Notification, kinds, foci, none, patients, numbers, no, repeat(since)))
    each = zip(references, foci, patients, numbers, strict=True)
    return [_notification(*event, since, along) for event in each]


def _notification(
    reference: str | None, focus: str | None, patient: str | None, number: int | None, since: int | None, along: Along
) -> Notification:
    if reference is None:
        return Notification(Kind.SWEEP, None, None, None, number, False, since)
    if focus is None:
        raise MalformedNotification("a focus points outside this EHR, or is no literal reference")
    version, named, deleted = along.hints(reference, focus)
    return Notification(Kind.FOCUS, focus, version, named or patient, number, deleted, since)


def _plain(references: list[str | None]) -> bool:
    """Whether no reference tells more than where the focus is: a version, or a Patient."""
    text = "".join(filter(None, references))
    # one character is found much faster than eight, and seldom there
    return not ("_" in text and "/_history/" in text) and not ("P" in text and "Patient/" in text)


def _patients(events: list[Event], along: Along) -> list[str | None]:
    """Return the patient among each event's context."""
    context = [reference for _, _, references in events for reference in references]
    if not context:
        return [None] * len(events)
    patients = [target if target and target.startswith("Patient/") else None for target in along.targets(context)]
    if len(patients) == len(events) and all(len(references) == 1 for _, _, references in events):
        return patients
    found = iter(patients)
    return [next(filter(None, [next(found) for _ in references]), None) for _, _, references in events]


def _numbers(values: list[Any]) -> list[int | None]:
    """Return many counts, at once when all have the form of the standard."""
    try:
        digits = "".join(values)
        if digits.isascii() and digits.isdigit():
            numbers = list(map(int, values))
            if max(numbers) < 2**63:
                return [*numbers]
    except (TypeError, ValueError):  # one is no string, or empty
        pass
    return list(map(number_of, values))


def number_of(value: Any) -> int | None:
    """Return a count in any of its forms, or None when it is none: the event still stands for itself."""
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit() and len(value) <= _INTEGER64):
            return None
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        return None
    return value


def value_of(parameter: Json) -> Any:
    """Return value[x] of a parameter or part, whichever type it has."""
    for key, value in parameter.items():
        if key.startswith("value"):
            return value
    return None
