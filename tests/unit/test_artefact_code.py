"""What an artefact carries of our code: what is served, and nothing that it would have to import from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.packaging.artefact import OFFLINE, copy_code


@pytest.mark.parametrize("function", ["receiver", "survival", "diagnosis", "reconcile"])
def test_an_artefact_carries_nothing_that_runs_offline(tmp_path: Path, function: str) -> None:
    copy_code(function, tmp_path)
    assert sorted(path.name for path in (tmp_path / "functions").iterdir()) == sorted(
        ["__init__.py", "serving", function]
    )
    assert (tmp_path / "functions" / function / "app.py").is_file()
    modules = list(tmp_path.rglob("*.py"))
    assert not {path.stem for path in (tmp_path / "functions" / function).iterdir()} & set(OFFLINE)
    assert not [path for path in modules if "functions.offline" in path.read_text(encoding="utf-8")]
