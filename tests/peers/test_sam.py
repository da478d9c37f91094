"""The SAM application, validated and built by the SAM command line itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.packaging.artefact import LIMIT_BYTES, OFFLINE, REPOSITORY, BuildError, build, find_python
from tests.peering import require_peer

pytestmark = pytest.mark.peer("aws-sam-cli")

FUNCTIONS = {
    "ReceiverFunction": "receiver",
    "SurvivalFunction": "survival",
    "DiagnosisFunction": "diagnosis",
    "ReconcileFunction": "reconcile",
    "SmartAppFunction": "smart_app",
    "CdsHooksFunction": "cds_hooks",
}
# Whose code, or what of it, comes along beside a function's own and what all share.
BESIDE = {"cds_hooks": {"survival"}, "smart_app": {"survival", "diagnosis"}}
UNCHECKED_HASH = 0b01
HEAVY = ("sklearn", "sksurv", "scipy", "pandas", "torch", "matplotlib", "lifelines", "moto", "pip", "setuptools")


def sam(*words: str) -> str:
    bin_folder = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        "PATH": bin_folder + os.pathsep + os.environ["PATH"],
        "SAM_CLI_TELEMETRY": "0",
        "AWS_DEFAULT_REGION": "eu-central-1",
        # Set by make for its recipes; SAM calls make again.
        "MAKEFLAGS": "",
        "MAKELEVEL": "",
    }
    answer = subprocess.run(
        ["sam", *words],
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout[-2000:] + answer.stderr[-4000:]
    return answer.stdout + answer.stderr


@pytest.fixture(scope="module", autouse=True)
def peer() -> None:
    require_peer("aws-sam-cli", command="sam")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sam")
    sam("build", "--build-dir", str(folder))
    return folder


def test_the_template_is_valid_and_lint_finds_nothing() -> None:
    assert "is a valid SAM Template" in sam("validate", "--lint")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_artefact_has_our_code_and_not_what_runs_offline(built: Path, name: str) -> None:
    code = built / name / "functions"
    function = FUNCTIONS[name]
    assert (code / function / "app.py").is_file()
    assert (built / name / "fhir_adapter" / "errors.py").is_file()
    assert {path.name for path in code.iterdir() if path.name != "__pycache__"} == {
        "__init__.py",
        "serving",
        function,
        *BESIDE.get(function, ()),
    }
    if function != "smart_app":
        assert not {path.stem for path in (code / function).iterdir()} & set(OFFLINE)
    models = [path.relative_to(code).parts[0] for path in code.rglob("model.onnx")]
    assert set(models) == {"survival": {"survival"}, "diagnosis": {"diagnosis"}, "cds_hooks": {"survival"}}.get(
        function, set()
    )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_artefact_has_nothing_for_training_or_tests(built: Path, name: str) -> None:
    found = {path.name for path in (built / name).iterdir()}
    assert not found & set(HEAVY)
    assert not [path for path in (built / name).rglob("tests") if path.is_dir()]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_module_has_byte_code_that_needs_no_check(built: Path, name: str) -> None:
    if find_python("3.12") is None:
        require_peer("Python 3.12", command="python3.12")
    folder = built / name
    compiled = list(folder.rglob("*.pyc"))
    assert len(compiled) == len(list(folder.rglob("*.py")))
    for path in compiled:
        assert path.name.endswith(".cpython-312.pyc")
        # PEP 552: the flags after the magic number; 0b01 is a hash, without the bit that asks for its check.
        assert int.from_bytes(path.read_bytes()[4:8], "little") == UNCHECKED_HASH, path


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_artefact_is_for_arm64_and_within_the_limit(built: Path, name: str) -> None:
    folder = built / name
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < LIMIT_BYTES
    libraries = [path for path in folder.rglob("*.so*") if path.is_file()]
    assert libraries
    for path in libraries:
        head = path.read_bytes()[:20]
        assert head[:4] == b"\x7fELF"
        assert int.from_bytes(head[18:20], "little") == 183, f"{path} is not AArch64"


def test_a_build_says_why_it_cannot(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="no function 'surgery'"):
        build("surgery", tmp_path)
    with pytest.raises(BuildError, match="architecture"):
        build("receiver", tmp_path, arch="vax")
    (tmp_path / "full").touch()
    with pytest.raises(BuildError, match="not empty"):
        build("receiver", tmp_path)
