"""The report as one HTML page: no scripts, nothing fetched, readable on a phone and on paper."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from functions.survival.data import Dataset
from functions.survival.report.figures import svg
from functions.survival.report.words import Table, labels, percent, subgroup_note, summary_rows, tables, value

__all__ = ["render_page"]

Json = Mapping[str, Any]
# (name, description, caption) -> a figure element
Draw = Callable[[str, str, str], str]

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 46rem; padding: 1rem 1rem 4rem; color: #1c1c1c; background: #fff;
  font: 1rem/1.55 system-ui, "DejaVu Sans", Arial, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0 .25rem; }
h3 { font-size: 1rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; border-bottom: 1px solid #ccc; padding-bottom: .2rem; }
p, ul { margin: .6rem 0; }
.status { background: #fff4e0; border-left: .3rem solid #b35900; padding: .6rem .8rem; }
.key { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .6rem; margin: 1rem 0; }
.key div { background: #f2f6fa; padding: .6rem .8rem; border-radius: .3rem; }
.key dt { font-size: .85rem; color: #444; }
.key dd { margin: 0; font-size: 1.35rem; font-weight: 600; }
.key dd small { display: block; font-size: .8rem; font-weight: 400; color: #444; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; }
caption { text-align: left; font-weight: 600; padding-bottom: .4rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem .35rem 0; border-bottom: 1px solid #ddd; }
thead th { border-bottom: 2px solid #999; }
tbody th { font-weight: 500; }
figure { margin: 1.2rem 0; }
figure svg { width: 100%; max-width: 36rem; height: auto; display: block; }
figure svg text { font-family: system-ui, "DejaVu Sans", Arial, sans-serif !important; }
figcaption { font-size: .88rem; color: #333; margin-top: .3rem; max-width: 40rem; }
code { font-size: .85em; overflow-wrap: anywhere; }
nav ol { padding-left: 1.6rem; columns: 16rem 2; column-gap: 2.5rem; font-size: .92rem; }
@media (max-width: 30rem) { table { font-size: .82rem; } th, td { padding-right: .45rem; } }
@media print { body { max-width: none; } h2 { break-after: avoid; } figure, tr { break-inside: avoid; } }
"""


def render_page(evaluation: Json, contract: Json, dataset: Dataset) -> str:
    """Render the report.

    Parameters
    ----------
    evaluation : mapping
        ``evaluation.json`` as read.
    contract : mapping
        ``model.yaml`` as read.
    dataset : Dataset
        The training data's description.

    Returns
    -------
    str
        A complete HTML document; the same for the same arguments and matplotlib.
    """
    sections = _sections(evaluation, contract, dataset)
    contents = "".join(f'<li><a href="#{key}">{escape(title)}</a></li>' for key, title, _ in sections)
    body = "".join(
        f'<section id="{key}"><h2>{escape(title)}</h2>{content}</section>' for key, title, content in sections
    )
    title = escape(str(contract["title"]))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}: evaluation</title><style>{_STYLE}</style></head><body>"
        f"<header><h1>{title}</h1>{_heading(evaluation, contract)}</header>"
        f'<nav aria-label="Contents"><ol>{contents}</ol></nav><main>{body}</main></body></html>\n'
    )


def _heading(evaluation: Json, contract: Json) -> str:
    model = evaluation["model"]
    facts = (
        ("Ranking (Uno's C)", evaluation["uno_c"], 2),
        ("AUC at one year", evaluation["auc_1y"], 2),
        ("Calibration slope", evaluation["calibration_1y"]["slope"], 2),
        ("Integrated Brier score", evaluation["integrated_brier_score"], 3),
    )
    boxes = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{found['value']:.{digits}f}"
        f"<small>{found['low']:.{digits}f} to {found['high']:.{digits}f}</small></dd></div>"
        for name, found, digits in facts
    )
    return (
        f"<p>Evaluation of <code>{escape(model['name'])}</code> {escape(model['version'])} on patients held out "
        f"of its training; model file <code>sha256:{escape(model['sha256'][:12])}…</code></p>"
        f'<p class="status"><strong>{escape(str(contract["status"]).capitalize())}.</strong> '
        f"Validated only by resampling the {evaluation['data']['patients']} patients it was trained on.</p>"
        f'<dl class="key">{boxes}</dl>'
    )


def _sections(evaluation: Json, contract: Json, dataset: Dataset) -> list[tuple[str, str, str]]:
    found = tables(evaluation, contract)
    names = labels(contract)

    def figure(name: str, description: str, caption: str) -> str:
        picture = svg(name, evaluation, names, escape(description, quote=True))
        return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"

    return [
        ("summary", "Summary", _summary(evaluation, contract, dataset)),
        ("performance", "Performance", _table(found["performance"])),
        ("calibration", "Does the risk mean what it says?", _calibration(evaluation, figure)),
        ("discrimination", "Does it tell patients apart?", _discrimination(evaluation, figure)),
        ("error", "How far off is it over time?", _error(figure)),
        ("benefit", "Would acting on it help?", _benefit(figure)),
        ("subgroups", "Women and men, young and old", _subgroups(evaluation, found)),
        ("comparison", "Why this model", _comparison(evaluation, found)),
        ("equation", "The equation", _equation(evaluation, found["equation"], figure)),
        ("inputs", "Inputs", _table(found["inputs"])),
        ("limits", "Limits and caveats", _limits(dataset)),
        ("rebuild", "Rebuild it", _rebuild(evaluation)),
    ]


def _summary(evaluation: Json, contract: Json, dataset: Dataset) -> str:
    rows = tuple(summary_rows(evaluation, contract, dataset.title))
    return _table(Table("Summary after the TRIPOD+AI checklist.", ("Item", "Here"), rows))


def _calibration(evaluation: Json, figure: Draw) -> str:
    found = evaluation["calibration_1y"]
    text = (
        f"On average the predicted and the observed risk at one year differ by "
        f"{100 * found['ici']['value']:.1f} percentage points. Nobody was lost to follow-up within the first "
        "year, so the observed risk is a plain proportion."
        if evaluation["data"]["censored_within_1y"] == 0
        else f"Mean distance between predicted and observed risk: {value(found['ici'])}."
    )
    picture = figure(
        "calibration",
        "Observed against predicted one-year risk, with the diagonal",
        "Observed against predicted risk of death at one year. Dots: five groups of equal size, observed by "
        "Kaplan-Meier. Line: smoothed with a spline. Bars and band: 95% intervals.",
    )
    groups = found["groups"]
    rows = tuple(
        (
            f"{number + 1}",
            f"{100 * predicted:.0f}%",
            percent({key: groups["observed"][key][number] for key in ("value", "low", "high")}),
        )
        for number, predicted in enumerate(groups["predicted"])
    )
    table = Table("One-year risk by fifths of predicted risk.", ("Fifth", "Predicted", "Observed"), rows)
    return f"<p>{escape(text)}</p>{picture}{_table(table)}"


def _discrimination(evaluation: Json, figure: Draw) -> str:
    groups = figure(
        "risk-groups",
        "Survival over five years in three risk groups, observed and predicted",
        "Survival in thirds of predicted risk: observed (solid, Kaplan-Meier, with 95% band) and predicted (dashed).",
    )
    auc = figure(
        "auc",
        "Time-dependent AUC over five years",
        f"Cumulative/dynamic AUC over time with 95% band; mean {value(evaluation['auc_mean'])}.",
    )
    return groups + auc


def _error(figure: Draw) -> str:
    return figure(
        "brier",
        "Brier score over five years for each model and for Kaplan-Meier",
        "Brier score over time, weighted for censoring; the band is the Cox model's 95% interval. Kaplan-Meier "
        "gives every patient the same curve.",
    )


def _benefit(figure: Draw) -> str:
    text = (
        "Net benefit counts deaths found, less false alarms weighed by the threshold one would act at. It says "
        "whether acting on the model beats acting on everyone or on nobody; it does not say that acting helps."
    )
    picture = figure(
        "net-benefit",
        "Net benefit of acting on the model, on everyone and on nobody",
        "Decision curve at one year, with 95% band.",
    )
    return f"<p>{escape(text)}</p>{picture}"


def _subgroups(evaluation: Json, found: Mapping[str, Table]) -> str:
    return f"<p>{escape(subgroup_note(evaluation))}</p>{_table(found['subgroups'])}{_table(found['subgroups_30d'])}"


def _comparison(evaluation: Json, found: Mapping[str, Table]) -> str:
    decision = evaluation["decision"]
    text = f"Rule set beforehand: {decision['rule']}. "
    if decision["better_than_cox"]:
        text += "Another model was better by that rule, but this package can only export Cox: the choice was forced."
    else:
        text += "No other model was, so Cox was chosen."
    return f"<p>{escape(text)}</p>{_table(found['comparison'])}{_table(found['differences'])}"


def _equation(evaluation: Json, table: Table, figure: Draw) -> str:
    equation = evaluation["equation"]
    survival = ", ".join(f"{100 * s:.1f}% at {days} days" for days, s in equation["reference_survival"].items())
    text = (
        f"{equation['form']}. The reference patient has every input at its reference value; the "
        f"probability of being alive is {survival}. Intervals come from refitting to resampled patients at the "
        "same penalty; they describe association, not cause."
    )
    picture = figure(
        "hazard-ratios", "Hazard ratio of each input with its interval", "Hazard ratios with 95% intervals."
    )
    return f"<p>{escape(text)}</p>{picture}{_table(table)}"


def _limits(dataset: Dataset) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in (*dataset.limits, *dataset.leaks))
    caveats = "".join(f"<li>{escape(text)}</li>" for text in dataset.caveats)
    return f"<ul>{items}</ul><h3>Caveats</h3><ul>{caveats}</ul><p>Reference: {escape(dataset.reference)}.</p>"


def _rebuild(evaluation: Json) -> str:
    name = escape(evaluation["model"]["name"])
    software = ", ".join(f"{key} {number}" for key, number in evaluation["software"].items())
    return (
        f"<p><code>make setup-train</code>, then <code>bedside train {name}</code> and "
        f"<code>bedside evaluate {name}</code>. Made with {escape(software)}; seed "
        f"{evaluation['method']['seed']}. Every number here is in <code>evaluation.json</code>.</p>"
    )


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in table.head)
    rows = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{_cell(c)}</td>" for c in row[1:])}</tr>'
        for row in table.rows
    )
    label = escape(table.caption, quote=True)
    return (
        f'<div class="scroll" role="region" aria-label="{label}" tabindex="0">'
        f"<table><caption>{escape(table.caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _cell(text: str) -> str:
    """Escape a cell; an interval breaks as a whole onto the next line, not within."""
    return re.sub(r"\(([\d.]+) to ([\d.]+)\)", "(\\1\u00a0to\u00a0\\2)", escape(text))
