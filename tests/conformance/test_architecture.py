"""The arrows of the house: who may import whom, and what the serving path never loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from infra.packaging.artefact import OFFLINE

ROOT = Path(__file__).parents[2]
OURS = ("fhir_adapter", "functions", "infra")
# The CDS service works out predictions with the survival function's models.
BORROWED = {"cds_hooks": ("functions.survival.predict",)}
TRAINING = {"sklearn", "sksurv", "pandas", "scipy", "torch", "joblib", "pickle_compat", "matplotlib", "lifelines"}
# What plans the weeks ahead runs offline.
TRAINING |= {"numba", "llvmlite", "ortools"}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
    return found


def ours(path: Path) -> set[str]:
    return {name for name in imports(path) if name.split(".")[0] in OURS}


@pytest.mark.parametrize("path", sorted((ROOT / "fhir_adapter").rglob("*.py")), ids=lambda path: path.name)
def test_the_adapter_knows_no_model_and_no_cloud(path: Path) -> None:
    assert {name for name in ours(path) if not name.startswith("fhir_adapter")} == set()
    assert not {name.split(".")[0] for name in imports(path)} & {"boto3", "botocore", "aws_lambda_powertools"}


@pytest.mark.parametrize("path", sorted((ROOT / "functions").rglob("*.py")), ids=lambda path: str(path)[-40:])
def test_functions_share_only_serving(path: Path) -> None:
    own, *rest = path.relative_to(ROOT / "functions").with_suffix("").parts
    allowed = ["fhir_adapter", "functions.serving", f"functions.{own}", *BORROWED.get(own, ())]
    # what an artefact leaves out may share what no artefact carries
    if rest and rest[0] in OFFLINE:
        allowed.append("functions.offline")
    assert {name for name in ours(path) if not name.startswith(tuple(allowed))} == set()


@pytest.mark.parametrize("name", ["receiver", "survival", "diagnosis", "allocation", "cds_hooks", "smart_app"])
def test_serving_never_loads_what_trains(name: str) -> None:
    module = f"functions.{name}.app"
    code = (
        f"import sys, {module}; loaded = {{name.split('.')[0] for name in sys.modules}};"
        f"print(*sorted(loaded & {TRAINING!r}))"
    )
    environment = {"PATH": "", "POWERTOOLS_METRICS_NAMESPACE": "Bedside", "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=environment
    )
    assert run.stdout.strip() == ""
