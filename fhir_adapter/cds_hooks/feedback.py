"""What became of cards (CDS Hooks 2.0, Feedback)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from fhir_adapter.cds_hooks.errors import MalformedRequest
from fhir_adapter.codes import Json
from fhir_adapter.features.record import moment

__all__ = ["Feedback", "parse_feedback"]

MOST = 100
LONGEST = 4000


@dataclass(frozen=True)
class Feedback:
    """What a person did with one card.

    Parameters
    ----------
    card : str
        Its uuid.
    outcome : {"accepted", "overridden"}
    at : datetime
        In UTC.
    suggestions : tuple of str
        uuids of those that were accepted.
    reason : tuple of str or None
        (system, code) of the reason that was chosen.
    comment : str
        What the person wrote; may hold patient data, so it is shown nowhere.
    """

    card: str
    outcome: Literal["accepted", "overridden"]
    at: datetime
    suggestions: tuple[str, ...] = ()
    reason: tuple[str, str] | None = None
    comment: str = field(default="", repr=False)


def parse_feedback(data: Json) -> tuple[Feedback, ...]:
    """Read the body of a feedback call. A card nobody knows is no error: it may be of an earlier day.

    Raises
    ------
    MalformedRequest
        Naming the field.
    """
    entries = data.get("feedback")
    if not isinstance(entries, list) or not 0 < len(entries) <= MOST:
        raise MalformedRequest(f"feedback must be an array of 1 to {MOST} objects")
    return tuple(_one(entry) for entry in entries)


def _one(entry: Any) -> Feedback:
    if not isinstance(entry, dict):
        raise MalformedRequest("feedback must be an array of objects")
    outcome = entry.get("outcome")
    if outcome not in ("accepted", "overridden"):
        raise MalformedRequest("feedback.outcome must be accepted or overridden")
    given = entry.get("outcomeTimestamp")
    at = moment(given) if isinstance(given, str) and len(given) > 10 else None
    if at is None:
        raise MalformedRequest("feedback.outcomeTimestamp must be an ISO 8601 timestamp in UTC")
    accepted = entry.get("acceptedSuggestions")
    if outcome == "accepted" and (not isinstance(accepted, list) or not 0 < len(accepted) <= MOST):
        raise MalformedRequest("feedback.acceptedSuggestions must name what was accepted")
    reason, comment = _override(entry.get("overrideReason")) if outcome == "overridden" else (None, "")
    return Feedback(
        card=_uuid(entry.get("card"), "feedback.card"),
        outcome=outcome,
        at=at.astimezone(UTC),
        suggestions=tuple(_accepted(item) for item in accepted or []) if outcome == "accepted" else (),
        reason=reason,
        comment=comment,
    )


def _accepted(item: Any) -> str:
    return _uuid(item.get("id") if isinstance(item, dict) else None, "feedback.acceptedSuggestions.id")


def _uuid(value: object, name: str) -> str:
    try:
        if isinstance(value, str) and len(value) <= 45:
            return str(UUID(value))
    except ValueError:
        pass
    raise MalformedRequest(f"{name} must be a UUID")


def _override(given: Any) -> tuple[tuple[str, str] | None, str]:
    if given is None:
        return None, ""
    if not isinstance(given, dict):
        raise MalformedRequest("feedback.overrideReason must be an object")
    comment = given.get("userComment") or ""
    reason = given.get("reason")
    if not isinstance(comment, str) or len(comment) > LONGEST:
        raise MalformedRequest(f"feedback.overrideReason.userComment must be text of at most {LONGEST} characters")
    if reason is None:
        return None, comment
    if not isinstance(reason, dict):
        raise MalformedRequest("feedback.overrideReason.reason must be a Coding")
    system, code = reason.get("system") or "", reason.get("code")
    # codes have no spaces inside (FHIR R4 datatypes.html#code): whatever else comes here may be a sentence
    if not isinstance(code, str) or not isinstance(system, str) or not 0 < len(code) <= 64 or " " in code + system:
        raise MalformedRequest("feedback.overrideReason.reason must be a Coding with a code")
    return (system[:200], code), comment
