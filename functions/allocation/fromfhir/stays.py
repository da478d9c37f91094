"""Encounters, requests and appointments as stays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from fhir_adapter.codes import Json
from functions.allocation.fromfhir.elements import codes_of, codings, hours, items, part, reference, told
from functions.allocation.fromfhir.findings import Findings
from functions.allocation.fromfhir.needs import urgency_of
from functions.allocation.fromfhir.places import Places
from functions.allocation.fromfhir.rules import ROOM_FEATURE, HouseRules
from functions.allocation.ward.objects import Stay

__all__ = ["Draft", "appointed", "encountered", "requested"]

HERE = frozenset({"in-progress", "arrived", "triaged", "onleave"})
INPATIENT = frozenset({"IMP", "ACUTE", "NONAC", "OBSENC", "SS", "PRENC"})
LATE = 12.0
OPEN_APPOINTMENTS = frozenset({"proposed", "pending", "booked", "arrived", "checked-in", "waitlist"})
# R5 has Encounter.plannedEndDate; in R4 it is that element as a cross-version extension.
PLANNED_END = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Encounter.plannedEndDate"


@dataclass
class Draft:
    """A stay and what it was read from."""

    stay: Stay
    encounter: str | None
    sources: list[Json] = field(default_factory=list)


def encountered(
    encounters: Iterable[Json], places: Places, rules: HouseRules, now: datetime, findings: Findings
) -> dict[str, Draft]:
    """Return the stays of Encounters that are, or are planned to be, inpatient; by stay id."""
    drafts: dict[str, Draft] = {}
    for found in encounters:
        status, name = found.get("status"), told(found)
        patient = reference(found, "subject")
        kinds = codes_of(found, "class")
        if status not in (*HERE, "planned") or patient is None or (kinds and not kinds & INPATIENT):
            continue
        start = hours(part(found, "period").get("start"), now)
        start = 0.0 if start is None else start
        if status in HERE:
            start = min(start, 0.0)
        end = _end(found, name, start, rules, now, findings)
        room = _room(found, name, places, now, findings) if status in HERE else None
        stay = Stay(
            name,
            patient,
            start,
            end,
            urgency=urgency_of(found),
            specialties=_specialties(found, "serviceType", rules),
            room=room,
            ward=None if room else _planned_ward(found, places),
        )
        drafts[name] = Draft(stay, name, [found])
        if room is not None:
            _moving(found, drafts, stay, places, now)
    _once(drafts, findings)
    return drafts


def _end(found: Json, name: str, start: float, rules: HouseRules, now: datetime, findings: Findings) -> float:
    extension = next(
        (item.get("valueDateTime") for item in items(found, "extension") if item.get("url") == PLANNED_END), None
    )
    texts = [found.get("plannedEndDate"), extension, part(found, "period").get("end")]
    texts += [part(item, "period").get("end") for item in items(found, "location") if item.get("status") == "active"]
    end = next((hour for text in texts if (hour := hours(text, now)) is not None), None)
    if end is None:
        return max(start + rules.usual_hours, LATE)
    if end < start:
        findings.add("negative-stay", name, "it ends before it begins; the usual length counts")
        return max(start + rules.usual_hours, LATE)
    if end <= max(start, 0.0):
        findings.add("overdue", name, "still there after the planned end; another half day counts")
        return max(start, 0.0) + LATE
    return end


def _room(found: Json, name: str, places: Places, now: datetime, findings: Findings) -> str | None:
    """The room where a patient lies: of several, where the patient came last."""
    here: list[tuple[float, str, str]] = []
    for number, item in enumerate(items(found, "location")):
        end = hours(part(item, "period").get("end"), now)
        if item.get("status", "active") != "active" or (end is not None and end <= 0):
            continue
        place = reference(item, "location") or ""
        if place in places.room_of:
            since = hours(part(item, "period").get("start"), now)
            here.append((since if since is not None else -1e6 + number, place, places.room_of[place]))
        elif place not in places.ward_of:
            findings.add("unknown-location", name, f"in {place or 'a place without a reference'}, which is not there")
    if len({place for _, place, _ in here}) > 1 and not _nested(here):
        findings.add(
            "patient-in-two-beds", name, f"in {' and in '.join(place for _, place, _ in here)}; the last counts"
        )
    return max(here)[2] if here else None


def _nested(here: list[tuple[float, str, str]]) -> bool:
    """Whether the places are one room and one bed of it: the same place told twice."""
    return len({room for _, _, room in here}) == 1 and len({place for _, place, room in here if place != room}) < 2


def _planned_ward(found: Json, places: Places) -> str | None:
    for item in items(found, "location"):
        place = reference(item, "location")
        if place in places.ward_of and item.get("status", "active") in ("planned", "reserved", "active"):
            return places.ward_of[str(place)]
    return None


def _moving(found: Json, drafts: dict[str, Draft], stay: Stay, places: Places, now: datetime) -> None:
    """A planned move: the stay ends, and another one begins elsewhere."""
    for item in items(found, "location"):
        place, since = reference(item, "location"), hours(part(item, "period").get("start"), now)
        later = item.get("status") in ("planned", "reserved") and since is not None and 0 < since < stay.end
        if later and since is not None and place in places.ward_of:
            _split(drafts, stay, since, places.ward_of[str(place)], found)
            return


def _split(drafts: dict[str, Draft], stay: Stay, at: float, ward: str, source: Json) -> None:
    first = drafts[stay.id]
    following = replace(stay, id=f"{stay.id}#2", start=at, room=None, ward=ward, follows=stay.id)
    drafts[stay.id] = replace(first, stay=replace(stay, end=at))
    drafts[following.id] = Draft(following, first.encounter, [*first.sources, source])


def _once(drafts: dict[str, Draft], findings: Findings) -> None:
    """One patient lies in one bed: of two Encounters with a place, the one that began last."""
    by_patient: dict[str, list[Draft]] = {}
    for draft in drafts.values():
        if draft.stay.room is not None:
            by_patient.setdefault(draft.stay.patient, []).append(draft)
    for found in by_patient.values():
        found.sort(key=lambda draft: draft.stay.start)
        for draft in found[:-1]:
            other = found[-1].stay.id
            findings.add(
                "patient-in-two-beds", draft.stay.id, f"the patient lies in a bed by {other} too, which counts"
            )
            del drafts[draft.stay.id]
            drafts.pop(f"{draft.stay.id}#2", None)


def _specialties(found: Json, element: str, rules: HouseRules) -> frozenset[str]:
    codes = {code for system, code in codings(found, element) if system != ROOM_FEATURE}
    return frozenset(rules.specialties.get(code, code) for code in codes)


def requested(
    requests: Iterable[Json],
    drafts: dict[str, Draft],
    places: Places,
    rules: HouseRules,
    now: datetime,
    findings: Findings,
) -> None:
    """Add what ServiceRequests for beds say: to the Encounter's stay, as a planned move, or as a stay of their own."""
    asked: dict[str, tuple[str, str]] = {}
    for found in sorted(requests, key=lambda item: str(item.get("authoredOn", ""))):
        patient, name = reference(found, "subject"), told(found)
        if found.get("status") != "active" or patient is None or not codes_of(found, "code") & rules.bed_requests:
            continue
        encounter = reference(found, "encounter")
        needs = frozenset(code for system, code in codings(found, "locationCode") if system == ROOM_FEATURE)
        ward = next(
            (
                places.ward_of[place]
                for item in items(found, "locationReference")
                if (place := reference({"at": item}, "at") or "") in places.ward_of
            ),
            None,
        )
        if ward is not None:
            earlier = asked.setdefault(patient, (ward, name))
            if earlier[0] != ward:
                findings.add("contradictory-rules", name, f"asks for another ward than {earlier[1]}; the later counts")
                asked[patient] = (ward, name)
        wanted = _specialties(found, "locationCode", rules)
        start = hours(part(found, "occurrencePeriod").get("start") or found.get("occurrenceDateTime"), now)
        draft = drafts.get(encounter or "")
        if encounter is not None and draft is None:
            findings.add("unknown-encounter", name, f"for {encounter}, which is not there; planned by itself")
        if draft is None:
            at = max(start or 0.0, 0.0)
            end = hours(part(found, "occurrencePeriod").get("end"), now)
            if end is not None and end <= at:
                findings.add("negative-stay", name, "it ends before it begins; the usual length counts")
                end = None
            stay = Stay(
                name,
                patient,
                at,
                end or at + rules.usual_hours,
                urgency=urgency_of(found),
                specialties=wanted,
                needs=needs,
                ward=ward,
            )
            drafts[name] = Draft(stay, None, [found])
            continue
        _added(draft, drafts, found, start, ward, needs, wanted, places)


def _added(
    draft: Draft,
    drafts: dict[str, Draft],
    found: Json,
    start: float | None,
    ward: str | None,
    needs: frozenset[str],
    wanted: frozenset[str],
    places: Places,
) -> None:
    stay = draft.stay
    elsewhere = ward is not None and stay.room is not None and places.ward_of[stay.room] != ward
    if elsewhere and start is not None and 0 < start < stay.end and ward is not None:
        _split(drafts, stay, start, ward, found)
        draft = drafts[f"{stay.id}#2"]
        stay, ward = draft.stay, draft.stay.ward
    draft.stay = replace(
        stay,
        urgency=min(stay.urgency, urgency_of(found)),
        needs=stay.needs | needs,
        ward=ward or stay.ward,
        specialties=wanted or stay.specialties,
    )
    draft.sources.append(found)


def appointed(
    appointments: Iterable[Json],
    drafts: dict[str, Draft],
    places: Places,
    rules: HouseRules,
    now: datetime,
    findings: Findings,
) -> None:
    """Add admissions by Appointment: with one of our wards as a participant, or based on a request for a bed."""
    for found in appointments:
        actors = [name for item in items(found, "participant") if (name := reference(item, "actor"))]
        patient = next((name for name in actors if name.startswith("Patient/")), None)
        ward = next((places.ward_of[name] for name in actors if name in places.ward_of), None)
        based = next(
            (name for item in items(found, "basedOn") if (name := reference({"at": item}, "at")) in drafts), None
        )
        if found.get("status") not in OPEN_APPOINTMENTS or patient is None or (ward is None and based is None):
            continue
        period = next(items(found, "requestedPeriod"), {})
        start = hours(found.get("start") or period.get("start"), now)
        if start is None:
            findings.add("malformed", told(found), "it has no start; left out")
            continue
        at = max(start, 0.0)
        if based is not None:
            draft = drafts[based]
            length = draft.stay.end - max(draft.stay.start, 0.0)
            draft.stay = replace(draft.stay, start=at, end=at + length, ward=ward or draft.stay.ward)
            draft.sources.append(found)
            continue
        if any(draft.stay.patient == patient and draft.stay.start <= at < draft.stay.end for draft in drafts.values()):
            continue
        stay = Stay(
            told(found),
            patient,
            at,
            at + rules.usual_hours,
            urgency=urgency_of(found),
            specialties=_specialties(found, "specialty", rules),
            ward=ward,
        )
        drafts[stay.id] = Draft(stay, None, [found])
