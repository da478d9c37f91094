"""`bedside plan` and `bedside benchmark-plan`, and the picture of a plan."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from functions.allocation.planner.benchmark import render, selected
from functions.allocation.planner.instance import read_instance
from functions.allocation.planner.picture import draw
from functions.allocation.planner.solution import read_plan
from infra.cli.main import main
from tests.planning import small_instance, write

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    return write(tmp_path, small_instance())


def test_a_plan_is_made_written_drawn_and_evaluated(
    instance: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, svg = tmp_path / "plan.json", tmp_path / "plan.svg"
    assert main(["plan", str(instance), "--time", "0.2", "--threads", "1", "--out", str(out), "--svg", str(svg)]) == 0
    made = capsys.readouterr()
    assert main(["plan", "--evaluate", str(instance), str(out)]) == 0
    evaluated = capsys.readouterr().out
    assert made.out == evaluated
    lines = evaluated.splitlines()
    assert lines[-2] == "Total violations = 0"
    assert re.fullmatch(r"Total cost = \d+", lines[-1])
    assert len(lines) == 2 + 9 + 8 + 2
    assert f"wrote {out}" in made.err
    assert ElementTree.parse(svg).getroot().tag == f"{SVG}svg"


def test_a_plan_goes_on_from_another(instance: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "plan.json"
    common = ["plan", str(instance), "--json", "--threads", "1"]
    assert main([*common, "--moves", "300", "--out", str(out)]) == 0
    first = json.loads(capsys.readouterr().out)
    assert main([*common, "--moves", "3000", "--from", str(out), "--seed", "4"]) == 0
    second = json.loads(capsys.readouterr().out)
    assert second["total_cost"] <= first["total_cost"] == sum(first["costs"].values())
    assert second["seed"] == 4
    assert second["moves"] == 3000
    assert second["total_violations"] == 0


def test_violations_are_named_and_the_exit_status_says_so(
    instance: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.json"
    empty.write_text('{"patients": [], "nurses": []}', encoding="utf-8")
    assert main(["plan", "--evaluate", str(instance), str(empty), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["violations"]["MandatoryUnscheduledPatients"] == 6
    assert found["violations"]["UncoveredRoom"] > 0
    assert found["total_violations"] == sum(found["violations"].values())


@pytest.mark.parametrize("words", [["--evaluate", "x.json"], ["x.json", "y.json"]])
def test_words_that_do_not_go_together_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", *words]) == 2
    assert "--evaluate needs INSTANCE and SOLUTION" in capsys.readouterr().err


def test_a_malformed_file_is_refused_by_line_and_field(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = small_instance()
    document["patients"][2]["gender"] = "C"
    path = write(tmp_path, document)
    assert main(["plan", str(path)]) == 2
    said = capsys.readouterr().err
    assert re.search(r"small\.json, line \d+, patients\[2\]\.gender: is 'C'", said)
    assert main(["plan", str(tmp_path / "none.json")]) == 2


def test_what_cannot_be_planned_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = small_instance()
    for nurse in document["nurses"]:
        nurse["working_shifts"] = nurse["working_shifts"][:1]
    assert main(["plan", str(write(tmp_path, document)), "--moves", "10"]) == 1
    assert "no nurse works on day" in capsys.readouterr().err


def test_a_picture_shows_everybody_and_what_changed(instance: Path, tmp_path: Path) -> None:
    out = tmp_path / "plan.json"
    assert main(["plan", str(instance), "--moves", "2000", "--threads", "1", "--out", str(out)]) == 0
    known = read_instance(instance)
    plan = read_plan(out, known)
    root = ElementTree.fromstring(draw(known, plan, title="A <ward> & more"))
    assert root.findtext(f"{SVG}title") == "A <ward> & more"
    named = [element.text or "" for element in root.iter(f"{SVG}text")]
    for patient, admission in zip(known.patients, plan.admissions, strict=True):
        assert named.count(patient.identifier) == (admission is not None)
    assert {"r0 (2)", "t2", "day 9"} <= set(named)
    # Before and after one patient was left out: everybody twice but that one.
    at = next(at for at, admission in enumerate(plan.admissions) if admission is not None)
    admissions = (*plan.admissions[:at], None, *plan.admissions[at + 1 :])
    both = draw(known, type(plan)(admissions, plan.nurses), plan)
    assert len(re.findall(f">{known.patients[at].identifier}<", both)) == 1
    assert both.count("#c1121f") == 1


def test_instances_are_chosen_by_names_and_ranges() -> None:
    known = [f"i{at:02}" for at in range(1, 31)]
    assert selected("i09-i11, i01 i10", known) == ["i09", "i10", "i11", "i01"]
    with pytest.raises(ValueError, match="no instance 'i31'; there are i01 to i30"):
        selected("i30-i31", known)


def test_the_benchmark_runs_on_a_folder_of_instances(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    public = tmp_path / "ihtc2024" / "public"
    public.mkdir(parents=True)
    for name in ("i01", "i02"):
        write(public, small_instance(int(name[1:])), f"{name}.json")
    (public / "upper_bounds.csv").write_text("instance,best_known_cost\ni01,1500\ni02,1200\n", encoding="utf-8")
    monkeypatch.setenv("BEDSIDE_DATA", str(tmp_path))
    out = tmp_path / "build" / "ihtc.json"
    words = ["benchmark-plan", "--time", "0.2", "--threads", "1", "--out", str(out), "--plans", str(tmp_path / "plans")]
    assert main([*words, "--instances", "i01-i02"]) == 0
    found = json.loads(out.read_text())
    assert list(found["instances"]) == ["i01", "i02"]
    row = found["instances"]["i01"]
    assert row["gap_percent"] == pytest.approx(100 * (row["cost"] / 1500 - 1), abs=0.01)
    assert row["violations"] == 0
    assert found["mean_gap_percent"] == pytest.approx(
        sum(each["gap_percent"] for each in found["instances"].values()) / 2, abs=0.01
    )
    assert out.with_suffix(".md").read_text() == render(found)
    assert f"| i01 | 0 | {row['cost']} | 1500 |" in render(found)
    assert main(["plan", "--evaluate", str(public / "i01.json"), str(tmp_path / "plans" / "sol_i01.json")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"Total cost = {row['cost']}"
    assert main([*words, "--instances", "i03"]) == 2


def test_the_benchmark_says_when_the_instances_are_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BEDSIDE_DATA", str(tmp_path))
    assert main(["benchmark-plan"]) == 1
    assert "$BEDSIDE_DATA" in capsys.readouterr().err
