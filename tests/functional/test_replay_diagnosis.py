"""A recorded diagnosis made again: from versions of laboratory values, or from the files that were looked at."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fhir_adapter.dicomweb import DirectoryImageStore, ImageStoreUnavailable, read_header
from fhir_adapter.errors import FhirAdapterError
from fhir_adapter.tenants import Tenant
from functions.diagnosis.predict import load_models
from functions.serving.events import new_event
from functions.serving.imaging import Images, MemoryStudies
from functions.serving.package import Model
from functions.serving.recorded import State
from functions.serving.replay import Replay, Verdict, replay
from functions.serving.worker import answer_event
from infra.cli import replay as command
from tests import dicoms
from tests.diagnoses import (
    PACKAGES,
    SERIES,
    child,
    film,
    package,
    study,
    tenant_json,
    thyroid_report,
    thyroid_values,
)
from tests.functional.test_replay import KeepingEhr, states
from tests.samples import patient

Json = dict[str, Any]
ECG_STUDY = read_header(dicoms.ECG.read_bytes()).path.study


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    folder = tmp_path_factory.mktemp("packages")
    package(folder)
    return {**load_models(PACKAGES), **load_models(folder)}


def answered(ehr: KeepingEhr, model: Model, focus: str, store: DirectoryImageStore | None = None) -> None:
    event = new_event("general", "studies", "focus", focus, "1", "Patient/p1")
    tenant = Tenant.from_dict(tenant_json([model.package.identity.name]))
    images = Images(lambda _tenant, _root: store, MemoryStudies()) if store else None
    answer_event(event, tenant, ehr.client(), model, images=images)


def again(ehr: KeepingEhr, models: dict[str, Model], store: DirectoryImageStore | None = None) -> Replay:
    (provenance,) = ehr.of_type("Provenance")
    by_digest = {model.package.identity.digest: model for model in models.values()}
    tenant = Tenant.from_dict(tenant_json(["brightness"]))
    connect = (lambda _tenant, _root: store) if store else None
    return replay(f"Provenance/{provenance['id']}", ehr.client(), by_digest, tenant, connect)


# ---- laboratory values ----


@pytest.fixture
def labs(models: dict[str, Model]) -> KeepingEhr:
    ehr = KeepingEhr(patient(), thyroid_report(), *thyroid_values())
    answered(ehr, models["thyroid"], "DiagnosticReport/r1")
    return ehr


@pytest.mark.conformance("H04")
def test_a_diagnosis_from_values_is_reproduced_bit_for_bit(labs: KeepingEhr, models: dict[str, Model]) -> None:
    (report,) = [item for item in labs.of_type("DiagnosticReport") if item["id"] != "r1"]
    assert "Hypothyroidism" in report["conclusion"]
    before = len(labs.requests)
    found = again(labs, models)
    assert (found.verdict, found.differences) == (Verdict.REPRODUCED, ())
    assert found.model == f"thyroid {models['thyroid'].package.identity.version}"
    # three findings with their value, side, operating point and what was looked for; two coded risks; the conclusion
    assert found.compared > 3 * 4 + 2 * 2 + 1
    assert len(labs.requests) - before == 2


def test_a_newer_value_does_not_matter_and_one_that_is_gone_does(labs: KeepingEhr, models: dict[str, Model]) -> None:
    labs.put({**labs.resources["Observation/tsh"], "valueQuantity": {"value": 1, "unit": "m[IU]/L"}})
    found = again(labs, models)
    assert found.verdict == Verdict.REPRODUCED
    assert states(found) == {"Observation/tsh": State.NEWER}
    del labs.versions["Observation/tsh/_history/1"]
    assert again(labs, models).verdict == Verdict.INPUT_CHANGED


@pytest.mark.parametrize(
    ("kind", "change", "place"),
    [
        (
            "Observation",
            lambda found: found["valueQuantity"].update(value=found["valueQuantity"]["value"] + 1e-12),
            "Observation[thyroid.hypothyroidism].valueQuantity.value",
        ),
        (
            "Observation",
            lambda found: found["component"][1]["valueQuantity"].update(value=10),
            "Observation[thyroid.hypothyroidism].component[1].valueQuantity.value",
        ),
        (
            "RiskAssessment",
            lambda found: found["prediction"][0].update(probabilityDecimal=1),
            "RiskAssessment.prediction[0].probabilityDecimal",
        ),
        ("RiskAssessment", lambda found: found["prediction"].pop(), "RiskAssessment.prediction"),
        ("DiagnosticReport", lambda found: found.update(conclusion="All is well."), "DiagnosticReport.conclusion"),
    ],
)
def test_a_changed_diagnosis_is_found_to_the_last_bit(
    labs: KeepingEhr, models: dict[str, Model], kind: str, change: Callable[[Json], Any], place: str
) -> None:
    written = [item for item in labs.of_type(kind) if item["meta"].get("tag")]
    wanted = [item for item in written if kind != "Observation" or "hypo" in json.dumps(item["code"])]
    change(wanted[0])
    found = again(labs, models)
    assert found.verdict == Verdict.DIFFERS
    assert found.differences[0].startswith(f"{place}: ")


def test_a_confirmed_diagnosis_is_still_reproduced(labs: KeepingEhr, models: dict[str, Model]) -> None:
    for item in [*labs.of_type("Observation"), *labs.of_type("DiagnosticReport")]:
        if item["meta"].get("tag"):
            item["status"] = "final"
            item.setdefault("note", []).append({"text": "Confirmed."})
    assert again(labs, models).verdict == Verdict.REPRODUCED


# ---- images ----


@pytest.fixture
def store(tmp_path: Path) -> DirectoryImageStore:
    return DirectoryImageStore(tmp_path / "images")


def filmed(store: DirectoryImageStore, models: dict[str, Model], *films: bytes, who: Json | None = None) -> KeepingEhr:
    store.store(films)
    ehr = KeepingEhr(who or child(), study(store))
    answered(ehr, models["brightness"], "ImagingStudy/s1", store)
    return ehr


@pytest.mark.conformance("H04")
def test_a_diagnosis_from_a_film_is_reproduced_from_the_file(
    store: DirectoryImageStore, models: dict[str, Model]
) -> None:
    ehr = filmed(store, models, film(1, 0.3), film(2, 0.8))
    (report,) = ehr.of_type("DiagnosticReport")
    assert "latest of 2" in report["conclusion"]
    found = again(ehr, models, store)
    assert (found.verdict, found.differences) == (Verdict.REPRODUCED, ())
    # the study may grow; the answer was about the file that it names
    store.store([film(3, 0.1)])
    ehr.put(study(store))
    found = again(ehr, models, store)
    assert found.verdict == Verdict.REPRODUCED
    assert states(found) == {"ImagingStudy/s1": State.NEWER}


def test_a_diagnosis_from_a_recording_is_reproduced_from_the_file(
    store: DirectoryImageStore, models: dict[str, Model]
) -> None:
    store.store([dicoms.ECG.read_bytes()])
    ehr = KeepingEhr(patient(gender="female", birthDate="1971-01-23"), study(store, ECG_STUDY))
    answered(ehr, models["ecg"], "ImagingStudy/s1", store)
    assert ehr.of_type("DiagnosticReport"), [item.get("dataAbsentReason") for item in ehr.of_type("Observation")]
    found = again(ehr, models, store)
    assert (found.verdict, found.differences) == (Verdict.REPRODUCED, ())
    assert found.compared > 20


def test_a_file_that_changed_or_went_is_named(
    store: DirectoryImageStore, models: dict[str, Model], tmp_path: Path
) -> None:
    ehr = filmed(store, models, film(1, 0.8))
    other = DirectoryImageStore(tmp_path / "other")
    other.store([film(1, 0.7)])
    found = again(ehr, models, other)
    assert found.verdict == Verdict.INPUT_CHANGED
    assert f"{SERIES}.1" in found.detail
    empty = DirectoryImageStore(tmp_path / "empty")
    empty.store([film(2, 0.8)])
    found = again(ehr, models, empty)
    assert found.verdict == Verdict.INPUT_VANISHED
    assert f"{SERIES}.1" in found.detail


@pytest.mark.parametrize(
    ("files", "who", "verdict"),
    [
        ([film(ViewPosition="LL")], None, Verdict.REPRODUCED),
        ([film(1, PatientAge="045Y"), film(2, ViewPosition="LL")], None, Verdict.REPRODUCED),
        ([film()], patient(), Verdict.REPRODUCED),
        # that there was no image of the kind is in no version
        ([film(Modality="CT")], None, Verdict.NOT_REPLAYABLE),
    ],
)
def test_an_abstention_is_reproduced_where_its_reason_is_in_a_file_or_on_record(
    store: DirectoryImageStore, models: dict[str, Model], files: list[bytes], who: Json | None, verdict: Verdict
) -> None:
    ehr = filmed(store, models, *files, who=who)
    assert ehr.of_type("DiagnosticReport") == []
    assert again(ehr, models, store).verdict == verdict


def test_images_are_not_replayed_where_nobody_says_where_they_are(
    store: DirectoryImageStore, models: dict[str, Model]
) -> None:
    ehr = filmed(store, models, film())
    found = again(ehr, models)
    assert found.verdict == Verdict.NOT_REPLAYABLE
    assert "no image store is named" in found.detail


# ---- the command ----


def test_the_command_replays_a_film(
    store: DirectoryImageStore, models: dict[str, Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    ehr = filmed(store, models, film())
    folder = package(tmp_path / "mine")
    asked: list[str] = []

    class Local:
        @staticmethod
        def for_tenant(given: Any, keys: Any = None) -> Any:
            return ehr.client()

    def opened(_tenant: Tenant, root: str, _keys: Any) -> DirectoryImageStore:
        asked.append(root)
        return store

    monkeypatch.setattr(command, "FhirClient", Local)
    monkeypatch.setattr(command, "_store", opened)
    reference = f"Provenance/{ehr.of_type('Provenance')[0]['id']}"
    parser = argparse.ArgumentParser()
    command.configure(parser)
    words = [reference, "--tenant", "general", "--base", "http://127.0.0.1:1/fhir", "--package", str(folder)]
    pacs = ["--dicomweb", "http://127.0.0.1:1/dicom-web"]
    assert command.run(parser.parse_args([*words, *pacs, "--json"])) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "reproduced"
    assert asked == [pacs[1]]


def test_an_image_store_that_is_down_is_no_verdict(store: DirectoryImageStore, models: dict[str, Model]) -> None:
    class Down(DirectoryImageStore):
        def series(self, study: str, series: str | None = None) -> Any:
            raise ImageStoreUnavailable("the image store does not answer")

    ehr = filmed(store, models, film())
    with pytest.raises(FhirAdapterError, match="does not answer"):
        again(ehr, models, Down(Path()))
