"""What a service asks an EHR to send along, and what of it came (CDS Hooks 2.0, Prefetch Template).

Templates keep to the subset of search that the standard recommends: reads, references, tokens by equality, ``_sort``
and ``_count``. They are made from the inputs that models declare, with the same searches the workers send, so that a
model sees the same record whichever way it came.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from fhir_adapter.cds_hooks.errors import MalformedRequest
from fhir_adapter.cds_hooks.request import HookContext, HookRequest
from fhir_adapter.client.bundles import matches
from fhir_adapter.codes import MODEL_TAG, Json
from fhir_adapter.features import AppliesIf, Input, queries
from fhir_adapter.notifications.hints import patient_of
from fhir_adapter.references import relative_reference

__all__ = ["ANSWERS", "CONDITIONS", "ENCOUNTER", "OBSERVATIONS", "PATIENT", "RESULTS", "Sent", "filled", "templates"]

PATIENT: Final = "patient"
ENCOUNTER: Final = "encounter"
OBSERVATIONS: Final = "observations"
CONDITIONS: Final = "conditions"
RESULTS: Final = "results"
ANSWERS: Final = "answers"

PATIENT_TOKEN = "{{context.patientId}}"  # noqa: S105 - a prefetch token
ENCOUNTER_TOKEN = "{{context.encounterId}}"  # noqa: S105
PLACE = "patient-to-be-named"
# Results on one patient that are looked through; a model writes one an admission.
PAGE = "50"


def templates(
    inputs: Sequence[Input], populations: Sequence[AppliesIf], models: Sequence[str], *, answers: bool = False
) -> dict[str, str]:
    """Return the prefetch templates for models by key.

    Parameters
    ----------
    inputs : sequence of Input
        Of all the models.
    populations : sequence of AppliesIf
    models : sequence of str
        Names, by which their stored predictions are found.
    answers : bool
        Whether their Observations are wanted beside their RiskAssessments: for curves and for abstentions.
    """
    found = {PATIENT: f"Patient/{PATIENT_TOKEN}", ENCOUNTER: f"Encounter/{ENCOUNTER_TOKEN}"}
    # conditions that put a patient into a population are asked for with the declared ones
    gates = [gate.condition for gate in populations if gate.condition]
    asked = queries(PLACE, [*inputs, *gates], AppliesIf(0, 150, None))
    for key, query in zip((OBSERVATIONS, CONDITIONS), asked, strict=True):
        if "&code=" in query:
            found[key] = query.replace(f"patient={PLACE}", f"patient={PATIENT_TOKEN}")
    tags = quote(",".join(f"{MODEL_TAG}|{name}" for name in models), safe="")
    for key, kind in ((RESULTS, "RiskAssessment"), *([(ANSWERS, "Observation")] if answers else [])):
        found[key] = f"{kind}?patient={PATIENT_TOKEN}&_tag={tags}&_count={PAGE}"
    return found


def filled(template: str, context: HookContext) -> str | None:
    """Return the query of a template, None when the context lacks what it needs."""
    if ENCOUNTER_TOKEN in template and context.encounter is None:
        return None
    return template.replace(PATIENT_TOKEN, context.patient).replace(ENCOUNTER_TOKEN, context.encounter or "")


@dataclass(frozen=True)
class Sent:
    """What a client sent along, looked through.

    Parameters
    ----------
    found : mapping of str to tuple of dict
        Resources by key. A key that is not in it was not sent, or not in a form that can be relied on.
    """

    found: Mapping[str, tuple[Json, ...]]

    @classmethod
    def of(cls, request: HookRequest, keys: Collection[str], fhir_base: str) -> Sent:
        """Look through the prefetch of a request.

        Null says that there is no data. An OperationOutcome says that the client could not get it, and a Bundle with a
        next page is not all of it: both count as not sent.

        Raises
        ------
        MalformedRequest
            Something is of another patient than the one the call is about.
        """
        found = {}
        for key in keys:
            if key in request.prefetch:
                resources = _resources(request.prefetch[key], key)
                if resources is not None:
                    checked(key, resources, request.context, fhir_base)
                    found[key] = resources
        return cls(found)


_TYPES = {
    PATIENT: "Patient",
    ENCOUNTER: "Encounter",
    OBSERVATIONS: "Observation",
    CONDITIONS: "Condition",
    RESULTS: "RiskAssessment",
    ANSWERS: "Observation",
}


# Elements that are read, by the form they have (FHIR R4 json.html); whatever has another is no resource.
OBJECTS = ("meta", "subject", "encounter", "code", "method", "period", "valueQuantity", "verificationStatus")
PERIODS = ("effectivePeriod", "onsetPeriod", "dataAbsentReason")
ARRAYS = ("identifier", "basis", "derivedFrom", "prediction", "component")
INNER = (("meta", "tag"), ("code", "coding"), ("method", "coding"))


def sound(resource: Json) -> bool:
    """Return whether the elements of a resource that are read have the form they should have."""
    if not isinstance(resource.get("id"), str) or not isinstance(resource.get("status", ""), str):
        return False
    if not all(isinstance(resource.get(name, {}), dict) for name in (*OBJECTS, *PERIODS)):
        return False
    arrays = [resource.get(name, []) for name in ARRAYS]
    arrays += [(resource.get(outer) or {}).get(name, []) for outer, name in INNER]
    if not all(map(_objects, arrays)):
        return False
    return all(_sound_part(part) for part in (*resource.get("prediction", ()), *resource.get("component", ())))


def _objects(found: object) -> bool:
    return isinstance(found, list) and all(isinstance(item, dict) for item in found)


def _sound_part(part: Json) -> bool:
    objects = ("code", "outcome", "whenPeriod", "valueQuantity", "valueSampledData")
    if not all(isinstance(part.get(name, {}), dict) for name in objects) or not _objects(part.get("extension", [])):
        return False
    ranges = [item.get("valueRange", {}) for item in part.get("extension", [])]
    bounds = [found.get(name, {}) for found in ranges if isinstance(found, dict) for name in ("low", "high")]
    return all(isinstance(item, dict) for item in (*ranges, *bounds)) and _objects(
        part.get("code", {}).get("coding", [])
    )


def _resources(value: Json | None, key: str) -> tuple[Json, ...] | None:
    single = key in (PATIENT, ENCOUNTER)
    if value is None:
        # there is a patient, and there is the encounter that was named: whatever null means, they are to be read
        return None if single else ()
    kind = value.get("resourceType")
    if kind == _TYPES[key]:
        return (value,) if sound(value) else None
    if kind != "Bundle" or single:
        return None
    entries, links = value.get("entry", []), value.get("link", [])
    if not _objects(entries) or not _objects(links) or any(link.get("relation") == "next" for link in links):
        return None
    if not all(isinstance(item.get("search", {}), dict) for item in entries):
        return None
    found = tuple(item for item in matches({"entry": entries}) if item.get("resourceType") == _TYPES[key])
    return found if all(map(sound, found)) else None


def checked(key: str, resources: Sequence[Json], context: HookContext, fhir_base: str) -> None:
    """Check that resources are of the patient the call is about.

    Raises
    ------
    MalformedRequest
    """
    patient, encounter = f"Patient/{context.patient}", context.encounter
    for resource in resources:
        named = patient_of(resource, lambda reference: relative_reference(fhir_base, reference))
        if named != patient:
            raise MalformedRequest(f"prefetch.{key} holds a resource that is not of the patient of context.patientId")
        if key == ENCOUNTER and resource.get("id") != encounter:
            raise MalformedRequest("prefetch.encounter is not the encounter of context.encounterId")
