"""What an artefact carries of our code: what is served, and nothing that it would have to import from elsewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from infra.packaging.artefact import OFFLINE, OFFLINE_OF, REPOSITORY, copy_code


@pytest.mark.parametrize("function", ["receiver", "survival", "diagnosis", "reconcile", "allocation"])
def test_an_artefact_carries_nothing_that_runs_offline(tmp_path: Path, function: str) -> None:
    copy_code(function, tmp_path)
    assert sorted(path.name for path in (tmp_path / "functions").iterdir()) == sorted(
        ["__init__.py", "serving", function]
    )
    assert (tmp_path / "functions" / function / "app.py").is_file()
    modules = list(tmp_path.rglob("*.py"))
    assert not {path.stem for path in (tmp_path / "functions" / function).iterdir()} & set(
        OFFLINE_OF.get(function, OFFLINE)
    )
    assert not [path for path in modules if "functions.offline" in path.read_text(encoding="utf-8")]


def test_the_ward_model_is_carried_whole_and_the_planner_is_not(tmp_path: Path) -> None:
    copy_code("allocation", tmp_path)
    folder = tmp_path / "functions" / "allocation"
    assert (folder / "card.md").is_file()
    assert (folder / "fromfhir" / "read.py").is_file()
    assert not (folder / "planner").exists()
    code = "import sys, functions.allocation.app as app; print(app.__file__, *sys.modules)"
    environment = {"PATH": "", "POWERTOOLS_METRICS_NAMESPACE": "Bedside", "PYTHONPATH": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path, env=environment
    )
    file, *loaded = run.stdout.split()
    assert Path(file) == folder / "app.py", "the repository's own was imported"
    assert not {name.split(".")[0] for name in loaded} & {"numba", "ortools", "scipy"}
    digest = "from functions.allocation.identity import identity; print(identity().digest)"
    told = {
        subprocess.run(
            [sys.executable, "-c", digest],
            capture_output=True,
            text=True,
            check=True,
            cwd=place,
            env={**environment, "PYTHONPATH": str(place)},
        ).stdout
        for place in (tmp_path, REPOSITORY)
    }
    assert len(told) == 1, "the model's digest is the same wherever it was unpacked"
