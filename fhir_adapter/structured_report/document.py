"""A measurement report as a DICOM Comprehensive SR (PS3.3, A.35.3), its content by highdicom's templates."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    LanguageOfContentItemAndDescendants,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TrackingIdentifier,
    WaveformContentItem,
)
from highdicom.sr import Measurement as Tid300
from highdicom.sr import MeasurementReport as Tid1500
from pydicom.uid import ComprehensiveSRStorage

from fhir_adapter.structured_report.errors import StructuredReportError
from fhir_adapter.structured_report.header import Dataset, shell
from fhir_adapter.structured_report.identifiers import uid_from
from fhir_adapter.structured_report.values import (
    Algorithm,
    Coding,
    Measurement,
    MeasurementGroup,
    MeasurementReport,
    SourceInstance,
)

__all__ = ["build"]


def build(source: Dataset, report: MeasurementReport, key: str, created: datetime, series_number: int) -> Dataset:
    """Return the document; see :func:`fhir_adapter.structured_report.comprehensive_sr`."""
    algorithm = report.algorithm
    sources = _sources(report)
    made = shell(
        source,
        algorithm,
        sop_class_uid=ComprehensiveSRStorage,
        sop_instance_uid=uid_from(key, "sr"),
        series_uid=uid_from(key, "sr", "series"),
        series_number=series_number,
        modality="SR",
        description=f"{algorithm.name[:40]}: AI, not verified",
        created=created,
    )
    if any(instance.study_uid != made.StudyInstanceUID for instance in sources):
        raise StructuredReportError("a report refers to instances of its own study only")
    # PS3.3, C.17.2: nobody has looked at it, and a person may still add to it
    made.CompletionFlag, made.VerificationFlag, made.PreliminaryFlag = "COMPLETE", "UNVERIFIED", "PRELIMINARY"
    made.PerformedProcedureCodeSequence = []
    made.ReferencedPerformedProcedureStepSequence = []
    made.CurrentRequestedProcedureEvidenceSequence = _evidence(sources)
    (root,) = _content(report)
    for element in root:
        made.add(element)
    return made


def _sources(report: MeasurementReport) -> list[SourceInstance]:
    found = {instance.sop_instance_uid: instance for group in report.groups for instance in group.sources}
    return list(found.values())


def _evidence(sources: Iterable[SourceInstance]) -> list[Dataset]:
    """Return the Hierarchical SOP Instance Reference Macro (PS3.3, C.17.2.1) of one study."""
    series: dict[str, Dataset] = {}
    study = Dataset()
    study.ReferencedSeriesSequence = []
    for instance in sources:
        study.StudyInstanceUID = instance.study_uid
        if instance.series_uid not in series:
            of_series = series[instance.series_uid] = Dataset()
            of_series.SeriesInstanceUID = instance.series_uid
            of_series.ReferencedSOPSequence = []
            study.ReferencedSeriesSequence.append(of_series)
        item = Dataset()
        item.ReferencedSOPClassUID = instance.sop_class_uid
        item.ReferencedSOPInstanceUID = instance.sop_instance_uid
        series[instance.series_uid].ReferencedSOPSequence.append(item)
    return [study]


def _content(report: MeasurementReport) -> Tid1500:
    algorithm = report.algorithm
    device = DeviceObserverIdentifyingAttributes(
        uid=uid_from("device", algorithm.manufacturer, algorithm.name, algorithm.version),
        name=algorithm.name,
        manufacturer_name=algorithm.manufacturer,
        model_name=algorithm.name,
        serial_number=algorithm.version,
    )
    observer = ObserverContext(CodedConcept("121007", "DCM", "Device"), device)
    return Tid1500(
        observation_context=ObservationContext(observer_device_context=observer),
        procedure_reported=_concept(report.procedure),
        imaging_measurements=[_group(group, algorithm) for group in report.groups],
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(_concept(report.language)),
    )


def _group(group: MeasurementGroup, algorithm: Algorithm) -> MeasurementsAndQualitativeEvaluations:
    images = [_image(instance) for instance in group.sources if not instance.is_waveform]
    written = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(group.tracking.uid, group.tracking.identifier),
        finding_type=_concept(group.finding) if group.finding else None,
        finding_sites=[FindingSite(_concept(site)) for site in group.sites] or None,
        algorithm_id=_algorithm(algorithm),
        measurements=[_measurement(item) for item in group.measurements],
        qualitative_evaluations=[
            QualitativeEvaluation(_concept(item.name), _concept(item.value)) for item in group.evaluations
        ],
        source_images=images or None,
    )
    # the template is extensible and a container may contain waveforms (PS3.3, A.35.3.3.1.2); highdicom's knows images
    written[0].ContentSequence.extend(_waveform(instance) for instance in group.sources if instance.is_waveform)
    return written


def _image(instance: SourceInstance) -> SourceImageForMeasurementGroup:
    return SourceImageForMeasurementGroup(
        instance.sop_class_uid, instance.sop_instance_uid, list(instance.frames) or None
    )


def _waveform(instance: SourceInstance) -> WaveformContentItem:
    return WaveformContentItem(
        CodedConcept("121112", "DCM", "Source of Measurement"),
        instance.sop_class_uid,
        instance.sop_instance_uid,
        relationship_type=RelationshipTypeValues.CONTAINS,
    )


def _algorithm(algorithm: Algorithm) -> AlgorithmIdentification:
    return AlgorithmIdentification(
        algorithm.name,
        algorithm.version,
        list(algorithm.parameters) or None,
        _concept(algorithm.family) if algorithm.family else None,
        algorithm.manufacturer,
    )


def _measurement(item: Measurement) -> Tid300:
    return Tid300(
        _concept(item.name),
        item.value,
        _concept(item.unit),
        method=_concept(item.method) if item.method else None,
        derivation=_concept(item.derivation) if item.derivation else None,
    )


def _concept(coding: Coding) -> CodedConcept:
    return CodedConcept(coding.code, coding.scheme, coding.meaning)
