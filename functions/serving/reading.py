"""Reading what an event needs: the focus, the patient, the declared inputs, and our own earlier results."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, tzinfo
from itertools import chain

from fhir_adapter.client import BatchAnswer, FhirClient
from fhir_adapter.codes import Json
from fhir_adapter.errors import FhirRejected, FhirUnavailable
from fhir_adapter.evidence import card_id, device_id
from fhir_adapter.evidence.supersede import WRITTEN_TYPES, Earlier, is_ours, results_queries
from fhir_adapter.features import Record, Selection, queries
from fhir_adapter.notifications import patient_of
from functions.serving.errors import EventRejected
from functions.serving.events import Event
from functions.serving.package import ModelPackage

__all__ = ["Gone", "Ours", "Read", "read_for"]

GONE = frozenset({404, 410})


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
    """

    record: Record
    patient: str
    earlier: Earlier
    device_known: bool
    card_known: bool
    asked: tuple[str, ...]


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
    focus = event.focus or ""
    kind = focus.partition("/")[0]
    if kind != package.focus:
        if event.deleted:
            raise Ours
        if kind in WRITTEN_TYPES and is_ours(client.read(focus)):
            raise Ours
        raise EventRejected(f"{package.identity.name} answers {package.focus} notifications, not this type")
    patient = event.patient
    if patient is None:
        patient = _patient(_focus(focus, client, package), client)
    read = _read_batch(focus, patient, client, package, time_zone)
    if is_ours(read.record.encounter or {}):
        raise Ours
    named = _patient(read.record.encounter or {}, client)
    if named != patient:
        # the hint was wrong or outdated: what the EHR says now counts
        read = _read_batch(focus, named, client, package, time_zone)
    return read


def _focus(focus: str, client: FhirClient, package: ModelPackage) -> Json:
    try:
        return client.read(focus)
    except FhirRejected as error:
        if error.status not in GONE:
            raise
        raise Gone(error, _results_about(focus, client, package)) from None


def _results_about(focus: str, client: FhirClient, package: ModelPackage) -> Earlier:
    """Results whose patient nobody knows any more are found by the encounter they name."""
    found: list[Json] = []
    for url in results_queries(package.identity.name, None, encounter=focus):
        found += client.complete(client.read(url))
    return Earlier(tuple(found))


def _patient(encounter: Json, client: FhirClient) -> str:
    patient = patient_of(encounter, client.relative)
    if patient is None:
        raise EventRejected("the focus names no patient of this EHR")
    return patient


def _read_batch(focus: str, patient: str, client: FhirClient, package: ModelPackage, time_zone: tzinfo) -> Read:
    """Earlier results come first: what is read after them is at least as new as what they were made from."""
    model = package.identity
    about_the_model = [f"Device/{device_id(model)}"]
    if model.card:
        about_the_model.append(f"DocumentReference/{card_id(model)}")
    inputs = queries(patient, package.inputs, package.applies_if)
    asked = (*results_queries(model.name, patient), focus, patient, *inputs)
    answers = client.batch([*asked, *about_the_model])
    earlier = Earlier(tuple(result for page in answers[:2] for result in client.complete(_needed(page))))
    if answers[2].status in GONE:
        status = answers[2].status
        raise Gone(FhirRejected(f"the FHIR server answered {status} inside a batch", status), earlier)
    encounter, person, observed, diagnosed = (_needed(answer) for answer in answers[2:6])
    known = [answer.status == 200 for answer in answers[6:]]
    return Read(
        record=Selection.of(package.inputs, package.applies_if).record(
            person, encounter, chain(client.complete(observed), client.complete(diagnosed)), time_zone
        ),
        patient=patient,
        earlier=earlier,
        device_known=known[0],
        card_known=all(known),
        asked=asked,
    )


def _needed(answer: BatchAnswer) -> Json:
    if answer.status in (408, 425, 429) or answer.status >= 500:
        raise FhirUnavailable(f"the FHIR server answered {answer.status} inside a batch", answer.status)
    if answer.status >= 400 or answer.resource is None:
        raise FhirRejected(f"the FHIR server answered {answer.status} inside a batch", answer.status)
    return answer.resource
