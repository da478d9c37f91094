"""`bedside export-survival MODEL`: turn a fitted scikit-survival model into one ONNX file."""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from functions.survival.data import FloatArray
from functions.survival.export.errors import BadSample, BadTimeGrid, ExportError, UnsupportedModel, WrongColumns
from functions.survival.models import CompetingCox, CoxEquation, Fitted, StackedAverage, Wrapped

DESCRIPTION = """
Writes a fitted survival model as one ONNX graph that needs neither scikit-survival nor scikit-learn to run:
imputation, coding, scaling, the model, and its survival function on the times you declare. The file is compared
with the model on every row of the sample; it is written only when no survival probability differs by more than the
tolerance.

MODEL is a joblib or pickle file of a scikit-survival estimator, or of a scikit-learn Pipeline that ends in one.
LOADING SUCH A FILE RUNS CODE FROM IT: only load files that you made yourself.

models: CoxPHSurvivalAnalysis, CoxnetSurvivalAnalysis (fit_baseline_model=True), RandomSurvivalForest,
ExtraSurvivalTrees, SurvivalTree, ExtraSurvivalTree, GradientBoostingSurvivalAnalysis and
ComponentwiseGradientBoostingSurvivalAnalysis (loss='coxph').

steps before the model: SimpleImputer, StandardScaler, MinMaxScaler, OneHotEncoder and OrdinalEncoder (numeric
categories), SplineTransformer, FunctionTransformer (log, log1p, sqrt), ColumnTransformer, Pipeline, passthrough.

--data is a CSV with a header; its columns are the model's inputs, all numbers; an empty cell or NA is missing. A model
that was fitted to a data frame takes its columns by name, any other takes them in the file's order.
"""
EPILOG = """
In the file: input `inputs`, float64 [N, p]; outputs survival, times, risk_score, cumulative_hazard, median_survival,
imputed and, for linear models, contributions. A row with a category the model never saw, or missing a value that the
model does not impute, has NaN for survival. `python -c "from functions.survival.export import export_model;
help(export_model)"` explains each, and exports averages, competing risks and bootstrap bands.
"""
MISSING = {"", "na", "nan"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = DESCRIPTION.strip(), EPILOG.strip()
    parser.add_argument("model", type=Path, metavar="MODEL", help="joblib or pickle file that you made yourself")
    parser.add_argument("--data", type=Path, required=True, metavar="CSV", help="sample rows of the model's inputs")
    parser.add_argument(
        "--times",
        required=True,
        metavar="GRID",
        help="times of the curve, in the unit the model was trained in: START:STOP:STEP (STOP included) or t1,t2,...",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the ONNX file to write")
    parser.add_argument("--name", help="of the model; the file's name when absent")
    parser.add_argument("--version", default="0.0.0", help="of the model (default: %(default)s)")
    parser.add_argument(
        "--alpha", type=float, help="where on the path of a CoxnetSurvivalAnalysis; its last when absent"
    )
    parser.add_argument(
        "--tolerance",
        type=tolerance,
        default=1e-5,
        help="largest difference of survival accepted (default: %(default)g)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite FILE")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Export it.

    Returns
    -------
    int
        0 when the file was written, 1 when the model or the sample is refused or libraries are absent, 2 when the
        arguments are wrong.
    """
    try:
        times = parse_times(args.times)
    except BadTimeGrid as error:
        return refuse(error, status=2)
    if args.out.exists() and not args.force:
        say(f"{args.out} is there already; --force overwrites it")
        return 2
    say(f"loading {args.model}: a joblib or pickle file runs code when it is loaded, so only load what you made")
    try:
        from functions.survival.export import export_model

        loaded = load(args.model)
        header, rows = read_sample(args.data)
        fitted, sample = match(loaded, header, rows, args.alpha)
        done = export_model(
            fitted,
            name=args.name or args.out.stem,
            version=args.version,
            times=times,
            sample=sample,
            tolerance=args.tolerance,
        )
    except (ExportError, OSError) as error:
        return refuse(error)
    except ImportError as missing:
        say(f"{missing.name or missing} is not installed: exporting needs `make setup-train`, and what the model needs")
        return 1
    write(args.out, done.content)
    report(args, fitted, times, done)
    return 0


def tolerance(text: str) -> float:
    """Read a tolerance: a number, not negative."""
    value = float(text)
    if not value >= 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return value


def parse_times(text: str) -> FloatArray:
    """Read a time grid.

    Parameters
    ----------
    text : str
        ``START:STOP:STEP``, STOP included where the steps meet it, or numbers with commas between.

    Raises
    ------
    BadTimeGrid
        It is neither, or not finite and rising.
    """
    from functions.survival.export.checks import check_grid

    parts = text.split(":")
    try:
        numbers = [float(part) for part in (parts if len(parts) > 1 else text.split(","))]
    except ValueError:
        raise BadTimeGrid(f"--times {text!r}: give START:STOP:STEP, or numbers with commas between") from None
    if len(parts) == 1:
        return check_grid(np.array(numbers))
    if len(parts) != 3 or not all(map(math.isfinite, numbers)) or numbers[2] <= 0 or numbers[1] < numbers[0]:
        raise BadTimeGrid(f"--times {text!r}: give START:STOP:STEP with STEP above 0 and STOP not before START")
    start, stop, step = numbers
    count = math.floor((stop - start) / step + 1e-9) + 1
    if count > 100_000:
        raise BadTimeGrid(f"--times {text!r}: {count} times are more than a curve needs")
    return check_grid(np.asarray(start + step * np.arange(count), dtype=np.float64))


def load(path: Path) -> Any:
    """Load a model from a file that the caller trusts.

    Raises
    ------
    ExportError
        The file is not one of joblib or pickle.
    """
    import joblib  # type: ignore[import-untyped]

    try:
        return joblib.load(path)
    except (OSError, ImportError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever a foreign file's code raises
        raise UnsupportedModel(
            f"{path} is not a joblib or pickle file that can be loaded here ({type(error).__name__})"
        ) from None


def read_sample(path: Path) -> tuple[list[str], FloatArray]:
    """Read a CSV of numbers; returns its header and its rows, shape (n, columns), NaN where a cell is empty.

    Raises
    ------
    BadSample
        It has no header or no rows, a row of another length, or a cell that is not a number.
    """
    with path.open(newline="", encoding="utf-8-sig") as stream:
        lines = list(csv.reader(stream))
    if len(lines) < 2:
        raise BadSample(f"{path} needs a header and at least one row")
    header = [cell.strip() for cell in lines[0]]
    if len(set(header)) != len(header):
        raise BadSample(f"{path} names a column twice")
    rows = [numbers(path, header, at, line) for at, line in enumerate(lines[1:], start=2) if line]
    return header, np.array(rows, dtype=np.float64)


def numbers(path: Path, header: Sequence[str], at: int, line: Sequence[str]) -> list[float]:
    """Read one line of cells; what a cell holds is never repeated."""
    if len(line) != len(header):
        raise BadSample(f"{path} line {at} has {len(line)} cells, its header {len(header)}")
    found = []
    for name, cell in zip(header, line, strict=True):
        try:
            found.append(math.nan if cell.strip().lower() in MISSING else float(cell))
        except ValueError:
            raise BadSample(f"{path} line {at}, column {name!r}: not a number; code categories as numbers") from None
    return found


def match(loaded: Any, header: list[str], rows: FloatArray, alpha: float | None) -> tuple[Fitted, FloatArray]:
    """Bring model and sample together.

    Returns
    -------
    fitted : Fitted
        The model with its inputs named.
    sample : ndarray of float64, shape (n, p)
        The columns it takes, in its order.

    Raises
    ------
    WrongColumns
        The sample lacks a column of the model, or has a different number of them.
    """
    ours = isinstance(loaded, CoxEquation | CompetingCox | StackedAverage | Wrapped)
    names = list(loaded.names) if ours else list(getattr(loaded, "feature_names_in_", []))
    if names:
        absent = [name for name in names if name not in header]
        if absent:
            raise WrongColumns(f"the sample lacks the model's columns {', '.join(absent)}")
    else:
        count = getattr(loaded, "n_features_in_", len(header))
        if count != len(header):
            raise WrongColumns(f"the model takes {count} columns, the sample has {len(header)}")
        names = header
    sample = rows[:, [header.index(name) for name in names]]
    return loaded if ours else Wrapped(tuple(names), loaded, alpha=alpha), sample


def write(path: Path, content: bytes) -> None:
    """Write the file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def report(args: argparse.Namespace, fitted: Fitted, times: FloatArray, done: Any) -> None:
    """Print what was written."""
    digest = hashlib.sha256(done.content).hexdigest()
    if args.json:
        found = {
            "file": str(args.out),
            "bytes": len(done.content),
            "sha256": digest,
            "max_error": done.max_error,
            "rows": done.rows,
            "times": len(times),
            "inputs": list(fitted.names),
        }
        print(json.dumps(found, indent=2))
        return
    print(f"wrote {args.out}, {len(done.content):,} bytes, sha256 {digest}")
    print(f"  {len(fitted.names)} inputs: {', '.join(fitted.names)}")
    print(f"  {len(times)} times from {times[0]:g} to {times[-1]:g}")
    print(f"  survival differs from the model's by at most {done.max_error:.2g} on {done.rows} rows")


def refuse(error: Exception, status: int = 1) -> int:
    """Say why nothing was written; returns the exit status."""
    say(f"nothing written: {type(error).__name__}: {error}")
    return status


def say(line: str) -> None:
    """Write one line to standard error."""
    print(line, file=sys.stderr, flush=True)
