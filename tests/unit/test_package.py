from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from functions.serving.errors import ModelRefused
from functions.serving.package import load_package
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
