"""`bedside evaluate NAME`: measure a model package on held-out patients and write its report and card."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from functions.survival.data import DATASETS
from infra.cli.train import known, need_libraries, not_installed, say


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.add_argument("name", metavar="NAME", help=f"the package: {', '.join(DATASETS)}")
    parser.add_argument("--json", action="store_true", help="print the evaluation as one JSON object")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write there instead of into the package's folder")


def run(args: argparse.Namespace) -> int:
    """Evaluate it, and write `evaluation.json`, `report.html` and `card.md`; progress goes to standard error.

    Returns
    -------
    int
        0 when the files were written, 1 when the libraries are absent or the model is not the contract's, 2 when
        there is no such package.
    """
    if not known(args.name):
        return 2
    try:
        need_libraries()
        evaluation, directory = _write(args.name, args.out)
    except ImportError as missing:
        return not_installed(missing)
    except (FileNotFoundError, ValueError) as refused:
        say(f"cannot evaluate {args.name}: {refused}")
        return 1
    if args.json:
        print(json.dumps(evaluation, indent=2))
        return 0
    print(f"wrote evaluation.json, report.html and card.md to {directory}")
    for title, key in (
        ("Uno's C", "uno_c"),
        ("AUC at one year", "auc_1y"),
        ("integrated Brier score", "integrated_brier_score"),
        ("  of Kaplan-Meier, no inputs", "integrated_brier_score_kaplan_meier"),
    ):
        found = evaluation[key]
        print(f"  {title}: {found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})")
    return 0


def _write(name: str, out: Path | None) -> tuple[dict[str, Any], Path]:
    from functions.survival.evaluate import evaluate
    from functions.survival.report import render_card, render_page
    from functions.survival.train import PACKAGES, read_contract

    package, dataset = PACKAGES / name, DATASETS[name]
    contract = read_contract(package)
    evaluation = evaluate(dataset, contract, package / contract["file"], progress=say)
    directory = out or package
    directory.mkdir(parents=True, exist_ok=True)
    for file, text in (
        ("evaluation.json", json.dumps(evaluation, indent=1) + "\n"),
        ("report.html", render_page(evaluation, contract, dataset)),
        ("card.md", render_card(evaluation, contract, dataset)),
    ):
        (directory / file).write_text(text, encoding="utf-8")
        say(f"wrote {directory / file}")
    return evaluation, directory
