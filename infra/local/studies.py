"""Studies for the twin's image archive, with whose they are: files that packages bring, and films made of pictures.

The electrocardiogram comes with pydicom, the adult's chest film with pydicom-data; both are anonymous, and the Patient
here has the birth date, sex and Patient ID that the file tells. The children's films are pictures of
``films/SOURCE.md`` wrapped as DICOM; their names and birth dates are invented.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

from fhir_adapter.dicomfile import read_dicom
from fhir_adapter.dicomweb import ImageStore, read_header
from fhir_adapter.imaging_study import imaging_study
from infra.local.bundles import HTEST, transaction

__all__ = ["ARCHIVE", "ECG", "FilesAbsent", "Study", "archive", "bundle_of", "electrocardiogram", "studies"]

FILMS = Path(__file__).parent / "films"
# System of the Patient IDs of the twin's archive.
ARCHIVE = "https://example.org/bedside/archive"
ELECTROCARDIOGRAM, ADULT_FILM = "waveform_ecg.dcm", "RG1_J2KI.dcm"
ECG = "ecg-sample"
# Child -> (picture, given name, sex, born)
CHILDREN = {
    "child-01": ("pneumoniamnist-test-000.png", "Briar", "female", "2022-05-17"),
    "child-02": ("pneumoniamnist-test-003.png", "Reed", "male", "2023-02-09"),
    "child-03": ("pneumoniamnist-test-011.png", "Aspen", "male", "2021-11-30"),
    "child-04": ("pneumoniamnist-test-057.png", "Fern", "female", "2022-09-21"),
}
TAKEN = ("20260110", "081500")


class FilesAbsent(RuntimeError):
    """A file that a package should bring is not here; says which."""


@dataclass(frozen=True)
class Study:
    """A study of one file, and its patient.

    Parameters
    ----------
    patient_id : str
        FHIR id of the Patient; the study's id starts with it.
    name : (str, str)
        Family and given name.
    sex, born : str
        As in FHIR.
    archive_id : str
        Patient ID in the archive.
    file : bytes
    """

    patient_id: str
    name: tuple[str, str]
    sex: str
    born: str
    archive_id: str
    file: bytes

    @property
    def study_id(self) -> str:
        """FHIR id of the ImagingStudy, which is what the Subscription waits for."""
        return f"{self.patient_id}-study"

    def patient(self) -> dict[str, Any]:
        """Return the Patient."""
        family, given = self.name
        return {
            "resourceType": "Patient",
            "id": self.patient_id,
            "meta": {"security": [HTEST]},
            "identifier": [{"system": ARCHIVE, "value": self.archive_id}],
            "name": [{"use": "official", "family": family, "given": [given]}],
            "gender": self.sex,
            "birthDate": self.born,
        }


def studies() -> Iterator[Study]:
    """Yield every study.

    Raises
    ------
    FilesAbsent
        pydicom or pydicom-data does not bring its file.
    """
    for patient_id, name, given in ((ECG, ELECTROCARDIOGRAM, "Iris"), ("adult-film", ADULT_FILM, "Olive")):
        yield _brought(patient_id, name, given)
    for patient_id in CHILDREN:
        yield _child(patient_id)


def archive(study: Study, store: ImageStore) -> None:
    """Put a study into the archive, unless it is there.

    Raises
    ------
    ImageStoreError
        The archive refused it.
    """
    if not store.series(read_header(study.file).path.study):
        store.store([study.file]).require_all()


def bundle_of(study: Study, store: ImageStore) -> dict[str, Any]:
    """Return the transaction Bundle of a study in the archive; the ImagingStudy comes last.

    Raises
    ------
    ImageStoreError
        The archive does not tell what it has.
    """
    uid = read_header(study.file).path.study
    metadata = [one for row in store.series(uid) for one in store.metadata(uid, row.series)]
    told = imaging_study(metadata, f"Patient/{study.patient_id}", resource_id=study.study_id, zone=UTC)
    return transaction([study.patient(), told])


def electrocardiogram() -> bytes:
    """Return the electrocardiogram, as its recorder wrote it.

    Raises
    ------
    FilesAbsent
        pydicom does not bring it.
    """
    return _file(ELECTROCARDIOGRAM)


def _file(name: str) -> bytes:
    """A file of pydicom or pydicom-data; never fetched from elsewhere."""
    from pydicom.data import get_testdata_file

    found = get_testdata_file(name, download=False)
    if not isinstance(found, str):
        raise FilesAbsent(f"no package here brings {name}; pydicom and pydicom-data do: run `make setup`")
    return Path(found).read_bytes()


def _brought(patient_id: str, name: str, given: str) -> Study:
    """A study of such a file; its patient is as the file tells."""
    data = _file(name)
    header = read_dicom(data)
    born = str(header.PatientBirthDate)
    return Study(
        patient_id,
        ("Sample", given),
        {"F": "female", "M": "male"}[str(header.PatientSex)],
        f"{born[:4]}-{born[4:6]}-{born[6:]}",
        str(header.PatientID),
        data,
    )


def _child(patient_id: str) -> Study:
    import numpy as np
    from PIL import Image

    from fhir_adapter.structured_report import uid_from
    from functions.diagnosis.data.wrapped import as_dicom

    picture, given, sex, born = CHILDREN[patient_id]
    with Image.open(FILMS / picture) as opened:
        pixels = np.asarray(opened.convert("L"), dtype=np.uint8)
    digits = born.replace("-", "")
    file = as_dicom(
        pixels,
        patient_id=patient_id,
        study_uid=uid_from("bedside-twin", patient_id),
        age=f"{(int(TAKEN[0]) - int(digits)) // 10_000:03d}Y",
        birth_date=digits,
        sex=sex[0].upper(),
        name=f"Synthetic^{given}",
        study_date=TAKEN[0],
        study_time=TAKEN[1],
        description="Chest film",
        lossy=True,
    )
    return Study(patient_id, ("Synthetic", given), sex, born, patient_id, file)
