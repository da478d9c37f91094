"""The resources of one patient that a model needs: how to ask for them, and what is kept of them.

Live server, Bundle and ``$export`` all end in the same :class:`Selection`, so that a model sees the same record
wherever it came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from urllib.parse import urlencode

from fhir_adapter.codes import Json
from fhir_adapter.features.inputs import AppliesIf, ConditionInput, FhirPathInput, Input, ObservationInput
from fhir_adapter.features.paths import roots_of
from fhir_adapter.terminology import CodeSet

PAGE = "200"

# What extraction reads of each type; meta and id are the source.
_SOURCE = ("resourceType", "id", "meta")
_READ = {
    "Patient": (*_SOURCE, "birthDate", "gender", "deceasedBoolean", "deceasedDateTime"),
    "Encounter": (*_SOURCE, "status", "class", "subject", "period"),
    "Observation": (
        *(*_SOURCE, "status", "code", "subject", "encounter", "component", "valueQuantity", "valueInteger"),
        *("effectiveDateTime", "effectiveInstant", "effectivePeriod", "issued"),
    ),
    "Condition": (
        *(*_SOURCE, "verificationStatus", "code", "subject", "encounter", "onsetDateTime", "onsetPeriod"),
        "recordedDate",
    ),
}


@dataclass(frozen=True)
class Record:
    """Resources of one patient, as plain dicts.

    Parameters
    ----------
    patient : dict
        The Patient.
    encounter : dict or None
        The Encounter that triggered.
    observations, conditions : tuple of dict
        In any order.
    time_zone : tzinfo
        Of dates without a time, which are whole days there.
    """

    patient: Json
    encounter: Json | None
    observations: tuple[Json, ...] = ()
    conditions: tuple[Json, ...] = ()
    time_zone: tzinfo = UTC


@dataclass(frozen=True)
class Selection:
    """What a model needs of a record.

    Parameters
    ----------
    observations, conditions : CodeSet
        Codes of ``Observation.code`` and ``Condition.code``.
    whole : frozenset of str
        Types that a FHIRPath expression reads, which may need any element of them.
    """

    observations: CodeSet
    conditions: CodeSet
    whole: frozenset[str]

    @classmethod
    def of(cls, inputs: Sequence[Input], applies_if: AppliesIf) -> Selection:
        """Return what declared inputs need."""
        observations, conditions = CodeSet(), CodeSet()
        whole: frozenset[str] = frozenset()
        for item in (*inputs, applies_if.condition):
            if isinstance(item, ObservationInput):
                observations |= item.searched
            elif isinstance(item, ConditionInput):
                conditions |= item.searched
            elif isinstance(item, FhirPathInput):
                observations, conditions = observations | item.observations, conditions | item.conditions
                whole |= roots_of(item.expression)
        return cls(observations, conditions, whole)

    def pick(self, resource: Json) -> Json | None:
        """Return what the model needs of a resource; None when it needs nothing of it."""
        kind = resource.get("resourceType")
        if kind == "Observation":
            needed = self.observations.has(resource.get("code"))
        elif kind == "Condition":
            needed = self.conditions.has(resource.get("code"))
        else:
            needed = kind in ("Patient", "Encounter")
        if not needed:
            return None
        meta = resource.get("meta")
        versioned = isinstance(meta, dict) and (meta.get("versionId") or meta.get("lastUpdated"))
        # without a version, what tells one state of a resource from the next is a digest of all of it
        if kind in self.whole or not versioned:
            return resource
        return {key: resource[key] for key in _READ[str(kind)] if key in resource}

    def record(
        self, patient: Json, encounter: Json | None, resources: Iterable[Json], time_zone: tzinfo = UTC
    ) -> Record:
        """Return the record of a patient; resources may come page by page, and only what is needed is kept."""
        observations: list[Json] = []
        conditions: list[Json] = []
        for resource in resources:
            found = self.pick(resource)
            if found is not None and found["resourceType"] == "Observation":
                observations.append(found)
            elif found is not None and found["resourceType"] == "Condition":
                conditions.append(found)
        return Record(
            self.pick(patient) or patient,
            encounter and (self.pick(encounter) or encounter),
            tuple(observations),
            tuple(conditions),
            time_zone,
        )


def queries(patient: str, inputs: Sequence[Input], applies_if: AppliesIf) -> tuple[str, str]:
    """Return the Observation and the Condition search for a patient (FHIR R4 search.html).

    Parameters
    ----------
    patient : str
        ``Patient/id``.
    """
    selection = Selection.of(inputs, applies_if)
    identifier = patient.removeprefix("Patient/")
    return (
        _search("Observation", identifier, selection.observations, _sort="-date"),
        _search("Condition", identifier, selection.conditions),
    )


def _search(resource_type: str, patient: str, codes: CodeSet, **more: str) -> str:
    if not codes:
        # an empty code parameter means "any" to some servers; a count has no entries (FHIR R4 search.html#summary)
        return f"{resource_type}?" + urlencode({"patient": patient, "_summary": "count"})
    parameters = {"patient": patient, "code": ",".join(codes.searched), **more, "_count": PAGE}
    return f"{resource_type}?" + urlencode(parameters)


def moment(text: object, time_zone: tzinfo = UTC) -> datetime | None:
    """Read a FHIR date, dateTime or instant; a date counts as its midnight in a time zone."""
    if not isinstance(text, str):
        return None
    padded = {4: text + "-01-01", 7: text + "-01"}.get(len(text), text)
    try:
        parsed = datetime.fromisoformat(padded)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=time_zone)


def index_time_of(encounter: Json | None, time_zone: tzinfo = UTC) -> datetime | None:
    """Return Encounter.period.start, time zero of an admission's prediction."""
    return moment(((encounter or {}).get("period") or {}).get("start"), time_zone)
