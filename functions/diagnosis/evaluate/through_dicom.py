"""An image model measured on the way its images take at a hospital: as DICOM files, out of an archive.

Each picture is wrapped as a study of its own and stored; the archive is asked for it as the function asks, by an
ImagingStudy made from what it holds; the file passes the model's gate, becomes the tensor by the contract, and the
served package looks at it. What comes out must be what the arrays give, or something on the way changes pixels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fhir_adapter.dicomweb import ImageStore
from fhir_adapter.imaging_study import imaging_study
from fhir_adapter.prediction import Abstention
from fhir_adapter.structured_report import uid_from
from functions.diagnosis.data.dataset import Float64, Int64, Labelled
from functions.diagnosis.data.wrapped import as_dicom
from functions.diagnosis.evaluate.intervals import Json, delong, told, wilson
from functions.diagnosis.evaluate.metrics import counts
from functions.diagnosis.predict import DiagnosisModel
from functions.serving.imaging.choosing import candidates, choose

__all__ = ["Travelled", "measure_through_dicom", "store_pictures", "through_dicom"]

TOGETHER = 50
LINES = 100


@dataclass(frozen=True)
class Travelled:
    """What came of the pictures.

    Parameters
    ----------
    probabilities : ndarray, shape (n,)
        Of the contract's first finding; NaN where a picture was refused.
    refused : dict of str to int
        How many were refused, by reason.
    """

    probabilities: Float64
    refused: dict[str, int]


def store_pictures(pictures: npt.NDArray[np.uint8], store: ImageStore, key: str) -> list[str]:
    """Store grey pictures as DICOM files, each a study of its own.

    Parameters
    ----------
    pictures : ndarray of uint8, shape (n, rows, columns)
    store : ImageStore
    key : str
        The studies' UIDs follow from it: stored twice under one key, they are there once.

    Returns
    -------
    list of str
        Study Instance UIDs, in the order of the pictures.

    Raises
    ------
    ImageStoreError
        The store did not take all of them.
    """
    studies = [uid_from(key, str(number)) for number in range(len(pictures))]
    for start in range(0, len(pictures), TOGETHER):
        part = range(start, min(start + TOGETHER, len(pictures)))
        files = (
            as_dicom(pictures[number], patient_id=f"{key}-{number}"[:64], study_uid=studies[number], lossy=True)
            for number in part
        )
        store.store(files).require_all()
    return studies


def through_dicom(
    studies: Sequence[str],
    model: DiagnosisModel,
    store: ImageStore,
    progress: Callable[[str], None] = lambda _line: None,
) -> Travelled:
    """Look at studies as the function does: search, gate, fetch, tensor, model.

    Parameters
    ----------
    studies : sequence of str
        Study Instance UIDs.
    model : DiagnosisModel
        A package that looks at images, with a finding.
    store : ImageStore
        Where they are.
    progress : callable
        Called with a line now and then.

    Raises
    ------
    ImageStoreError
    """
    refused: Counter[str] = Counter()
    found = np.full(len(studies), np.nan)
    for number, uid in enumerate(studies):
        answer = _looked_at(uid, model, store)
        if isinstance(answer, str):
            refused[answer] += 1
        else:
            found[number] = answer
        if (number + 1) % LINES == 0:
            progress(f"{number + 1} of {len(studies)} studies read back and looked at")
    return Travelled(found, dict(refused))


def measure_through_dicom(
    images: Labelled,
    arrays: Float64,
    threshold: float,
    model: DiagnosisModel,
    store: ImageStore,
    progress: Callable[[str], None] = lambda _line: None,
) -> Json:
    """Measure a package on labelled images that go through an archive.

    Parameters
    ----------
    images : Labelled
        Of 8 bits before they were scaled to [0, 1].
    arrays : ndarray, shape (n,)
        What the model file gives for the arrays.
    threshold : float
        The operating point.
    model : DiagnosisModel
    store : ImageStore
    progress : callable
        Called with a line now and then.

    Returns
    -------
    dict
        ``images``, ``refused`` by reason, ``largest_difference`` from `arrays`, ``auroc`` and ``accuracy`` with
        intervals, of the images that were not refused.

    Raises
    ------
    ImageStoreError
    """
    identity = model.package.identity
    progress(f"{len(images)} images are stored as DICOM files")
    studies = store_pictures(_pictures(images), store, f"{identity.name}.evaluation")
    travelled = through_dicom(studies, model, store, progress)
    read = np.isfinite(travelled.probabilities)
    labels: Int64 = images.labels[read]
    probabilities = travelled.probabilities[read]
    found: Json = {"images": len(images), "refused": travelled.refused, "largest_difference": None}
    if not len(labels):
        return found
    cell = counts(labels, probabilities, threshold)
    found["largest_difference"] = float(np.abs(probabilities - arrays[read]).max())
    if len(set(labels.tolist())) > 1:
        found["auroc"] = told(*delong(labels, probabilities))
    found["accuracy"] = told(*wilson(cell["true_positive"] + cell["true_negative"], len(labels)))
    return found


def _pictures(images: Labelled) -> npt.NDArray[np.uint8]:
    return np.asarray(np.rint(images.pixels[:, 0] * 255.0), dtype=np.uint8)


def _looked_at(uid: str, model: DiagnosisModel, store: ImageStore) -> float | str:
    """The probability, or the reason of the refusal."""
    study = imaging_study(_metadata(uid, store), "Patient/nobody")
    chosen = choose(candidates(study, model.contract, store), model.contract, store)
    answer = chosen.seen if isinstance(chosen.seen, Abstention) else model.look(chosen.seen)
    return answer.reason.value if isinstance(answer, Abstention) else answer.findings[0].probability


def _metadata(uid: str, store: ImageStore) -> Iterator[Json]:
    for row in store.series(uid):
        yield from store.metadata(uid, row.series)
