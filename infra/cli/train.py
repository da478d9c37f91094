"""`bedside train NAME`: train a model package from its public data."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path

from functions.survival.data import DATASETS


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.add_argument("name", metavar="NAME", help=f"the package: {', '.join(DATASETS)}")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write there instead of into the package's folder")


def run(args: argparse.Namespace) -> int:
    """Train it; progress goes to standard error.

    Returns
    -------
    int
        0 when the package was written, 1 when training's libraries are absent or the package is broken, 2 when
        there is no such package.
    """
    if not known(args.name):
        return 2
    try:
        need_libraries()
        from functions.survival.train import train

        done = train(args.name, args.out, progress=say)
    except ImportError as missing:
        return not_installed(missing)
    except ValueError as refused:
        say(f"cannot train {args.name}: {refused}")
        return 1
    if args.json:
        print(
            json.dumps(
                {
                    "name": args.name,
                    "directory": str(done.directory),
                    "sha256": done.sha256,
                    "ridge_alpha": done.alpha,
                    "performance": done.performance,
                    "comparison": done.comparison,
                    "decision": done.decision,
                },
                indent=2,
            )
        )
        return 0
    print(f"wrote {done.directory / 'model.onnx'}, sha256 {done.sha256}")
    for row in done.comparison:
        uno, error = row["uno_c"], row["integrated_brier_score"]
        print(
            f"  {row['title']}: Uno's C {uno['value']:.3f} ({uno['low']:.3f} to {uno['high']:.3f}), "
            f"integrated Brier score {error['value']:.4f}"
        )
    print(f"  chosen: {done.decision['chosen']}, ridge penalty {done.alpha:g}")
    return 0


def known(name: str) -> bool:
    """Tell whether there is a package of this name; says which there are when not."""
    if name in DATASETS:
        return True
    say(f"no model package {name!r} to train; known: {', '.join(sorted(DATASETS))}")
    return False


def need_libraries() -> None:
    """Import what training and evaluation need, so that its absence shows at once and not minutes later.

    Raises
    ------
    ImportError
        One of them is not installed.
    """
    for module in ("sksurv", "onnx", "matplotlib"):
        importlib.import_module(module)


def not_installed(missing: ImportError) -> int:
    """Say what to install; returns the exit status."""
    library = "scikit-survival" if missing.name == "sksurv" else missing.name or str(missing)
    say(f"{library} is not installed: training and evaluation need `make setup-train`")
    return 1


def say(line: str) -> None:
    """Write one line to standard error."""
    print(line, file=sys.stderr, flush=True)
