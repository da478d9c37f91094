"""``bedside package``: a stranger's model, from an empty folder to a package that the functions serve."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from fhir_adapter.keys import new_key, public_set
from fhir_adapter.pixels import PixelSpec
from fhir_adapter.structured_report import to_file
from functions.serving.errors import ModelRefused
from functions.serving.package import load_package
from functions.serving.signing import SIGNATURE, Publishers, verify_package
from infra.cli import package
from infra.cli.package.words import WAVEFORM
from tests.onnx_bytes import finding_model, image_model, score_model
from tests.samples import admission

WHAS500 = Path("functions/survival/packages/whas500")
IMAGES = image_model(28, 28)
KEY, OTHER = new_key("ES384"), new_key("ES384")

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*words: object) -> tuple[int, str, str]:
        parser = argparse.ArgumentParser()
        package.configure(parser)
        status = package.run(parser.parse_args([str(word) for word in words]))
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return run


@pytest.fixture
def told(command: Command) -> Callable[..., dict[str, Any]]:
    def run(*words: object) -> dict[str, Any]:
        status, out, err = command(*words, "--json")
        assert err == ""
        found: dict[str, Any] = json.loads(out)
        assert status == (0 if found["ok"] else 1)
        assert found["ok"] == (found["refused"] == [])
        return found

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = Path(shutil.copytree(WHAS500, tmp_path / "from" / "whas500"))
    (copy / SIGNATURE).unlink(missing_ok=True)
    return copy


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "publisher.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps({"keys": [KEY]}))
    return file


@pytest.fixture
def trust(tmp_path: Path) -> Path:
    file = tmp_path / "trusted.json"
    file.write_text(json.dumps(public_set([KEY])))
    return file


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "function" / "packages").mkdir(parents=True)
    return tmp_path / "function" / "packages"


def rewrite(folder: Path, old: str, new: str) -> None:
    path = folder / "model.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def rules(found: dict[str, Any], outcome: str = "refused") -> set[str]:
    return {step["rule"] for step in found[outcome]}


def details(found: dict[str, Any], rule: str, outcome: str = "refused") -> str:
    return "\n".join(step["detail"] for step in found[outcome] if step["rule"] == rule)


# ---- check ----


def test_the_shipped_package_keeps_every_rule(told: Any) -> None:
    found = told("check", WHAS500)
    assert (found["name"], found["kind"], found["refused"]) == ("whas500", "survival", [])
    assert {"contract", "graph", "trial"} <= rules(found, "passed")
    assert found["version"] == load_package(WHAS500).identity.version


@pytest.mark.parametrize(
    ("old", "new", "rule", "named"),
    [
        ("schema: 1", "schema: 2", "schema", "2"),
        ("kind: survival", "kind: oracle", "kind", "oracle"),
        ("focus: Encounter\n", "", "contract", "focus"),
        ("file: model.onnx", "file: other.onnx", "file", "other.onnx"),
        ('sha256: "2a8f', 'sha256: "0a8f', "digest", "model.onnx"),
        ("aggregation: latest", "aggregation: whichever", "inputs", "bmi"),
        ("unit: mm[Hg]", "unit: mmHg", "unit", "mm[Hg]"),
        ("unit: kg/m2", "unit: stones", "unit", "stones"),
        ("horizons_days: [30,", "horizons_days: [soon,", "contract", "soon"),
        ("title: Death after", "title: TODO Death after", "unfinished", "title"),
        ("  - {name: age,", "  - {name: years,", "columns", "number 1"),
        ("  - {name: female, display: Female sex, kind: sex, missing: refuse}\n", "", "graph", "12 columns"),
    ],
)
def test_each_broken_rule_is_named_with_what_breaks_it(
    told: Any, folder: Path, old: str, new: str, rule: str, named: str
) -> None:
    rewrite(folder, old, new)
    found = told("check", folder)
    assert rule in rules(found)
    assert named in details(found, rule)


def test_every_wrong_input_is_told_at_once(told: Any, folder: Path) -> None:
    rewrite(folder, "aggregation: latest", "aggregation: whichever")
    rewrite(folder, "missing: absent", "missing: perhaps")
    found = told("check", folder)
    assert rules(found) == {"inputs"}
    assert len(found["refused"]) > 2
    assert "'bmi'" in details(found, "inputs") and "'recurrent_mi'" in details(found, "inputs")


def test_a_model_that_is_not_one_and_one_that_breaks_are_refused(told: Any, folder: Path) -> None:
    def replaced(content: bytes) -> set[str]:
        before = re.search('sha256: "(.*)"', (folder / "model.yaml").read_text())
        assert before
        (folder / "model.onnx").write_bytes(content)
        rewrite(folder, before[1], hashlib.sha256(content).hexdigest())
        return rules(told("check", folder))

    assert replaced(b"not a model") == {"graph"}
    assert replaced(b"") == {"graph"}


def test_a_folder_that_is_no_package_is_refused(told: Any, command: Command, tmp_path: Path) -> None:
    assert "contract" in rules(told("check", tmp_path / "nowhere"))
    (tmp_path / "model.yaml").write_text("[1, 2")
    assert "contract" in rules(told("check", tmp_path))
    status, out, _ = command("check", tmp_path)
    assert status == 1
    assert "REFUSED contract: model.yaml is not YAML" in out


def test_a_package_without_a_card_or_a_report_is_warned_about(told: Any, folder: Path) -> None:
    (folder / "card.md").unlink()
    (folder / "report.html").unlink()
    found = told("check", folder)
    assert found["ok"]
    assert "card.md" in details(found, "files", "warnings") and "report.html" in details(found, "files", "warnings")


# ---- examples ----


def bundle(resources: list[dict[str, Any]]) -> dict[str, Any]:
    entries = [{"fullUrl": f"https://ehr.test/{r['resourceType']}/{r['id']}", "resource": r} for r in resources]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def test_example_bundles_are_answered_or_refused_with_the_reason(told: Any, command: Command, tmp_path: Path) -> None:
    examples = tmp_path / "examples"
    examples.mkdir()
    (examples / "a.json").write_text(json.dumps(bundle(admission())))
    without = [resource for resource in admission() if resource["id"] != "hr"]
    (examples / "b.json").write_text(json.dumps(bundle(without)))
    found = told("check", WHAS500, "--example", examples)["examples"]
    assert found["answers"] == {"prediction": 1, "missing-input": 1}
    assert found["each"][0]["where"] == "a.json admission 1"
    assert re.search(r"0\.\d{4} in 1095 days", found["each"][0]["detail"])
    assert "heart rate" in found["each"][1]["detail"]
    _, out, _ = command("check", WHAS500, "--example", examples)
    assert "b.json admission 1: missing-input: " in out
    assert "2 examples: 1 prediction, 1 missing-input" in out


def test_example_exports_are_read(told: Any, tmp_path: Path) -> None:
    for kind in ("Patient", "Encounter", "Observation", "Condition"):
        of_kind = [json.dumps(resource) for resource in admission() if resource["resourceType"] == kind]
        (tmp_path / f"{kind}.ndjson").write_text("\n".join(of_kind) + "\n")
    assert told("check", WHAS500, "--example", tmp_path)["examples"]["answers"] == {"prediction": 1}


def test_example_rows_are_answered_or_refused_with_the_reason(told: Any, tmp_path: Path) -> None:
    names = [item.name for item in load_package(WHAS500).inputs]
    fine = {**dict.fromkeys(names, "0"), "age": "75", "bmi": "", "heart_rate": "90", "systolic_bp": "140"}
    fine["diastolic_bp"] = "80"
    rows = [fine, {**fine, "heart_rate": ""}, {**fine, "age": "300"}, {**fine, "recurrent_mi": ""}]
    lines = [",".join(names), *(",".join(row[name] for name in names) for row in rows)]
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    found = told("check", WHAS500, "--example", tmp_path)["examples"]
    assert [item["answer"] for item in found["each"]] == [
        *("prediction", "missing-input", "implausible-input", "prediction"),
    ]
    assert found["each"][0]["detail"] == found["each"][3]["detail"]
    assert "300" not in found["each"][2]["detail"]


def test_examples_that_cannot_be_read_are_told(command: Command, told: Any, tmp_path: Path) -> None:
    for name, content, named in (
        (None, "", "no example"),
        ("a.json", '{"resourceType": "Patient"}', "not a Bundle"),
        ("a.json", "{", "not a Bundle"),
        ("a.csv", "age\n1\n", "no column female"),
    ):
        if name:
            (tmp_path / name).write_text(content)
        status, out, err = command("check", WHAS500, "--example", tmp_path)
        assert (status, out) == (1, "")
        assert named in err
        if name:
            (tmp_path / name).unlink()
    assert "not a folder" in command("check", WHAS500, "--example", tmp_path / "nowhere")[2]
    (tmp_path / "a.json").write_text(json.dumps(bundle([])))
    assert "none of the examples" in details(told("check", WHAS500, "--example", tmp_path), "example", "warnings")


def chest_film(**more: Any) -> Any:
    """A synthetic chest film; nobody was before the detector."""
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.3.1"
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3", "1.2.3.0"
    made.PatientID, made.PatientAge, made.Modality = "CANARY", "045Y", "DX"
    made.ViewPosition, made.BodyPartExamined, made.PresentationIntentType = "PA", "CHEST", "FOR PRESENTATION"
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows = made.Columns = 40
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    made.PixelData = bytes(range(40)) * 40
    for keyword, value in more.items():
        setattr(made, keyword, value)
    return made


def test_example_studies_are_accepted_or_refused_with_the_reason(told: Any, tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    (studies / "first").mkdir(parents=True)
    files = {
        "a.dcm": chest_film(),
        "b": chest_film(Modality="CT"),
        "c.dcm": chest_film(ViewPosition="LL", PatientAge="006Y"),
    }
    for name, dataset in files.items():
        (studies / "first" / name).write_bytes(to_file(dataset))
    (studies / "first" / "d.dcm").write_bytes(b"not DICOM")
    (studies / "notes.txt").write_text("passed over")
    found = told("check", film(told, tmp_path), "--example", studies)["examples"]
    assert [(item["where"], item["answer"]) for item in found["each"]] == [
        ("first/a.dcm", "accepted"),
        ("first/b", "modality"),
        ("first/c.dcm", "view"),
        ("first/d.dcm", "not-dicom"),
    ]
    assert "a tensor of 1 x 28 x 28" in found["each"][0]["detail"]
    assert "DX" in found["each"][1]["detail"] and "ages 18 to 110" in found["each"][2]["detail"]
    assert "CANARY" not in json.dumps(found)


def test_examples_do_not_hide_what_is_wrong_with_the_contract(told: Any, tmp_path: Path) -> None:
    folder = film(told, tmp_path)
    rewrite(folder, "views: [PA]", "views: PA")
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "a.dcm").write_bytes(to_file(chest_film()))
    found = told("check", folder, "--example", tmp_path / "studies")
    assert {"inputs", "unfinished"} <= rules(found)
    assert "nobody was asked: images: views must be a list" in details(found, "example", "warnings")


def test_example_recordings_are_accepted_or_refused_with_the_reason(told: Any, tmp_path: Path) -> None:
    told("new", "rhythm", "--kind", "diagnosis", "--to", tmp_path)
    path = tmp_path / "rhythm" / "model.yaml"
    text = path.read_text()
    first, last = text.index("# Which images"), text.index("# What the graph takes and gives")
    path.write_text(text[:first] + WAVEFORM.format(told="", frequency=500, seconds=10)[4:] + text[last:])
    rewrite(path.parent, 'sop_classes: ["TODO"]', 'sop_classes: ["1.2.840.10008.5.1.4.1.1.9.1.1"]')
    (tmp_path / "studies").mkdir()
    for name in ("waveform_ecg.dcm", "CT_small.dcm"):
        shutil.copy(str(get_testdata_file(name)), tmp_path / "studies")
    found = told("check", path.parent, "--example", tmp_path / "studies")["examples"]
    assert found["answers"] == {"sop-class": 1, "accepted": 1}
    assert found["each"][1]["detail"] == "12 x 5000 millivolts, recorded at 1000 Hz"


def test_studies_are_no_examples_for_a_model_that_reads_none(command: Command, tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(to_file(chest_film()))
    status, _, err = command("check", WHAS500, "--example", tmp_path)
    assert status == 1
    assert "the contract reads none" in err


# ---- new ----


def test_a_new_package_names_what_is_to_be_filled_in_and_nothing_else(told: Any, tmp_path: Path) -> None:
    made = told("new", "mine", "--kind", "survival", "--from", WHAS500 / "model.onnx", "--to", tmp_path)
    folder = tmp_path / "mine"
    assert made["place"] == str(folder)
    assert (folder / "model.onnx").read_bytes() == (WHAS500 / "model.onnx").read_bytes()
    contract = yaml.safe_load((folder / "model.yaml").read_text())
    assert [item["name"] for item in contract["inputs"]] == [item.name for item in load_package(WHAS500).inputs]
    found = told("check", folder)
    assert rules(found) == {"unfinished", "unit"}
    assert "inputs[bmi].codes[0]" in details(found, "unfinished")
    assert "outcome.code" in details(found, "unfinished")


def test_a_filled_in_package_passes_every_rule(told: Any, tmp_path: Path) -> None:
    told("new", "mine", "--kind", "survival", "--from", WHAS500 / "model.onnx", "--to", tmp_path)
    path = tmp_path / "mine" / "model.yaml"
    text = path.read_text().replace("unit: TODO", 'unit: "1"').replace("TODO", "said")
    path.write_text(text)
    (tmp_path / "mine" / "card.md").write_text("# mine\n")
    found = told("check", tmp_path / "mine")
    assert found["refused"] == []
    assert load_package(tmp_path / "mine").identity.name == "mine"


def test_every_field_of_a_new_contract_is_explained(told: Any, tmp_path: Path) -> None:
    for kind in ("survival", "diagnosis"):
        told("new", kind, "--kind", kind, "--to", tmp_path)
        text = (tmp_path / kind / "model.yaml").read_text()
        assert set(yaml.safe_load(text)) >= {
            *("schema", "name", "version", "kind", "title", "file", "sha256", "licence", "status", "intended_use"),
            *("focus", "inputs", "outcome", "applies_if", "training"),
        }
        explained = [line for line in text.splitlines() if line.lstrip().startswith("#")]
        assert len(explained) > 15
        assert max(map(len, text.splitlines())) <= 120
        found = told("check", tmp_path / kind)

        assert rules(found) >= {"unfinished", "file"}


def test_the_inputs_of_a_new_diagnosis_model_come_from_its_graph(told: Any, tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(image_model(28, 28))
    told("new", "film", "--kind", "diagnosis", "--from", model, "--to", tmp_path)
    contract = yaml.safe_load((tmp_path / "film" / "model.yaml").read_text())
    assert contract["inputs"] == []
    spec = PixelSpec.of(contract["pixels"])
    assert (spec.size, spec.channels, spec.intensity) == ((28, 28), 1, "voi")
    assert [item["output"] for item in contract["findings"]] == ["same"]
    assert contract["graph"]["input"] == "pixels"
    assert contract["graph"]["outputs"]["same"]["shape"] == [1, 1, 28, 28]
    assert contract["sha256"] == hashlib.sha256(image_model(28, 28)).hexdigest()
    found = told("check", tmp_path / "film")
    assert details(found, "outputs") == "" and "sop_classes" in details(found, "inputs")


@pytest.mark.parametrize(
    ("old", "new", "rule", "named"),
    [
        ('output: "same"', 'output: "other"', "outputs", "no output 'other', only same"),
        ("index: 0", "index: 28", "outputs", "same has no column 28, only 28"),
        ("index: 0", "index: last", "outputs", "no column 'last'"),
        ('"same": {shape: [1, 1, 28, 28]', '"same": {shape: [N, 1, 28, 2]', "outputs", "the shape ['N', 1, 28, 2]"),
        ('"same": {shape: [1, 1, 28, 28]', '"same": {shape: [N, 1]', "outputs", "the shape ['N', 1]"),
        ('"same": {', '"odd": {', "outputs", "no output 'odd'"),
        ('input: "pixels"', 'input: "image"', "inputs", "feeds 'image', the graph takes pixels"),
    ],
)
def test_what_the_contract_says_of_the_graph_is_true_or_refused(
    told: Any, tmp_path: Path, old: str, new: str, rule: str, named: str
) -> None:
    rewrite(film(told, tmp_path), old, new)
    assert named in details(told("check", tmp_path / "film"), rule)


def film(told: Any, tmp_path: Path, model: bytes = IMAGES) -> Path:
    """A package for chest films, as far as DICOM goes."""
    (tmp_path / "model.onnx").write_bytes(model)
    told("new", "film", "--kind", "diagnosis", "--from", tmp_path / "model.onnx", "--to", tmp_path)
    folder = tmp_path / "film"
    rewrite(folder, 'sop_classes: ["TODO"]', 'sop_classes: ["1.2.840.10008.5.1.4.1.1.1.1"]')
    rewrite(folder, "modalities: [TODO]", "modalities: [DX]")
    rewrite(folder, "views: [TODO]", "views: [PA]")
    rewrite(folder, "body_parts: [TODO]", "body_parts: [CHEST]")
    return folder


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("size: [28, 28]", "size: [28, 32]", "says 32 columns, the graph's pixels takes 28"),
        ("channels: 1", "channels: 3", "says 3 channels, the graph's pixels takes 1"),
        ("intensity: voi", "intensity: bright", "intensity must be one of"),
        ("pixels:\n", "pixels: []\nother:\n", "pixels must be a mapping"),
        ("views: [PA]", "views: PA", "views must be a list"),
        ('sop_classes: ["1.2.840.10008.5.1.4.1.1.1.1"]', "sop_classes: [DX]", "'DX' is not a UID"),
        ("size: [28, 28]", "size: native", ""),
        ("size: [28, 28]", "size: 28", ""),
    ],
)
def test_a_declared_picture_fits_the_graph_or_is_refused(
    told: Any, tmp_path: Path, old: str, new: str, named: str
) -> None:
    rewrite(film(told, tmp_path), old, new)
    found = details(told("check", tmp_path / "film"), "inputs")
    assert named in found if named else found == ""


def finds(told: Any, tmp_path: Path) -> Path:
    """A package that a person has filled in."""
    folder = film(told, tmp_path, finding_model(28, 28))
    path = folder / "model.yaml"
    text = path.read_text(encoding="utf-8").replace("- name: TODO", "- name: shadow", 1)
    last = text.index("  - name: TODO")
    text = text[:last] + text[text.index("# What the result is about") :]
    path.write_text(text.replace("TODO", "said"), encoding="utf-8")
    (folder / "card.md").write_text("# film\n", encoding="utf-8")
    return folder


MEASURES = "measurements:\n  - {name: m, display: M, system: s, code: c, unit: beats, output: map}\n\nfindings:"


@pytest.mark.parametrize(
    ("old", "new", "rule", "named"),
    [
        ("modalities: [DX]", "modalities: [XR]", "modality", "'XR' is not a modality of DICOM, so no image has it"),
        ("findings:", MEASURES, "unit", "measurements 'm': 'beats' is not a unit of UCUM"),
    ],
)
def test_a_wrong_modality_and_a_wrong_unit_are_refused_by_name(
    told: Any, tmp_path: Path, key: Path, trust: Path, target: Path, old: str, new: str, rule: str, named: str
) -> None:
    folder = finds(told, tmp_path)
    assert told("check", folder)["refused"] == []
    rewrite(folder, old, new)
    for action, *more in (
        ("check", "--trust", trust),
        ("sign", "--key", key, "--trust", trust),
        ("add", "--to", target, "--trust", trust, "--unsigned-ok"),
    ):
        found = told(action, folder, *more)
        assert rules(found) == {rule}
        assert named in details(found, rule)
    assert list(target.iterdir()) == []


def test_scores_that_nobody_makes_probabilities_of_are_refused_with_what_to_do(told: Any, tmp_path: Path) -> None:
    folder = finds(told, tmp_path)
    rewrite(folder, "range: [0, 1]", "range: [-1024, -1]")
    found = told("check", folder)
    assert rules(found) == {"trial"}
    assert "probability gives no number in [0, 1]" in details(found, "trial")
    assert "`activation: sigmoid`" in details(found, "trial")
    rewrite(folder, "activation: none", "activation: sigmoid")
    assert told("check", folder)["refused"] == []


def test_the_model_answers_about_the_example_studies_that_it_may_look_at(told: Any, tmp_path: Path) -> None:
    folder = finds(told, tmp_path)
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "a.dcm").write_bytes(to_file(chest_film()))
    (found,) = told("check", folder, "--example", tmp_path / "studies")["examples"]["each"]
    assert found["answer"] == "accepted"
    assert re.match(r"shadow 0\.\d{4}, from a tensor of 1 x 28 x 28", found["detail"])
    assert found["values"]["shadow"] == pytest.approx(float(found["detail"][7:13]), abs=1e-4)
    rewrite(folder, "range: [0, 1]", "range: [-1, 9]")
    (found,) = told("check", folder, "--example", tmp_path / "studies")["examples"]["each"]
    assert found["answer"] == "not-computable"
    assert "It was given a tensor" in found["detail"]


def test_every_column_of_a_row_of_scores_is_a_finding_to_name_or_take_out(told: Any, tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(score_model(3))
    told("new", "scores", "--kind", "diagnosis", "--from", model, "--to", tmp_path)
    contract = yaml.safe_load((tmp_path / "scores" / "model.yaml").read_text())
    assert [(item["output"], item["index"]) for item in contract["findings"]] == [("scores", at) for at in range(3)]
    assert {item["activation"] for item in contract["findings"]} == {"none"}
    assert (contract["focus"], contract["index_time"]) == ("DiagnosticReport", "DiagnosticReport.effective")
    assert "findings[2].code" in details(told("check", tmp_path / "scores"), "unfinished")


def test_findings_that_a_script_wrote_are_taken_as_they_are(told: Any, command: Command, tmp_path: Path) -> None:
    model, findings = tmp_path / "model.onnx", tmp_path / "findings.yaml"
    model.write_bytes(score_model(3))
    written = [{"name": "mass", "display": "Mäss: of lung", "output": "scores", "index": 2, "threshold": 0.25}]
    findings.write_text(yaml.safe_dump(written, allow_unicode=True), encoding="utf-8")
    told("new", "scores", "--kind", "diagnosis", "--from", model, "--findings", findings, "--to", tmp_path)
    assert yaml.safe_load((tmp_path / "scores" / "model.yaml").read_text(encoding="utf-8"))["findings"] == written
    for kind, content, named in (
        ("survival", "[]", "not survival"),
        ("diagnosis", "name: mass", "not a list of findings"),
        ("diagnosis", "[", "cannot be read as YAML"),
    ):
        findings.write_text(content)
        status, out, err = command("new", "more", "--kind", kind, "--findings", findings, "--to", tmp_path)
        assert (status, out) == (1, "")
        assert named in err and "findings" in err
    assert not (tmp_path / "more").exists()


def test_what_cannot_be_new_is_told(command: Command, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "text.onnx").write_text("no model")
    for words, named in (
        (("../evil", "--to", tmp_path), "not a package's name"),
        (("Upper", "--to", tmp_path), "not a package's name"),
        (("there", "--to", tmp_path), "exists already"),
        (("x", "--to", tmp_path, "--from", tmp_path / "none.onnx"), "cannot be read"),
        (("x", "--to", tmp_path, "--from", tmp_path / "text.onnx"), "rule 'graph'"),
    ):
        status, out, err = command("new", *words, "--kind", "survival")
        assert (status, out) == (1, "")
        assert named in err
    assert not (tmp_path / "x").exists()


# ---- sign ----


def test_a_package_is_signed_and_verifies(told: Any, folder: Path, key: Path, trust: Path) -> None:
    found = told("sign", folder, "--key", key, "--trust", trust)
    assert KEY["kid"] in details(found, "signature", "passed")
    assert found["warnings"] == []
    assert load_package(folder).identity.name == "whas500"
    assert verify_package(folder, Publishers.from_file(trust)).kid == KEY["kid"]
    assert "signed with key" in details(told("check", folder, "--trust", trust), "signature", "passed")


def test_a_key_that_nobody_trusts_signs_with_a_warning(told: Any, folder: Path, key: Path, tmp_path: Path) -> None:
    found = told("sign", folder, "--key", key, "--trust", tmp_path / "none.json")
    assert "does not trust key" in details(found, "key", "warnings")
    assert "key" in rules(told("check", folder, "--trust", tmp_path / "none.json"))


def test_what_would_be_refused_is_not_signed(told: Any, folder: Path, key: Path, trust: Path) -> None:
    rewrite(folder, "unit: mm[Hg]", "unit: mmHg")
    assert rules(told("sign", folder, "--key", key, "--trust", trust)) == {"unit"}
    assert not (folder / SIGNATURE).exists()


def test_a_key_that_cannot_sign_is_told(command: Command, folder: Path, key: Path, tmp_path: Path) -> None:
    rsa, public = tmp_path / "rsa.json", tmp_path / "public.json"
    for file, stored in ((rsa, new_key("RS384")), (public, dict(public_set([KEY])))):
        file.touch(mode=0o600)
        file.write_text(json.dumps(stored))
    for words, named in (
        ((tmp_path / "none.json",), "cannot be read"),
        ((rsa,), "holds no key of ES384"),
        ((public,), "not a private key"),
        ((key, "--kid", "other"), "holds no key 'other'"),
    ):
        status, _, err = command("sign", folder, "--key", *words)
        assert status == 1
        assert named in err
        assert KEY["d"] not in err
    if os.name == "posix":
        key.chmod(0o644)
        assert "chmod 600" in command("sign", folder, "--key", key)[2]
    assert not (folder / SIGNATURE).exists()


# ---- trust ----


def test_trusting_a_key_takes_its_public_half_and_keeps_the_others(told: Any, tmp_path: Path, key: Path) -> None:
    publishers = tmp_path / "publishers.json"
    found = told("trust", key, "--trust", publishers)
    assert f"{KEY['kid']} is trusted" in details(found, "key", "passed")
    assert json.loads(publishers.read_text()) == public_set([KEY])
    printed = tmp_path / "printed.json"
    printed.write_text(json.dumps({"place": "x", "signing": {}, "jwks": public_set([OTHER, KEY])}))
    found = told("trust", printed, "--trust", publishers)
    assert "was trusted already" in details(found, "key", "passed")
    assert json.loads(publishers.read_text()) == public_set([KEY, OTHER])


def test_what_cannot_be_trusted_is_told_and_changes_nothing(command: Command, tmp_path: Path, trust: Path) -> None:
    before = trust.read_bytes()
    rsa, text, twin = tmp_path / "rsa.json", tmp_path / "text.json", tmp_path / "twin.json"
    rsa.write_text(json.dumps(public_set([new_key("RS384")])))
    text.write_text("CANARY")
    twin.write_text(json.dumps({**public_set([OTHER])["keys"][0], "kid": KEY["kid"]}))
    for file, named in (
        (tmp_path / "none.json", "cannot be read"),
        (rsa, "is not one of ES384"),
        (text, "text.json is not a set of public keys"),
        (twin, "share the kid"),
    ):
        status, out, err = command("trust", file, "--trust", trust)
        assert (status, out) == (1, "")
        assert named in err and "CANARY" not in err
    assert trust.read_bytes() == before


# ---- add ----


@pytest.fixture
def signed(told: Any, folder: Path, key: Path, trust: Path) -> Path:
    told("sign", folder, "--key", key, "--trust", trust)
    return folder


def test_an_added_package_is_served_as_it_is(told: Any, signed: Path, trust: Path, target: Path) -> None:
    found = told("add", signed, "--to", target, "--trust", trust)
    place = target / "whas500"
    assert found["place"] == str(place)
    assert load_package(place).identity == load_package(signed).identity
    verify_package(place, Publishers.from_file(trust))
    assert stat.S_IMODE(place.stat().st_mode) == stat.S_IMODE(signed.stat().st_mode)
    assert sorted(target.iterdir()) == [place] and sorted(target.parent.iterdir()) == [target]
    again = told("add", signed, "--to", target, "--trust", trust)
    assert "there already" in details(again, "place", "passed")


@pytest.mark.parametrize("name", ["model.yaml", "model.onnx", "card.md", "report.html", SIGNATURE])
def test_an_altered_byte_is_refused_by_the_name_of_its_file(
    told: Any, signed: Path, trust: Path, target: Path, name: str
) -> None:
    content = bytearray((signed / name).read_bytes())
    content[-3] ^= 1
    (signed / name).write_bytes(content)
    found = told("add", signed, "--to", target, "--trust", trust)
    if name == SIGNATURE:
        assert "signature" in rules(found)
    else:
        assert name in details(found, "altered")
    assert list(target.iterdir()) == []


def test_an_unsigned_package_is_refused_unless_it_may_be(told: Any, folder: Path, trust: Path, target: Path) -> None:
    assert rules(told("add", folder, "--to", target, "--trust", trust)) == {"unsigned"}
    assert list(target.iterdir()) == []
    found = told("add", folder, "--to", target, "--trust", trust, "--unsigned-ok")
    assert rules(found, "warnings") == {"unsigned"}
    with pytest.raises(ModelRefused) as caught:
        verify_package(target / "whas500", Publishers.from_file(trust))
    assert caught.value.rule == "unsigned"


def test_a_wrong_signature_is_refused_even_where_none_is_needed(
    told: Any, signed: Path, tmp_path: Path, target: Path
) -> None:
    others = tmp_path / "others.json"
    others.write_text(json.dumps(public_set([OTHER])))
    assert rules(told("add", signed, "--to", target, "--trust", others, "--unsigned-ok")) == {"key"}
    assert list(target.iterdir()) == []


def test_a_version_is_never_given_other_content(told: Any, signed: Path, key: Path, trust: Path, target: Path) -> None:
    told("add", signed, "--to", target, "--trust", trust)
    before = (target / "whas500" / SIGNATURE).read_bytes()
    (signed / "card.md").write_text("# another card\n")
    told("sign", signed, "--key", key, "--trust", trust)
    assert rules(told("add", signed, "--to", target, "--trust", trust)) == {"version"}
    assert (target / "whas500" / SIGNATURE).read_bytes() == before
    rewrite(signed, "version: 1.1.0", "version: 1.1.1")
    told("sign", signed, "--key", key, "--trust", trust)
    found = told("add", signed, "--to", target, "--trust", trust)
    assert "replaces version 1.1.0" in details(found, "place", "passed")
    assert load_package(target / "whas500").identity.version == "1.1.1"
    assert sorted(target.parent.iterdir()) == [target]


def test_two_packages_of_one_name_are_refused(told: Any, signed: Path, trust: Path, target: Path) -> None:
    shutil.copytree(WHAS500, target / "elsewhere")
    found = told("add", signed, "--to", target, "--trust", trust)
    assert "elsewhere is called whas500, too" in details(found, "name")
    assert "place" not in found


def test_a_name_that_leaves_the_folder_is_refused(told: Any, folder: Path, trust: Path, target: Path) -> None:
    rewrite(folder, "name: whas500", "name: ../whas500")
    assert "name" in rules(told("add", folder, "--to", target, "--trust", trust, "--unsigned-ok"))
    assert list(target.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="links are those of POSIX")
def test_a_link_out_of_a_package_is_refused(told: Any, folder: Path, trust: Path, target: Path) -> None:
    (folder / "notes.txt").symlink_to("/etc/hostname")
    found = told("add", folder, "--to", target, "--trust", trust, "--unsigned-ok")
    assert "notes.txt is not a plain file" in details(found, "file")
    assert list(target.iterdir()) == []


def test_what_cannot_be_added_is_told(command: Command, folder: Path, tmp_path: Path) -> None:
    for words, named in (
        ((tmp_path / "none",), "not a package"),
        ((folder, "--to", tmp_path / "none"), "there is no folder"),
    ):
        status, out, err = command("add", *words)
        assert (status, out) == (1, "")
        assert named in err
    rewrite(folder, "kind: survival", "kind: ../..")
    assert "name one with --to" in command("add", folder)[2]
