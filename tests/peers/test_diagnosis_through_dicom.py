"""PneumoniaMNIST's official test split as DICOM files, through a real archive, and the numbers that come out of it."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fhir_adapter.dicomfile import read_dicom
from fhir_adapter.dicomweb import DirectoryImageStore, ImageStore, WebImageStore
from fhir_adapter.pixels import picture
from functions.diagnosis.data import DataAbsent, Labelled
from functions.diagnosis.data.pneumonia import load_pneumonia
from functions.diagnosis.data.wrapped import as_dicom
from functions.diagnosis.evaluate.images import Served
from functions.diagnosis.evaluate.through_dicom import measure_through_dicom, store_pictures, through_dicom
from functions.diagnosis.predict import DiagnosisModel
from functions.diagnosis.report.notes import dicom_note
from functions.diagnosis.train import PACKAGES
from functions.serving.package import load_package
from infra.cli.main import main
from tests.orthanc import orthanc
from tests.peering import require_peer

CHEST = "cxr-pneumonia-paediatric"


@cache
def model() -> DiagnosisModel:
    return DiagnosisModel(load_package(PACKAGES / CHEST))


@pytest.fixture(scope="module")
def films() -> Labelled:
    try:
        return load_pneumonia().test
    except DataAbsent as absent:
        pytest.skip(str(absent))


def threshold() -> float:
    return model().contract.findings[0].threshold


def arrays(images: Labelled) -> Any:
    return Served(model().package.model).probabilities(images)


def drawn(count: int) -> Labelled:
    """Pictures of nothing, for what needs no data."""
    random = np.random.default_rng(11)
    grey = random.integers(0, 256, (count, 1, 28, 28)).astype(np.float32) / np.float32(255)
    return Labelled(grey, np.arange(count) % 2)


@pytest.mark.peer("Orthanc")
def test_the_official_test_split_through_orthanc(films: Labelled, tmp_path: Path) -> None:
    assert len(films) == 624
    given = arrays(films)
    with orthanc(tmp_path) as pacs, WebImageStore(pacs.root, pacs.token) as store:
        found = measure_through_dicom(films, given, threshold(), model(), store)
    assert (found["images"], found["refused"]) == (624, {})
    assert found["largest_difference"] < 1e-6
    assert found["auroc"]["value"] > 0.986
    assert found["accuracy"]["value"] > 0.955
    committed = json.loads((PACKAGES / CHEST / "evaluation.json").read_text(encoding="utf-8"))
    for name in ("auroc", "accuracy"):
        assert found[name]["value"] == pytest.approx(committed[name]["value"], abs=1e-6)


def test_the_tensor_of_a_wrapped_picture_is_the_array_bit_for_bit() -> None:
    ramp = np.arange(28 * 28, dtype=np.uint8).reshape(28, 28)
    assert set(np.unique(ramp)) == set(range(256))
    spec = model().contract.pixels
    assert spec is not None
    seen = picture(read_dicom(as_dicom(ramp, patient_id="1", study_uid="1.2.3")), spec)
    assert (seen.source, seen.window) == ("file", (0.0, 255.0))
    np.testing.assert_array_equal(seen.tensor[0], ramp.astype(np.float32) / np.float32(255))


def test_a_folder_does_as_well_and_storing_twice_is_storing_once(tmp_path: Path) -> None:
    images = drawn(6)
    store: ImageStore = DirectoryImageStore(tmp_path)
    once = measure_through_dicom(images, arrays(images), threshold(), model(), store)
    again = measure_through_dicom(images, arrays(images), threshold(), model(), store)
    assert once == again
    assert once["largest_difference"] < 1e-6
    assert len(list(tmp_path.rglob("*.dcm"))) == 6
    assert "6 test images" in dicom_note({"through_dicom": once})


def test_pictures_that_the_gate_refuses_are_counted_by_reason(tmp_path: Path) -> None:
    store = DirectoryImageStore(tmp_path)
    white = np.full((40, 28), 255, np.uint8)
    (good,) = store_pictures(white[None], store, "good")
    store.store([as_dicom(white, patient_id="1", study_uid="1.2.3", age="044Y")]).require_all()
    store.store([as_dicom(white, patient_id="1", study_uid="1.2.4", view="LL")]).require_all()
    found = through_dicom(["1.2.3", good, "1.2.4"], model(), store)
    assert found.refused == {"age": 1, "view": 1}
    assert np.isfinite(found.probabilities).tolist() == [False, True, False]
    told = {"through_dicom": {"images": 1, "refused": {"age": 1}, "largest_difference": None}}
    assert dicom_note(told).endswith("1 refused (age).")


@pytest.mark.parametrize("wrong", [np.zeros((4, 4), np.uint16), np.zeros((4, 4, 3), np.uint8), np.zeros((0, 4), "u1")])
def test_what_is_no_grey_picture_of_eight_bits_is_not_wrapped(wrong: Any) -> None:
    with pytest.raises(ValueError, match="uint8"):
        as_dicom(wrong, patient_id="1", study_uid="1.2.3")


@pytest.mark.peer("dciodvfy")
@pytest.mark.parametrize("lossy", [False, True])
def test_dciodvfy_finds_no_error_in_a_wrapped_picture(tmp_path: Path, lossy: bool) -> None:
    require_peer("dciodvfy (dicom3tools)", command="dciodvfy")
    file = tmp_path / "film.dcm"
    told = {"birth_date": "20220615", "sex": "F", "name": "Nobody", "issuer": "1.2.3", "description": "Chest"}
    file.write_bytes(as_dicom(np.zeros((28, 27), np.uint8), patient_id="1", study_uid="1.2.3", lossy=lossy, **told))
    run = subprocess.run(["dciodvfy", "-new", str(file)], capture_output=True, text=True, timeout=60, check=False)
    assert [line for line in (run.stdout + run.stderr).splitlines() if line.startswith("Error")] == []
    assert "CRImage" in run.stdout + run.stderr


@pytest.mark.parametrize("name", ["thyroid", "pbc"])
def test_models_that_look_at_no_images_are_not_sent_that_way(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", name, "--through-dicom"]) in (1, 2)
    assert "looks at no images" in capsys.readouterr().err
