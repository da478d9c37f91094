"""Byte code made in advance, by a Python of Lambda's version where this machine has one.

Standard library only, as :mod:`infra.packaging.artefact`.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["BuildError", "compile_all", "find_python", "local_target"]

TASK_ROOT = "/var/task"


class BuildError(Exception):
    """The artefact cannot be built; the message says why."""


def compile_all(out: Path, python_version: str) -> str | None:
    """Make byte code with a Python of the wanted version.

    Returns
    -------
    str or None
        Its full version, or None when none was found.
    """
    found = find_python(python_version)
    if found is None:
        return None
    python, version = found
    command = [python, "-I", "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash"]
    command += ["-s", str(out), "-p", TASK_ROOT, str(out)]
    if subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode != 0:  # noqa: S603 - our own words
        raise BuildError(f"{python} could not compile every module of {out}")
    return version


def local_target() -> tuple[str, str]:
    """Return this machine's architecture in Lambda's words, and this Python's version such as ``3.12``.

    Raises
    ------
    BuildError
        Lambda has no such architecture.
    """
    machine = platform.machine().lower()
    arch = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}.get(machine)
    if arch is None:
        raise BuildError(f"Lambda does not run on {machine}")
    return arch, f"{sys.version_info[0]}.{sys.version_info[1]}"


def find_python(version: str) -> tuple[str, str] | None:
    """Return a Python of a version such as ``3.12`` and its full version, or None.

    Tried in turn: this one, the one that ``PYTHON312`` names, ``python3.12`` on the PATH, and pyenv's.
    """
    for candidate in _candidates(version):
        try:
            answer = subprocess.run(  # noqa: S603 - a Python of this machine
                [candidate, "-I", "-c", "import platform; print(platform.python_version())"],
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        full = answer.stdout.strip()
        if answer.returncode == 0 and full.split(".")[:2] == version.split("."):
            return candidate, full
    return None


def _candidates(version: str) -> Iterator[str]:
    if f"{sys.version_info[0]}.{sys.version_info[1]}" == version:
        yield sys.executable
    named = os.environ.get(f"PYTHON{version.replace('.', '')}")
    if named:
        yield named
    yield f"python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for folder in sorted(pyenv.glob(f"{version}.*"), reverse=True):
        yield str(folder / "bin" / "python")
