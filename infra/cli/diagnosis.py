"""Training and evaluating the diagnosis packages, for `bedside train` and `bedside evaluate`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from functions import diagnosis
from infra.cli.saying import not_installed, say

__all__ = ["evaluate", "names", "train"]

PACKAGES = Path(diagnosis.__file__).parent / "packages"


def names() -> list[str]:
    """Return the names of the diagnosis packages."""
    return sorted(folder.name for folder in PACKAGES.iterdir() if (folder / "model.yaml").is_file())


def train(args: argparse.Namespace) -> int:
    """Train or fetch a package; returns the exit status as `bedside train` does."""
    if args.source is not None:
        say("--from reads survival models only: a diagnosis model is trained from its own data")
        return 2
    try:
        from functions.diagnosis.train import train as fit

        done = fit(args.name, args.out, progress=say)
        if args.report:
            _write(args.name, args.out)
    except ImportError as missing:
        return not_installed(missing)
    except (OSError, ValueError) as refused:
        say(f"cannot train {args.name}: {refused}")
        return 1
    found = {
        "name": args.name,
        "directory": str(done.directory),
        "sha256": done.sha256,
        "bytes": done.size,
        "performance": done.performance,
    }
    if args.json:
        print(json.dumps(found, indent=2))
    else:
        print(f"wrote {done.directory / 'model.onnx'}, {done.size / 1000:.0f} kB, sha256 {done.sha256}")
    return 0


def evaluate(args: argparse.Namespace) -> int:
    """Evaluate a package; returns the exit status as `bedside evaluate` does."""
    try:
        found = _write(args.name, args.out)
    except ImportError as missing:
        return not_installed(missing)
    except (OSError, ValueError) as refused:
        say(f"cannot evaluate {args.name}: {refused}")
        return 1
    if args.json:
        print(json.dumps(found, indent=2))
        return 0
    area = found["auroc"]
    print(f"wrote evaluation.json, report.html and card.md to {args.out or PACKAGES / args.name}")
    print(f"  AUROC: {area['value']:.4f} ({area['low']:.4f} to {area['high']:.4f})")
    return 0


def _write(name: str, out: Path | None) -> dict[str, Any]:
    from functions.diagnosis.report import write_report

    return write_report(name, out, progress=say)
