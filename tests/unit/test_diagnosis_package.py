"""Contracts of diagnosis models: what breaks a rule is refused by the rule's name, before a patient is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fhir_adapter.errors import ConfigurationError
from fhir_adapter.pixels import Picture
from fhir_adapter.prediction import Abstention, Diagnosis, Finding, Measurement, Saliency
from functions.diagnosis.predict import DiagnosisModel, load_models
from functions.serving import signing
from functions.serving.errors import ModelRefused
from functions.serving.package import load_package
from tests.diagnoses import PACKAGES, SIDE, contract, package


def finding(**changes: Any) -> list[dict[str, Any]]:
    return [{**contract()["findings"][0], **changes}]


BEATS = {"name": "rate", "display": "Rate", "system": "http://loinc.org", "code": "8867-4", "unit": "/min"}


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"findings": []}, "findings"),
        ({"findings": {}}, "findings"),
        ({"findings": "pneumonia"}, "findings"),
        ({"findings": finding(threshold=2)}, "findings"),
        ({"findings": finding(threshold="half")}, "findings"),
        ({"findings": finding(output="softmax")}, "findings"),
        ({"findings": finding(index=-1)}, "findings"),
        ({"findings": finding(index=1)}, "findings"),
        ({"findings": finding(activation="relu")}, "findings"),
        ({"findings": finding(saliency="heat")}, "findings"),
        ({"findings": finding(code="")}, "findings"),
        ({"findings": finding(display="")}, "findings"),
        ({"findings": finding(treshold=0.5)}, "findings"),
        ({"findings": finding() * 2}, "findings"),
        ({"measurements": [{**BEATS, "unit": "beats"}]}, "unit"),
        ({"measurements": [{**BEATS, "code": ""}]}, "measurements"),
        ({"measurements": [BEATS]}, "measurements"),
        ({"graph": {"outputs": {"probability": {}}}}, "graph"),
        ({"graph": {"input": "pixels", "outputs": {}}}, "graph"),
        ({"graph": {"input": "image", "outputs": {"probability": {}, "map": {}}}}, "graph"),
        ({"pixels": {"size": 5, "intensity": "raw"}}, "graph"),
        ({"pixels": {"size": 4}}, "inputs"),
        ({"pixels": {"size": 4, "intensity": "raw", "channels": 3}}, "graph"),
        ({"pixels": 4}, "inputs"),
        ({"images": {"sop_classes": ["DX"]}}, "inputs"),
        ({"waveforms": {}}, "inputs"),
        ({"inputs": [{"name": "age", "display": "Age", "kind": "age", "unit": "a", "plausible": [0, 9]}]}, "inputs"),
        ({"normalise": "squeeze"}, "inputs"),
        ({"decoder": "oracle"}, "decoder"),
    ],
)
def test_a_broken_contract_is_refused_by_rule(tmp_path: Path, changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(ModelRefused) as caught:
        DiagnosisModel(load_package(package(tmp_path, **changes)))
    assert caught.value.rule == rule
    assert "'brightness'" in str(caught.value)


def test_what_looks_at_nothing_is_refused(tmp_path: Path) -> None:
    place = package(tmp_path)
    text = (place / "model.yaml").read_text(encoding="utf-8")
    kept = contract()
    del kept["images"], kept["pixels"]
    import yaml

    (place / "model.yaml").write_text(yaml.safe_dump(kept), encoding="utf-8")
    assert "pixels" in text
    with pytest.raises(ModelRefused, match="looks at nothing"):
        load_package(place)


def test_the_shipped_packages_are_whole() -> None:
    models = load_models(PACKAGES)
    assert {"ecg", "thyroid"} <= set(models)
    for model in models.values():
        assert model.package.identity.kind == "diagnosis"
        assert (model.look is not None) == model.package.looks


def shown(value: float) -> Picture:
    area = (0, 0, SIDE, SIDE)
    return Picture(np.full((1, SIDE, SIDE), value, np.float32), 0, "none", None, False, area, area)


@pytest.mark.parametrize(
    ("activation", "fed", "expected"),
    [("none", 0.25, 0.25), ("sigmoid", 0.0, 0.5), ("sigmoid", 800.0, 1.0), ("softmax", 3.0, 1.0)],
)
def test_a_probability_comes_from_a_column_as_the_contract_says(
    tmp_path: Path, activation: str, fed: float, expected: float
) -> None:
    model = DiagnosisModel(load_package(package(tmp_path, findings=finding(activation=activation))))
    answer = model.look(shown(fed))
    assert isinstance(answer, Diagnosis)
    assert answer.findings[0].probability == pytest.approx(expected)
    assert answer.saliency is not None
    assert (answer.saliency.rows, answer.saliency.columns) == (SIDE, SIDE)


@pytest.mark.parametrize("fed", [1.5, -0.5, float("nan")])
def test_what_is_no_probability_is_no_answer(tmp_path: Path, fed: float) -> None:
    answer = DiagnosisModel(load_package(package(tmp_path))).look(shown(fed))
    assert isinstance(answer, Abstention)
    assert answer.reason == "not-computable"


def test_a_flat_recording_is_not_called_a_sinus_rhythm() -> None:
    from fhir_adapter.waveforms import Recording

    model = load_models(PACKAGES)["ecg"]
    assert model.look is not None
    answer = model.look(Recording(np.zeros((1, 5000), np.float32), (), 500.0))
    assert isinstance(answer, Abstention)
    assert "lead may be off" in answer.detail


def test_signatures_are_demanded_where_the_deployment_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUIRE_SIGNED_PACKAGES", raising=False)
    assert signing.demanded() is None
    monkeypatch.setenv("REQUIRE_SIGNED_PACKAGES", "yes")
    with pytest.raises(ConfigurationError, match="true or false"):
        signing.demanded()
    monkeypatch.setenv("REQUIRE_SIGNED_PACKAGES", "true")
    monkeypatch.setattr(signing.publishers, "PUBLISHERS", tmp_path / "publishers.json")
    with pytest.raises(ConfigurationError, match="trusts nobody"):
        signing.demanded()
    package(tmp_path / "packages")
    with pytest.raises(ModelRefused) as caught:
        load_models(tmp_path / "packages", signing.Publishers({"keys": []}))
    assert caught.value.rule == "unsigned"


def test_a_signed_package_is_served_and_an_altered_byte_is_refused(tmp_path: Path) -> None:
    from fhir_adapter.keys import new_key, public_set, signing_key

    place = package(tmp_path)
    jwk = new_key("ES384")
    signing.sign_package(place, signing_key(jwk, "ES384", None, "test"))
    trusted = signing.Publishers(public_set([jwk]))
    assert set(load_models(tmp_path, trusted)) == {"brightness"}
    with (place / "card.md").open("a", encoding="utf-8") as file:
        file.write(" ")
    with pytest.raises(ModelRefused) as caught:
        load_models(tmp_path, trusted)
    assert caught.value.rule == "altered"
    assert "card.md" in str(caught.value)


@pytest.mark.parametrize(
    "broken",
    [
        lambda: Finding("a", "A", {}, 1.1, 0.5),
        lambda: Finding("a", "A", {}, 0.5, -0.1),
        lambda: Measurement("a", "A", {}, float("inf"), "ms"),
        lambda: Saliency("a", 2, 2, (1.0,)),
        lambda: Saliency("a", 1, 1, (float("nan"),)),
        Diagnosis,
        lambda: Diagnosis((Finding("a", "A", {}, 0.5, 0.5), Finding("a", "A", {}, 0.5, 0.5))),
        lambda: Diagnosis((Finding("a", "A", {}, 0.5, 0.5),), saliency=Saliency("b", 1, 1, (1.0,))),
    ],
)
def test_a_constructed_answer_is_valid(broken: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        broken()
