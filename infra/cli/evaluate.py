"""`bedside evaluate NAME`: measure a model package on held-out patients and write its report and card."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from functions.survival.data import DATASETS
from infra.cli import diagnosis
from infra.cli.saying import not_installed, say
from infra.cli.train import common, known, need_libraries


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    common(parser)
    parser.add_argument(
        "--through-dicom",
        nargs="?",
        const="",
        metavar="WHERE",
        help="also store the test images of an image model as DICOM files, read them back, and look at them as the "
        "function does; WHERE is a folder or the DICOMweb root of an archive for tests (its bearer token in "
        "BEDSIDE_DICOMWEB_TOKEN), a folder that is removed again when left out",
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate it, and write `evaluation.json`, `report.html` and `card.md`; progress goes to standard error.

    Returns
    -------
    int
        0 when the files were written, 1 when the libraries are absent or the model is not the contract's, 2 when
        there is no such package, or it looks at no images and they were asked for.
    """
    if args.name in diagnosis.names():
        return diagnosis.evaluate(args)
    if not known(args.name) or not _possible(args):
        return 2
    try:
        need_libraries()
        from functions.survival.train import PACKAGES

        evaluation, directory = write(args.name, PACKAGES / args.name, args.out, jobs=args.jobs)
    except ImportError as missing:
        return not_installed(missing)
    except (FileNotFoundError, ValueError) as refused:
        say(f"cannot evaluate {args.name}: {refused}")
        return 1
    if args.json:
        print(json.dumps(evaluation, indent=2))
        return 0
    print(f"wrote evaluation.json, report.html and card.md to {directory}")
    for title, found in headlines(evaluation):
        print(f"  {title}: {interval(found)}")
    return 0


def _possible(args: argparse.Namespace) -> bool:
    if args.through_dicom is not None:
        say(f"--through-dicom: {args.name} looks at no images")
    return args.through_dicom is None


def headlines(evaluation: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return what is printed of an evaluation, by title."""
    rows = [(title, evaluation[key]) for title, key in (("Uno's C", "uno_c"), ("Harrell's C", "harrell_c"))]
    rows += [(f"AUC at {row['days'] / 365.25:.1f} years", row["auc"]) for row in evaluation["horizons"]]
    rows.append(("integrated Brier score", evaluation["integrated_brier_score"]))
    rows.append((f"  of {evaluation['reference']['title']}", evaluation["integrated_brier_score_reference"]))
    return rows


def interval(found: dict[str, Any]) -> str:
    """Return a value with its interval; "not known" where it could not be computed."""
    if found["value"] is None:
        return "not known"
    if found["low"] is None or found["high"] is None:
        return f"{found['value']:.3f}"
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


def write(
    name: str, package: Path, out: Path | None, *, jobs: int = 1, **known_already: Any
) -> tuple[dict[str, Any], Path]:
    """Evaluate a package and write its report and card.

    Parameters
    ----------
    name : str
        Of the data set.
    package : Path
        Holds ``model.yaml`` and ``model.onnx``.
    out : Path or None
        Where to write; `package` when None.
    jobs : int
        Processes.
    known_already
        ``table`` and ``comparison``, where training has just made them.

    Returns
    -------
    evaluation : dict
    directory : Path
    """
    from functions.survival.evaluate import evaluate
    from functions.survival.report import render_card, render_page
    from functions.survival.train import read_contract

    dataset, contract = DATASETS[name], read_contract(package)
    evaluation = evaluate(dataset, contract, package / contract["file"], progress=say, jobs=jobs, **known_already)
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
