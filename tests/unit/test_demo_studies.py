"""The demo's studies: whose they are, what the EHR is told of them, and what the page shows of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fhir_adapter.dicomfile import read_dicom
from fhir_adapter.dicomweb import DirectoryImageStore
from functions.serving.imaging.whose import Whose
from functions.smart_app.pictures import Pictures, strip_svg
from infra.local.studies import ARCHIVE, FILMS, Study, archive, bundle_of, studies
from tests import dicoms, validator
from tests.peering import require_peer


@pytest.fixture(scope="module")
def found() -> dict[str, Study]:
    require_peer("pydicom-data", module="data_store")
    return {study.patient_id: study for study in studies()}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, found: dict[str, Study]) -> DirectoryImageStore:
    made = DirectoryImageStore(tmp_path_factory.mktemp("images"))
    for study in found.values():
        archive(study, made)
        archive(study, made)
    return made


def told(study: Study, store: DirectoryImageStore) -> dict[str, Any]:
    resource: dict[str, Any] = bundle_of(study, store)["entry"][-1]["resource"]
    return resource


def test_files_and_patients_do_not_contradict_each_other(found: dict[str, Study]) -> None:
    assert set(found) == {"ecg-sample", "adult-film", "child-01", "child-02", "child-03", "child-04"}
    for study in found.values():
        assert Whose(study.patient(), {"": ARCHIVE}).contradicted(read_dicom(study.file)) == ""
    other = Whose(found["child-01"].patient(), {"": ARCHIVE})
    assert "Patient ID" in other.contradicted(read_dicom(found["child-02"].file))


def test_the_same_study_is_the_same_bytes_every_time(found: dict[str, Study]) -> None:
    assert {study.patient_id: study.file for study in studies()} == {name: study.file for name, study in found.items()}


def test_what_the_ehr_is_told_is_valid(found: dict[str, Study], store: DirectoryImageStore) -> None:
    for study in found.values():
        patient, imaging = [entry["resource"] for entry in bundle_of(study, store)["entry"]]
        for resource in (patient, imaging):
            validator.assert_valid(resource)
        assert imaging["id"] == study.study_id
        assert imaging["numberOfInstances"] == 1
        assert imaging["started"] > patient["birthDate"]


def test_every_picture_has_its_source_and_licence() -> None:
    text = (FILMS / "SOURCE.md").read_text(encoding="utf-8")
    assert "CC BY 4.0" in text
    for picture in FILMS.glob("*.png"):
        assert picture.stem.rpartition("-")[2] in text
        with Image.open(picture) as opened:
            assert (opened.size, opened.mode) == ((28, 28), "L")


def test_a_film_is_shown_as_it_is(found: dict[str, Study], store: DirectoryImageStore) -> None:
    png = Pictures(store).film(told(found["child-01"], store))
    assert png is not None
    with Image.open(io.BytesIO(png)) as shown, Image.open(FILMS / "pneumoniamnist-test-000.png") as source:
        assert shown.size == (512, 512)
        small = np.asarray(shown.resize((28, 28), Image.Resampling.BOX), dtype=np.float64)
        assert np.abs(small - np.asarray(source, dtype=np.float64)).max() < 12
    adult = Pictures(store).film(told(found["adult-film"], store))
    assert adult is not None
    with Image.open(io.BytesIO(adult)) as shown:
        assert shown.size == (482, 512)


def test_a_strip_is_ten_seconds_in_millivolts(found: dict[str, Study], store: DirectoryImageStore) -> None:
    strip = Pictures(store).strip(told(found["ecg-sample"], store))
    assert strip is not None
    assert strip.shape == (1250,)
    assert 0.5 < float(np.ptp(strip)) < 3
    drawn = strip_svg(strip, "<lead>")
    assert "&lt;lead&gt;" in drawn
    assert drawn.count("<polyline") == 1


def test_what_is_not_there_is_no_picture(found: dict[str, Study], store: DirectoryImageStore, tmp_path: Path) -> None:
    film, strip = told(found["child-01"], store), told(found["ecg-sample"], store)
    pictures = Pictures(store)
    assert pictures.film(strip) is None
    assert pictures.strip(film) is None
    assert pictures.overlay(film, "no-such-report") is None
    assert not pictures.has_overlay(film, "no-such-report")
    empty = Pictures(DirectoryImageStore(tmp_path))
    assert (empty.film(film), empty.strip(strip)) == (None, None)
    assert pictures.film({"resourceType": "ImagingStudy"}) is None


def test_a_film_that_cannot_be_read_is_no_picture(tmp_path: Path, found: dict[str, Study]) -> None:
    store = DirectoryImageStore(tmp_path)
    dataset = dicoms.image(StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.4", PhotometricInterpretation="YBR_ICT")
    store.store([dicoms.file_of(dataset)])
    study = {"identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}], "resourceType": "ImagingStudy"}
    assert Pictures(store).film(study) is None
