"""From plain FHIR resources to a house: what is wrong is named, and the rest is planned."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import urlencode

from fhir_adapter.codes import MODEL_TAG, Json
from fhir_adapter.references import Source, source_of
from functions.allocation.fromfhir.elements import items, reference, told
from functions.allocation.fromfhir.findings import Finding, Findings
from functions.allocation.fromfhir.needs import isolations, priorities, rostered
from functions.allocation.fromfhir.places import places
from functions.allocation.fromfhir.rules import HouseRules
from functions.allocation.fromfhir.stays import Draft, appointed, encountered, requested
from functions.allocation.ward.objects import House, Sex

__all__ = ["PROPOSAL", "Reading", "patient_queries", "queries", "read_house"]

SEXES: dict[str, Sex] = {"female": "female", "male": "male"}
# Name of the model, by which what it wrote is found.
PROPOSAL = "ward"
# Patients of one search.
AT_ONCE = 40
AGES = ((18, "under 18"), (65, "18 to 64"), (80, "65 to 79"), (200, "80 and over"))
US_CORE_RACE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race"


@dataclass(frozen=True)
class Reading:
    """A house as its EHR describes it.

    Parameters
    ----------
    house : House
    findings : tuple of Finding
        What is wrong.
    sources : mapping of str to tuple of Source
        By stay id: the resources that the stay was read from.
    encounters : mapping of str to str or None
        Encounter by stay id.
    groups : mapping of str to mapping of str to str
        Attribute, patient, group: for the table of fairness alone.
    tasks : tuple of dict
        Open proposals of ours, as read.
    results : tuple of dict
        Observations and RiskAssessments of ours, as read.
    now : datetime
        Hour 0 of the house.
    """

    house: House
    findings: tuple[Finding, ...]
    sources: Mapping[str, tuple[Source, ...]] = field(repr=False)
    encounters: Mapping[str, str | None] = field(repr=False)
    groups: Mapping[str, Mapping[str, str]] = field(repr=False)
    tasks: tuple[Json, ...] = field(repr=False)
    results: tuple[Json, ...] = field(repr=False)
    now: datetime

    @property
    def fingerprint(self) -> str:
        """Changes whenever anything does that the plan depends on, but for the time."""
        known = sorted({source.fingerprint for sources in self.sources.values() for source in sources})
        whole = "|".join([*known, repr(self.house.wards), repr(self.house.rooms)])
        return hashlib.sha256(whole.encode()).hexdigest()


def queries(rules: HouseRules, now: datetime) -> tuple[str, ...]:
    """Return the searches that bring the house itself, and what we wrote about it."""
    ours = f"{MODEL_TAG}|{PROPOSAL}"
    return (
        _search("Location"),
        _search("Encounter", status="in-progress,arrived,triaged,onleave,planned"),
        _search("ServiceRequest", status="active", code=",".join(sorted(rules.bed_requests))),
        _search("Appointment", status="proposed,pending,booked,arrived,checked-in,waitlist"),
        _search("PractitionerRole"),
        _search("Schedule"),
        _search("Slot", start=f"ge{(now - timedelta(days=1)).date().isoformat()}"),
        _search("Task", _tag=ours),
        _search("Observation", _tag=ours),
        _search("RiskAssessment", _tag=ours),
    )


def patient_queries(resources: Iterable[Json], rules: HouseRules) -> tuple[str, ...]:
    """Return the searches that bring what is known of the patients whom the first searches brought."""
    kinds = {"Encounter", "ServiceRequest", "Appointment"}
    found: set[str] = set()
    for resource in resources:
        if resource.get("resourceType") in kinds:
            actors = [reference(item, "actor") for item in items(resource, "participant")]
            found |= {
                name for name in (reference(resource, "subject"), *actors) if name and name.startswith("Patient/")
            }
    names = sorted(name.removeprefix("Patient/") for name in found)
    infections = ",".join(sorted(rules.isolation))
    asked: list[str] = []
    for start in range(0, len(names), AT_ONCE):
        some = ",".join(names[start : start + AT_ONCE])
        asked += [
            _search("Patient", _id=some),
            _search("Flag", patient=some, status="active"),
            _search("Condition", patient=some, code=infections),
            _search("RiskAssessment", patient=some),
        ]
    return tuple(asked)


def _search(kind: str, **parameters: str) -> str:
    return f"{kind}?" + urlencode({**parameters, "_count": "500"})


def read_house(resources: Iterable[Json], now: datetime, rules: HouseRules | None = None) -> Reading:
    """Read a house from its resources.

    Parameters
    ----------
    resources : iterable of dict
        In any order; types that do not matter are passed over.
    now : datetime
        With a time zone.
    rules : HouseRules, optional
    """
    rules, findings = rules or HouseRules(), Findings()
    by_type = _sorted_out(resources, findings)
    found = places(by_type.get("Location", []), rules, findings)
    drafts = encountered(by_type.get("Encounter", []), found, rules, now, findings)
    requested(by_type.get("ServiceRequest", []), drafts, found, rules, now, findings)
    appointed(by_type.get("Appointment", []), drafts, found, rules, now, findings)
    patients = {told(patient): patient for patient in by_type.get("Patient", [])}
    tasks, results = _ours(by_type)
    _completed(drafts, by_type, patients, tasks, rules, now, findings)
    wards = rostered(found.wards, by_type, now, findings)
    house = House(wards, found.rooms, tuple(draft.stay for _, draft in sorted(drafts.items())))
    _crowded(house, findings)
    return Reading(
        house,
        tuple(findings),
        {name: tuple(dict.fromkeys(map(source_of, draft.sources))) for name, draft in drafts.items()},
        {name: draft.encounter for name, draft in drafts.items()},
        _groups(patients, drafts, now),
        tasks,
        results,
        now,
    )


def _sorted_out(resources: Iterable[Json], findings: Findings) -> dict[str, list[Json]]:
    by_type: dict[str, list[Json]] = {}
    known: set[str] = set()
    for number, resource in enumerate(resources):
        if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str) or "id" not in resource:
            findings.add("malformed", f"resource {number + 1}", "it has no type or no id; left out")
            continue
        kind, name = resource["resourceType"], told(resource)
        # a Location told twice may be a bed in two rooms; of anything else, once is enough
        if kind == "Location" or name not in known:
            by_type.setdefault(kind, []).append(resource)
        known.add(name)
    return by_type


def _ours(by_type: Mapping[str, list[Json]]) -> tuple[tuple[Json, ...], tuple[Json, ...]]:
    def tagged(resource: Json) -> bool:
        tags = items(resource.get("meta") or {}, "tag")
        return any(tag.get("system") == MODEL_TAG and tag.get("code") == PROPOSAL for tag in tags)

    tasks = tuple(task for task in by_type.get("Task", []) if tagged(task))
    results = [*by_type.get("Observation", []), *by_type.get("RiskAssessment", [])]
    return tasks, tuple(result for result in results if tagged(result))


def _completed(
    drafts: dict[str, Draft],
    by_type: Mapping[str, list[Json]],
    patients: Mapping[str, Json],
    tasks: Sequence[Json],
    rules: HouseRules,
    now: datetime,
    findings: Findings,
) -> None:
    """Give the stays what other resources say of their patients."""
    isolation, needs, told_so = isolations([*by_type.get("Flag", []), *by_type.get("Condition", [])], rules, now)
    priority, risks = priorities(by_type.get("RiskAssessment", []), rules)
    standing = {
        (reference(task, "for"), str(reference(task, "location")))
        for task in tasks
        if task.get("status") in ("requested", "accepted")
    }
    rooms = dict(standing)
    for draft in drafts.values():
        name = draft.stay.patient
        patient = patients.get(name)
        if patient is None:
            findings.add("unknown-patient", draft.stay.id, f"of {name}, who is not there")
        draft.stay = replace(
            draft.stay,
            sex=SEXES.get(str((patient or {}).get("gender"))),
            isolation=isolation.get(name),
            needs=draft.stay.needs | needs.get(name, set()),
            priority=priority.get(name, 0),
            previous=rooms.get(name),
        )
        draft.sources += [*([patient] if patient else []), *told_so.get(name, []), *risks.get(name, [])]


def _crowded(house: House, findings: Findings) -> None:
    for room in house.rooms:
        inside = house.occupants[room.id]
        if len(inside) > room.beds:
            findings.add("two-patients-in-one-bed", room.id, f"{len(inside)} patients and {room.beds} beds")


def _groups(patients: Mapping[str, Json], drafts: Mapping[str, Draft], now: datetime) -> dict[str, dict[str, str]]:
    """Groups of patients by what the record says of them, for the table of fairness and nothing else."""
    concerned = {draft.stay.patient for draft in drafts.values()}
    found: dict[str, dict[str, str]] = {"gender": {}, "age": {}, "race": {}}
    for name in sorted(concerned & set(patients)):
        patient = patients[name]
        found["gender"][name] = str(patient.get("gender", "unknown"))
        born = str(patient.get("birthDate", ""))[:4]
        age = now.year - int(born) if born.isdigit() else -1
        if 0 <= age < 200:
            found["age"][name] = next(band for limit, band in AGES if age < limit)
        for extension in items(patient, "extension"):
            if extension.get("url") == US_CORE_RACE:
                texts = [part["valueString"] for part in items(extension, "extension") if "valueString" in part]
                found["race"][name] = str(texts[0]) if texts else "unknown"
    return {attribute: of for attribute, of in found.items() if Counter(of.values())}
