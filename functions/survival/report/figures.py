"""The report's pictures as inline SVG: the same bytes for the same numbers."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FIGURES", "svg"]

Json = Mapping[str, Any]

# Okabe and Ito's colours, told apart by the colour-blind; line styles differ too.
BLUE, ORANGE, GREEN, GREY, RED = "#0072b2", "#b35900", "#00785a", "#666666", "#b0305a"
STYLES = {
    "cox": ("Cox", BLUE, "-"),
    "random_survival_forest": ("Random survival forest", GREEN, "--"),
    "gradient_boosting": ("Gradient boosting", RED, "-."),
    "kaplan_meier": ("Kaplan-Meier, no inputs", GREY, ":"),
}
YEAR = 365.0


def svg(name: str, evaluation: Json, labels: Mapping[str, str], description: str) -> str:
    """Draw one figure.

    Parameters
    ----------
    name : str
        A key of :data:`FIGURES`.
    evaluation : mapping
        ``evaluation.json`` as read.
    labels : mapping
        Clinical name of each input.
    description : str
        What it shows, for those who cannot see it.

    Returns
    -------
    str
        An ``<svg>`` element without scripts, dates or links; its ids are its own within a page.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    options: dict[Any, Any] = {
        "svg.hashsalt": f"bedside-{name}",
        "svg.fonttype": "none",
        "font.size": 11,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#e3e3e3",
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "legend.fontsize": 9.5,
    }
    with rc_context(options):
        draw, height = FIGURES[name]
        figure = Figure(figsize=(4.9, height), layout="constrained")
        draw(figure.subplots(), evaluation, labels)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return _inline(buffer.getvalue(), name, description)


def _inline(text: str, name: str, description: str) -> str:
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    text = re.sub(r"(<svg[^>]*?) (?:width|height)=\"[^\"]*pt\"", r"\1", text, count=1)
    text = re.sub(r"(<svg[^>]*?) (?:width|height)=\"[^\"]*pt\"", r"\1", text, count=1)
    return text.replace("<svg", f'<svg role="img" aria-label="{description}"', 1).strip()


def _calibration(axes: Axes, evaluation: Json, _labels: Mapping[str, str]) -> None:
    found = evaluation["calibration_1y"]
    curve, groups = found["curve"], found["groups"]
    axes.plot([0, 100], [0, 100], color=GREY, linestyle=":", label="Predicted equals observed")
    x, observed = _percent(curve["predicted"]), curve["observed"]
    axes.fill_between(x, _percent(observed["low"]), _percent(observed["high"]), color=BLUE, alpha=0.15, lw=0)
    axes.plot(x, _percent(observed["value"]), color=BLUE, label="Smoothed")
    points, middle = _percent(groups["predicted"]), _percent(groups["observed"]["value"])
    below = [m - low for m, low in zip(middle, _percent(groups["observed"]["low"]), strict=True)]
    above = [high - m for m, high in zip(middle, _percent(groups["observed"]["high"]), strict=True)]
    axes.errorbar(points, middle, yerr=[below, above], fmt="o", color=ORANGE, capsize=3, label="Fifths of patients")
    axes.set(xlabel="Predicted risk of death at one year, %", ylabel="Observed risk, %")
    axes.set(xlim=(0, 100), ylim=(0, 100))
    axes.legend(loc="upper left")


def _auc(axes: Axes, evaluation: Json, _labels: Mapping[str, str]) -> None:
    found = evaluation["auc"]
    years = [days / YEAR for days in found["times_days"]]
    axes.fill_between(years, found["low"], found["high"], color=BLUE, alpha=0.15, lw=0)
    axes.plot(years, found["value"], color=BLUE)
    axes.axhline(0.5, color=GREY, linestyle=":")
    axes.text(0.02, 0.51, "no better than chance", color=GREY, fontsize=9.5)
    axes.set(xlabel="Years after admission", ylabel="AUC", xlim=(0, None), ylim=(0.45, 1.0))


def _brier(axes: Axes, evaluation: Json, _labels: Mapping[str, str]) -> None:
    found = evaluation["brier"]
    years = [days / YEAR for days in found["times_days"]]
    axes.fill_between(years, found["cox"]["low"], found["cox"]["high"], color=BLUE, alpha=0.15, lw=0)
    for key, (title, colour, line) in STYLES.items():
        axes.plot(years, found[key]["value"], color=colour, linestyle=line, label=title)
    axes.set(xlabel="Years after admission", ylabel="Brier score (lower is better)")
    axes.set(xlim=(0, None), ylim=(0, 0.3))
    axes.legend(loc="lower right")


def _risk_groups(axes: Axes, evaluation: Json, _labels: Mapping[str, str]) -> None:
    found = evaluation["risk_groups"]
    years = [0.0, *(days / YEAR for days in found["times_days"])]
    names = ("Lowest third of risk", "Middle third", "Highest third")
    for group, name, colour in zip(found["groups"], names, (GREEN, BLUE, ORANGE), strict=True):
        observed = {key: [100.0, *_percent(values)] for key, values in group["observed"].items()}
        axes.fill_between(years, observed["low"], observed["high"], color=colour, alpha=0.15, lw=0)
        axes.plot(years, observed["value"], color=colour, label=f"{name}: observed")
        axes.plot(years, [100.0, *_percent(group["predicted"])], color=colour, linestyle="--")
    axes.plot([], [], color=GREY, linestyle="--", label="Dashed: predicted")
    axes.set(xlabel="Years after admission", ylabel="Alive, %", xlim=(0, None), ylim=(0, 102))
    axes.legend(loc="lower left")


def _net_benefit(axes: Axes, evaluation: Json, _labels: Mapping[str, str]) -> None:
    found = evaluation["net_benefit_1y"]
    x, model = _percent(found["thresholds"]), found["model"]
    axes.fill_between(x, model["low"], model["high"], color=BLUE, alpha=0.15, lw=0)
    axes.plot(x, model["value"], color=BLUE, label="Act on the model")
    axes.plot(x, found["act_on_all"], color=ORANGE, linestyle="--", label="Act on everyone")
    axes.axhline(0.0, color=GREY, linestyle=":", label="Act on nobody")
    axes.set(xlabel="Risk above which one would act, %", ylabel="Net benefit")
    axes.set(xlim=(min(x), max(x)), ylim=(-0.05, 0.3))
    axes.legend(loc="upper right")


def _hazard_ratios(axes: Axes, evaluation: Json, labels: Mapping[str, str]) -> None:
    terms = sorted(evaluation["equation"]["terms"], key=lambda term: term["hazard_ratio"]["value"])
    for row, term in enumerate(terms):
        ratio = term["hazard_ratio"]
        axes.plot([ratio["low"], ratio["high"]], [row, row], color=BLUE, lw=1.5)
        axes.plot([ratio["value"]], [row], "s", color=BLUE, markersize=5)
    axes.axvline(1.0, color=GREY, linestyle=":")
    axes.set_xscale("log")
    ticks = [0.5, 1, 2, 4, 8]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_yticks(range(len(terms)), [term_title(term, labels) for term in terms])
    axes.set(xlabel="Hazard ratio (log scale)")
    axes.grid(visible=False, axis="y")


def term_title(term: Json, labels: Mapping[str, str]) -> str:
    """Return an input's clinical name, with the difference its hazard ratio is for."""
    title = labels[term["name"]].split(" (")[0]
    if term["kind"] == "binary":
        return title
    unit = {"a": "years", "/min": "a minute", "mm[Hg]": "mmHg", "kg/m2": "kg/m²"}[term["unit"]]
    return f"{title}, +{term['step']:g} {unit}"


def _percent(values: list[float]) -> list[float]:
    return [100.0 * value for value in values]


# Each with its height in inches.
FIGURES: dict[str, tuple[Callable[[Axes, Json, Mapping[str, str]], None], float]] = {
    "calibration": (_calibration, 4.3),
    "risk-groups": (_risk_groups, 3.7),
    "auc": (_auc, 3.1),
    "brier": (_brier, 3.5),
    "net-benefit": (_net_benefit, 3.5),
    "hazard-ratios": (_hazard_ratios, 4.2),
}
