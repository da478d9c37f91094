"""Plain pictures as DICOM files, so that what is known of them can be shown on the way a film takes. Offline only."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fhir_adapter.structured_report import to_file, uid_from
from fhir_adapter.structured_report.header import Dataset

__all__ = ["as_dicom"]

# Digital X-Ray Image Storage would ask for the spacing of the detector's cells, which nobody knows of a plain picture.
COMPUTED_RADIOGRAPHY = "1.2.840.10008.5.1.4.1.1.1"
# LINEAR maps centre 128 and width 256 to value / 255, exactly (PS3.3, C.11.2.1.2.1).
WINDOW = ("128", "256")


def as_dicom(
    image: npt.NDArray[np.uint8],
    *,
    patient_id: str,
    study_uid: str,
    age: str = "003Y",
    birth_date: str = "",
    sex: str = "",
    name: str = "",
    issuer: str = "",
    view: str = "AP",
    study_date: str = "20260110",
    study_time: str = "081500",
    accession: str = "",
    series_uid: str = "",
    instance_uid: str = "",
    number: int = 1,
    description: str = "",
    lossy: bool = False,
) -> bytes:
    """Wrap a grey picture as a frontal chest film: Computed Radiography Image Storage (PS3.3, A.2).

    Parameters
    ----------
    image : ndarray of uint8, shape (rows, columns)
        0 is black; its window makes the brightness ``image / 255``.
    patient_id, issuer : str
        Patient ID, and who gave it.
    study_uid : str
        Study Instance UID.
    age : str
        Patient's Age at the study, such as ``003Y`` (PS3.5, AS).
    birth_date, study_date, study_time : str
        ``YYYYMMDD`` and ``HHMMSS``; an empty birth date is not known.
    sex : str
        ``M``, ``F``, ``O`` or empty.
    view : str
        View Position, ``AP`` or ``PA``.
    series_uid, instance_uid : str
        When empty, they follow from the study and the number: the same film is the same object.
    number : int
        Instance Number, from 1.
    description : str
        Study Description.
    lossy : bool
        Whether the picture was compressed with loss before it came here.

    Returns
    -------
    bytes
        A DICOM file, Explicit VR Little Endian.

    Raises
    ------
    ValueError
        The picture is not grey of 8 bits.
    """
    if image.dtype != np.uint8 or image.ndim != 2 or not image.size:
        raise ValueError("a film is wrapped from an array of uint8 of shape (rows, columns)")
    # Explicit VR Little Endian, the same bytes for the same picture
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID, made.StudyInstanceUID = COMPUTED_RADIOGRAPHY, study_uid
    made.SeriesInstanceUID = series_uid or uid_from(study_uid, "film", "series")
    made.SOPInstanceUID = instance_uid or uid_from(study_uid, "film", str(number))
    made.PatientName, made.PatientID, made.PatientBirthDate, made.PatientSex = name, patient_id, birth_date, sex
    if issuer:
        made.IssuerOfPatientID = issuer
    made.PatientAge = age
    made.StudyDate = made.SeriesDate = made.AcquisitionDate = made.ContentDate = study_date
    made.StudyTime = made.SeriesTime = made.AcquisitionTime = made.ContentTime = study_time
    made.AccessionNumber, made.StudyID, made.ReferringPhysicianName = accession, "1", ""
    if description:
        made.StudyDescription = description
    made.Manufacturer, made.SeriesNumber, made.InstanceNumber = "", 1, number
    _frontal(made, view)
    _acquired(made, lossy)
    _pixels(made, image)
    return to_file(made)


def _frontal(made: Any, view: str) -> None:
    """CR Series (PS3.3, C.8.1.1): the chest is one, so that no side is told."""
    made.Modality, made.BodyPartExamined, made.ViewPosition = "CR", "CHEST", view
    made.PatientOrientation = ["L", "F"]


def _acquired(made: Any, lossy: bool) -> None:
    made.ImageType, made.DerivationDescription = ["DERIVED", "PRIMARY"], "Wrapped from a plain picture"
    made.BurnedInAnnotation, made.LossyImageCompression = "NO", "01" if lossy else "00"
    made.RescaleIntercept, made.RescaleSlope, made.RescaleType = "0", "1", "US"
    made.PresentationLUTShape = "IDENTITY"
    made.WindowCenter, made.WindowWidth = WINDOW


def _pixels(made: Any, image: npt.NDArray[np.uint8]) -> None:
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns = image.shape
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    content = np.ascontiguousarray(image).tobytes()
    made.add_new("PixelData", "OB", content + b"\0" * (len(content) % 2))
