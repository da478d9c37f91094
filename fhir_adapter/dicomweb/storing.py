"""Storing at a DICOMweb server (PS3.18, 10.5): sending, and believing only what is so."""

from __future__ import annotations

from collections.abc import Iterable

from fhir_adapter.codes import Json
from fhir_adapter.dicomweb.asking import DICOM_JSON
from fhir_adapter.dicomweb.errors import ImageStoreLied, ImageStoreRejected
from fhir_adapter.dicomweb.http import Answer, DicomwebHttp, Question
from fhir_adapter.dicomweb.limits import Limits
from fhir_adapter.dicomweb.outcome import ALREADY_THERE, StoreFailure, StoreOutcome
from fhir_adapter.dicomweb.parsing import datasets_of
from fhir_adapter.dicomweb.store import ImageStore
from fhir_adapter.dicomweb.stow import Instance, StoreBody, batches, outcome_of

__all__ = ["store_at"]

# 409 of PS3.18, 10.5.3, when nothing was stored, and what Orthanc gives when something was not.
FAILURES = (400, 409)


def store_at(
    http: DicomwebHttp, root: str, limits: Limits, there: ImageStore, instances: Iterable[bytes]
) -> StoreOutcome:
    """Store instances in requests of a bounded size.

    Parameters
    ----------
    there : ImageStore
        The same server, to look at what its answer leaves open.

    Raises
    ------
    NotAnInstance
        Before anything of its batch was sent.
    """
    return StoreOutcome.together(_store(http, root, limits, there, batch) for batch in batches(instances, limits.store))


def _store(http: DicomwebHttp, root: str, limits: Limits, there: ImageStore, batch: list[Instance]) -> StoreOutcome:
    body, what = StoreBody(batch), f"storing {len(batch)} instances of study {batch[0][0].study}"
    headers = {"Accept": DICOM_JSON, "Accept-Encoding": "identity", **body.headers}
    question = Question(f"{root}/studies", what, headers, "POST", body, FAILURES)

    def read(answer: Answer) -> tuple[int, bytes]:
        return answer.status, answer.read(limits.json, what)

    status, content = http.ask(question, read)
    outcome, silent = outcome_of(_answered(content, status, what), [path for path, _ in batch])
    open_ = {path.instance for path in silent}
    open_ |= {failure.path.instance for failure in outcome.failed if failure.reason in ALREADY_THERE}
    settled = StoreOutcome(
        outcome.stored, tuple(one for one in outcome.failed if one.path.instance not in open_), outcome.warned
    )
    reasons = {failure.path.instance: failure for failure in outcome.failed}
    looked_at = (_looked_at(there, one, reasons) for one in batch if one[0].instance in open_)
    return StoreOutcome.together([settled, *looked_at])


def _looked_at(there: ImageStore, one: Instance, reasons: dict[str, StoreFailure]) -> StoreOutcome:
    """Look whether an instance is there: an answer should mention it and does not, or says that it was there before."""
    path, data = one
    failure = reasons.get(path.instance)
    if failure is None:
        held = bool(there.instances(path.study, path.series, path.instance))
    else:
        held = there.instance(path) == data
    return StoreOutcome((path,), ()) if held else StoreOutcome((), (failure or StoreFailure(path),))


def _answered(content: bytes, status: int, what: str) -> Json:
    """Return the data set of a Store Instances Response, empty where a success brings none."""
    try:
        datasets = datasets_of(content, what)
    except ImageStoreLied:
        datasets = []
    if status in FAILURES and not any("00081198" in dataset or "00081199" in dataset for dataset in datasets):
        raise ImageStoreRejected(f"{what}: the image store answered {status}", status)
    return datasets[0] if datasets else {}
