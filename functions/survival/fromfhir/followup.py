"""What happened to each patient: events and the last contact, noted while an export streams past."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo

from fhir_adapter.codes import Json
from fhir_adapter.features.diagnosed import REFUTED
from fhir_adapter.features.lines import NdjsonError
from fhir_adapter.features.record import moment
from fhir_adapter.features.store import updated
from fhir_adapter.references import relative_reference
from functions.survival.fromfhir.outcome import Events, Outcome

__all__ = ["Day", "FollowUp", "FollowUps"]

Key = tuple[str, str]

# Elements that say when a person was seen or sampled, by type; of those present the latest counts.
_CONTACT = {
    "Encounter": (("period", "end"), ("period", "start")),
    "Observation": (
        *(("effectiveDateTime",), ("effectiveInstant",), ("effectivePeriod", "end"), ("effectivePeriod", "start")),
    ),
    "Condition": (("recordedDate",), ("onsetDateTime",), ("onsetPeriod", "start")),
    "Procedure": (("performedDateTime",), ("performedPeriod", "end"), ("performedPeriod", "start")),
    "DiagnosticReport": (("effectiveDateTime",), ("effectivePeriod", "end"), ("effectivePeriod", "start")),
    "MedicationRequest": (("authoredOn",),),
    "MedicationAdministration": (("effectiveDateTime",), ("effectivePeriod", "start")),
    "Immunization": (("occurrenceDateTime",),),
}
# Status of resources that stand for nothing that took place (FHIR R4, the types' value sets).
_NOTHING = frozenset(
    {"entered-in-error", "cancelled", "planned", "not-done", "preparation", "registered", "draft", "unknown"}
)
# Procedure.status of what was begun (FHIR R4 valueset-event-status.html).
_DONE = frozenset({"completed", "in-progress", "stopped", "on-hold"})


@dataclass(frozen=True)
class Day:
    """A moment, or a whole day where a record says no more.

    Parameters
    ----------
    at : datetime
        With a time zone; midnight for a whole day.
    whole : bool
        Whether only the day is known.
    """

    at: datetime
    whole: bool

    def since(self, start: datetime, time_zone: tzinfo) -> float:
        """Return the days from a moment; whole days count from its date."""
        if self.whole:
            return float((self.at.date() - start.astimezone(time_zone).date()).days)
        return (self.at - start).total_seconds() / 86400.0


@dataclass
class FollowUp:
    """What is known of one patient.

    Parameters
    ----------
    death : Day or None
        When the patient died.
    outcome, competing : list of Day
        Coded events; death is not among them.
    undated : bool
        Whether something that decides happened at a time that nobody recorded to the day.
    last : datetime or None
        Latest contact.
    """

    death: Day | None = None
    outcome: list[Day] = field(default_factory=list)
    competing: list[Day] = field(default_factory=list)
    undated: bool = False
    last: datetime | None = None


@dataclass(frozen=True)
class _Event:
    """One version of a resource that tells of an event."""

    updated: float
    patient: str
    kind: str
    day: Day | None


class FollowUps:
    """Notes what resources say of the time after; of two versions of one, the newer one counts.

    Parameters
    ----------
    outcome : Outcome
        What counts.
    base : str or None
        FHIR base of absolute references.
    deleted : frozenset of (type, id)
        Resources that the server has no more.
    time_zone : tzinfo
        Of dates without a time.
    """

    def __init__(
        self, outcome: Outcome, base: str | None = None, deleted: frozenset[Key] = frozenset(), time_zone: tzinfo = UTC
    ) -> None:
        self._outcome = outcome
        self._base = base
        self._deleted = deleted
        self._time_zone = time_zone
        self._events: dict[Key, _Event] = {}
        self._last: dict[str, datetime] = {}
        self._patients: set[str] = set()

    def noting(self, resources: Iterable[Json]) -> Iterator[Json]:
        """Pass resources on, and note what they say."""
        for resource in resources:
            kind = str(resource.get("resourceType"))
            key = (kind, str(resource.get("id")))
            if key not in self._deleted and (kind == "Patient" or kind in _CONTACT):
                self._note(resource, kind, key)
            yield resource

    def of_patients(self) -> dict[str, FollowUp]:
        """Return what is known of each patient, by ``Patient/id``."""
        found = {patient: FollowUp(last=self._last.get(patient)) for patient in self._patients | set(self._last)}
        for event in self._events.values():
            one = found.setdefault(event.patient, FollowUp())
            if event.kind == "none":
                continue
            if event.day is None:
                one.undated = True
            elif event.kind == "death":
                one.death = event.day
            else:
                (one.outcome if event.kind == "outcome" else one.competing).append(event.day)
        return found

    def _note(self, resource: Json, kind: str, key: Key) -> None:
        patient = f"Patient/{key[1]}" if kind == "Patient" else self._patient(resource)
        if patient is None:
            return
        if kind == "Patient":
            self._patients.add(patient)
        told = _death(resource, self._time_zone) if kind == "Patient" else self._coded(resource, kind)
        known = self._events.get(key)
        # what tells of nothing is kept too where it may take another version back
        if (told is not None or known is not None) and (known is None or updated(resource) >= known.updated):
            self._events[key] = _Event(updated(resource), patient, *(told or ("none", None)))
        if kind != "Patient" and not _voided(resource):
            days = [moment(_at(resource, path), self._time_zone) for path in _CONTACT[kind]]
            seen = [day for day in days if day is not None]
            if seen:
                self._last[patient] = max([*seen, *([self._last[patient]] if patient in self._last else [])])

    def _coded(self, resource: Json, kind: str) -> tuple[str, Day | None] | None:
        """Return which event a Procedure or Condition tells of and when it was; None when it never could."""
        if kind not in ("Procedure", "Condition"):
            return None
        for name, events in (("outcome", self._outcome.events), ("competing", self._outcome.competing)):
            if _codes(events, kind, resource):
                begun = kind == "Condition" or resource.get("status") in _DONE
                if _voided(resource) or not begun:
                    return "none", None
                return name, _day(_when(resource, kind), self._time_zone)
        return None

    def _patient(self, resource: Json) -> str | None:
        subject = resource.get("subject") or resource.get("patient")
        reference = subject.get("reference") if isinstance(subject, dict) else None
        if not isinstance(reference, str):
            return None
        if "://" in reference and self._base is None:
            raise NdjsonError("references are absolute: say which FHIR base the export came from")
        found = relative_reference(self._base or "", reference)
        return found if found and found.startswith("Patient/") else None


def _death(patient: Json, time_zone: tzinfo) -> tuple[str, Day | None]:
    if patient.get("deceasedDateTime"):
        return "death", _day(patient["deceasedDateTime"], time_zone)
    return ("death", None) if patient.get("deceasedBoolean") is True else ("none", None)


def _voided(resource: Json) -> bool:
    """Whether a resource stands for nothing that took place."""
    verification = (resource.get("verificationStatus") or {}).get("coding") or []
    return resource.get("status") in _NOTHING or any(
        isinstance(entry, dict) and entry.get("code") in REFUTED for entry in verification
    )


def _codes(events: Events, kind: str, resource: Json) -> bool:
    return (events.procedures if kind == "Procedure" else events.conditions).has(resource.get("code"))


def _when(resource: Json, kind: str) -> object:
    if kind == "Procedure":
        return resource.get("performedDateTime") or _at(resource, ("performedPeriod", "start"))
    return resource.get("onsetDateTime") or _at(resource, ("onsetPeriod", "start")) or resource.get("recordedDate")


def _at(resource: Json, path: tuple[str, ...]) -> object:
    found: object = resource
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _day(text: object, time_zone: tzinfo) -> Day | None:
    """Read a FHIR dateTime that is exact to the day at least (FHIR R4 datatypes.html#dateTime)."""
    if not isinstance(text, str) or len(text) < 10:
        return None
    found = moment(text, time_zone)
    return Day(found, len(text) == 10) if found else None
