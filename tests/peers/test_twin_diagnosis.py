"""The twin answers for images, recordings and laboratory values: from the archive and the EHR, and back to both."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from fhir_adapter.codes import MODEL_TAG
from infra.local.pacs import FolderPacs, OrthancPacs, Pacs
from infra.local.studies import Study, archive, bundle_of, studies
from infra.local.subscriptions import STUDIES, THYROID_TESTS
from infra.local.thyroid import ThyroidPatient, draw_thyroid_patients
from tests.orthanc import orthanc
from tests.peering import require_peer

if TYPE_CHECKING:
    from infra.local.twin import Twin

TIMEOUT = 90.0
CXR = "cxr-pneumonia-paediatric"
Json = dict[str, Any]


def folder(place: Path, token: str | None) -> Pacs:
    return FolderPacs(place, token=token)


@pytest.fixture(params=["folder", pytest.param("orthanc", marks=pytest.mark.peer("Orthanc"))], scope="module")
def twin(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    require_peer("sekmet-fhir", module="sekmet")
    require_peer("moto", module="moto")
    require_peer("pydicom-data", module="data_store")
    from infra.local.twin import Twin

    if request.param == "orthanc" and OrthancPacs.problem():
        with orthanc(tmp_path_factory.mktemp("none")):  # says why, or fails where peers are required
            pass
    made = folder if request.param == "folder" else None
    with Twin(tmp_path_factory.mktemp(request.param), archive=made, visibility_timeout=5) as running:
        for feed in (STUDIES, THYROID_TESTS):
            running.register_subscription(feed)
        yield running


@pytest.fixture(scope="module")
def answered(twin: Twin) -> dict[str, list[Json]]:
    """The demo's studies, all answered; the ledger's entries by patient."""
    return {study.patient_id: told(twin, bundle_of(study, twin.images)) for study in kept(twin)}


def kept(twin: Twin) -> Iterator[Study]:
    for study in studies():
        archive(study, twin.images)
        yield study


def told(twin: Twin, bundle: Json) -> list[Json]:
    """Tell the EHR of one study; returns the ledger entries that this made."""
    before = {entry["pk"] for entry in twin.ledger()}
    twin.post_bundle(bundle)
    assert twin.drain(TIMEOUT, len(before) + len(STUDIES.models))
    return [entry for entry in twin.ledger() if entry["pk"] not in before]


def outcomes(entries: list[Json]) -> dict[str, str]:
    return {entry["model"]: entry["outcome"] for entry in entries}


def written(twin: Twin, kind: str, patient_id: str, model: str) -> list[Json]:
    query = {"subject": f"Patient/{patient_id}", "_tag": f"{MODEL_TAG}|{model}", "_count": "100"}
    return [entry["resource"] for entry in twin.fhir.get(kind, params=query).json().get("entry", [])]


def modalities(twin: Twin, patient_id: str) -> list[str]:
    study = twin.fhir.get(f"ImagingStudy/{patient_id}-study").json()
    uid = study["identifier"][0]["value"].removeprefix("urn:oid:")
    return sorted(row.modality or "" for row in twin.images.series(uid))


def test_each_study_is_answered_by_the_model_that_it_is_for(answered: dict[str, list[Json]]) -> None:
    ended = {patient: outcomes(entries) for patient, entries in answered.items()}
    assert ended.pop("ecg-sample") == {"ecg": "predicted", CXR: "not-applicable"}
    assert ended.pop("adult-film") == {"ecg": "not-applicable", CXR: "abstained"}
    assert ended == {f"child-0{number}": {"ecg": "not-applicable", CXR: "predicted"} for number in (1, 2, 3, 4)}


def test_an_electrocardiogram_becomes_measurements_and_a_report_in_both(
    twin: Twin, answered: dict[str, list[Json]]
) -> None:
    observations = written(twin, "Observation", "ecg-sample", "ecg")
    values = {item["code"]["coding"][0]["code"]: item["valueQuantity"] for item in observations}
    assert values["8637-1"]["value"] == pytest.approx(982, abs=5)
    assert values["8634-8"]["value"] == pytest.approx(368, abs=30)
    assert values["8634-8"]["unit"] == "ms"
    assert len(written(twin, "DiagnosticReport", "ecg-sample", "ecg")) == 1
    assert modalities(twin, "ecg-sample") == ["ECG", "SR"]


@pytest.mark.parametrize(("child", "ill"), [("child-01", True), ("child-02", False)])
def test_a_child_s_film_becomes_a_finding_and_a_picture(
    twin: Twin, answered: dict[str, list[Json]], child: str, ill: bool
) -> None:
    (found,) = written(twin, "Observation", child, CXR)
    assert (found["valueQuantity"]["value"] > 92.3) is ill
    assert modalities(twin, child) == ["CR", "OT", "SR"]


def test_an_adult_s_film_is_refused_with_its_reason_and_nothing_is_stored(
    twin: Twin, answered: dict[str, list[Json]]
) -> None:
    (entry,) = [entry for entry in answered["adult-film"] if entry["model"] == CXR]
    assert entry["reason"] == "outside-population"
    (found,) = written(twin, "Observation", "adult-film", CXR)
    assert "ages 1 to 6" in found["dataAbsentReason"]["text"]
    assert written(twin, "DiagnosticReport", "adult-film", CXR) == []
    assert modalities(twin, "adult-film") == ["CR"]


def test_a_study_told_of_again_adds_nothing(twin: Twin, answered: dict[str, list[Json]]) -> None:
    reports = written(twin, "DiagnosticReport", "child-01", CXR)
    # as the archive tells it now, with our own series in it: a new version of the resource, of the same patient
    (study,) = [study for study in studies() if study.patient_id == "child-01"]
    bundle = bundle_of(study, twin.images)
    assert bundle["entry"][-1]["resource"]["numberOfSeries"] == 3
    entries = told(twin, {**bundle, "entry": bundle["entry"][-1:]})
    assert outcomes(entries) == {"ecg": "not-applicable", CXR: "duplicate"}
    assert written(twin, "DiagnosticReport", "child-01", CXR) == reports
    assert modalities(twin, "child-01") == ["CR", "OT", "SR"]


def test_a_film_of_another_patient_id_is_not_scored(twin: Twin, answered: dict[str, list[Json]]) -> None:
    (study,) = [study for study in studies() if study.patient_id == "child-04"]
    bundle = bundle_of(study, twin.images)
    for entry in bundle["entry"]:
        resource = entry["resource"]
        resource["id"] = resource["id"].replace("child-04", "stranger")
        entry["request"]["url"] = f"{resource['resourceType']}/{resource['id']}"
    patient, imaging = (entry["resource"] for entry in bundle["entry"])
    patient["identifier"][0]["value"] = "somebody-else"
    imaging["subject"]["reference"] = "Patient/stranger"
    (refused,) = [entry for entry in told(twin, bundle) if entry["model"] == CXR]
    assert (refused["outcome"], refused["reason"]) == ("abstained", "patient-mismatch")


@pytest.fixture(scope="module")
def tested(twin: Twin) -> list[ThyroidPatient]:
    cohort = draw_thyroid_patients(6, reference=datetime.now(UTC))
    before = len(twin.ledger())
    for patient in cohort:
        twin.post_bundle(patient.bundle())
    assert twin.drain(TIMEOUT, before + len(cohort))
    return cohort


def test_five_values_of_either_laboratory_become_the_state_of_a_thyroid(
    twin: Twin, tested: list[ThyroidPatient]
) -> None:
    for patient, state in zip(tested, ("hypo", "hyper", "normal", "hypo"), strict=False):
        (report,) = written(twin, "DiagnosticReport", patient.patient_id, "thyroid")
        stated = report["conclusion"].partition("At or above its operating point: ")[2].partition("\n")[0]
        assert stated.lower().startswith(state), patient.patient_id
        assert len(written(twin, "Observation", patient.patient_id, "thyroid")) == 3
    reasons = []
    for patient in tested[4:]:
        (found,) = written(twin, "Observation", patient.patient_id, "thyroid")
        reasons.append(found["dataAbsentReason"]["coding"][1]["code"])
    assert reasons == ["missing-input", "implausible-input"]


def test_the_function_answers_in_aws_s_runtime_emulator_too(tmp_path: Path) -> None:
    require_peer("sekmet-fhir", module="sekmet")
    require_peer("Lambda runtime interface emulator", "samcli")
    require_peer("Lambda runtime client", "awslambdaric")
    from infra.local.twin import Twin

    with Twin(tmp_path, archive=folder, lambda_emulator=True) as running:
        running.register_subscription(STUDIES)
        study = next(iter(kept(running)))
        ended = outcomes(told(running, bundle_of(study, running.images)))
        assert ended == {"ecg": "predicted", CXR: "not-applicable"}
        assert modalities(running, study.patient_id) == ["ECG", "SR"]


# -- the page --


@pytest.fixture
def page(twin: Twin, answered: dict[str, list[Json]], tested: list[ThyroidPatient]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=twin.page_url, trust_env=False, timeout=60) as page:
        yield page


def test_the_page_shows_measurements_with_their_strip(page: httpx.Client) -> None:
    text = page.get("/patients/ecg-sample").text
    assert "Stated: Sinus rhythm on electrocardiogram" in text
    assert "8634-8" in text
    assert 'class="strip" viewBox=' in text
    assert ".png" not in text


def test_the_page_shows_a_film_and_what_spoke_for_the_finding(page: httpx.Client) -> None:
    text = page.get("/patients/child-01").text
    assert "Stated: Pneumonia" in text
    addresses = [part.partition('"')[0] for part in text.split('src="')[1:]]
    assert [address.rpartition("/")[2] for address in addresses] == ["film.png", "picture.png"]
    for address in addresses:
        response = page.get(address)
        assert (response.status_code, response.headers["content-type"]) == (200, "image/png")
        assert response.content.startswith(b"\x89PNG")


def test_the_page_shows_why_a_film_was_refused(page: httpx.Client) -> None:
    text = page.get("/patients/adult-film").text
    assert "Outside the population the model was made for." in text
    assert "The model is for ages 1 to 6." in text
    assert page.get("/studies/adult-film-study/film.png").status_code == 200
    listed = page.get("/").text
    assert "The model is for ages 1 to 6." in listed[listed.index("adult-film") :]


def test_the_page_shows_what_drove_a_thyroid_s_finding(page: httpx.Client) -> None:
    text = page.get("/patients/thyroid-01").text
    assert "Stated: Hypothyroidism" in text
    assert "raises the score" in text
    assert "/fhir/Observation/thyroid-01-tsh/_history/1" in text


def test_everything_the_page_links_can_be_opened(page: httpx.Client) -> None:
    for patient in ("ecg-sample", "child-02", "adult-film", "thyroid-02"):
        text = page.get(f"/patients/{patient}").text
        addresses = [part.partition('"')[0] for part in text.split('href="')[1:]]
        for address in addresses:
            if address.startswith("/"):
                assert page.get(address).status_code == 200, address


def test_the_functions_log_knows_no_patient_and_no_study(twin: Twin, answered: dict[str, list[Json]]) -> None:
    text = (twin.data_dir / "functions.log").read_text(encoding="utf-8")
    assert "event answered" in text
    study = twin.fhir.get("ImagingStudy/ecg-sample-study").json()
    uid = study["identifier"][0]["value"].removeprefix("urn:oid:")
    for secret in ("ecg-sample", "child-01", "642341", "Synthetic", uid, twin.ehr.token):
        assert secret not in text
