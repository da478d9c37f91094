"""Processes that a benchmark starts: with the environment of the deployed function, and their memory and time."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["child", "diagnosis_settings", "memory_mb", "reported"]

REPOSITORY = Path(__file__).parents[2]
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_MALLOC = re.compile(r"^ {10}(MALLOC_\w+): \"?(\d+)\"?$", re.MULTILINE)


def diagnosis_settings() -> dict[str, str]:
    """Return what ``template.yaml`` tells the allocator of the diagnosis function."""
    text = (REPOSITORY / "template.yaml").read_text(encoding="utf-8")
    function = text.partition("\n  DiagnosisFunction:\n")[2]
    return dict(_MALLOC.findall(re.split(r"^  \S", function, maxsplit=1, flags=re.MULTILINE)[0]))


def child(
    module: str, *arguments: str, settings: Mapping[str, str] | None = None, artefact: Path | None = None
) -> dict[str, Any]:
    """Run a module in a new process of one thread; returns the JSON it prints last, and when it was started.

    Parameters
    ----------
    settings : dict of str to str, optional
        Environment variables; those of the deployed function where nothing else is said.
    artefact : Path, optional
        A function's artefact, whose packages are used, as in Lambda, instead of those of this environment.

    Returns
    -------
    dict
        With ``started``: the monotonic clock, which processes share, in seconds.
    """
    variables = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    variables |= {**THREADS, **(diagnosis_settings() if settings is None else settings)}
    interpreter = [sys.executable]
    if artefact is not None:
        interpreter.append("-S")
        path = os.pathsep.join((str(artefact), str(REPOSITORY)))
        variables |= {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "PYDANTIC_DISABLE_PLUGINS": "__all__"}
    started = time.monotonic()
    run = subprocess.run(  # noqa: S603 - our own interpreter and module
        [*interpreter, "-m", module, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
        env=variables,
        timeout=600,
    )
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return {**found, "started": started}


def reported(**found: Any) -> None:
    """Print what :func:`child` returns."""
    print(json.dumps(found), flush=True)


def memory_mb(*, reset: bool = False) -> float:
    """Return the largest resident set of this process so far, in MB; on Linux it can be set back to the present one.

    Not ``ru_maxrss``, which on Linux starts from what the parent had.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * 1024)
    if reset:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return int(status.read_text(encoding="ascii").partition("VmHWM:")[2].split()[0]) / 1024
