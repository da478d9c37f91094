"""The tables of page and card: caption, head and rows of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from functions.offline.report.tables import Table

__all__ = ["codes_of", "number", "tables", "value"]

Json = Mapping[str, Any]

UNKNOWN = "–"
READ = {
    "auroc": ("AUROC", "0.5 chance, 1 perfect ranking"),
    "auprc": ("AUPRC (average precision)", "the share with the finding is chance"),
    "accuracy": ("Accuracy", "share of right calls"),
    "sensitivity": ("Sensitivity", "of those with the finding, found"),
    "specificity": ("Specificity", "of those without, called negative"),
    "ppv": ("Positive predictive value", "at the share in these data"),
    "npv": ("Negative predictive value", "at the share in these data"),
    "brier": ("Brier score", "lower is better"),
    "log_loss": ("Log loss", "lower is better"),
    "ece": ("Expected calibration error", "0 is ideal; its interval leans high"),
    "calibration_slope": ("Calibration slope", "1 is ideal; lower is too extreme"),
    "calibration_intercept": ("Calibration intercept", "0 is ideal; below 0, predictions are too high"),
    "observed_expected_ratio": ("Observed over expected", "1 is ideal"),
}


def number(found: float | None, digits: int = 3) -> str:
    """Return a number, or a dash where there is none."""
    return UNKNOWN if found is None else f"{found:.{digits}f}"


def value(found: Json, digits: int = 3) -> str:
    """Return an estimate with its interval, as ``0.759 (0.722 to 0.791)``."""
    if found["value"] is None or found["low"] is None:
        return number(found["value"], digits)
    return f"{found['value']:.{digits}f} ({found['low']:.{digits}f} to {found['high']:.{digits}f})"


def codes_of(declared: Json) -> str:
    """Return where a declared input comes from in a record."""
    if "codes" not in declared:
        return str(declared["kind"])
    systems = {"http://loinc.org": "LOINC", "http://snomed.info/sct": "SNOMED CT"}
    system = str(declared["system"])
    return f"{systems.get(system, system)} {', '.join(declared['codes'])}"


def tables(found: Json, contract: Json) -> dict[str, Table]:
    """Return the tables that an evaluation and a contract fill, by name."""
    many = "classes" in found
    made = {"performance": _measured(found, "Performance, with 95% intervals.")}
    if many:
        made |= _many(found, contract)
    else:
        made |= {
            "cells": _cells(found),
            "validation": _measured(found["validation"], "The same on the validation images, which chose the point."),
        }
    for name, caption in (("subgroups", "Groups of images."), ("robustness", "The test images, disturbed.")):
        if found[name]:
            made[name] = _rows(found[name], caption)
    return made


def _measured(found: Json, caption: str) -> Table:
    rows = tuple((title, value(found[key]), how) for key, (title, how) in READ.items() if key in found)
    return Table(caption, ("Measure", "Value", "How to read it"), rows)


def _cells(found: Json) -> Table:
    cell = found["counts"]
    return Table(
        f"At the operating point, {found['operating_point']['threshold']:g}.",
        ("", "With the finding", "Without"),
        (
            ("Called positive", str(cell["true_positive"]), str(cell["false_positive"])),
            ("Called negative", str(cell["false_negative"]), str(cell["true_negative"])),
        ),
    )


def _rows(found: Sequence[Json], caption: str) -> Table:
    keys = ("auroc", "accuracy", "sensitivity", "specificity")
    counted = ("Number / with finding",) if "images" in found[0] else ()
    head = ("Images", *counted, "AUROC", "Accuracy", "Sensitivity", "Specificity")
    rows = []
    for row in found:
        first = row.get("title") or row["name"]
        count = (f"{row['images']} / {row['with_finding']}",) if "images" in row else ()
        rows.append((first, *count, *(value(row[key]) for key in keys)))
    return Table(caption, head, tuple(rows))


def _many(found: Json, contract: Json) -> dict[str, Table]:
    names = {item["name"]: item["display"] for item in contract["findings"]}
    classes = [row["name"] for row in found["classes"]]
    keys = ("auroc", "auprc", "sensitivity", "specificity", "ppv", "npv", "brier", "ece", "calibration_slope")
    by_class = tuple((READ[key][0], *(value(row[key], 2) for row in found["classes"])) for key in keys)
    confusion = tuple(
        (names[name], *(f"{cell:g}" for cell in cells)) for name, cells in zip(classes, found["confusion"], strict=True)
    )
    return {
        "classes": Table(
            "Each class against the others, at its threshold.",
            ("Measure", *(names[name] for name in classes)),
            by_class,
        ),
        "confusion": Table(
            "How many of each class are called what, mean over the repeats.",
            ("Is", *(f"Called {names[name].lower()}" for name in classes)),
            confusion,
        ),
        "candidates": _candidates(found["decision"]),
        "inputs": _inputs(found, contract),
    }


def _candidates(decision: Json) -> Table:
    rows = tuple(
        (
            row["title"] + (" (ships)" if row["name"] == decision["chosen"] else ""),
            *(number(row[key], 4) for key in ("log_loss", "miscalibration")),
            *(number(row[key], 3) for key in ("slope", "brier", "accuracy")),
        )
        for row in decision["candidates"]
    )
    head = ("Model", "Log loss", "Of it by miscalibration", "Slope", "Brier score", "Accuracy")
    return Table("The models side by side, on the same held-out people.", head, rows)


def _inputs(found: Json, contract: Json) -> Table:
    meanings = {"refuse": "no answer", "impute": "typical value", "absent": "counts as absent"}
    rows = []
    for declared in contract["inputs"]:
        seen = found["data"]["inputs"][declared["name"]]
        spread = f"{seen['median']:g} ({seen['quartiles'][0]:g} to {seen['quartiles'][1]:g})"
        missing = meanings[str(declared["missing"])]
        rows.append((declared["display"], codes_of(declared), declared["unit"], spread, missing))
    head = ("Input", "Codes", "Unit", "In the training data", "When missing")
    return Table("Inputs; median and quartiles in the training data.", head, tuple(rows))
