"""`bedside train NAME`: train a model package from its public data, or from a FHIR export."""

from __future__ import annotations

import argparse
import importlib
import json
import os
from pathlib import Path

from functions import survival
from functions.survival.data import DATASETS, SurvivalTable
from infra.cli import diagnosis
from infra.cli.saying import not_installed, say

PACKAGES = Path(survival.__file__).parent / "packages"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    common(parser)
    parser.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="DIR",
        help="train on the patients of a bulk data export (NDJSON files, as `bedside export` writes them) instead",
    )
    parser.add_argument("--report", action="store_true", help="write evaluation.json, report.html and card.md too")


def common(parser: argparse.ArgumentParser) -> None:
    """Add what `train` and `evaluate` share."""
    parser.add_argument("name", metavar="NAME", help=f"the package: {', '.join(everything())}")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write there instead of into the package's folder")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (all cores)")


def run(args: argparse.Namespace) -> int:
    """Train it; progress goes to standard error.

    Returns
    -------
    int
        0 when the package was written, 1 when training's libraries are absent or the package or the data are broken,
        2 when there is no such package.
    """
    if args.name in diagnosis.names():
        return diagnosis.train(args)
    return _train(args) if known(args.name) else 2


def _train(args: argparse.Namespace) -> int:
    """Train a survival package."""
    if args.source is not None and args.out is None:
        say("--from needs --out DIR: what is learned from your patients does not go into the package shipped here")
        return 2
    try:
        need_libraries()
        from functions.survival.train import train

        table = from_export(args.name, args.source) if args.source is not None else None
        done = train(args.name, args.out, table=table, progress=say, jobs=args.jobs)
        if args.report:
            from infra.cli.evaluate import write

            write(args.name, done.directory, args.out, jobs=args.jobs, table=done.table, comparison=done.comparison)
    except ImportError as missing:
        return not_installed(missing)
    except (FileNotFoundError, ValueError) as refused:
        say(f"cannot train {args.name}: {refused}")
        return 1
    if args.json:
        found = {
            "name": args.name,
            "directory": str(done.directory),
            "sha256": done.sha256,
            "bytes": done.size,
            "max_error": done.max_error,
            "settings": dict(done.settings),
            "performance": done.performance,
            "comparison": done.comparison.table(),
            "decision": done.decision,
        }
        print(json.dumps(found, indent=2))
        return 0
    print(f"wrote {done.directory / 'model.onnx'}, {done.size / 1000:.0f} kB, sha256 {done.sha256}")
    for row in done.comparison.table():
        uno, error = row["uno_c"], row["integrated_brier_score"]
        print(
            f"  {row['title']}: Uno's C {uno['value']:.3f} ({uno['low']:.3f} to {uno['high']:.3f}), "
            f"integrated Brier score {error['value']:.4f}"
        )
    settings = ", ".join(f"{key} {value:g}" for key, value in done.settings.items())
    print(f"  chosen: {done.decision['chosen']}{f', {settings}' if settings else ''}")
    return 0


def from_export(name: str, directory: Path) -> SurvivalTable:
    """Read a package's inputs and outcome from a bulk data export, and say who was left out."""
    from functions.survival.fromfhir import table_from_export
    from functions.survival.train import read_contract

    folder = PACKAGES / name
    found = table_from_export(directory, read_contract(folder), folder)
    for reason, count in sorted(found.left_out.items()):
        say(f"left out: {count}, {reason}")
    return found.table


def trainable() -> list[str]:
    """Return the names of the packages that can be trained."""
    return [name for name in DATASETS if (PACKAGES / name / "model.yaml").is_file()]


def known(name: str) -> bool:
    """Tell whether there is a package of this name; says which there are when not."""
    if name in trainable():
        return True
    say(f"no model package {name!r} to train; known: {', '.join(everything())}")
    return False


def everything() -> list[str]:
    """Return the names of all packages, of either kind."""
    return [*trainable(), *diagnosis.names()]


def need_libraries() -> None:
    """Import what training and evaluation need, so that its absence shows at once and not minutes later.

    Raises
    ------
    ImportError
        One of them is not installed.
    """
    for module in ("sksurv", "onnx", "matplotlib"):
        importlib.import_module(module)
