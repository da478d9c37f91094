from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from functions.serving.errors import ModelRefused
from functions.serving.package import Explain, load_package, load_packages
from functions.serving.session import OnnxModel

WHAS500 = Path("functions/survival/packages/whas500")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(WHAS500, tmp_path / "whas500"))


def rewrite(folder: Path, old: str, new: str) -> None:
    path = folder / "model.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def refused(folder: Path) -> str:
    with pytest.raises(ModelRefused) as caught:
        load_package(folder)
    assert "'whas500'" in str(caught.value)
    return caught.value.rule


def test_the_shipped_package_is_whole() -> None:
    package = load_package(WHAS500)
    assert package.identity.kind == "survival"
    assert len(package.inputs) == 13
    assert (WHAS500 / "card.md").exists()
    assert (WHAS500 / "report.html").exists()


def test_an_altered_model_is_refused(folder: Path) -> None:
    content = bytearray((folder / "model.onnx").read_bytes())
    content[-1] ^= 1
    (folder / "model.onnx").write_bytes(content)
    assert refused(folder) == "digest"


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("schema: 1", "schema: 2", "schema"),
        ("kind: survival", "kind: oracle", "kind"),
        ("file: model.onnx", "file: ../whas500/model.onnx", "file"),
        ("file: model.onnx", "file: other.onnx", "file"),
        ("horizons_days: [30, 180, 365, 1095]", "horizons_days: [30, 30]", "horizons"),
        ("name: heart_rate", "name: bmi", "inputs"),
        ("aggregation: latest", "aggregation: whichever", "inputs"),
        ("focus: Encounter\n", "", "contract"),
        ("schema: 1", "schema: [", "contract"),
        ('  code: "419620001"\n', "", "outcome"),
        ("  text: Death from any cause\n", "", "outcome"),
        ("schema: 1", "schema: 1\ncompeting: {system: http://snomed.info/sct, text: Relapse}", "outcome"),
        ("schema: 1", "schema: 1\nexplain: {method: guess}", "explain"),
        ("schema: 1", "schema: 1\nexplain: {permutations: 0}", "explain"),
        ("schema: 1", "schema: 1\nexplain: {seed: -1}", "explain"),
        ("schema: 1", "schema: 1\nexplain: {samples: 5}", "explain"),
    ],
)
def test_a_broken_contract_is_refused_by_rule(folder: Path, old: str, new: str, rule: str) -> None:
    rewrite(folder, old, new)
    assert refused(folder) == rule


def test_a_missing_contract_is_refused(folder: Path) -> None:
    (folder / "model.yaml").unlink()
    assert refused(folder) == "contract"


def test_a_graph_that_is_not_the_declared_one_is_refused() -> None:
    package = load_package(WHAS500)
    for model, columns, outputs in [
        (b"not onnx", 13, ["survival"]),
        (package.model, 12, ["survival"]),
        (package.model, 13, ["smell"]),
    ]:
        with pytest.raises(ModelRefused) as caught:
            OnnxModel("whas500", model, columns, outputs)
        assert caught.value.rule == "graph"


def test_an_outcome_without_a_code_is_said_in_words(folder: Path) -> None:
    rewrite(folder, '  system: http://snomed.info/sct\n  code: "419620001"\n  display: Death\n', "")
    rewrite(folder, "schema: 1", "schema: 1\ncompeting: {text: Relapse}\nexplain: {method: survshap, seed: 3}")
    package = load_package(folder)
    assert (package.identity.outcome, package.identity.outcome_text) == ({}, "Death from any cause")
    assert (package.identity.competing, package.identity.competing_text) == ({}, "Relapse")
    assert package.explain == Explain("survshap", 32, 3)


def test_a_folder_of_packages_is_read_in_order_and_drafts_are_passed_over(folder: Path, tmp_path: Path) -> None:
    draft, second = (Path(shutil.copytree(folder, tmp_path / name)) for name in ("draft", "another"))
    digest = load_package(folder).identity.digest
    rewrite(draft, f'sha256: "{digest}"', 'sha256: ""')
    rewrite(second, "name: whas500", "name: another")
    assert list(load_packages(tmp_path)) == ["another", "whas500"]
    rewrite(second, "name: another", "name: whas500")
    with pytest.raises(ModelRefused, match="refused by rule 'name': another package is called whas500, too"):
        load_packages(tmp_path)
    (second / "model.onnx").unlink()
    with pytest.raises(ModelRefused) as caught:
        load_packages(tmp_path)
    assert caught.value.rule == "file"


def executed(monkeypatch: pytest.MonkeyPatch, folder: Path, outputs: list[str]) -> set[str]:
    """Return the names of the nodes that ONNX Runtime ran for some outputs, from its own profile."""
    plain = ort.SessionOptions

    def profiling() -> ort.SessionOptions:
        options = plain()
        options.enable_profiling = True
        options.profile_file_prefix = str(folder / "profile")
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        return options

    monkeypatch.setattr(ort, "SessionOptions", profiling)
    package = load_package(WHAS500)
    model = OnnxModel("whas500", package.model, len(package.inputs), outputs)
    model.run(np.zeros((1, len(package.inputs))))
    events = json.loads(Path(model._session.end_profiling()).read_text(encoding="utf-8"))
    return {event["args"]["node_index"] for event in events if event["cat"] == "Node"}


def test_only_what_is_asked_for_is_computed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    everything = ["survival", "times", "risk_score", "contributions", "imputed"]
    ran = {name: executed(monkeypatch, tmp_path, [name]) for name in ("imputed", "survival")}
    whole = executed(monkeypatch, tmp_path, everything)
    assert ran["imputed"] < ran["survival"] < whole
