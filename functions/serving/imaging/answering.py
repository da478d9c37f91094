"""Answering for a study."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING

from fhir_adapter.client import FhirClient
from fhir_adapter.codes import Json
from fhir_adapter.dicomweb import ImageStore
from fhir_adapter.errors import FhirUnavailable
from fhir_adapter.evidence import Answer, Evidence
from fhir_adapter.features import extract
from fhir_adapter.features.record import moment
from fhir_adapter.imaging_study import (
    GateState,
    StudyCounts,
    dicomweb_root,
    endpoint_references,
    endpoints_within,
    study_uid,
)
from fhir_adapter.imaging_study.times import date_time
from fhir_adapter.prediction import Abstention, AbstentionReason, Diagnosis, ImageSource, ResultContext
from fhir_adapter.references import source_of
from fhir_adapter.tenants import Tenant
from functions.serving.answering import NO_TIME, Answered, called_off
from functions.serving.errors import ModelRefused
from functions.serving.events import Event
from functions.serving.imaging.choosing import Chosen, candidates, choose
from functions.serving.imaging.states import StudyStates, key_of_study
from functions.serving.imaging.storing import store_results
from functions.serving.imaging.waiting import Look, look_at
from functions.serving.imaging.whose import Whose
from functions.serving.package import Model
from functions.serving.reading import Read

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

__all__ = ["Images", "from_images"]


@dataclass(frozen=True)
class Images:
    """Where images are, and what is remembered of studies.

    Parameters
    ----------
    connect : callable
        From a tenant and a DICOMweb root to its image store.
    states : StudyStates
    now : callable
        The clock, for tests.
    """

    connect: Callable[[Tenant, str], ImageStore]
    states: StudyStates
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


NOTHING = StudyCounts()


@dataclass(frozen=True)
class _Seen:
    """What an answer came from; what is not there was not needed for it."""

    index_time: datetime | None
    counts: StudyCounts = NOTHING
    looked_at: tuple[ImageSource, ...] = ()
    source: ImageSource | None = None


def from_images(event: Event, read: Read, client: FhirClient, tenant: Tenant, model: Model, images: Images) -> Answered:
    """Answer for a study.

    Raises
    ------
    StudyNotReady
        It is not there yet, or still grows.
    ImageStoreError, ImagingStudyError, NoImageStore
    """
    refused = called_off(read.focus)
    if refused:
        return Answered(refused, _context(read, tenant, _Seen(read.index_time)))
    uid = study_uid(read.focus)
    store = images.connect(tenant, dicomweb_root(tenant, _endpoints(read.focus, client, tenant)))
    key = key_of_study(tenant.name, model.package.identity.name, uid)
    look = _waited(event, read.focus, uid, store, tenant, images, key)
    if look.refused:
        return Answered(look.refused, _context(read, tenant, _Seen(read.index_time, look.counts)))
    return _looked(read, tenant, model, store, lambda: images.states.keep(key, _scored(look)), look.counts)


def _scored(look: Look) -> GateState:
    return look.state.after_scoring(look.counts)


def _waited(event: Event, study: Json, uid: str, store: ImageStore, tenant: Tenant, images: Images, key: str) -> Look:
    state = images.states.get(key)
    look = look_at(event, study, uid, store, state, tenant, images.now())
    if isinstance(look, Look):
        return look
    waiting, seen = look
    if seen != state:
        images.states.keep(key, seen)
    raise waiting


def _looked(
    read: Read,
    tenant: Tenant,
    model: Model,
    store: ImageStore,
    remember: Callable[[], None],
    counts: StudyCounts,
) -> Answered:
    contract, identity = model.package.diagnosis, model.package.identity
    if contract is None or model.look is None:
        raise ModelRefused(identity.name, "kind", "it looks at no images")
    found = candidates(read.focus, contract, store)
    # no image is fetched of a patient the model is not for
    refused = _population(read, model, read.index_time) if found else None
    chosen = Chosen(refused, None, None, ()) if refused else choose(found, contract, store, _whose(read, tenant))
    index_time = read.index_time or _made_at(chosen.dataset, tenant.zone)
    context = _context(read, tenant, _Seen(index_time, counts, chosen.looked_at, chosen.source))
    result = _answer(read, model, chosen, index_time)

    def finish(evidence: Evidence) -> None:
        if tenant.imaging_results == "dicom" and isinstance(result, Diagnosis) and chosen.dataset is not None:
            key = evidence.result.partition("/")[2]
            store_results(store, chosen.dataset, result, context, model.package, key)
        remember()

    return Answered(result, context, finish)


def _answer(read: Read, model: Model, chosen: Chosen, index_time: datetime | None) -> Answer:
    if isinstance(chosen.seen, Abstention):
        return chosen.seen
    if index_time is None:
        return Abstention(AbstentionReason.NO_INDEX_TIME, NO_TIME["ImagingStudy"])
    # asked before where the resource told when the study was made
    refused = None if read.index_time else _population(read, model, index_time)
    if refused or model.look is None:
        return refused or Abstention(AbstentionReason.NOT_COMPUTABLE, "The model looks at no images.")
    result = model.look(chosen.seen)
    if isinstance(result, Diagnosis) and chosen.note:
        return replace(result, notes=(*result.notes, chosen.note))
    return result


def _population(read: Read, model: Model, index_time: datetime | None) -> Abstention | None:
    if index_time is None:
        return None
    found = extract((), model.package.applies_if, read.record, index_time)
    return found if isinstance(found, Abstention) else None


def _whose(read: Read, tenant: Tenant) -> Whose:
    return Whose({**read.record.patient, "identifier": read.identifiers}, tenant.patient_id_systems)


def _endpoints(study: Json, client: FhirClient, tenant: Tenant) -> list[Json]:
    """Endpoints of the study, where the tenant's description does not say where its images are."""
    if tenant.dicomweb_root:
        return []
    named = [client.relative(reference) for reference in endpoint_references(study)]
    wanted = [reference for reference in named if reference and reference.startswith("Endpoint/")]
    answers = client.batch(wanted) if wanted else []
    for answer in answers:
        if answer.status in (408, 425, 429) or answer.status >= 500:
            raise FhirUnavailable(f"the FHIR server answered {answer.status} inside a batch", answer.status)
    found = [answer.resource for answer in answers if answer.status < 400 and answer.resource]
    return [*endpoints_within(study), *found]


def _made_at(dataset: FileDataset | None, zone: tzinfo) -> datetime | None:
    """When the study was made, by the instance itself."""
    if dataset is None:
        return None
    told = {
        tag: {"Value": [str(dataset.get(keyword) or "")]}
        for tag, keyword in (
            ("00080020", "StudyDate"),
            ("00080030", "StudyTime"),
            ("00080201", "TimezoneOffsetFromUTC"),
        )
    }
    return moment(date_time(told, "00080020", "00080030", zone), zone)


def _context(read: Read, tenant: Tenant, seen: _Seen) -> ResultContext:
    """An answer depends on the patient, on which study it is, and on the files; not on the resource's version.

    A study's resource changes whenever the archive counts again, and it does so when our own report is stored.
    """
    study = read.focus
    patient = source_of(read.record.patient)
    identifiers = sorted(str(item.get("value")) for item in study.get("identifier") or [] if isinstance(item, dict))
    which = "|".join([f"ImagingStudy/{study.get('id')}", *identifiers, str(study.get("started"))])
    counts = () if seen.looked_at else tuple(f"{series}:{number}" for series, number in seen.counts.series)
    status = str(study.get("status")) if called_off(study) else ""
    ids = [fingerprint] if seen.looked_at and (fingerprint := _whose(read, tenant).fingerprint) else []
    return ResultContext(
        tenant=tenant.name,
        organization=tenant.organization,
        patient=read.patient,
        encounter=read.encounter,
        index_time=seen.index_time,
        sources=(patient, source_of(study)),
        fingerprints=(patient.fingerprint, which, status, *(one.fingerprint for one in seen.looked_at), *counts, *ids),
        data_until=seen.index_time,
        about=read.about,
        study=source_of(study).current,
        images=(seen.source,) if seen.source else seen.looked_at,
    )
