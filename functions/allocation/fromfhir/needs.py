"""What patients need and how urgently: flags, conditions, risks, rosters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from fhir_adapter.codes import MODEL_TAG, Json
from fhir_adapter.evidence import horizon_days
from functions.allocation.fromfhir.elements import codes_of, hours, items, part, reference, told
from functions.allocation.fromfhir.findings import Findings
from functions.allocation.fromfhir.rules import HouseRules
from functions.allocation.ward.objects import ALONE, Shift, Urgency, Ward

__all__ = ["isolations", "priorities", "rostered", "urgency_of"]

LIVE = frozenset({"registered", "preliminary", "final", "amended", "corrected"})
ACTIVE = frozenset({"active", "recurrence", "relapse"})
# http://hl7.org/fhir/request-priority, http://terminology.hl7.org/CodeSystem/v3-ActPriority.
URGENCIES = {
    **dict.fromkeys(("stat", "S", "EM"), Urgency.STAT),
    **dict.fromkeys(("asap", "A"), Urgency.ASAP),
    **dict.fromkeys(("urgent", "UR"), Urgency.URGENT),
    **dict.fromkeys(("routine", "R", "EL"), Urgency.ROUTINE),
}
# Appointment.priority as iCalendar has it (RFC 5545, 3.8.1.9): 1 highest, 5 medium, 9 lowest, 0 undefined.
BY_NUMBER = {1: Urgency.STAT, 2: Urgency.ASAP, 3: Urgency.URGENT, 4: Urgency.URGENT}
WORKING = frozenset({"busy", "free", "busy-tentative"})


def urgency_of(resource: Json) -> Urgency:
    """Return how urgently a request, appointment or encounter needs a bed; routine when it does not say."""
    told_of = resource.get("priority")
    if isinstance(told_of, int):
        return BY_NUMBER.get(told_of, Urgency.ROUTINE)
    codes = {told_of} if isinstance(told_of, str) else codes_of(resource, "priority")
    return min((URGENCIES[code] for code in codes & set(URGENCIES)), default=Urgency.ROUTINE)


def isolations(
    resources: Iterable[Json], rules: HouseRules, now: datetime
) -> tuple[dict[str, str], dict[str, set[str]], dict[str, list[Json]]]:
    """Return by patient: the isolation, the features it needs, and the resources that say so.

    Who must be alone is alone, whatever else there is; several pathogens at once are nobody's cohort.
    """
    isolation: dict[str, str] = {}
    needs: dict[str, set[str]] = {}
    sources: dict[str, list[Json]] = {}
    for found in resources:
        patient = reference(found, "subject")
        codes = codes_of(found, "code") & set(rules.isolation)
        if patient is None or not codes or not _holds(found, now):
            continue
        for code in codes:
            kind = rules.isolation[code]
            isolation[patient] = kind if isolation.get(patient, kind) == kind else ALONE
            if code in rules.airborne:
                needs.setdefault(patient, set()).add("negative-pressure")
        sources.setdefault(patient, []).append(found)
    return isolation, needs, sources


def _holds(resource: Json, now: datetime) -> bool:
    if resource.get("resourceType") == "Flag":
        end = hours(part(resource, "period").get("end"), now)
        return resource.get("status") == "active" and (end is None or end > 0)
    clinical = codes_of(resource, "clinicalStatus")
    refuted = codes_of(resource, "verificationStatus") & {"refuted", "entered-in-error"}
    return not refuted and (not clinical or bool(clinical & ACTIVE))


def priorities(assessments: Iterable[Json], rules: HouseRules) -> tuple[dict[str, int], dict[str, list[Json]]]:
    """Return the priority of patients by the models' risks, and the RiskAssessments it is from.

    Of each assessment, the predicted event at its shortest horizon; events that compete with it follow it and do not
    count. Of several models, the highest risk.
    """
    found: dict[str, int] = {}
    sources: dict[str, list[Json]] = {}
    for assessment in assessments:
        patient = reference(assessment, "subject")
        models = {tag.get("code") for tag in items(part(assessment, "meta"), "tag") if tag.get("system") == MODEL_TAG}
        wanted = models & rules.risk_models if rules.risk_models else models - {"ward"}
        if patient is None or assessment.get("status") not in LIVE or not wanted:
            continue
        first = next(items(assessment, "prediction"), None)
        probability = first.get("probabilityDecimal") if first else None
        days = horizon_days(first) if first else None
        if not isinstance(probability, int | float) or (days is not None and days > rules.risk_days):
            continue
        found[patient] = max(found.get(patient, 0), rules.priority(min(max(probability / 100, 0.0), 1.0)))
        sources.setdefault(patient, []).append(assessment)
    return found, sources


def rostered(
    wards: Iterable[Ward], resources: Mapping[str, list[Json]], now: datetime, findings: Findings
) -> tuple[Ward, ...]:
    """Return the wards with the shifts of their nurses.

    A Schedule is one nurse's, by a PractitionerRole whose location is the ward; each Slot in which the nurse works
    (busy, busy-tentative or free; not busy-unavailable) is a shift (FHIR R4 slot.html).
    """
    roles = {told(role): role for role in resources.get("PractitionerRole", []) if role.get("active") is not False}
    ward_of: dict[str, list[str]] = {}
    for schedule in resources.get("Schedule", []):
        if schedule.get("active") is False:
            continue
        nurses = [name for actor in items(schedule, "actor") if (name := _name(actor)).startswith("Practitioner")]
        known = [roles[name] for name in nurses if name in roles]
        if nurses and not known:
            findings.add("unknown-nurse", told(schedule), f"of {nurses[0]}, who is not there; its shifts do not count")
        for role in known:
            ward_of.setdefault(told(schedule), []).extend(
                name for place in items(role, "location") if (name := _name(place))
            )
    shifts: dict[str, list[Shift]] = {}
    schedules = {told(schedule) for schedule in resources.get("Schedule", [])}
    for slot in resources.get("Slot", []):
        schedule_name = reference(slot, "schedule") or ""
        if slot.get("status") not in WORKING:
            continue
        if schedule_name not in schedules:
            findings.add("unknown-nurse", told(slot), "of a Schedule that is not there; it does not count")
            continue
        start, end = hours(slot.get("start"), now), hours(slot.get("end"), now)
        if start is None or end is None or end <= start:
            findings.add("malformed", told(slot), "start and end are no period; it does not count")
            continue
        for ward in ward_of.get(schedule_name, []):
            shifts.setdefault(ward, []).append(Shift(start, end, 1))
    return tuple(replace(ward, shifts=tuple(shifts.get(ward.id, ()))) for ward in wards)


def _name(element: Json) -> str:
    return reference({"at": element}, "at") or ""
