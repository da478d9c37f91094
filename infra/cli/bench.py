"""`bedside bench`: run every benchmark of :mod:`infra.bench` and write one JSON."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import infra.bench
from infra.local.emulator import EmulatorError
from infra.packaging.artefact import BuildError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the JSON there")
    parser.add_argument("--only", metavar="NAME", help="one benchmark, such as survival")
    parser.add_argument("--json", action="store_true", help="print the JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    """Run them; progress goes to standard error.

    Returns
    -------
    int
        0 when all ran, 1 when one could not, 2 when there is none of that name.
    """
    benchmarks = find()
    if args.only is not None and args.only not in benchmarks:
        say(f"no benchmark {args.only!r}; there are: {', '.join(benchmarks)}")
        return 2
    report: dict[str, Any] = {"machine": machine(), "benchmarks": {}, "failed": {}}
    for name, measure in benchmarks.items():
        if args.only not in (None, name):
            continue
        say(f"measuring {name}")
        started = time.monotonic()
        try:
            report["benchmarks"][name] = measure()
        except (BuildError, EmulatorError, ImportError) as error:
            report["failed"][name] = f"{type(error).__name__}: {error}"
            say(f"{name} could not be measured: {error}")
        else:
            say(f"{name} took {time.monotonic() - started:.0f} s")
    text = json.dumps(report, indent=2)
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(text + "\n", encoding="utf-8")
        say(f"wrote {args.out}")
    if args.json:
        print(text)
    else:
        for name, result in report["benchmarks"].items():
            show(name, result)
    return 1 if report["failed"] else 0


def find() -> dict[str, Callable[[], dict[str, Any]]]:
    """Return every benchmark by name: the modules of :mod:`infra.bench` that have ``measure``."""
    found = {}
    for module in pkgutil.iter_modules(infra.bench.__path__):
        measure = getattr(importlib.import_module(f"infra.bench.{module.name}"), "measure", None)
        if measure is not None:
            found[module.name] = measure
    return found


def machine() -> dict[str, Any]:
    """Return what the numbers depend on; nothing that names the machine."""
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "architecture": platform.machine(),
        "cpus": os.cpu_count(),
    }


def show(name: str, value: object) -> None:
    """Print a result, one number a line."""
    if isinstance(value, dict):
        for key, inner in value.items():
            show(f"{name}.{key}", inner)
    else:
        print(f"{name:<44} {value}")


def say(text: str) -> None:
    """Tell a person how it goes."""
    print(text, file=sys.stderr, flush=True)
