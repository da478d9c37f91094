"""The benchmark as a picture: Harrell's C with its interval, and what was published."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["draw"]

Json = Mapping[str, Any]

_COLOURS = {"stack": "#0b5fa5", "random_survival_forest": "#5a9c3b", "gradient_boosting": "#c77d1a", "cox": "#555555"}


def draw(found: Json, path: Path) -> None:
    """Draw a forest plot of Harrell's C, one panel a table.

    Parameters
    ----------
    found : mapping
        From :func:`functions.survival.benchmark.run`; at least one table.
    path : Path
        Where to; its suffix says how: ``.svg`` or ``.png``.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    tables = found["tables"]
    columns = min(3, len(tables))
    rows = -(-len(tables) // columns)
    figure = Figure(figsize=(4.2 * columns, 0.6 + 2.1 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for number, (axis, (name, table)) in enumerate(zip(axes, tables.items(), strict=False)):
        _panel(axis, name, table)
        if number % columns:
            axis.set_yticklabels([])
    for axis in axes[len(tables) :]:
        axis.set_visible(False)
    lines, words = axes[0].get_legend_handles_labels()
    if lines:
        figure.legend(lines, words, loc="outside upper right", ncols=2, fontsize=8, frameon=False)
    figure.supxlabel("Harrell's C on held-out folds, 95% interval", fontsize=9)
    # No date and no chance inside: the same numbers give the same file.
    with rc_context({"svg.hashsalt": "bedside"}):
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)


def _panel(axis: Any, name: str, table: Json) -> None:
    learners = table["learners"]
    for height, key in enumerate(reversed(list(learners))):
        shown = learners[key]["harrell_c"]
        axis.plot([shown["low"], shown["high"]], [height, height], color=_COLOURS[key], linewidth=1.6)
        axis.plot([shown["value"]], [height], "s", color=_COLOURS[key], markersize=5)
        axis.annotate(
            f"{shown['value']:.4f}",
            (shown["value"], height),
            (0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=7,
        )
    for key, style, words in (("best_of_21", "-", "published best"), ("cox", ":", "published Cox")):
        if "published" in table:
            axis.axvline(table["published"][key], color="#a11d33", linestyle=style, linewidth=1.0, label=words)
    axis.set_yticks(range(len(learners)), [learners[key]["title"] for key in reversed(list(learners))], fontsize=8)
    axis.set_ylim(-0.6, len(learners) - 0.3)
    axis.tick_params(axis="x", labelsize=8)
    axis.set_title(f"{name}: {table['rows']} patients, {table['events']} events", fontsize=9, loc="left")
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
