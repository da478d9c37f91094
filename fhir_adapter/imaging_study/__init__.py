"""ImagingStudy (FHIR R4): where its images are, which of them are wanted, when it is complete, and how it is made."""

from fhir_adapter.imaging_study.build import imaging_study
from fhir_adapter.imaging_study.endpoint import dicomweb_root, endpoint_references, endpoints_within
from fhir_adapter.imaging_study.errors import ImagingStudyError, NoImageStore
from fhir_adapter.imaging_study.gate import Decision, GateState, StudyCounts, StudyGate, Verdict, count_study
from fhir_adapter.imaging_study.select import ImageSelection, SelectedSeries, select, study_uid

__all__ = [
    "Decision",
    "GateState",
    "ImageSelection",
    "ImagingStudyError",
    "NoImageStore",
    "SelectedSeries",
    "StudyCounts",
    "StudyGate",
    "Verdict",
    "count_study",
    "dicomweb_root",
    "endpoint_references",
    "endpoints_within",
    "imaging_study",
    "select",
    "study_uid",
]
