"""The report's pictures as inline SVG: the same bytes for the same numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from functions.offline.report.svg import Draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["calibration", "net_benefit", "precision_recall", "robustness", "roc"]

Json = Mapping[str, Any]

# Okabe and Ito's colours, told apart by the colour-blind; line styles differ too.
BLUE, ORANGE, GREY = "#0072b2", "#b35900", "#666666"


def roc(row: Json) -> Draw:
    """Return the ROC curve with the operating point."""
    return partial(_roc, row)


def _roc(row: Json, axes: Axes) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="No better than chance")
    axes.plot(row["roc"]["false_positive_rate"], row["roc"]["sensitivity"], color=BLUE, label="Model")
    sensitivity, specificity = row["sensitivity"], row["specificity"]
    x, y = 1.0 - specificity["value"], sensitivity["value"]
    axes.plot([x, x], [sensitivity["low"], sensitivity["high"]], color=ORANGE, lw=1.4)
    axes.plot([1.0 - specificity["high"], 1.0 - specificity["low"]], [y, y], color=ORANGE, lw=1.4)
    axes.plot([x], [y], "o", color=ORANGE, markersize=5, label="Operating point")
    axes.set(xlabel="1 - specificity", ylabel="Sensitivity", xlim=(0, 1), ylim=(0, 1.01))
    axes.legend(loc="lower right")


def precision_recall(row: Json, share: float) -> Draw:
    """Return precision over recall; `share` is that of people with the finding."""
    return partial(_precision_recall, row, share)


def _precision_recall(row: Json, share: float, axes: Axes) -> None:
    axes.axhline(share, color=GREY, linestyle=":", label="Call everyone positive")
    axes.plot(row["precision_recall"]["recall"], row["precision_recall"]["precision"], color=BLUE, label="Model")
    axes.plot([row["sensitivity"]["value"]], [row["ppv"]["value"]], "o", color=ORANGE, label="Operating point")
    axes.set(xlabel="Sensitivity (recall)", ylabel="Positive predictive value", xlim=(0, 1), ylim=(0, 1.01))
    axes.legend(loc="lower left")


def calibration(groups: Sequence[Json]) -> Draw:
    """Return observed against predicted in groups of equal size."""
    return partial(_calibration, groups)


def _calibration(groups: Sequence[Json], axes: Axes) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="Predicted equals observed")
    x = [group["predicted"] for group in groups]
    for at, group in zip(x, groups, strict=True):
        axes.plot([at, at], [group["observed"]["low"], group["observed"]["high"]], color=ORANGE, lw=1.4)
    axes.plot(x, [group["observed"]["value"] for group in groups], "o-", color=BLUE, markersize=5, label="Groups")
    axes.set(xlabel="Predicted probability", ylabel="Observed share", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.legend(loc="upper left")


def net_benefit(row: Json) -> Draw:
    """Return the decision curve."""
    return partial(_net_benefit, row["net_benefit"])


def _net_benefit(found: Json, axes: Axes) -> None:
    x, model, everyone = found["thresholds"], found["model"], found["act_on_all"]
    axes.fill_between(x, model["low"], model["high"], color=BLUE, alpha=0.15, lw=0)
    axes.plot(x, model["value"], color=BLUE, label="Act on the model")
    axes.plot(x, everyone, color=ORANGE, linestyle="--", label="Act on everyone")
    axes.axhline(0.0, color=GREY, linestyle=":", label="Act on nobody")
    top = max(*everyone, *model["high"])
    axes.set(xlabel="Probability above which one would act", ylabel="Net benefit")
    axes.set(xlim=(0, 1), ylim=(-0.2 * top, 1.1 * top))
    axes.legend(loc="lower left")


def robustness(rows: Sequence[Json], undisturbed: Json) -> Draw:
    """Return the AUROC under each disturbance, with intervals, against that of the test as it is."""
    return partial(_robustness, rows, undisturbed)


def _robustness(rows: Sequence[Json], undisturbed: Json, axes: Axes) -> None:
    shown = list(reversed(rows))
    axes.axvspan(undisturbed["low"], undisturbed["high"], color=BLUE, alpha=0.12, lw=0)
    axes.axvline(undisturbed["value"], color=BLUE, linestyle=":")
    for at, row in enumerate(shown):
        found = row["auroc"]
        if found["low"] is not None:
            axes.plot([found["low"], found["high"]], [at, at], color=ORANGE, lw=1.4)
        axes.plot([found["value"]], [at], "o", color=ORANGE, markersize=5)
    axes.set_yticks(range(len(shown)), [row["name"] for row in shown])
    axes.set(xlabel="AUROC (line and band: undisturbed)", xlim=(None, 1.005))
