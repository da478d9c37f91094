"""The report's pictures as inline SVG: the same bytes for the same numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from functions.offline.report.svg import Draw
from functions.survival.report.words import Words, short, span, term_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "auc",
    "brier",
    "calibration",
    "d_calibration",
    "hazard_ratios",
    "importance",
    "net_benefit",
    "risk_groups",
]

Json = Mapping[str, Any]

# Okabe and Ito's colours, told apart by the colour-blind; line styles differ too.
BLUE, ORANGE, GREEN, GREY, RED, SKY = "#0072b2", "#b35900", "#00785a", "#666666", "#b0305a", "#2f7fa8"
LINES = ((BLUE, "-"), (GREEN, "--"), (SKY, (0, (5, 1, 1, 1))), (RED, "-."), (ORANGE, (0, (8, 2))))
YEAR = 365.0


def calibration(row: Json) -> Draw:
    """Return the drawing of observed against predicted risk at one horizon (an entry of ``horizons``)."""
    return partial(_calibration, row)


def _calibration(row: Json, axes: Axes) -> None:
    curve, groups = row["calibration"]["curve"], row["calibration"]["groups"]
    x, observed, points = _percent(curve["predicted"]), curve["observed"], _percent(groups["predicted"])
    middle = _percent(groups["observed"]["value"])
    low, high = _percent(groups["observed"]["low"]), _percent(groups["observed"]["high"])
    top = _round_up(max(value for value in (*x, *high, *points) if not math.isnan(value)))
    axes.plot([0, top], [0, top], color=GREY, linestyle=":", label="Predicted equals observed")
    axes.fill_between(x, _percent(observed["low"]), _percent(observed["high"]), color=BLUE, alpha=0.15, lw=0)
    axes.plot(x, _percent(observed["value"]), color=BLUE, label="Smoothed")
    for at, name in zip(points, ("Fifths of patients", *[None] * 9), strict=False):
        number = points.index(at)
        axes.plot([at, at], [low[number], high[number]], color=ORANGE, lw=1.4)
        axes.plot([at], [middle[number]], "o", color=ORANGE, markersize=5, label=name)
    axes.set(xlabel=f"Predicted risk at {span(row['days'])}, %", ylabel="Observed risk, %")
    axes.set(xlim=(0, top), ylim=(0, top))
    axes.legend(loc="upper left")


def auc(evaluation: Json, words: Words) -> Draw:
    """Return the drawing of the AUC over time."""
    return partial(_auc, evaluation, words)


def _auc(evaluation: Json, words: Words, axes: Axes) -> None:
    found = evaluation["auc"]
    years = _years(found["times_days"])
    low = _known(found["low"])
    axes.fill_between(years, low, _known(found["high"]), color=BLUE, alpha=0.15, lw=0)
    axes.plot(years, _known(found["value"]), color=BLUE)
    axes.axhline(0.5, color=GREY, linestyle=":")
    axes.text(0.02 * years[-1], 0.51, "no better than chance", color=GREY, fontsize=9.5)
    bottom = min([0.45, *(value for value in low if not math.isnan(value))])
    axes.set(xlabel=f"Years after {words.origin}", ylabel="AUC", xlim=(0, None), ylim=(bottom, 1.0))


def brier(evaluation: Json, words: Words) -> Draw:
    """Return the drawing of each model's Brier score over time."""
    return partial(_brier, evaluation, words)


def _brier(evaluation: Json, words: Words, axes: Axes) -> None:
    found, reported = evaluation["brier"], evaluation["model"]["kind"]
    years = _years(found["times_days"])
    ours = found[reported]
    axes.fill_between(years, _known(ours["low"]), _known(ours["high"]), color=BLUE, alpha=0.15, lw=0)
    shown = sorted(evaluation["comparison"], key=lambda row: row["name"] != reported)
    for row, (colour, line) in zip(shown, LINES, strict=False):
        title = short(row["title"]) + (" (ships)" if row["name"] == reported else "")
        axes.plot(years, _known(found[row["name"]]["value"]), color=colour, linestyle=line, label=title)
    reference = evaluation["reference"]
    values = _known(found[reference["name"]]["value"])
    axes.plot(years, values, color=GREY, linestyle=":", label=reference["title"])
    top = max(value for value in (*values, *_known(ours["high"])) if not math.isnan(value))
    axes.set(xlabel=f"Years after {words.origin}", ylabel="Brier score (lower is better)")
    # Room for the legend below the curves, which start near 0 and rise.
    axes.set(xlim=(0, None), ylim=(0, 1.08 * top))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=1)


def risk_groups(evaluation: Json, words: Words) -> Draw:
    """Return the drawing of survival in thirds of predicted risk."""
    return partial(_risk_groups, evaluation, words)


def _risk_groups(evaluation: Json, words: Words, axes: Axes) -> None:
    found = evaluation["risk_groups"]
    years = [0.0, *_years(found["times_days"])]
    names = ("Lowest third of risk", "Middle third", "Highest third")
    least = 100.0
    for group, name, colour in zip(found["groups"], names, (GREEN, BLUE, ORANGE), strict=True):
        observed = {key: [100.0, *_percent(values)] for key, values in group["observed"].items()}
        axes.fill_between(years, observed["low"], observed["high"], color=colour, alpha=0.15, lw=0)
        axes.plot(years, observed["value"], color=colour, label=f"{name}: observed")
        axes.plot(years, [100.0, *_percent(group["predicted"])], color=colour, linestyle="--")
        least = min([least, *(value for value in observed["low"] if not math.isnan(value))])
    axes.plot([], [], color=GREY, linestyle="--", label="Dashed: predicted")
    bottom = 0.0 if least < 50 else 10.0 * math.floor(least / 10.0 - 1.0)
    axes.set(xlabel=f"Years after {words.origin}", xlim=(0, None), ylim=(bottom, 102))
    axes.set_ylabel(_wrapped(f"{words.free}, %"))
    axes.legend(loc="lower left")


def net_benefit(row: Json) -> Draw:
    """Return the decision curve at one horizon (an entry of ``horizons``)."""
    return partial(_net_benefit, row)


def _net_benefit(row: Json, axes: Axes) -> None:
    found = row["net_benefit"]
    x, model, everyone = _percent(found["thresholds"]), found["model"], _known(found["act_on_all"])
    axes.fill_between(x, _known(model["low"]), _known(model["high"]), color=BLUE, alpha=0.15, lw=0)
    axes.plot(x, _known(model["value"]), color=BLUE, label="Act on the model")
    axes.plot(x, everyone, color=ORANGE, linestyle="--", label="Act on everyone")
    axes.axhline(0.0, color=GREY, linestyle=":", label="Act on nobody")
    top = max(value for value in (*everyone, *_known(model["high"])) if not math.isnan(value))
    axes.set(xlabel=f"Risk by {span(row['days'])} to act above, %", ylabel="Net benefit")
    axes.set(xlim=(0, max(x)), ylim=(-0.2 * top, 1.1 * top))
    axes.legend(loc="upper right")


def d_calibration(evaluation: Json) -> Draw:
    """Return the histogram of predicted survival at each patient's own time."""
    return partial(_d_calibration, evaluation)


def _d_calibration(evaluation: Json, axes: Axes) -> None:
    bins = _percent(evaluation["d_calibration"]["bins"])
    width = 100.0 / len(bins)
    axes.bar([width * (at + 0.5) for at in range(len(bins))], bins, width=0.9 * width, color=SKY)
    axes.axhline(width, color=ORANGE, linestyle="--", label="As many in each: ideal")
    axes.set(xlabel="Predicted survival at the patient's own time, %", ylabel="Share of patients, %", xlim=(0, 100))
    axes.set(ylim=(0, max(1.45 * width, 1.25 * max(bins))))
    axes.legend(loc="upper right")


def hazard_ratios(cause: Json, labels: Mapping[str, str]) -> Draw:
    """Return the drawing of one equation's hazard ratios."""
    return partial(_hazard_ratios, cause, labels)


def _hazard_ratios(cause: Json, labels: Mapping[str, str], axes: Axes) -> None:
    terms = sorted(cause["terms"], key=lambda term: term["hazard_ratio"]["value"])
    for row, term in enumerate(terms):
        ratio = term["hazard_ratio"]
        axes.plot([ratio["low"], ratio["high"]], [row, row], color=BLUE, lw=1.5)
        axes.plot([ratio["value"]], [row], "s", color=BLUE, markersize=5)
    axes.axvline(1.0, color=GREY, linestyle=":")
    axes.set_xscale("log")
    reach = [term["hazard_ratio"][key] for term in terms for key in ("low", "high")]
    ticks = _ticks(min(reach), max(reach))
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_yticks(range(len(terms)), [_wrapped(term_title(term, labels)) for term in terms], fontsize=9.5)
    axes.set(xlabel="Hazard ratio (log scale)")
    axes.grid(visible=False, axis="y")


def importance(evaluation: Json, labels: Mapping[str, str]) -> Draw:
    """Return the drawing of what ranking loses without each input."""
    return partial(_importance, evaluation, labels)


def _importance(evaluation: Json, labels: Mapping[str, str], axes: Axes) -> None:
    rows = list(reversed(evaluation["importance"]))
    for at, row in enumerate(rows):
        loss = row["loss_of_uno_c"]
        axes.plot(_known([loss["low"], loss["high"]]), [at, at], color=BLUE, lw=1.5)
        axes.plot(_known([loss["value"]]), [at], "s", color=BLUE, markersize=5)
    axes.axvline(0.0, color=GREY, linestyle=":")
    axes.set_yticks(range(len(rows)), [_wrapped(labels[row["name"]].split(" (")[0]) for row in rows], fontsize=9.5)
    axes.set(xlabel="Loss of Uno's C when shuffled")
    axes.grid(visible=False, axis="y")


def _ticks(low: float, high: float) -> list[float]:
    every = [0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0]
    fine = [0.5, 0.7, 1.0, 1.4, 2.0, 2.8]
    choice = fine if low > 0.4 and high < 3.0 else every
    within = [tick for tick in choice if low / 1.3 <= tick <= high * 1.3]
    return within if 1.0 in within else sorted([*within, 1.0])


def _wrapped(text: str, width: int = 26) -> str:
    """Break a long label once, so that it leaves room for the picture."""
    if len(text) <= width:
        return text
    at = text.rfind(" ", 0, width)
    return text if at < 0 else f"{text[:at]}\n{text[at + 1 :]}"


def _round_up(value: float) -> float:
    """The next round number of per cent, for an axis."""
    step = 20.0 if value > 50 else 10.0 if value > 20 else 5.0 if value > 5 else 1.0
    return min(100.0, step * math.ceil(1.02 * value / step))


def _years(days: Sequence[float]) -> list[float]:
    return [day / YEAR for day in days]


def _known(values: Sequence[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]


def _percent(values: Sequence[float | None]) -> list[float]:
    return [100.0 * value for value in _known(values)]
