"""The images of a recorded answer, fetched once more and looked at once more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from fhir_adapter.client import FhirClient
from fhir_adapter.codes import Json
from fhir_adapter.dicomweb import ImageStore
from fhir_adapter.evidence import Answer
from fhir_adapter.imaging_study import dicomweb_root, endpoint_references, endpoints_within
from fhir_adapter.prediction import Abstention
from fhir_adapter.tenants import Tenant
from functions.serving.package import Model
from functions.serving.recorded import Recorded, RecordedFile
from functions.serving.replay.verdict import Found, Verdict

__all__ = ["OpenStore", "looked_again"]

OpenStore = Callable[[Tenant, str], ImageStore]


def looked_again(
    recorded: Recorded, patient: Json, model: Model, client: FhirClient, tenant: Tenant, connect: OpenStore
) -> Answer | Found:
    """Let the model look at the recorded files, and at no others.

    Parameters
    ----------
    patient : dict
        At the recorded version: files that contradict it were refused, and are again.

    Returns
    -------
    Prediction, Diagnosis, Abstention or Found
        The last when the files are not to be had as they were.

    Raises
    ------
    ImageStoreError, ImagingStudyError, NoImageStore
    """
    from functions.serving.imaging.choosing import candidates, choose
    from functions.serving.imaging.whose import Whose

    contract = model.package.diagnosis
    study = next((item for item in recorded.sources if item.get("resourceType") == "ImagingStudy"), None)
    if contract is None or model.look is None or study is None or not recorded.files:
        return Found(Verdict.NOT_REPLAYABLE, "The Provenance names no image that was looked at.")
    store = connect(tenant, dicomweb_root(tenant, _endpoints(study, client, tenant)))
    wanted = {file.instance for file in recorded.files}
    found = [
        replace(series, instances=tuple(row for row in series.instances if row.path.instance in wanted))
        for series in candidates(study, contract, store)
    ]
    gone = wanted - {path.instance for series in found for path in series.paths}
    if gone:
        return Found(Verdict.INPUT_VANISHED, f"Images no longer in the image store: {', '.join(sorted(gone))}.")
    chosen = choose(found, contract, store, Whose(patient, tenant.patient_id_systems))
    digests = {source.sop_instance: source.sha256 for source in chosen.looked_at}
    changed = _changed(recorded.files, digests)
    if changed:
        return Found(Verdict.INPUT_CHANGED, f"Images with other content than then: {', '.join(changed)}.")
    return chosen.seen if isinstance(chosen.seen, Abstention) else model.look(chosen.seen)


def _changed(files: Sequence[RecordedFile], digests: dict[str, str]) -> list[str]:
    return sorted(file.instance for file in files if digests.get(file.instance) != file.sha256)


def _endpoints(study: Json, client: FhirClient, tenant: Tenant) -> list[Json]:
    """Where the images are, when the tenant's description does not say it."""
    if tenant.dicomweb_root:
        return []
    named = [client.relative(reference) for reference in endpoint_references(study)]
    return [*endpoints_within(study), *(client.read(name) for name in named if name and name.startswith("Endpoint/"))]
