"""Results as DICOM objects of the study, stored beside its images: once, whoever answers, and however often."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fhir_adapter.codes import Json
from fhir_adapter.dicomweb import ImageStore, StoreFailure
from fhir_adapter.prediction import Diagnosis, Finding, ImageSource, ResultContext
from fhir_adapter.structured_report import (
    Algorithm,
    Coding,
    Measurement,
    MeasurementGroup,
    MeasurementReport,
    SourceInstance,
    StructuredReportError,
    Tracking,
    comprehensive_sr,
    secondary_capture,
    to_file,
    ucum,
    uid_from,
)
from functions.serving.imaging.overlay import overlay
from functions.serving.package import ModelPackage

if TYPE_CHECKING:
    from pydicom.dataset import Dataset, FileDataset

__all__ = ["report_of", "store_results"]

# A private coding scheme (PS3.16, 8) for what neither DICOM nor LOINC has a code.
OURS = "99BEDSIDE"
IMAGING, ECG = Coding("SCT", "363679005", "Imaging"), Coding("SCT", "29303009", "Electrocardiographic procedure")
OPERATING_POINT = Coding(OURS, "operating-point", "Operating point of the model")
MEASURES = {
    "probability": Coding(OURS, "probability", "Probability of the finding by the model"),
    "share": Coding(OURS, "share", "Share of the recording with the finding"),
}
LONGEST_MEANING = 64


def store_results(
    store: ImageStore, dataset: FileDataset, answer: Diagnosis, context: ResultContext, package: ModelPackage, key: str
) -> None:
    """Store a structured report, and a picture of what the model looked at where it says so.

    Their UIDs follow from the key, so that a repeat finds what is there and adds nothing.

    Parameters
    ----------
    dataset : FileDataset
        The instance that was looked at; patient and study are copied from it.
    key : str
        Id of the result.

    Raises
    ------
    ImageStoreError
        Worth another try where it is an ImageStoreUnavailable.
    """
    (image,) = context.images
    created = datetime.now(UTC)
    if _absent(store, image, key, "sr"):
        report = report_of(answer, context, package, key)
        _store(store, comprehensive_sr(dataset, report, key=key, created=created))
    spec = package.diagnosis.pixels if package.diagnosis else None
    if answer.saliency and spec and _absent(store, image, key, "sc"):
        picture = overlay(dataset, spec, answer.saliency)
        algorithm, sources = _algorithm(package), [_source(image)]
        _store(store, secondary_capture(dataset, picture, algorithm, sources, key=key, created=created))


def _absent(store: ImageStore, image: ImageSource, key: str, kind: str) -> bool:
    return not store.instances(image.study, uid_from(key, kind, "series"), uid_from(key, kind))


def _store(store: ImageStore, made: Dataset) -> None:
    outcome = store.store([to_file(made)])
    if outcome.failed and not _there(store, outcome.failed):
        outcome.require_all()


def _there(store: ImageStore, failed: tuple[StoreFailure, ...]) -> bool:
    """Another worker may have stored the same result a moment before, with its own time in it."""
    paths = [failure.path for failure in failed]
    return all(store.instances(path.study, path.series, path.instance) for path in paths)


def report_of(answer: Diagnosis, context: ResultContext, package: ModelPackage, key: str) -> MeasurementReport:
    """Return what the structured report says: a group for each finding, and one for what was measured."""
    sources = tuple(_source(image) for image in context.images)
    groups = [
        MeasurementGroup(
            _tracking(key, item.name),
            sources,
            (
                Measurement(MEASURES[item.measure], 100.0 * item.probability, ucum("%", "percent")),
                Measurement(OPERATING_POINT, 100.0 * item.threshold, ucum("%", "percent")),
            ),
            finding=_finding(item),
        )
        for item in answer.findings
    ]
    if answer.measurements:
        measured = tuple(
            Measurement(_coding(item.code, item.name, item.display), item.value, ucum(item.unit))
            for item in answer.measurements
        )
        groups.append(MeasurementGroup(_tracking(key, "measurements"), sources, measured))
    procedure = ECG if any(source.is_waveform for source in sources) else IMAGING
    return MeasurementReport(_algorithm(package), procedure, tuple(groups))


def _tracking(key: str, name: str) -> Tracking:
    return Tracking(name, uid_from(key, "tracking", name))


def _algorithm(package: ModelPackage) -> Algorithm:
    identity = package.identity
    digest = f"SHA-256 of the model file: {identity.digest}"
    return Algorithm(identity.name, identity.version, identity.manufacturer, (digest,))


def _source(image: ImageSource) -> SourceInstance:
    return SourceInstance(image.study, image.series, image.sop_class, image.sop_instance)


def _finding(item: Finding) -> Coding:
    return _coding(item.code, item.name, item.display)


def _coding(code: Json, name: str, display: str) -> Coding:
    """The first code that DICOM can write; our own where there is none."""
    for coded in code.get("coding") or ():
        try:
            return Coding.from_fhir(str(coded["system"]), str(coded["code"]), display[:LONGEST_MEANING])
        except StructuredReportError:
            continue
    return Coding(OURS, name[:LONGEST_MEANING], display[:LONGEST_MEANING])
