"""What byte code made in advance saves at a cold start: the artefact as built, beside the same without it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from infra.local.aws import LocalAws
from infra.local.emulator import EmulatedFunction, EmulatorInvocationError, find_emulator
from infra.packaging.artefact import BuildError, build, compile_all, local_target

__all__ = ["measure"]

FORMS = ("naive", "precompiled")
IMPORT = "import sys, time; t = time.perf_counter(); __import__(sys.argv[1]); print(time.perf_counter() - t)"
UNKNOWN = "nobody"

# The first event of each function: of a tenant that is not known, so that the answer needs no EHR.
FIRST_EVENTS: dict[str, dict[str, Any]] = {
    "receiver": {
        "version": "2.0",
        "routeKey": "POST /notify/{tenant}/{subscription}",
        "rawPath": f"/notify/{UNKNOWN}/admissions",
        "rawQueryString": "",
        "headers": {},
        "requestContext": {
            "http": {"method": "POST", "path": f"/notify/{UNKNOWN}/admissions"},
            "requestId": "1",
            "stage": "$default",
        },
        "isBase64Encoded": False,
    },
    "survival": {
        "Records": [
            {
                "messageId": "1",
                "receiptHandle": "1",
                "body": '{"v":1,"id":"00000000-0000-4000-8000-000000000000","tenant":"nobody",'
                '"subscription":"admissions","kind":"focus","focus":"Encounter/1","version":"1",'
                '"patient":"Patient/1","received":"2026-01-01T00:00:00+00:00"}',
                "attributes": {"ApproximateReceiveCount": "1"},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:bedside-events",
            }
        ]
    },
}


def measure(runs: int = 5) -> dict[str, Any]:
    """Time import, initialisation and first invocation of both functions, in both forms.

    The forms take turns, so that a busy machine slows both alike. The files are in the page cache, so reading them
    from a disk is not part of it. ``naive`` is the same artefact without byte code, which Lambda compiles at every
    cold start because its file system is read-only.

    Parameters
    ----------
    runs : int
        New processes of each function, form and kind of measurement.

    Returns
    -------
    dict
        For each function ``import_ms`` (importing the handler's module), ``init_ms`` (Lambda's initialisation as the
        emulator reports it) and ``first_invocation_ms`` (with the initialisation): the medians of both forms in
        milliseconds and ``ratio``, naive over precompiled; ``unzipped_mb`` of both. And ``runs``.

    Raises
    ------
    EmulatorUnavailable
        This machine cannot run the Lambda emulator.
    BuildError
        An artefact could not be built.
    """
    find_emulator()
    cloud = LocalAws()
    with tempfile.TemporaryDirectory(prefix="bedside-bench-") as folder:
        artefacts = {function: _both_forms(function, Path(folder)) for function in FIRST_EVENTS}
        cloud.start()
        try:
            results: dict[str, Any] = {
                function: _compare(function, forms, cloud.environment(), runs) for function, forms in artefacts.items()
            }
        finally:
            cloud.stop()
    results["runs"] = runs
    return results


def _both_forms(function: str, folder: Path) -> dict[str, Path]:
    """Build an artefact without byte code, and the same files with it."""
    arch, python_version = local_target()
    naive, precompiled = (folder / function / form for form in FORMS)
    build(function, naive, arch, python_version, precompile=False)
    shutil.copytree(naive, precompiled, copy_function=os.link)
    if compile_all(precompiled, python_version) is None:
        raise BuildError(f"there is no Python {python_version} to make byte code with")
    return {"naive": naive, "precompiled": precompiled}


def _compare(function: str, forms: Mapping[str, Path], environment: dict[str, str], runs: int) -> dict[str, Any]:
    environment = {**environment, "POWERTOOLS_LOG_LEVEL": "CRITICAL", "PYDANTIC_DISABLE_PLUGINS": "__all__"}
    samples: dict[str, dict[str, list[float]]] = {
        kind: {form: [] for form in FORMS} for kind in ("import_ms", "init_ms", "first_invocation_ms")
    }
    for _ in range(runs):
        for form, artefact in forms.items():
            samples["import_ms"][form].append(_import_ms(function, artefact, environment))
            init, first = _cold_start_ms(function, artefact, environment)
            samples["init_ms"][form].append(init)
            samples["first_invocation_ms"][form].append(first)
    result: dict[str, Any] = {}
    for kind, series in samples.items():
        naive, precompiled = (median(series[form]) for form in FORMS)
        result[kind] = {
            "naive": round(naive, 1),
            "precompiled": round(precompiled, 1),
            "ratio": round(naive / precompiled, 2),
        }
    result["unzipped_mb"] = {form: round(_megabytes(artefact), 1) for form, artefact in forms.items()}
    return result


def _import_ms(function: str, artefact: Path, environment: Mapping[str, str]) -> float:
    """Import the handler's module in a new interpreter that sees the artefact and nothing else."""
    variables = {**os.environ, **environment, "PYTHONPATH": str(artefact), "PYTHONDONTWRITEBYTECODE": "1"}
    answer = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-S", "-c", IMPORT, f"functions.{function}.app"],
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(answer.stdout.splitlines()[-1]) * 1000.0


def _cold_start_ms(function: str, artefact: Path, environment: Mapping[str, str]) -> tuple[float, float]:
    with EmulatedFunction(f"functions.{function}.app.handler", environment, artefact) as emulated:
        started = time.perf_counter()
        emulated.invoke(FIRST_EVENTS[function])
        first = (time.perf_counter() - started) * 1000.0
        if emulated.init_ms is None:
            raise EmulatorInvocationError("Unknown", f"{function}: the emulator reported no initialisation")
        return emulated.init_ms, first


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1024.0 / 1024.0
