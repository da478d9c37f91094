"""From what was read of a record to an answer: features, model, and what the answer depends on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from fhir_adapter.codes import Json
from fhir_adapter.evidence import Answer, Evidence, data_cutoff
from fhir_adapter.features import Features, extract
from fhir_adapter.prediction import Abstention, AbstentionReason, ResultContext
from fhir_adapter.references import Source, source_of
from fhir_adapter.tenants import Tenant
from functions.serving.package import Model, ModelPackage, Predict
from functions.serving.reading import Read

__all__ = ["Answered", "called_off", "from_record"]

CALLED_OFF = frozenset({"cancelled", "entered-in-error"})
NOT_AN_ADMISSION = CALLED_OFF | {"planned"}
NO_TIME = {
    "Encounter": "The encounter has no period.start.",
    "DiagnosticReport": "The report has no effective time.",
    "Observation": "The observation has no effective time.",
    "ImagingStudy": "The study has no started time, and its images have no date.",
}


def _nothing(_evidence: Evidence) -> None:
    """Do nothing: most answers are whole when they are in the EHR."""


@dataclass(frozen=True)
class Answered:
    """An answer on its way to the EHR.

    Parameters
    ----------
    result : Prediction, Diagnosis or Abstention
    context : ResultContext
    finish : callable
        What is to be done once the evidence is in the EHR, whoever wrote it; safe to repeat.
    """

    result: Answer
    context: ResultContext
    finish: Callable[[Evidence], None] = _nothing


def from_record(read: Read, tenant: Tenant, model: Model) -> Answered:
    """Answer from the values in a record."""
    features, result = _answer(read, model.package, model.predict)
    return Answered(result, _context(read, tenant, features))


def called_off(focus: Json) -> Abstention | None:
    """Return why a resource that was called off is not answered for, None when it was not."""
    kind, status = str(focus.get("resourceType")), focus.get("status")
    if status in (NOT_AN_ADMISSION if kind == "Encounter" else CALLED_OFF):
        named = {"ImagingStudy": "study", "DiagnosticReport": "report"}.get(kind, kind.lower())
        return Abstention(AbstentionReason.OUTSIDE_POPULATION, f"The {named}'s status is {status}.")
    return None


def _answer(read: Read, package: ModelPackage, predict: Predict) -> tuple[Features | None, Answer]:
    refused = called_off(read.focus)
    if refused:
        return None, refused
    if read.index_time is None:
        kind = str(read.focus.get("resourceType"))
        return None, Abstention(AbstentionReason.NO_INDEX_TIME, NO_TIME.get(kind, "There is no time zero."))
    features = extract(package.inputs, package.applies_if, read.record, read.index_time)
    if isinstance(features, Abstention):
        return None, features
    answer = predict(features)
    return (None if isinstance(answer, Abstention) else features), answer


def _context(read: Read, tenant: Tenant, features: Features | None) -> ResultContext:
    """A prediction depends on what its values came from; an abstention on everything that was looked at."""
    record = read.record
    base = [source_of(record.patient), *_ground(read)]
    looked_at = {source_of(resource): resource for resource in (*record.observations, *record.conditions)}
    if features is not None:
        sources = tuple(dict.fromkeys([*base, *features.sources]))
        fingerprints = tuple(source.fingerprint for source in sources)
    else:
        sources = tuple(base)
        fingerprints = tuple(source.fingerprint for source in (*base, *looked_at))
    if tenant.terminology.fingerprint:
        fingerprints += (tenant.terminology.fingerprint,)
    used = [looked_at[source] for source in sources if source in looked_at]
    return ResultContext(
        tenant=tenant.name,
        organization=tenant.organization,
        patient=read.patient,
        encounter=read.encounter,
        index_time=read.index_time,
        sources=sources,
        fingerprints=fingerprints,
        condition=features.population[0].current if features is not None and features.population else None,
        data_until=data_cutoff(used, datetime.now(UTC)) if features is not None else None,
        about=read.about,
    )


def _ground(read: Read) -> list[Source]:
    """The resource that was asked about, but for an Observation: it is one of the values, or it does not matter.

    So the five values of one sample that are told of one by one end in one result, and not in five.
    """
    return [] if read.focus.get("resourceType") == "Observation" else [source_of(read.focus)]
