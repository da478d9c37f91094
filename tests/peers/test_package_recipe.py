"""The recipes of functions/diagnosis/packages/README.md: what stands there is run here, word for word.

Their libraries are not here; networks of the same shapes, made of torch, stand in for theirs under their names.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import warnings
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

from fhir_adapter.keys import new_key, public_set, signing_key
from functions.serving.signing import sign_package
from tests import dicoms
from tests.peering import require_peer
from tests.samples import patient
from tests.strangers import Hospital, hospital_in

README = Path("functions/diagnosis/packages/README.md").read_text(encoding="utf-8")
XRAY, MONAI, MEASURING = (
    README.split(f"\n## {title}\n")[1].split("\n## ")[0]
    for title in (
        "TorchXRayVision",
        "MONAI",
        "Measuring it",
    )
)
RG1_STUDY = "1.3.6.1.4.1.5962.1.2.9.20040826185059.5457"
LABELS = ("Atelectasis", "", "Infiltration", *(f"Label {at}" for at in range(3, 16)), "Lung Opacity", "Effusion")

pytestmark = [pytest.mark.peer("torch"), pytest.mark.peer("onnx")]


@pytest.fixture(scope="module", autouse=True)
def peers() -> None:
    require_peer("torch", "torch")
    require_peer("onnx", "onnx")


def block(text: str, language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


def run(script: str) -> dict[str, Any]:
    """Run a script of the page; the exporter's name for itself is no matter here."""
    names: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        exec(compile(script, "README.md", "exec"), names)
    return names


def densely_connected(channels: int, classes: int) -> Any:
    """The shape of a DenseNet: a stem, a layer that is joined to what it got, and a classifier of their mean."""
    import torch

    class Joined(torch.nn.Sequential):
        def forward(self, seen: Any) -> Any:
            return torch.cat([seen, super().forward(seen)], 1)

    torch.manual_seed(20180222)
    features = torch.nn.Sequential(
        torch.nn.Conv2d(channels, 8, 7, stride=4, padding=3, bias=False),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(inplace=True),
        torch.nn.MaxPool2d(3, 2, 1),
        Joined(torch.nn.BatchNorm2d(8), torch.nn.ReLU(inplace=True), torch.nn.Conv2d(8, 4, 3, padding=1, bias=False)),
        torch.nn.BatchNorm2d(12),
    )
    features[0].weight.data /= 500.0
    return features, torch.nn.Linear(12, classes)


def xray_library() -> ModuleType:
    """What the recipe uses of TorchXRayVision."""
    import torch

    class DenseNet(torch.nn.Module):
        def __init__(self, weights: str) -> None:
            super().__init__()
            assert weights == "densenet121-res224-all"
            self.features, self.classifier = densely_connected(1, len(LABELS))
            self.pathologies = list(LABELS)
            self.op_threshs = torch.linspace(0.3, 0.7, len(LABELS))
            self.op_threshs[3] = float("nan")

        def forward(self, x: Any) -> Any:
            """Bend each probability so that its operating point lies at 0.5, and say 0.5 where it has none."""
            pooled = torch.relu(self.features(x)).mean(dim=(2, 3))
            probability, at = torch.sigmoid(self.classifier(pooled)), self.op_threshs
            bent = torch.where(probability < at, probability / (2 * at), 1 - (1 - probability) / (2 * (1 - at)))
            return torch.where(at.isnan(), torch.tensor(0.5), bent)

    library = ModuleType("torchxrayvision")
    library.models = SimpleNamespace(DenseNet=DenseNet)  # type: ignore[attr-defined]
    return library


@pytest.fixture
def hospital(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hospital:
    made = hospital_in(tmp_path)
    monkeypatch.chdir(made.empty)
    return made


def rg1(folder: Path) -> Path:
    """An adult's chest film of pydicom-data, in four encodings: here as it is."""
    files = dicoms.collection()
    if files is None:
        pytest.skip("peer pydicom-data is not here")
    folder.mkdir()
    shutil.copy(files / "RG1_UNCI.dcm", folder / "rg1.dcm")
    return folder


def filled(folder: Path, more: dict[str, Any]) -> dict[str, Any]:
    contract: dict[str, Any] = {**yaml.safe_load((folder / "model.yaml").read_text(encoding="utf-8")), **more}
    (folder / "model.yaml").write_text(yaml.safe_dump(contract, sort_keys=False), encoding="utf-8")
    (folder / "card.md").write_text("# A model for tests\n", encoding="utf-8")
    return contract


@pytest.mark.peer("pydicom-data")
def test_the_recipe_for_torchxrayvision(hospital: Hospital, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the library's network to an answer about an adult's film in the chart."""
    monkeypatch.setitem(sys.modules, "torchxrayvision", xray_library())
    made = run(block(XRAY, "python"))
    hospital.bedside(
        *["package", "new", "xray", "--kind", "diagnosis", "--from", "model.onnx", "--findings", "findings.yaml"]
    )
    folder = hospital.empty / "xray"
    contract = filled(folder, yaml.safe_load(block(XRAY, "yaml")))
    assert "TODO" not in (folder / "model.yaml").read_text(encoding="utf-8")
    assert [item["name"] for item in contract["findings"][:2]] == ["atelectasis", "infiltration"]
    assert not {1, 3} & {item["index"] for item in contract["findings"]}, "no label, no operating point"
    assert contract["findings"][-1] == {
        "name": "effusion",
        "display": "Effusion",
        "output": "scores",
        "index": 17,
        "activation": "sigmoid",
        "threshold": 0.7,
        "system": "http://snomed.info/sct",
        "code": "60046008",
    }

    studies = rg1(tmp_path / "studies")
    checked = hospital.bedside("package", "check", "xray", "--example", studies)
    assert checked["refused"] == []
    (example,) = checked["examples"]["each"]
    assert example["answer"] == "accepted", example
    assert re.search(r"a tensor of 1 x 224 x 224, -\d{3} to \d{3}; window from: file", example["detail"])
    assert example["values"].keys() == {item["name"] for item in contract["findings"]}

    key = new_key("ES384")
    (hospital.checkout / "functions" / "serving" / "publishers.json").write_text(json.dumps(public_set([key])))
    sign_package(folder, signing_key(key, "ES384", None, "key"))
    assert hospital.bedside("package", "add", "xray")["ok"]
    adult = patient(gender="female", birthDate="1940-03-05")
    served = hospital.serve("xray", "ImagingStudy/s1", [adult], studies, RG1_STUDY)
    assert (served["outcomes"], served["dead"]) == ([["predicted", None]], [])
    observed = [item for item in served["written"] if item["resourceType"] == "Observation"]
    stated = {item["code"]["coding"][0]["code"]: item["valueQuantity"]["value"] / 100 for item in observed}
    expected = by_hand(studies / "rg1.dcm", made["scores"])
    for rule in contract["findings"]:
        assert example["values"][rule["name"]] == pytest.approx(expected[rule["index"]], abs=2e-3)
        assert stated[f"xray.{rule['name']}"] == pytest.approx(example["values"][rule["name"]], abs=1e-4)


def by_hand(path: Path, scores: Any) -> Any:
    """What the network says of the file, read with pydicom and resized with Pillow, as the library would."""
    import pydicom
    import torch
    from PIL import Image

    dataset = pydicom.dcmread(path)
    center, width = float(dataset.WindowCenter), float(dataset.WindowWidth)
    shown = np.clip((dataset.pixel_array - (center - 0.5)) / (width - 1) + 0.5, 0.0, 1.0)
    shown = 1.0 - shown  # MONOCHROME1
    side = min(shown.shape)
    top, left = ((size - side) // 2 for size in shown.shape)
    square = Image.fromarray(shown[top : top + side, left : left + side].astype(np.float32))
    small = np.asarray(square.resize((224, 224), Image.Resampling.BILINEAR)) * 2048 - 1024
    with torch.no_grad():
        return torch.sigmoid(scores(torch.from_numpy(small[None, None])))[0].numpy()


def test_the_recipe_for_monai(hospital: Hospital, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its network, softmax, the axes of its readers, and each image's own minimum and maximum."""
    import torch

    class DenseNet121(torch.nn.Module):
        def __init__(self, spatial_dims: int, in_channels: int, out_channels: int) -> None:
            super().__init__()
            assert spatial_dims == 2
            self.features, self.last = densely_connected(in_channels, out_channels)

        def forward(self, x: Any) -> Any:
            # left and right differ, and so do up and down: axes that are exchanged would be noticed
            ramp = torch.linspace(0, 4, x.shape[2]).reshape(1, 1, -1, 1)
            return self.last(torch.relu(self.features(x * ramp * 100)).mean(dim=(2, 3)))

    library = ModuleType("monai")
    library.networks = SimpleNamespace(nets=SimpleNamespace(DenseNet121=DenseNet121))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "monai", library)
    torch.save(DenseNet121(2, 1, 2).state_dict(), "weights.pt")
    made = run(block(MONAI, "python"))

    hospital.bedside(*["package", "new", "hand", "--kind", "diagnosis", "--from", "model.onnx"])
    more = yaml.safe_load(block(XRAY, "yaml"))
    more["pixels"] = {"size": [64, 64], "intensity": "voi", "window": "percentiles", "fallback": [0, 100]}
    more["pixels"] |= {"range": [0, 1], "filter": "bilinear", "fit": "stretch", "channels": 1}
    more["graph"]["outputs"]["scores"]["shape"] = ["N", 2]
    rule = {"display": "Hand", "output": "scores", "activation": "softmax", "threshold": 0.5}
    more["findings"] = [{"name": name, "index": at, **rule} for at, name in enumerate(("left", "right"))]
    filled(hospital.empty / "hand", more)
    values = np.zeros((64, 64), np.uint16)
    values[:20, 5:] = np.arange(100, 159)
    (tmp_path / "films").mkdir()
    attributes = {"ViewPosition": "PA", "BodyPartExamined": "CHEST", "PatientAge": "040Y", "Modality": "DX"}
    film = dicoms.image(values, WindowCenter=10, WindowWidth=2, **attributes)
    (tmp_path / "films" / "a.dcm").write_bytes(dicoms.file_of(film))
    checked = hospital.bedside("package", "check", "hand", "--example", tmp_path / "films")
    assert checked["refused"] == []
    (example,) = checked["examples"]["each"]
    assert example["answer"] == "accepted", example
    # as MONAI trained it: columns first, and scaled between the image's own minimum and maximum
    trained_on = torch.from_numpy((values.T / values.max()).astype(np.float32))[None, None]
    with torch.no_grad():
        expected = torch.softmax(made["network"](trained_on), 1)[0].numpy()
        exchanged = torch.softmax(made["network"](trained_on.transpose(2, 3)), 1)[0].numpy()
    assert [example["values"][name] for name in ("left", "right")] == pytest.approx(expected.tolist(), abs=1e-5)
    assert abs(expected - exchanged).max() > 1e-3, "the axes matter here"


def test_the_recipe_for_measuring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 80)
    said = np.clip(0.1 + 0.3 * truth + rng.normal(0, 0.15, 80), 0, 1)
    each = [{"where": f"{at}.dcm", "values": {"effusion": float(value)}} for at, value in enumerate(said)]
    refused = {"where": "80.dcm", "answer": "view", "values": {}}
    monkeypatch.chdir(tmp_path)
    Path("checked.json").write_text(json.dumps({"examples": {"each": [*each, refused]}}))
    rows = [f"{at}.dcm,{label}" for at, label in enumerate([*truth, 1])]
    Path("labels.csv").write_text("\n".join(["file,effusion", *rows]) + "\n")
    run(block(MEASURING, "python"))
    found = yaml.safe_load(capsys.readouterr().out)["performance"]["effusion"]
    pairs = [(a > b) + 0.5 * (a == b) for a in said[truth == 1] for b in said[truth == 0]]
    assert found["auroc"]["value"] == pytest.approx(float(np.mean(pairs)), abs=1e-5)
    assert found["refused"] == 1
    assert found["counts"]["true_positive"] == int(((said >= 0.103247) & (truth == 1)).sum())
