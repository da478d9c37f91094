"""Every line of the standards is shown by a test or has a reason, and the table says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance import generate

SECTIONS = {"A": 38, "B": 10, "C": 18, "D": 7, "E": 3, "F": 22, "G": 15, "H": 7, "I": 6, "J": 3}


def test_every_line_is_shown_or_has_a_reason() -> None:
    shown, reasons = generate.shown_by(), generate.reasons()
    assert [line.name for line in generate.lines() if line.name not in shown and line.name not in reasons] == []


def test_marks_and_reasons_name_lines_that_exist() -> None:
    known = {line.name for line in generate.lines()}
    ours = set(generate.sections())
    assert {name for name in generate.shown_by() if name[0] in ours} - known == set()
    assert set(generate.reasons()) - known == set()
    assert all(len(reason) > 20 for reason in generate.reasons().values())


def test_no_line_went_missing() -> None:
    counted = {letter: sum(line.section == letter for line in generate.lines()) for letter in generate.sections()}
    assert counted == SECTIONS


def test_the_table_is_fresh() -> None:
    due = generate.table(generate.shown_by(), generate.reasons())
    assert generate.README.read_text(encoding="utf-8") == due, "run: python -m tests.conformance.generate"


def test_marks_are_found_wherever_pytest_takes_them(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text(
        """
import pytest
pytestmark = [pytest.mark.peer("p"), pytest.mark.conformance("B01")]

@pytest.mark.conformance("C01", "C02")
def test_one(): ...

@pytest.mark.conformance("C03")
class TestTwo:
    @pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.conformance("D01"))])
    async def test_three(self, x): ...

def helper(): ...
""",
        encoding="utf-8",
    )
    assert generate.shown_by(root=tmp_path) == {
        "B01": ["test_x.py::TestTwo::test_three", "test_x.py::test_one"],
        "C01": ["test_x.py::test_one"],
        "C02": ["test_x.py::test_one"],
        "C03": ["test_x.py::TestTwo::test_three"],
        "D01": ["test_x.py::TestTwo::test_three"],
    }


def test_a_mark_that_is_computed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text("@conformance(LINE)\ndef test_one(): ...\n", encoding="utf-8")
    with pytest.raises(ValueError, match="written out"):
        generate.shown_by(root=tmp_path)
