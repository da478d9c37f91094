"""A stranger's whole road: an empty folder, the command line, and a fresh process of the function that serves it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fhir_adapter.keys import new_key, public_set, signing_key
from functions.serving.signing import SIGNATURE, sign_package
from tests.diagnoses import SIDE, child, film, package, thyroid_report
from tests.dicoms import SECRET
from tests.onnx_bytes import finding_model, score_model
from tests.samples import observation, patient
from tests.strangers import Hospital, fill_in, hospital_in

Json = dict[str, Any]


@pytest.fixture
def hospital(tmp_path: Path) -> Hospital:
    return hospital_in(tmp_path)


def rules(found: Json, outcome: str = "refused") -> set[str]:
    return {step["rule"] for step in found[outcome]}


FILM = {
    'sop_classes: ["TODO"]': 'sop_classes: ["1.2.840.10008.5.1.4.1.1.1.1"]',
    "modalities: [TODO]": "modalities: [DX]",
    "views: [TODO]": "views: [PA, AP]",
    "body_parts: [TODO]": "body_parts: [CHEST]",
    "age: {min: 18, max: 110}": "age: {min: 1, max: 6}",
    "  age: {min: 18, max: 110}\n\n# How": "  age: {min: 1, max: 6}\n\n# How",
    "intensity: voi": "intensity: raw",
    "- name: TODO": "- name: shadow",
    'code: "TODO"': 'code: "233604007"',
}


def brought(hospital: Hospital) -> Path:
    """A film model out of an ONNX file, as far as the editor goes."""
    model = hospital.empty / "mine.onnx"
    model.write_bytes(finding_model(SIDE, SIDE))
    found = hospital.bedside("package", "new", "shadow", "--kind", "diagnosis", "--from", model)
    folder = Path(found["place"])
    fill_in(hospital.empty / folder, FILM)
    # the graph's second output is a map, and no finding
    path = hospital.empty / folder / "model.yaml"
    text = path.read_text(encoding="utf-8")
    last = text.index("  - name: said by its maker")
    path.write_text(text[:last] + text[text.index("# What the result is about") :], encoding="utf-8")
    return hospital.empty / folder


def study_of(folder: Path, *films: bytes) -> Path:
    folder.mkdir()
    for number, content in enumerate(films):
        (folder / f"{number}.dcm").write_bytes(content)
    return folder


def test_a_strangers_film_model_goes_from_an_empty_folder_into_the_chart(hospital: Hospital, tmp_path: Path) -> None:
    folder = brought(hospital)
    examples = study_of(tmp_path / "examples", film(1, 0.8), film(2, Modality="CT"))
    checked = hospital.bedside("package", "check", folder, "--example", examples)
    assert checked["refused"] == []
    seen = {one["where"]: (one["answer"], one["detail"]) for one in checked["examples"]["each"]}
    assert seen["0.dcm"][0] == "accepted" and "shadow 0.8" in seen["0.dcm"][1]
    assert seen["1.dcm"][0] == "modality" and "CT" in seen["1.dcm"][1] and "DX" in seen["1.dcm"][1]

    hospital.bedside("keys", "new", "--file", "keys/publisher.json")
    signed = hospital.bedside("package", "sign", folder, "--key", "keys/publisher.json")
    assert "package trust keys/publisher.json" in signed["warnings"][-1]["detail"]
    assert rules(hospital.bedside("package", "add", folder)) == {"key"}
    hospital.bedside("package", "trust", "keys/publisher.json")
    added = hospital.bedside("package", "add", folder)
    assert added["place"] == str(hospital.packages / "shadow")

    served = hospital.serve("shadow", "ImagingStudy/s1", [child()], study_of(tmp_path / "study", film(1, 0.8)))
    assert (served["models"], served["outcomes"], served["dead"]) == (["shadow"], [["predicted", None]], [])
    (found,) = [item for item in served["written"] if item["resourceType"] == "Observation"]
    assert found["valueQuantity"]["value"] == pytest.approx(80.0, abs=0.1)

    other = study_of(tmp_path / "other", film(1, 0.8, Modality="CT"))
    refused = hospital.serve("shadow", "ImagingStudy/s1", [child()], other)
    assert refused["outcomes"] == [["abstained", "no-suitable-image"]], refused
    (found,) = [item for item in refused["written"] if item["resourceType"] == "Observation"]
    assert "no image or recording of the model's kind, modality DX." in found["dataAbsentReason"]["text"]
    assert SECRET.encode() in film(), "the canary"
    assert SECRET not in json.dumps([checked, served, refused])


def test_an_altered_byte_and_a_wrong_signature_are_refused_by_name(hospital: Hospital) -> None:
    """A function does not start with such a package; what the command line says is in test_package_cli."""
    ours, theirs = new_key("ES384"), new_key("ES384")
    (hospital.checkout / "functions" / "serving" / "publishers.json").write_text(json.dumps(public_set([ours])))
    place = package(hospital.packages)
    sign_package(place, signing_key(theirs, "ES384", None, "theirs"))
    foreign = (place / SIGNATURE).read_bytes()
    sign_package(place, signing_key(ours, "ES384", None, "ours"))
    whole = {name: (place / name).read_bytes() for name in ("model.onnx", SIGNATURE)}
    altered = bytearray(whole["model.onnx"])
    altered[-1] ^= 1
    damaged = bytearray(whole[SIGNATURE])
    damaged[-20] ^= 1
    for name, content, told in (
        ("model.onnx", altered, "rule 'altered': model.onnx differs from what was signed"),
        (SIGNATURE, damaged, "rule 'signature': model.jws was not made by key"),
        (SIGNATURE, foreign, f"rule 'key': model.jws was made with key {theirs['kid']!r}"),
    ):
        (place / name).write_bytes(content)
        assert f"model package 'brightness' refused by {told}" in hospital.refusal()
        (place / name).write_bytes(whole[name])
    (place / SIGNATURE).unlink()
    assert "refused by rule 'unsigned'" in hospital.refusal()


TABLE = {
    "- name: TODO_1": "- name: tsh",
    'codes: ["TODO"]': 'codes: ["3016-3"]',
    "unit: TODO": "unit: m[IU]/L",
    "plausible: [0, 1]": "plausible: [0.05, 150]",
    "- name: TODO": "- name: low_function",
    'code: "TODO"': 'code: "40930008"',
}


def test_a_strangers_table_model_refuses_a_value_in_a_wrong_unit(hospital: Hospital) -> None:
    model = hospital.empty / "mine.onnx"
    model.write_bytes(score_model(1))
    hospital.bedside("package", "new", "labs", "--kind", "diagnosis", "--from", model)
    folder = hospital.empty / "labs"
    fill_in(folder, TABLE)
    key = new_key("ES384")
    (hospital.checkout / "functions" / "serving" / "publishers.json").write_text(json.dumps(public_set([key])))
    sign_package(folder, signing_key(key, "ES384", None, "key"))
    assert hospital.bedside("package", "add", folder)["ok"]

    def served(unit: str) -> Json:
        report = thyroid_report(result=[{"reference": "Observation/tsh"}])
        record = [patient(), report, observation("tsh", "3016-3", 2.0, unit)]
        return hospital.serve("labs", "DiagnosticReport/r1", record)

    assert served("m[IU]/L")["outcomes"] == [["predicted", None]]
    refused = served("mg/dL")
    assert refused["outcomes"] == [["abstained", "unit-not-convertible"]], refused
