"""The benchmark as a Markdown table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["render"]

Json = Mapping[str, Any]


def render(found: Json) -> str:
    """Return the tables of a benchmark as Markdown.

    Parameters
    ----------
    found : mapping
        From :func:`functions.survival.benchmark.run`.
    """
    given = {name: table for name, table in found["tables"].items() if "published" in table}
    ours = {name: table for name, table in found["tables"].items() if "published" not in table}
    parts = []
    if found["quick"]:
        parts.append("**A quick run: it shows that everything works; these numbers are not to be quoted.**")
    if given:
        parts.append(_given(given))
    if ours:
        parts.append(_ours(ours, int(found["seed"])))
    if found["packages"]:
        parts.append(_packages(found["packages"]))
    if found["skipped"]:
        parts.append("\n".join(["Not run:", ""] + [f"- {name}: {why}." for name, why in found["skipped"].items()]))
    return "\n\n".join(parts) + "\n"


def _given(tables: Json) -> str:
    head = (
        "data",
        "published best of 21",
        "published Cox",
        "stack",
        "Cox",
        "forest",
        "stack above Cox",
        "D-calibration p",
    )
    rows = []
    for name, table in tables.items():
        learners, published = table["learners"], table["published"]
        rows.append(
            (
                name.upper(),
                f"{published['best_of_21']:.4f}",
                f"{published['cox']:.4f}",
                _bold(_interval(learners["stack"]["harrell_c"]), bool(table["at_or_above_best"])),
                _value(learners["cox"]["harrell_c"]),
                _value(learners["random_survival_forest"]["harrell_c"]),
                _interval(learners["stack"]["harrell_c_above_cox"], signed=True),
                f"{learners['stack']['d_calibration']['p_value']:.2f}",
            )
        )
    notes = [f"{name.upper()}: {table['note']}." for name, table in tables.items() if table["note"]]
    words = (
        "Mean Harrell's C over the outer folds of Burk et al. (arXiv 2406.04098), 95% interval by the corrected "
        "resampled t statistic (Nadeau and Bengio 2003); bold: at or above the best published. The stack averages Cox "
        "models on splines, Cox models on a Gaussian kernel and random survival forests, weighted and recalibrated by "
        "cross-validation within the training rows. Five folds are few, and the intervals wide; the published values "
        "are means over the same folds."
    )
    return "\n\n".join([words, _markdown(head, rows), *notes])


def _ours(tables: Json, seed: int) -> str:
    head = (
        "data",
        "patients (events)",
        "folds",
        "stack",
        "Cox",
        "stack above Cox",
        "Brier score: stack, Cox",
        "D-cal. p",
    )
    rows = []
    for name, table in tables.items():
        stack, cox = table["learners"]["stack"], table["learners"]["cox"]
        rows.append(
            (
                name,
                f"{table['rows']} ({table['events']})",
                str(table["folds"]),
                _interval(stack["harrell_c"]),
                _value(cox["harrell_c"]),
                _interval(stack["harrell_c_above_cox"], signed=True),
                f"{stack['integrated_brier_score']['value']:.4f}, {cox['integrated_brier_score']['value']:.4f}",
                f"{stack['d_calibration']['p_value']:.2f}",
            )
        )
    words = f"The same learners by 5-fold cross-validation, twice below 1000 patients, seeds {seed} and {seed + 1}:"
    return "\n\n".join([words, _markdown(head, rows)])


def _packages(packages: Json) -> str:
    head = ("package", "chosen", "Harrell's C", "Uno's C", "integrated Brier score", "without inputs", "rebuilt file")
    rows = []
    for name, package in packages.items():
        measured = package["performance"]
        same = {True: "same digest", False: "**differs**", None: "not compared"}[package["same"]]
        shown = [_interval(measured[key]) for key in ("harrell_c", "uno_c", "integrated_brier_score")]
        without = _value(measured["integrated_brier_score_reference"])
        rows.append((name, package["chosen"].replace("_", " "), *shown, without, same))
    words = "Every shipped package trained anew (held-out patients, 95% bootstrap intervals):"
    return "\n\n".join([words, _markdown(head, rows)])


def _value(interval: Json) -> str:
    return f"{interval['value']:.4f}"


def _interval(interval: Json, *, signed: bool = False) -> str:
    value = f"{interval['value']:+.4f}" if signed else _value(interval)
    return f"{value} ({interval['low']:.3f} to {interval['high']:.3f})"


def _bold(text: str, bold: bool) -> str:
    return f"**{text}**" if bold else text


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
