"""What an artefact carries of our code: what is served, and nothing that it would have to import from elsewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from infra.packaging.artefact import OFFLINE, REPOSITORY, copy_code

ALL = ["receiver", "survival", "diagnosis", "reconcile", "allocation", "smart_app", "cds_hooks"]
# Beside its own code and what all share.
BESIDE = {"cds_hooks": {"survival"}, "smart_app": {"survival", "diagnosis"}}


@pytest.mark.parametrize("function", ALL)
def test_an_artefact_carries_nothing_that_runs_offline(tmp_path: Path, function: str) -> None:
    copy_code(function, tmp_path)
    carried = {path.name for path in (tmp_path / "functions").iterdir()}
    assert carried == {"__init__.py", "serving", function} | BESIDE.get(function, set())
    assert (tmp_path / "functions" / function / "app.py").is_file()
    modules = list(tmp_path.rglob("*.py"))
    for folder in (tmp_path / "functions").iterdir():
        trained = (REPOSITORY / "functions" / folder.name / "packages").is_dir()
        assert not trained or not {path.stem for path in folder.iterdir()} & set(OFFLINE)
    assert not [path for path in modules if "functions.offline" in path.read_text(encoding="utf-8")]


def test_the_cds_services_carry_the_models_that_they_run_whole(tmp_path: Path) -> None:
    copy_code("cds_hooks", tmp_path)
    survival = tmp_path / "functions" / "survival"
    assert (survival / "predict.py").is_file()
    assert not (survival / "app.py").exists()
    ours = {path.parent.name for path in (REPOSITORY / "functions" / "survival").glob("packages/*/model.yaml")}
    assert ours
    for name in ours:
        for file in ("model.yaml", "model.onnx", "card.md"):
            assert (survival / "packages" / name / file).is_file(), (name, file)


def test_the_app_carries_what_models_say_of_themselves_and_none_that_runs(tmp_path: Path) -> None:
    copy_code("smart_app", tmp_path)
    packages = list((REPOSITORY / "functions").glob("*/packages/*/model.yaml"))
    assert packages
    for contract in packages:
        carried = tmp_path / contract.parent.relative_to(REPOSITORY)
        assert (carried / "card.md").is_file()
        assert (carried / "model.yaml").is_file()
    assert not list(tmp_path.rglob("*.onnx"))
    app = tmp_path / "functions" / "smart_app"
    assert (app / "templates" / "base.html").is_file()
    assert (app / "static" / "app.css").is_file()


def test_a_function_without_models_is_carried_whole(tmp_path: Path) -> None:
    """Its modules may be called as those that train elsewhere."""
    copy_code("smart_app", tmp_path)
    ours = {path.relative_to(REPOSITORY) for path in (REPOSITORY / "functions" / "smart_app").rglob("*.py")}
    assert ours == {path.relative_to(tmp_path) for path in (tmp_path / "functions" / "smart_app").rglob("*.py")}


def test_what_stands_beside_a_package_is_not_carried(tmp_path: Path) -> None:
    """The reports of models are for people who choose them; no function reads one."""
    copy_code("cds_hooks", tmp_path)
    assert not list(tmp_path.rglob("report.html"))


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
