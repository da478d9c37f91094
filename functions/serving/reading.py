"""Reading what an event needs: the focus, the patient, the declared inputs, and our own earlier results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from itertools import chain

from fhir_adapter.client import BatchAnswer, FhirClient
from fhir_adapter.codes import Json
from fhir_adapter.errors import FhirRejected, FhirUnavailable
from fhir_adapter.evidence import card_id, device_id
from fhir_adapter.evidence.supersede import (
    REPORTED_TYPES,
    RESULT_TYPES,
    WRITTEN_TYPES,
    Earlier,
    is_ours,
    results_queries,
)
from fhir_adapter.features import Record, Selection, index_time_of, queries
from fhir_adapter.features.record import moment
from fhir_adapter.notifications import patient_of
from functions.serving.errors import EventRejected
from functions.serving.events import Event
from functions.serving.package import ModelPackage

__all__ = ["Gone", "Ours", "Read", "read_for", "types_of"]

GONE = frozenset({404, 410})
# What may be told of, beside the declared focus: a study may be told of by its report, values by any of these.
TOLD_BY_REPORT = frozenset({"ImagingStudy", "DiagnosticReport"})
TOLD_BY_VALUES = frozenset({"DiagnosticReport", "Encounter", "Observation"})


def types_of(package: ModelPackage) -> tuple[str, ...]:
    """Return the types of a package's results."""
    return RESULT_TYPES if package.diagnosis is None else REPORTED_TYPES


@dataclass(frozen=True)
class Read:
    """What was read for one event.

    Parameters
    ----------
    record : Record
    patient : str
        ``Patient/id``.
    earlier : Earlier
        This model's results on the patient.
    device_known, card_known : bool
        Whether the EHR has the model's Device and its card.
    focus : dict
        What is answered for: the resource that was notified, or the ImagingStudy that it names.
    encounter : str or None
        ``Encounter/id`` that it belongs to.
    about : str or None
        What a diagnosis will be about; a prediction is about the encounter.
    index_time : datetime or None
        Time zero, with a time zone.
    notified : dict
        The resource that was notified: the focus, or the report that names it.
    identifiers : tuple of dict
        Patient.identifier, for models that look at files with patient ids of their own; others need none.
    """

    record: Record
    patient: str
    earlier: Earlier
    device_known: bool
    card_known: bool
    asked: tuple[str, ...]
    focus: Json
    encounter: str | None
    about: str | None
    index_time: datetime | None
    notified: Json
    identifiers: tuple[Json, ...] = ()

    @property
    def scope(self) -> str | None:
        """What a newer result is held against."""
        return self.about or self.encounter


class Ours(Exception):
    """The focus is a resource that Bedside wrote, or one that is gone and was never asked about."""


class Gone(Exception):
    """The EHR does not have the focus any more."""

    def __init__(self, error: FhirRejected, earlier: Earlier) -> None:
        super().__init__(str(error))
        self.error = error
        self.earlier = earlier


def read_for(event: Event, client: FhirClient, package: ModelPackage, time_zone: tzinfo = UTC) -> Read:
    """Read everything in one batch; in two when the event does not tell the patient, or tells the wrong one.

    Where a report was notified and the model looks at images, the report is read first, for the study it names.

    Parameters
    ----------
    time_zone : tzinfo
        Of dates without a time, the tenant's.

    Raises
    ------
    Ours, Gone
        There is nothing to answer for.
    FhirUnavailable, FhirRejected, EventRejected
    """
    focus, patient, report = _target(event, client, package)
    if patient is None:
        patient = _patient(_focus(focus, client, package), client)
    read = _read_batch(focus, patient, client, package, time_zone)
    if is_ours(read.focus):
        raise Ours
    named = _patient(read.focus, client)
    if named != patient:
        # the hint was wrong or outdated: what the EHR says now counts
        read = _read_batch(focus, named, client, package, time_zone)
    return replace(read, notified=report) if report else read


def _target(event: Event, client: FhirClient, package: ModelPackage) -> tuple[str, str | None, Json | None]:
    """Return what to answer for, its patient where that is known, and the report that named it."""
    focus = event.focus or ""
    kind = focus.partition("/")[0]
    if kind not in _kinds(package):
        if event.deleted:
            raise Ours
        if kind in WRITTEN_TYPES and is_ours(client.read(focus)):
            raise Ours
        raise EventRejected(f"{package.identity.name} answers {package.focus} notifications, not this type")
    if not package.looks or kind == "ImagingStudy":
        return focus, event.patient, None
    if event.deleted:
        raise Ours  # what was said is about the study, which stays
    report = client.read(focus)
    if is_ours(report):
        raise Ours
    named = [client.relative(str(item.get("reference"))) for item in report.get("imagingStudy") or []]
    studies = [reference for reference in named if reference and reference.startswith("ImagingStudy/")]
    if not studies:
        raise EventRejected("the report names no ImagingStudy of this EHR")
    return studies[0], patient_of(report, client.relative), report


def _kinds(package: ModelPackage) -> frozenset[str]:
    if package.diagnosis is None:
        return frozenset({package.focus})
    return frozenset({package.focus}) | (TOLD_BY_REPORT if package.looks else TOLD_BY_VALUES)


def _focus(focus: str, client: FhirClient, package: ModelPackage) -> Json:
    try:
        return client.read(focus)
    except FhirRejected as error:
        if error.status not in GONE:
            raise
        raise Gone(error, _results_about(focus, client, package)) from None


def _results_about(focus: str, client: FhirClient, package: ModelPackage) -> Earlier:
    """Results whose patient nobody knows any more are found by what they are about."""
    name, types = package.identity.name, types_of(package)
    if focus.startswith("Encounter/"):
        urls = results_queries(name, None, encounter=focus, types=types)
    else:
        urls = results_queries(name, None, about=focus, types=types)
    return Earlier(tuple(found for url in urls for found in client.complete(client.read(url))))


def _patient(focus: Json, client: FhirClient) -> str:
    patient = patient_of(focus, client.relative)
    if patient is None:
        raise EventRejected("the focus names no patient of this EHR")
    return patient


def _read_batch(focus: str, patient: str, client: FhirClient, package: ModelPackage, time_zone: tzinfo) -> Read:
    """Earlier results come first: what is read after them is at least as new as what they were made from."""
    model = package.identity
    about_the_model = [f"Device/{device_id(model)}"]
    if model.card:
        about_the_model.append(f"DocumentReference/{card_id(model)}")
    earlier_ones = results_queries(model.name, patient, types=types_of(package))
    asked = (*earlier_ones, focus, patient, *queries(patient, package.inputs, package.applies_if))
    answers = client.batch([*asked, *about_the_model])
    first = len(earlier_ones)
    earlier = Earlier(tuple(result for page in answers[:first] for result in client.complete(_needed(page))))
    if answers[first].status in GONE:
        status = answers[first].status
        raise Gone(FhirRejected(f"the FHIR server answered {status} inside a batch", status), earlier)
    found, person, observed, diagnosed = (_needed(answer) for answer in answers[first : first + 4])
    known = [answer.status == 200 for answer in answers[first + 4 :]]
    admission = found if found.get("resourceType") == "Encounter" else None
    record = Selection.of(package.inputs, package.applies_if).record(
        person, admission, chain(client.complete(observed), client.complete(diagnosed)), time_zone
    )
    index_time = _index_time(record.encounter or found, time_zone)
    encounter = _encounter(found, client)
    return Read(
        record=record,
        patient=patient,
        earlier=earlier,
        device_known=known[0],
        card_known=all(known),
        asked=asked,
        focus=record.encounter or found,
        encounter=encounter,
        about=_about(found, encounter or patient, index_time) if package.diagnosis else None,
        index_time=index_time,
        notified=found,
        identifiers=tuple(person.get("identifier") or ()) if package.looks else (),
    )


def _encounter(focus: Json, client: FhirClient) -> str | None:
    if focus.get("resourceType") == "Encounter":
        return f"Encounter/{focus['id']}"
    reference = (focus.get("encounter") or {}).get("reference")
    found = client.relative(str(reference)) if reference else None
    return found if found and found.startswith("Encounter/") else None


def _about(focus: Json, whose: str, index_time: datetime | None) -> str:
    """What the result will be about. Single values of one day belong together, whichever of them is told of."""
    kind = focus.get("resourceType")
    if kind == "Observation":
        return f"{whose}@{index_time.date().isoformat() if index_time else focus['id']}"
    return f"{kind}/{focus['id']}"


def _index_time(focus: Json, time_zone: tzinfo) -> datetime | None:
    """Time zero: when the admission began, the study was made, or the sample was taken."""
    kind = focus.get("resourceType")
    if kind == "Encounter":
        return index_time_of(focus, time_zone)
    if kind == "ImagingStudy":
        return moment(focus.get("started"), time_zone)
    period = focus.get("effectivePeriod") or {}
    texts: Sequence[object] = (
        *(focus.get("effectiveDateTime"), focus.get("effectiveInstant"), period.get("end"), period.get("start")),
        focus.get("issued"),
    )
    return moment(next((text for text in texts if text), None), time_zone)


def _needed(answer: BatchAnswer) -> Json:
    if answer.status in (408, 425, 429) or answer.status >= 500:
        raise FhirUnavailable(f"the FHIR server answered {answer.status} inside a batch", answer.status)
    if answer.status >= 400 or answer.resource is None:
        raise FhirRejected(f"the FHIR server answered {answer.status} inside a batch", answer.status)
    return answer.resource
