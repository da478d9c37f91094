"""What every object we add to a study shares: the patient and the study as they are, and who made it when.

The shell is made here, and not by highdicom's constructors: those take times from the clock, so that a repeat is
another object, refuse sources of a class they do not know, and read a 22 MB table of the standard for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from io import BytesIO
from typing import Any

from pydicom import dcmwrite
from pydicom.config import RAISE, disable_value_validation
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, ExplicitVRLittleEndian
from pydicom.valuerep import validate_value

from fhir_adapter.dicomfile import RAISED, quietly
from fhir_adapter.structured_report.errors import StructuredReportError
from fhir_adapter.structured_report.identifiers import checked_uid
from fhir_adapter.structured_report.values import Algorithm

__all__ = ["Dataset", "code_item", "copy_valid", "shell", "to_file"]

# Patient, Clinical Trial Subject, General Study, Patient Study and Clinical Trial Study (PS3.3, C.7.1 and C.7.2): what
# identifies, and what a reader of the report needs to know about the patient at the time of the study.
TYPE_2 = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
)
TYPE_3 = (
    *("IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "TypeOfPatientID", "PatientBirthTime"),
    *("OtherPatientIDsSequence", "PatientSpeciesDescription", "PatientSpeciesCodeSequence", "QualityControlSubject"),
    *("PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence"),
    *("ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName", "ClinicalTrialSiteID"),
    *("ClinicalTrialSiteName", "ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID", "ClinicalTrialTimePointID"),
    *("StudyDescription", "IssuerOfAccessionNumberSequence", "ProcedureCodeSequence", "PatientAge", "PatientSize"),
    *("PatientWeight", "AdmissionID", "IssuerOfAdmissionIDSequence"),
)
ENUMERATED = {"PatientSex": ("M", "F", "O"), "Laterality": ("R", "L")}
UTF8 = "ISO_IR 192"


def shell(
    source: Dataset,
    algorithm: Algorithm,
    *,
    sop_class_uid: str,
    sop_instance_uid: str,
    series_uid: str,
    series_number: int,
    modality: str,
    description: str,
    created: datetime,
) -> Dataset:
    """Return a new object of the source's patient and study, without its content.

    Parameters
    ----------
    source : Dataset
        An instance of the study; patient and study attributes are copied from it. An optional one whose value its own
        type does not allow is left out, an obligatory one is left empty.
    algorithm : Algorithm
        What made the object.
    created : datetime
        When; without a time zone, it is in that of the source.

    Raises
    ------
    StructuredReportError
        The source has no valid Study Instance UID, or a series number is not one.
    """
    if not 1 <= series_number <= 2**31 - 1:
        raise StructuredReportError("SeriesNumber must be a positive whole number")
    made = Dataset()
    made.SpecificCharacterSet = UTF8
    made.StudyInstanceUID = checked_uid(str(source.get("StudyInstanceUID", "")), "the source's StudyInstanceUID")
    copy_valid(source, made, (*TYPE_2, *TYPE_3))
    for keyword in TYPE_2:
        if keyword not in made:
            setattr(made, keyword, None)
    made.SeriesInstanceUID = series_uid
    made.SeriesNumber = series_number
    made.SeriesDescription = description
    made.Modality = modality
    made.Manufacturer = algorithm.manufacturer
    made.ManufacturerModelName = algorithm.name
    made.SoftwareVersions = algorithm.version
    made.SOPClassUID = sop_class_uid
    made.SOPInstanceUID = sop_instance_uid
    made.InstanceNumber = 1
    _stamp(source, made, created)
    return made


def copy_valid(source: Dataset, made: Dataset, keywords: Iterable[str]) -> None:
    """Copy attributes that are there and whose value their own type allows; texts become UTF-8."""
    # what is wrong is found by `_is_valid`; pydicom would quote it
    with quietly(), disable_value_validation():
        for keyword in keywords:
            try:
                value = _value(source, keyword)
                if value is not None:
                    setattr(made, keyword, value)
            except RAISED:
                continue


def _value(source: Dataset, keyword: str) -> Any:
    """Return the value to copy, or None when there is none."""
    if keyword not in source or source[keyword].is_empty:
        return None
    element = source[keyword]
    if dictionary_VR(keyword) != element.VR:
        return None
    if element.VR == "SQ":
        return [_decoded(item) for item in element.value] or None
    return element.value if _is_valid(keyword, element.VR, element.value) else None


def _decoded(item: Dataset) -> Dataset:
    """Return a sequence item whose texts no longer depend on the source's character set."""
    copied = Dataset()
    for element in item:
        value: Any = [_decoded(inner) for inner in element.value] if element.VR == "SQ" else element.value
        if element.keyword and element.VR not in ("OB", "OW", "UN"):
            copied.add_new(element.tag, element.VR, value)
    return copied


def _is_valid(keyword: str, vr: str, value: Any) -> bool:
    if value not in ENUMERATED.get(keyword, (value,)):
        return False
    texts = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    try:
        for text in texts:
            validate_value(vr, str(text), RAISE)
    except ValueError:
        return False
    return True


def _stamp(source: Dataset, made: Dataset, created: datetime) -> None:
    offset = str(source.get("TimezoneOffsetFromUTC") or "")
    if offset and created.tzinfo is not None:
        try:
            zone = datetime.strptime(offset, "%z").tzinfo
        except ValueError:
            zone = None
        if zone is not None:
            # one offset holds for every date and time of an object, the copied ones among them (PS3.3, C.12.1)
            created = created.astimezone(zone)
            made.TimezoneOffsetFromUTC = offset
    made.InstanceCreationDate = made.SeriesDate = made.ContentDate = created.strftime("%Y%m%d")
    made.InstanceCreationTime = made.SeriesTime = made.ContentTime = created.strftime("%H%M%S.%f")


def code_item(scheme: str, code: str, meaning: str) -> Dataset:
    """Return an item of a code sequence (PS3.3, 8.8)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, scheme, meaning
    return item


def to_file(dataset: Dataset) -> bytes:
    """Return an object as a DICOM file (PS3.10, 7.1), Explicit VR Little Endian; the same object, the same bytes."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    dataset.preamble = bytes(128)
    out = BytesIO()
    dcmwrite(out, dataset, enforce_file_format=True)
    return out.getvalue()
