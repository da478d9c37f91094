"""From a Provenance to a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo

from fhir_adapter.client import FhirClient
from fhir_adapter.codes import ABSTENTION_REASON, Json
from fhir_adapter.evidence import Answer
from fhir_adapter.features import Record, extract, index_time_of
from fhir_adapter.features.record import moment
from fhir_adapter.prediction import Abstention, AbstentionReason, ModelIdentity, Prediction
from fhir_adapter.tenants import Tenant
from functions.serving.package import Model
from functions.serving.recorded import Recorded, State, gather
from functions.serving.replay.diagnoses import diagnosis_pairs
from functions.serving.replay.images import OpenStore, looked_again
from functions.serving.replay.predictions import prediction_pairs
from functions.serving.replay.verdict import Found, Replay, Verdict, compared

__all__ = ["replay"]

NO_STORE = "The model looked at images, and no image store is named here to fetch them from."


def replay(
    reference: str,
    client: FhirClient,
    models: Mapping[str, Model],
    tenant: Tenant | None = None,
    connect: OpenStore | None = None,
) -> Replay:
    """Make a recorded answer again and compare.

    Two round trips: the Provenance, then everything it names; and those to the image store.

    Parameters
    ----------
    reference : str
        ``Provenance/{id}``.
    client : FhirClient
        Of the EHR that holds it.
    models : mapping of str to Model
        By the SHA-256 of the model file.
    tenant : Tenant, optional
        Its local codes and time zone, as they were when the answer was made, and where its images are.
    connect : callable, optional
        Opens the tenant's image store at a DICOMweb root; needed where the model looked at images.

    Raises
    ------
    FhirServerError
        The EHR does not answer, or does not have the Provenance.
    ImageStoreError, ImagingStudyError, NoImageStore
        The images cannot be asked for.
    """
    recorded = gather(client.read(reference), client)
    model = models.get(recorded.digest or "")
    if model and tenant:
        model = model.localised(tenant.terminology)
    found = _foreign(recorded) or _lost(recorded) or _ran(recorded, model, client, tenant, connect)
    return Replay(
        provenance=reference,
        verdict=found.verdict,
        detail=found.detail,
        model=f"{model.package.identity.name} {model.package.identity.version}" if model else recorded.digest or "",
        results=recorded.results,
        inputs=recorded.inputs,
        compared=found.compared,
        differences=found.differences,
    )


def _foreign(recorded: Recorded) -> Found | None:
    if recorded.digest is None:
        return Found(Verdict.NOT_REPLAYABLE, "The Provenance names no model of Bedside as its author.")
    return None


def _lost(recorded: Recorded) -> Found | None:
    """Name the inputs that cannot be read at the recorded version any more."""
    for state, verdict, words in (
        (State.VANISHED, Verdict.INPUT_VANISHED, "no longer in the EHR"),
        (State.CHANGED, Verdict.INPUT_CHANGED, "in the EHR in another version only"),
    ):
        gone = [item.reference for item in recorded.inputs if item.state == state]
        if gone:
            return Found(verdict, f"Inputs {words}: {', '.join(gone)}.")
    return None


def _ran(
    recorded: Recorded, model: Model | None, client: FhirClient, tenant: Tenant | None, connect: OpenStore | None
) -> Found:
    if model is None:
        return Found(Verdict.MODEL_DIFFERS, "The model of the recorded digest is not among the packages here.")
    record = _record(recorded.sources, tenant.zone if tenant else UTC)
    if record is None or not recorded.targets:
        return Found(Verdict.NOT_REPLAYABLE, "The Provenance names no patient as input, or its results are gone.")
    answer: Answer | Found
    if model.package.looks:
        answer = _looked(record, recorded, model, client, tenant, connect)
    else:
        answer = _answer(record, recorded, model)
    return answer if isinstance(answer, Found) else _judged(answer, recorded, model.package.identity)


def _judged(answer: Answer, recorded: Recorded, model: ModelIdentity) -> Found:
    """Hold what was answered again against what is written."""
    written = recorded.targets.get("Observation", {})
    if "dataAbsentReason" in written:
        return _abstained(answer, written)
    if isinstance(answer, Abstention):
        return Found(Verdict.DIFFERS, f"The recorded inputs give no answer now. {answer.detail}")
    if isinstance(answer, Prediction):
        return compared(prediction_pairs(answer, recorded.targets, model))
    return compared(diagnosis_pairs(answer, recorded.written, model))


def _record(sources: Sequence[Json], zone: tzinfo) -> Record | None:
    def of(kind: str) -> tuple[Json, ...]:
        return tuple(found for found in sources if found.get("resourceType") == kind)

    patients, encounters = of("Patient"), of("Encounter")
    if len(patients) != 1:
        return None
    return Record(patients[0], next(iter(encounters), None), of("Observation"), of("Condition"), time_zone=zone)


def _time_zero(record: Record, recorded: Recorded) -> datetime | None:
    """Observation.effective; the same instant as the encounter's start is taken in the offset its age is counted in."""
    written = recorded.targets.get("Observation", {})
    at, start = moment(written.get("effectiveDateTime")), index_time_of(record.encounter, record.time_zone)
    if start is not None and (at is None or start == at):
        at = start
    return None if _abstention_code(written) == AbstentionReason.NO_INDEX_TIME else at


def _answer(record: Record, recorded: Recorded, model: Model) -> Answer:
    at = _time_zero(record, recorded)
    if at is None:
        return Abstention(AbstentionReason.NO_INDEX_TIME, "The encounter has no period.start.")
    features = extract(model.package.inputs, model.package.applies_if, record, at)
    return features if isinstance(features, Abstention) else model.predict(features)


def _looked(
    record: Record,
    recorded: Recorded,
    model: Model,
    client: FhirClient,
    tenant: Tenant | None,
    connect: OpenStore | None,
) -> Answer | Found:
    """Ask about the population first, as was done: no image is fetched of somebody the model is not for."""
    at = _time_zero(record, recorded)
    if at is not None:
        outside = extract((), model.package.applies_if, record, at)
        if isinstance(outside, Abstention):
            return outside
    if tenant is None or connect is None:
        return Found(Verdict.NOT_REPLAYABLE, NO_STORE)
    return looked_again(recorded, record.patient, model, client, tenant, connect)


def _abstention_code(observation: Json) -> str | None:
    codings = (observation.get("dataAbsentReason") or {}).get("coding") or []
    return next((item.get("code") for item in codings if item.get("system") == ABSTENTION_REASON), None)


def _abstained(answer: Answer, written: Json) -> Found:
    text = str(written["dataAbsentReason"].get("text", ""))
    if isinstance(answer, Abstention) and text == f"No prediction. {answer.detail}":
        return Found(Verdict.REPRODUCED, "The model abstains again, for the same reason.", 1)
    return Found(
        Verdict.NOT_REPLAYABLE, "There was no prediction, and what was missing then cannot be read from versions."
    )
