"""Build the deployment artefact of one Lambda function: dependencies, our code, and byte code made in advance.

Run by the `build-*Function` targets of the Makefile, which `sam build` calls. Standard library only.

Lambda unpacks an artefact where nothing can be written, so a module without byte code is compiled again at every
cold start. Byte code of the kind `unchecked-hash` (PEP 552) is used without a look at its source, so it survives
the time stamps that a zip file loses.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from infra.packaging.bytecode import BuildError, compile_all, find_python, local_target

__all__ = ["Artefact", "BuildError", "build", "compile_all", "find_python", "local_target"]

REPOSITORY = Path(__file__).resolve().parents[2]
LIMIT_BYTES = 250 * 1024 * 1024

# Amazon Linux 2023 has glibc 2.34; wheels for it or an older one run there.
MANYLINUX = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_26", "manylinux_2_24", "manylinux_2_17", "manylinux2014")
MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}

MODEL_NAME = re.compile(r"^name:[ \t]*[\"']?([A-Za-z0-9_-]+)", re.MULTILINE)

# Modules of a function with models that run offline: training needs libraries that the artefact does not carry.
OFFLINE = ("train", "evaluate", "data", "models", "export", "report", "benchmark", "fromfhir")

# Where a function without models has rooms that it does not serve from.
OFFLINE_OF = {"allocation": ("planner", "synthetic", "pictures")}
# As in functions.serving.routes: models that are source and no package.
WITHOUT_PACKAGE = {"ward": "allocation"}
# Functions whose models another one runs, too: their code comes along, without their handler.
RUNS = {"cds_hooks": ("survival",)}
# Functions that show what a model is, and run none: of every package, what it says of itself.
SHOWS = ("smart_app",)
SAID = ("model.yaml", "card.md", "evaluation.json")

# What no function uses at run time. Each name is a path in the artefact.
UNUSED = (
    "bin",
    "fhir/resources/STU3",
    # tables of the whole DICOM standard, from which nothing is looked up when a report is written
    "highdicom/_standard",
    "numpy/_core/include",
    "numpy/distutils",
    "numpy/f2py",
    "onnxruntime/ThirdPartyNotices.txt",
    "onnxruntime/datasets",
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/transformers",
    "pydicom/data/test_files",
)
UNUSED_SUFFIXES = (".c", ".h", ".lib", ".pxd", ".pyi", ".pyx")
# Kept: METADATA and entry_points.txt, which importlib.metadata reads, and the licences, which must travel along.
UNUSED_METADATA = ("INSTALLER", "RECORD", "REQUESTED", "WHEEL", "direct_url.json", "top_level.txt", "sboms")
# The AWS services that the functions call; botocore carries descriptions of all of them.
SERVICES = ("dynamodb", "secretsmanager", "sqs", "ssm", "sts")


@dataclass(frozen=True)
class Artefact:
    """What was built.

    Attributes
    ----------
    folder : Path
        The unpacked artefact.
    unzipped_bytes : int
        Sum of its files' sizes, which Lambda limits to 250 MB.
    zip_bytes : int or None
        Size of its zip file, when that was asked for.
    compiled_by : str or None
        Version of the Python that made the byte code, or None when none of the wanted version was found.
    """

    folder: Path
    unzipped_bytes: int
    zip_bytes: int | None
    compiled_by: str | None


def build(
    function: str,
    out: Path,
    arch: str = "arm64",
    python_version: str = "3.12",
    precompile: bool = True,
    measure_zip: bool = False,
) -> Artefact:
    """Build one function's artefact.

    Parameters
    ----------
    function : str
        Name of a folder of ``functions``.
    out : Path
        An empty folder, or one that is not there yet.
    arch : {'arm64', 'x86_64'}
        Lambda's name of the architecture.
    python_version : str
        Such as ``3.12``.
    precompile : bool
        Make byte code.
    measure_zip : bool
        Find out how large the zip file will be, which takes some seconds.

    Raises
    ------
    BuildError
        No such function, a folder that is not empty, a dependency that cannot be had, or too large.
    """
    requirements = REPOSITORY / "requirements" / f"lambda-{function}.txt"
    if not requirements.is_file() or not (REPOSITORY / "functions" / function).is_dir():
        raise BuildError(f"there is no function {function!r} with a list {requirements.name}")
    if arch not in MACHINES:
        raise BuildError(f"architecture {arch!r} is none of {', '.join(MACHINES)}")
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise BuildError(f"{out} is not empty")
    install(requirements, out, arch, python_version)
    strip(out)
    copy_code(function, out)
    compiled_by = compile_all(out, python_version) if precompile else None
    unzipped = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    if unzipped > LIMIT_BYTES:
        raise BuildError(f"{function} is {_mb(unzipped)} unzipped; Lambda's limit is {_mb(LIMIT_BYTES)}")
    return Artefact(out, unzipped, _zip_size(out) if measure_zip else None, compiled_by)


def install(requirements: Path, out: Path, arch: str, python_version: str) -> None:
    """Install a list's wheels for Lambda's platform, whatever this machine is."""
    platforms = [word for name in MANYLINUX for word in ("--platform", f"{name}_{MACHINES[arch]}")]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-qq", "install", "--no-compile"]
    command += ["--target", str(out), *platforms, "--implementation", "cp", "--python-version", python_version]
    command += ["--no-deps", "--only-binary=:all:", "--require-hashes", "--requirement", str(requirements)]
    if subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode != 0:  # noqa: S603 - our own words
        raise BuildError(f"pip could not install {requirements.name} for {arch} and Python {python_version}")


def strip(out: Path) -> None:
    """Remove what no function uses."""
    for name in UNUSED:
        _remove(out / name)
    for path in (out / "fhir" / "resources").glob("*.py"):
        # the models of FHIR R5; what we write is checked with those of R4B, in a folder of their own
        if path.name != "__init__.py":
            _remove(path)
    for folder in (out / "botocore" / "data", out / "boto3" / "data"):
        for service in sorted(folder.iterdir()) if folder.is_dir() else []:
            if service.is_dir() and service.name not in SERVICES:
                _remove(service)
    for path in sorted(out.rglob("*")):
        in_metadata = path.parent.name.endswith(".dist-info")
        if (
            (path.is_dir() and path.name in ("tests", "__pycache__"))
            or (path.suffix in UNUSED_SUFFIXES and path.is_file())
            or (in_metadata and path.name in UNUSED_METADATA)
        ):
            _remove(path)


def copy_code(function: str, out: Path) -> None:
    """Copy what one function needs of ours."""

    def unwanted(*names: str) -> Callable[[Any, list[str]], set[str]]:
        dropped = {*names, *(f"{name}.py" for name in names)}
        return lambda _, found: {name for name in found if name == "__pycache__" or name in dropped}

    shutil.copytree(REPOSITORY / "fhir_adapter", out / "fhir_adapter", ignore=unwanted())
    (out / "functions").mkdir()
    shutil.copy2(REPOSITORY / "functions" / "__init__.py", out / "functions")
    shutil.copytree(REPOSITORY / "functions" / "serving", out / "functions" / "serving", ignore=unwanted())
    table = json.dumps(functions_of(REPOSITORY / "functions"), indent=1, sort_keys=True)
    (out / "functions" / "serving" / "models.json").write_text(table + "\n", encoding="utf-8")
    folder = out / "functions" / function
    trained = (REPOSITORY / "functions" / function / "packages").is_dir()
    left_out = OFFLINE if trained else OFFLINE_OF.get(function, ())
    shutil.copytree(REPOSITORY / "functions" / function, folder, ignore=unwanted(*left_out))
    for other in RUNS.get(function, ()):
        shutil.copytree(
            REPOSITORY / "functions" / other, out / "functions" / other, ignore=unwanted(*OFFLINE, "app", "report.html")
        )
    if function in SHOWS:
        for path in sorted((REPOSITORY / "functions").glob("*/packages/*/*")):
            if path.name in SAID:
                copy = out / path.relative_to(REPOSITORY)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, copy)


def functions_of(folder: Path) -> dict[str, str]:
    """Return which function has each model: what routes events has no packages to see it from.

    As :func:`functions.serving.routes.functions_of`, which cannot be imported by a script without dependencies.
    """
    found = {model: function for model, function in WITHOUT_PACKAGE.items() if (folder / function).is_dir()}
    for contract in sorted(folder.glob("*/packages/*/model.yaml")):
        named = MODEL_NAME.search(contract.read_text(encoding="utf-8"))
        if named:
            found[named[1]] = contract.parents[2].name
    return found


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class _Counter:
    """A file that only counts what is written to it."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: bytes) -> int:
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing to do."""


def _zip_size(folder: Path) -> int:
    counter = _Counter()
    with zipfile.ZipFile(cast("IO[bytes]", counter), "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return counter.size


def _mb(size: int) -> str:
    return f"{size / 1024 / 1024:.1f} MB"


def main(argv: list[str] | None = None) -> int:
    """Build one artefact and say what it became.

    Returns
    -------
    int
        0 when it was built, 1 when it could not be.
    """
    parser = argparse.ArgumentParser(description="Build the deployment artefact of one Lambda function.")
    parser.add_argument("function", help="a folder of functions/, such as receiver")
    parser.add_argument("--out", type=Path, required=True, help="an empty folder")
    parser.add_argument("--arch", choices=sorted(MACHINES), default="arm64")
    parser.add_argument("--python-version", default="3.12", metavar="X.Y")
    parser.add_argument("--no-precompile", action="store_true", help="leave the byte code out")
    parser.add_argument("--zip-size", action="store_true", help="say how large the zip file will be, too")
    args = parser.parse_args(argv)
    try:
        artefact = build(args.function, args.out, args.arch, args.python_version, not args.no_precompile, args.zip_size)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    size = f"{_mb(artefact.unzipped_bytes)} unzipped"
    if artefact.zip_bytes is not None:
        size += f", {_mb(artefact.zip_bytes)} zipped"
    byte_code = f"byte code by Python {artefact.compiled_by}" if artefact.compiled_by else "no byte code"
    print(f"{args.function}: {args.arch}, Python {args.python_version}, {byte_code}; {size} (limit {_mb(LIMIT_BYTES)})")
    if artefact.compiled_by is None and not args.no_precompile:
        name = f"PYTHON{args.python_version.replace('.', '')}"
        print(
            f"WARNING: no Python {args.python_version} was found to make byte code with: cold starts will be about "
            f"twice as slow. Install one, or name one: {name}=/path/to/python{args.python_version}",
            file=sys.stderr,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
