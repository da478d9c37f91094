"""Which instance of a study a model looks at: of all candidates the latest that passes the gate."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fhir_adapter.codes import Json
from fhir_adapter.dicomfile import DicomError, Limits, PixelLayout, Refusal, read_dicom
from fhir_adapter.dicomweb import ImageStore, InstancePath, fetch
from fhir_adapter.imaging_study import ImageSelection, SelectedSeries, select
from fhir_adapter.prediction import Abstention, AbstentionReason, ImageSource
from functions.serving.imaging.waiting import is_added
from functions.serving.imaging.whose import Whose
from functions.serving.package.diagnosis import Contract

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

    from fhir_adapter.pixels import Picture
    from fhir_adapter.waveforms import Recording

__all__ = ["Chosen", "candidates", "choose"]

# More is no film and no strip, but a volume, and a model that reads one image of it would be chosen for at random.
MOST_CANDIDATES = 32
AT_ONCE = 2
_DIGITS = re.compile(r"[0-9]+")


@dataclass(frozen=True)
class Chosen:
    """What a model is to look at.

    Parameters
    ----------
    seen : Picture, Recording or Abstention
        What the instance became by the contract, or why none may be looked at.
    dataset : FileDataset or None
        The instance; None with an abstention.
    source : ImageSource or None
        Which it is.
    looked_at : tuple of ImageSource
        Every candidate: which one is taken depends on all of them.
    note : str
        That there were others; empty when there were none.
    """

    seen: Picture | Recording | Abstention
    dataset: FileDataset | None
    source: ImageSource | None
    looked_at: tuple[ImageSource, ...]
    note: str = ""


@dataclass
class _Tally:
    """What the candidates came to so far; only the one to be taken is held in memory."""

    looked_at: list[ImageSource]
    refused: list[tuple[AbstentionReason, str, int]]
    accepted: int = 0
    contradicted: list[str] = field(default_factory=list)
    best: tuple[tuple[str, ...], ImageSource, FileDataset, Picture | Recording | None] | None = None


def candidates(study: Json, contract: Contract, store: ImageStore) -> list[SelectedSeries]:
    """Return the instances of a model's kind, as far as searching tells.

    Parameters
    ----------
    study : dict
        The ImagingStudy.
    contract : Contract
        Says which instances the model is for.

    Raises
    ------
    ImageStoreError, ImagingStudyError
    """
    found = select(study, _selection(contract), store)
    return [item for item in found if item.instances and not is_added(item.series)]


def choose(
    found: Sequence[SelectedSeries], contract: Contract, store: ImageStore, whose: Whose | None = None
) -> Chosen:
    """Find the instance to look at.

    Parameters
    ----------
    found : sequence of SelectedSeries
        The candidates.
    contract : Contract
        What they are held against.
    whose : Whose, optional
        The patient they must not contradict; when absent, whose they are is not asked.

    Raises
    ------
    ImageStoreError
    """
    paths = [path for item in found for path in item.paths]
    if not paths:
        detail = f"The study has no image or recording of the model's kind{_modalities(contract)}."
        return _none(AbstentionReason.NO_SUITABLE_IMAGE, detail)
    if len(paths) > MOST_CANDIDATES:
        detail = f"The study has {len(paths)} images of the model's kind; the model reads one of at most"
        return _none(AbstentionReason.TOO_MANY_IMAGES, f"{detail} {MOST_CANDIDATES}.")
    tally = _Tally([], [])
    for path, data in fetch(store, paths, workers=AT_ONCE):
        _consider(path, data, _class_of(path, found), contract, tally, whose)
    return _taken(contract, tally)


def _modalities(contract: Contract) -> str:
    """Say which would be, where the contract does."""
    named = sorted(contract.images.modalities) if contract.images is not None else []
    return f", modality {' or '.join(named)}" if named else ""


def _selection(contract: Contract) -> ImageSelection:
    if contract.images is not None:
        return ImageSelection(contract.images.modalities, contract.images.sop_classes)
    return ImageSelection(sop_classes=contract.waveforms.sop_classes if contract.waveforms else frozenset())


def _class_of(path: InstancePath, found: Sequence[SelectedSeries]) -> str:
    return next((row.sop_class or "" for item in found for row in item.instances if row.path == path), "")


def _none(reason: AbstentionReason, detail: str, looked_at: Sequence[ImageSource] = ()) -> Chosen:
    return Chosen(Abstention(reason, detail), None, None, tuple(looked_at))


def _consider(
    path: InstancePath, data: bytes, sop_class: str, contract: Contract, tally: _Tally, whose: Whose | None
) -> None:
    digest = hashlib.sha256(data).hexdigest()
    source = ImageSource(path.study, path.series, sop_class, path.instance, digest)
    try:
        dataset = read_dicom(data)
        source = ImageSource(path.study, path.series, str(dataset.get("SOPClassUID")), path.instance, digest)
        wrong = whose.contradicted(dataset) if whose else ""
        if wrong:
            tally.looked_at.append(source)
            tally.contradicted.append(wrong)
            return
        refusals, seen = _gated(dataset, contract)
    except DicomError as error:
        tally.looked_at.append(source)
        tally.refused.append((AbstentionReason(error.reason), f"The file cannot be read: {error}.", 1))
        return
    tally.looked_at.append(source)
    if refusals:
        told = " ".join(refusal.detail for refusal in refusals)
        tally.refused.append((AbstentionReason(refusals[0].reason.value), told, len(refusals)))
        return
    tally.accepted += 1
    order = _order(dataset, path)
    if tally.best is None or order > tally.best[0]:
        tally.best = (order, source, dataset, seen)


def _gated(dataset: FileDataset, contract: Contract) -> tuple[tuple[Refusal, ...], Recording | None]:
    if contract.images is not None:
        return contract.images.check(dataset), None
    from fhir_adapter.waveforms import WaveformSpec, recording

    found = recording(dataset, contract.waveform or WaveformSpec(), contract.waveforms)
    return ((found,), None) if isinstance(found, Refusal) else ((), found)


def _taken(contract: Contract, tally: _Tally) -> Chosen:
    looked_at = tuple(sorted(tally.looked_at, key=lambda source: source.sop_instance))
    if tally.contradicted:
        # a study is of one patient (PS3.3, A.1.2): where one file is another's, the others are in doubt, too
        return _none(AbstentionReason.PATIENT_MISMATCH, _mismatch(tally), looked_at)
    if tally.best is None:
        # told is what the one that came nearest was refused for
        reason, detail, _ = min(tally.refused, key=lambda item: item[2])
        count = len(tally.refused)
        told = detail if count == 1 else f"None of {count} images or recordings may be read. {detail}"
        return _none(reason, told, looked_at)
    _, source, dataset, recorded = tally.best
    try:
        seen = recorded or _picture(dataset, contract)
    except DicomError as error:
        return _none(AbstentionReason(error.reason), f"The image cannot be read: {error}.", looked_at)
    if isinstance(seen, Abstention):
        return Chosen(seen, None, None, looked_at)
    others = f"The latest of {tally.accepted} images or recordings was read." if tally.accepted > 1 else ""
    return Chosen(seen, dataset, source, looked_at, others)


def _mismatch(tally: _Tally) -> str:
    wrong, count, total = min(tally.contradicted), len(tally.contradicted), len(tally.looked_at)
    told = f"It is of another patient, or wrongly described: {wrong} in the file and in the EHR contradict each other."
    return told if total == 1 else f"{count} of {total} images or recordings are not read. {told}"


def _picture(dataset: FileDataset, contract: Contract) -> Picture | Abstention:
    from fhir_adapter.pixels import PixelSpec, picture

    frames = PixelLayout.of(dataset, Limits()).frames
    if frames > 1:
        detail = f"The image has {frames} frames; the model reads one."
        return Abstention(AbstentionReason.TOO_MANY_IMAGES, detail)
    return picture(dataset, contract.pixels or PixelSpec())


def _order(dataset: FileDataset, path: InstancePath) -> tuple[str, ...]:
    """When it was acquired, then its number and UID, so that of two at once always the same is taken."""
    number = next(_digits(dataset, "InstanceNumber"), "0")
    at = next(_moments(dataset), "")
    return at, number.zfill(12), path.instance


def _moments(dataset: FileDataset) -> Iterator[str]:
    yield from _digits(dataset, "AcquisitionDateTime")
    for name in ("Acquisition", "Content", "Series", "Study"):
        date = next(_digits(dataset, f"{name}Date"), None)
        if date:
            yield date + next(_digits(dataset, f"{name}Time"), "")


def _digits(dataset: FileDataset, keyword: str) -> Iterator[str]:
    found = _DIGITS.match(str(dataset.get(keyword) or ""))
    if found:
        yield found[0]
