"""`bedside allocation plan|explain|whatif` on files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from functions.allocation.synthetic import as_resources, synthetic_house
from infra.cli.main import main
from tests import validator
from tests.wards import NOW, small_house

AT = ["--now", NOW.isoformat()]


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    made = synthetic_house(60, 40, 3, seed=4, filled=0.8)
    entries = [{"resource": resource} for resource in as_resources(made, NOW)]
    path = tmp_path / "ward.json"
    path.write_text(json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}))
    return path


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_a_plan_as_json_with_pictures_and_the_transaction(
    ward: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["allocation", "plan", "--from", str(ward), *AT, "--json", "--svg", str(tmp_path / "w.svg")]
    assert main([*words, "--bundle", str(tmp_path / "b.json")]) == 0
    found = told(capsys)
    assert len(found["placements"]) == 60
    assert found["method"] == "highs"
    assert found["gap"] <= 1e-4
    assert {row["attribute"] for row in found["disparities"]} == {"gender", "age"}
    assert sorted(path.name for path in tmp_path.glob("*.svg")) == ["w-before.svg", "w-gantt.svg", "w.svg"]
    validator.assert_valid(json.loads((tmp_path / "b.json").read_text()))
    assert main(words) == 0
    assert told(capsys)["placements"] == found["placements"], "the same records give the same plan"


def test_a_plan_against_yesterdays(ward: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["allocation", "plan", "--from", str(ward), *AT]
    main([*words, "--json"])
    earlier = told(capsys)
    moved = earlier["placements"][0]
    moved["room"] = "Location/elsewhere"
    (tmp_path / "earlier.json").write_text(json.dumps(earlier))
    assert main([*words, "--json", "--against", str(tmp_path / "earlier.json")]) == 0
    assert [change["stay"] for change in told(capsys)["changes"]] == [moved["stay"]]
    assert main([*words, "--against", str(ward)]) == 1
    assert "not a plan" in capsys.readouterr().err


def test_one_ward_from_a_folder_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, resource in enumerate(small_house()):
        (tmp_path / f"{number}.json").write_text(json.dumps(resource))
    words = ["allocation", "plan", "--from", str(tmp_path), *AT]
    assert main([*words, "--ward", "Location/w"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("2 stays, 2 rooms, 3 beds; planned by highs")
    assert "place     Encounter/p2" in out
    assert main([*words, "--ward", "Location/x"]) == 1
    assert "there are Location/w" in capsys.readouterr().err


def test_explaining_a_patient_and_a_wish(ward: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["allocation", "explain", "--from", str(ward), *AT, "--patient", "p7"]
    assert main([*words, "--json", "--room", "Location/r3"]) == 0
    found = told(capsys)
    (reasons,), (wish,) = found["explanations"], found["wishes"]
    assert len(reasons["choices"]) == 40
    assert (wish["possible"], wish["rules"]) == (False, ["specialty"])
    blocked = next(choice["room"] for choice in reasons["choices"] if choice["state"] == "blocked")
    assert main([*words, "--room", blocked]) == 0
    assert "would cost" in capsys.readouterr().out
    assert main(["allocation", "explain", "--from", str(ward), *AT, "--patient", "nobody"]) == 1
    assert main([*words, "--room", "Location/nowhere"]) == 2


def test_what_if_beds_are_closed_and_more_patients_come(ward: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["allocation", "whatif", "--from", str(ward), *AT]
    assert main([*words, "--close", "Location/r3", "--close", "Location/r2:1", "--surge", "10", "--json"]) == 0
    found = told(capsys)
    assert len(found["then"]["placements"]) == 70
    assert main([*words, "--close", "Location/r3:99"]) == 2
    assert main([*words, "--close", "Location/nowhere"]) == 2


def test_files_that_are_no_resources_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text('{"resourceType": "Bundle",\n "entry": [}')
    assert main(["allocation", "plan", "--from", str(broken)]) == 1
    assert "broken.json: line 2, column" in capsys.readouterr().err
    lines = tmp_path / "lines.ndjson"
    lines.write_text("\n".join(json.dumps(item) for item in small_house()) + "\n{")
    assert main(["allocation", "plan", "--from", str(lines)]) == 1
    assert "lines.ndjson: line 11" in capsys.readouterr().err
