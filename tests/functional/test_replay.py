"""A recorded prediction made again from the versions it names, and everything that can stand in the way."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_adapter.client import FhirClient, RetryPolicy
from fhir_adapter.errors import FhirRejected, FhirUnavailable
from functions.serving.events import new_event
from functions.serving.package import load_package
from functions.serving.recorded import State
from functions.serving.replay import Model, Replay, Verdict, replay
from functions.serving.worker import answer_event
from functions.survival.predict import SurvivalModel
from infra.cli import replay as command
from tests.fakes import BASE, FakeEhr, Json
from tests.samples import admission, condition, encounter, observation, patient, tenant, tenant_json

PACKAGE = load_package(Path("functions/survival/packages/whas500"))
MODEL = Model(PACKAGE, SurvivalModel(PACKAGE).predict)
MODELS = {PACKAGE.identity.digest: MODEL}


class KeepingEhr(FakeEhr):
    """Keeps every version, also of what is deleted, until told to forget one."""

    def __init__(self, *resources: Json) -> None:
        self.versions: dict[str, Json] = {}
        super().__init__(*resources)

    def put(self, resource: Json) -> Json:
        stored = super().put(resource)
        key = f"{stored['resourceType']}/{stored['id']}/_history/{stored['meta']['versionId']}"
        self.versions[key] = copy.deepcopy(stored)
        return stored

    def _get(self, path: str) -> tuple[int, Json]:
        if "/_history/" in path:
            found = self.versions.get(path)
            return (200, found) if found else (404, {"resourceType": "OperationOutcome", "issue": []})
        return super()._get(path)

    def client(self) -> FhirClient:
        return FhirClient(BASE, transport=self.transport, retry=RetryPolicy(attempts=1))


@pytest.fixture
def ehr() -> KeepingEhr:
    return answered(*admission())


def answered(*resources: Json) -> KeepingEhr:
    """Return an EHR that holds the answer to the admission in it."""
    ehr = KeepingEhr(*resources)
    event = new_event("general", "admissions", "focus", "Encounter/e1", None, "Patient/p1")
    answer_event(event, tenant(), ehr.client(), MODEL)
    return ehr


def replayed(ehr: KeepingEhr, models: dict[str, Model] = MODELS) -> Replay:
    (provenance,) = ehr.of_type("Provenance")
    return replay(f"Provenance/{provenance['id']}", ehr.client(), models)


def states(report: Replay) -> dict[str, State]:
    return {item.reference.split("/_history/")[0]: item.state for item in report.inputs if item.state != State.CURRENT}


@pytest.mark.conformance("G04", "G10", "H04")
def test_a_prediction_is_reproduced_bit_for_bit(ehr: KeepingEhr) -> None:
    before = len(ehr.requests)
    report = replayed(ehr)
    assert report.verdict == Verdict.REPRODUCED
    assert report.differences == ()
    # four horizons: outcome, when, probability, rationale; each component, curves with their step; how many there are
    (observation,) = [item for item in ehr.of_type("Observation") if "device" in item]
    parts = [2 if "valueSampledData" in part else 1 for part in observation["component"]]
    assert report.compared == 4 * 4 + sum(parts) + 1
    assert {item.state for item in report.inputs} == {State.CURRENT}
    assert {"Patient", "Encounter"} <= {item.reference.split("/")[0] for item in report.inputs}
    assert len(ehr.requests) - before == 2


@pytest.mark.conformance("G11", "H04")
def test_the_condition_that_opened_the_gate_is_an_input_too() -> None:
    """An infarction without a code for Q waves is no model input, and without it nothing may be predicted."""
    record = [resource for resource in admission() if resource["id"] != "mi"]
    ehr = answered(*record, condition("mi", "22298006"))
    report = replayed(ehr)
    assert report.verdict == Verdict.REPRODUCED, report
    assert "Condition/mi/_history/1" in {item.reference for item in report.inputs}
    (risk,) = ehr.of_type("RiskAssessment")
    assert risk["condition"] == {"reference": "Condition/mi"}


def test_what_came_later_does_not_matter(ehr: KeepingEhr) -> None:
    ehr.put(observation("hr", "8867-4", 140, "/min"))
    ehr.put(observation("newer", "8867-4", 150, "/min", at="2026-01-10T08:01:00+00:00"))
    ehr.put(condition("shock", "89138009"))
    del ehr.resources["Condition/chf"]
    report = replayed(ehr)
    assert report.verdict == Verdict.REPRODUCED
    assert states(report) == {"Observation/hr": State.NEWER, "Condition/chf": State.DELETED}


@pytest.mark.parametrize(
    ("forget", "verdict", "state"),
    [
        (lambda ehr: ehr.versions.pop("Observation/hr/_history/1"), Verdict.INPUT_CHANGED, State.CHANGED),
        (
            lambda ehr: (ehr.versions.pop("Observation/hr/_history/1"), ehr.resources.pop("Observation/hr")),
            Verdict.INPUT_VANISHED,
            State.VANISHED,
        ),
        (
            lambda ehr: ehr.versions["Observation/hr/_history/1"]["meta"].update(versionId="2"),
            Verdict.INPUT_CHANGED,
            State.CHANGED,
        ),
    ],
)
def test_an_input_that_is_not_to_be_had_is_named(
    ehr: KeepingEhr, forget: Callable[[KeepingEhr], Any], verdict: Verdict, state: State
) -> None:
    forget(ehr)
    report = replayed(ehr)
    assert report.verdict == verdict
    assert states(report) == {"Observation/hr": state}
    assert "Observation/hr/_history/1" in report.detail


def edit(ehr: KeepingEhr, kind: str, change: Callable[[Json], Any]) -> None:
    (resource,) = [item for item in ehr.of_type(kind) if "device" in item or kind != "Observation"]
    change(resource)


def sampled(observation: Json) -> Json:
    return next(part for part in observation["component"] if "valueSampledData" in part)


@pytest.mark.parametrize(
    ("kind", "change", "place"),
    [
        (
            "RiskAssessment",
            lambda risk: risk["prediction"][1].update(
                probabilityDecimal=risk["prediction"][1]["probabilityDecimal"] + 1e-12
            ),
            "RiskAssessment.prediction[1].probabilityDecimal",
        ),
        (
            "RiskAssessment",
            lambda risk: risk["prediction"][0].update(rationale="Because."),
            "RiskAssessment.prediction[0].rationale",
        ),
        (
            "RiskAssessment",
            lambda risk: risk["prediction"][2]["outcome"].update(text="Something else"),
            "RiskAssessment.prediction[2].outcome",
        ),
        ("RiskAssessment", lambda risk: risk["prediction"].pop(), "RiskAssessment.prediction"),
        (
            "Observation",
            lambda found: found["component"][0]["valueQuantity"].update(value=1),
            "Observation.component[risk-30d]",
        ),
        (
            "Observation",
            lambda found: sampled(found)["valueSampledData"].update(data="100.0000"),
            "Observation.component[survival-curve].data",
        ),
    ],
)
def test_a_changed_result_is_found_to_the_last_bit(
    ehr: KeepingEhr, kind: str, change: Callable[[Json], Any], place: str
) -> None:
    edit(ehr, kind, change)
    report = replayed(ehr)
    assert report.verdict == Verdict.DIFFERS
    (difference,) = report.differences
    assert difference.startswith(f"{place}: ")


def test_an_attested_result_is_still_reproduced(ehr: KeepingEhr) -> None:
    for kind in ("RiskAssessment", "Observation"):
        edit(ehr, kind, lambda resource: resource.update(status="final"))
    assert replayed(ehr).verdict == Verdict.REPRODUCED


def test_somebody_elses_provenance_is_not_replayed() -> None:
    ehr = KeepingEhr(*admission())
    foreign = {
        "resourceType": "Provenance",
        "id": "foreign",
        "target": [{"reference": "Patient/p1"}],
        "recorded": "2026-01-10T08:30:00+00:00",
        "agent": [{"who": {"reference": "Organization/other"}}],
    }
    ehr.put(foreign)
    report = replay("Provenance/foreign", ehr.client(), MODELS)
    assert report.verdict == Verdict.NOT_REPLAYABLE
    assert report.model == ""


def test_another_model_is_not_run(ehr: KeepingEhr) -> None:
    report = replayed(ehr, {})
    assert report.verdict == Verdict.MODEL_DIFFERS
    assert report.model == PACKAGE.identity.digest
    other = replace(MODEL, predict=lambda _features: pytest.fail("it ran"))
    assert replayed(ehr, {"00" * 32: other}).verdict == Verdict.MODEL_DIFFERS


@pytest.mark.parametrize(
    ("record", "verdict"),
    [
        ([patient(birthDate="2020-01-01"), encounter()], Verdict.REPRODUCED),
        ([patient(), {key: value for key, value in encounter().items() if key != "period"}], Verdict.REPRODUCED),
        ([patient(deceasedBoolean=True), encounter()], Verdict.REPRODUCED),
        # a heart rate that was missing is in no version
        ([item for item in admission() if item["id"] != "hr"], Verdict.NOT_REPLAYABLE),
    ],
)
def test_an_abstention_is_reproduced_where_its_reason_is_on_record(record: list[Json], verdict: Verdict) -> None:
    assert replayed(answered(*record)).verdict == verdict


def test_a_server_that_drops_versions_from_references_is_believed_while_nothing_changed(ehr: KeepingEhr) -> None:
    (provenance,) = ehr.of_type("Provenance")
    for entity in provenance["entity"]:
        entity["what"]["reference"] = f"{BASE}/" + entity["what"]["reference"].split("/_history/")[0]
    assert replayed(ehr).verdict == Verdict.REPRODUCED
    ehr.resources["Observation/hr"]["meta"]["lastUpdated"] = "2999-01-01T00:00:00Z"
    assert states(replayed(ehr)) == {"Observation/hr": State.CHANGED}


def test_what_is_no_prediction_of_ours_is_not_replayed(ehr: KeepingEhr) -> None:
    (provenance,) = ehr.of_type("Provenance")
    provenance["entity"] = []
    assert replayed(ehr).verdict == Verdict.NOT_REPLAYABLE
    with pytest.raises(FhirRejected):
        replay("Provenance/none", ehr.client(), MODELS)


def test_an_ehr_that_is_down_is_no_verdict(ehr: KeepingEhr) -> None:
    def busy(request: httpx.Request) -> httpx.Response | None:
        if b'"batch"' not in request.content:
            return None
        asked = json.loads(request.content)["entry"]
        entries = [{"response": {"status": "503"}} for _ in asked]
        return httpx.Response(200, json={"resourceType": "Bundle", "type": "batch-response", "entry": entries})

    ehr.before = busy
    with pytest.raises(FhirUnavailable):
        replayed(ehr)


def run(*words: str) -> int:
    import argparse

    parser = argparse.ArgumentParser()
    command.configure(parser)
    return command.run(parser.parse_args(words))


@pytest.mark.parametrize(
    "words",
    [
        ("Observation/1", "--tenant", "general", "--base", BASE),
        ("Provenance/1", "--tenant", "general"),
        ("Provenance/1", "--tenant", "general", "--base", BASE, "--tenants", "x.json"),
        ("Provenance/1", "--tenant", "general", "--tenants", "x.json", "--token-file", "t"),
    ],
)
def test_the_command_says_what_is_wrong_with_its_arguments(words: tuple[str, ...], capsys: Any) -> None:
    assert run(*words) == 2
    assert "bedside replay: " in capsys.readouterr().err


def test_the_command_prints_the_verdict(
    ehr: KeepingEhr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    class Local:
        @staticmethod
        def for_tenant(given: Any, keys: Any = None) -> FhirClient:
            assert (given.name, keys) == ("general", None)
            return ehr.client()

    monkeypatch.setattr(command, "FhirClient", Local)
    file = tmp_path / "tenants.json"
    file.write_text(json.dumps([tenant_json()]))
    reference = f"Provenance/{ehr.of_type('Provenance')[0]['id']}"
    assert run(reference, "--tenant", "general", "--tenants", str(file), "--json") == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "reproduced"
    edit(ehr, "RiskAssessment", lambda risk: risk["prediction"].pop())
    assert run(reference, "--tenant", "general", "--tenants", str(file)) == 1
    assert "RiskAssessment.prediction: 3 written, 4 replayed" in capsys.readouterr().out
    assert run(reference, "--tenant", "other", "--tenants", str(file)) == 1
    assert "describes no tenant 'other'" in capsys.readouterr().err
