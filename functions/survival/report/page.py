"""The report as one HTML page: no scripts, nothing fetched, readable on a phone and on paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from functions.offline.report.style import STYLE
from functions.offline.report.svg import Draw, svg
from functions.offline.report.tables import Table, html_table, html_tables, paragraph
from functions.survival.data import Dataset
from functions.survival.report import figures, notes
from functions.survival.report.tables import tables
from functions.survival.report.tripod import tripod
from functions.survival.report.words import Words, labels, main, number, span, value

__all__ = ["render_page"]

Json = Mapping[str, Any]
# (name, drawing, (width, height) in inches, description, caption) -> a figure element
Figure = Callable[[str, Draw, tuple[float, float], str, str], str]

# Pictures that stand alone, and those that stand two abreast on a wide page.
WIDE, HALF = 4.9, 3.9


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
        f"<title>{title}: evaluation</title><style>{STYLE}</style></head><body>"
        f"<header><h1>{title}</h1>{_heading(evaluation, contract)}</header>"
        f'<nav aria-label="Contents"><ol>{contents}</ol></nav><main>{body}</main></body></html>\n'
    )


def _heading(evaluation: Json, contract: Json) -> str:
    model, row = evaluation["model"], main(evaluation)
    facts = (
        ("Ranking (Uno's C)", evaluation["uno_c"], 2),
        (f"AUC at {span(row['days'])}", row["auc"], 2),
        (f"Calibration slope at {span(row['days'])}", row["calibration"]["slope"], 2),
        ("Integrated Brier score", evaluation["integrated_brier_score"], 3),
    )
    boxes = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{number(found['value'], digits)}"
        f"<small>{number(found['low'], digits)} to {number(found['high'], digits)}</small></dd></div>"
        for name, found, digits in facts
    )
    return (
        f"<p>Evaluation of <code>{escape(model['name'])}</code> {escape(model['version'])} "
        f"({escape(model['title'])}) on patients held out of its training; model file "
        f"<code>sha256:{escape(model['sha256'][:12])}…</code></p>"
        f'<p class="status"><strong>{escape(str(contract["status"]).capitalize())}.</strong> '
        f"Validated only by resampling the {evaluation['data']['patients']} patients it was trained on.</p>"
        f'<dl class="key">{boxes}</dl>'
    )


def _sections(evaluation: Json, contract: Json, dataset: Dataset) -> list[tuple[str, str, str]]:
    words, names = Words.of(dataset), labels(contract)
    found = tables(evaluation, contract, words)

    def figure(name: str, draw: Draw, size: tuple[float, float], description: str, caption: str) -> str:
        picture = svg(name, draw, size, escape(description, quote=True))
        return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"

    parts = [
        ("summary", "Summary", _summary(evaluation, contract, dataset)),
        ("performance", "Performance", _performance(found, words)),
        ("calibration", "Does the risk mean what it says?", _calibration(evaluation, found, words, figure)),
        ("discrimination", "Does it tell patients apart?", _discrimination(evaluation, words, figure)),
        ("error", "How far off is it over time?", _error(evaluation, words, figure)),
        ("benefit", "Would acting on it help?", _benefit(evaluation, words, figure)),
        (
            "subgroups",
            "Subgroups",
            paragraph(notes.subgroup_note(evaluation)) + html_tables(found, "subgroups", "subgroup_horizons"),
        ),
        (
            "missing",
            "Missing values",
            paragraph(notes.missing_note(evaluation)) + html_tables(found, "missing_performance", "missing"),
        ),
        (
            "comparison",
            "Why this model",
            paragraph(notes.choice_note(evaluation)) + html_tables(found, "comparison", "differences"),
        ),
        ("model", "The model", _model(evaluation, found, names, words, figure)),
        ("served", "The served file", paragraph(notes.served_note(evaluation)) + html_tables(found, "served")),
        ("inputs", "Inputs", html_tables(found, "inputs")),
        ("limits", "Limits and caveats", _limits(dataset)),
        ("tripod", "TRIPOD+AI", html_table(tripod(evaluation, contract, dataset))),
        ("rebuild", "Rebuild it", _rebuild(evaluation)),
    ]
    if evaluation["test_split"]:
        test = paragraph(notes.test_note(evaluation)) + html_tables(found, "test_comparison")
        parts.insert(8, ("test", "The test set", test))
    return parts


def _summary(evaluation: Json, contract: Json, dataset: Dataset) -> str:
    words, data = Words.of(dataset), evaluation["data"]
    follow_up = data["median_follow_up_event_free_days"]
    lost = "; ".join(f"{row['censored']} lost by {span(row['days'])}" for row in data["horizons"])
    rows = (
        ("Purpose", str(contract["intended_use"]).strip()),
        ("Outcome", f"{contract['outcome']['text']}, counted from {words.origin}"),
        ("Patients", f"{contract['population']} {notes.data_note(evaluation, dataset)}"),
        ("Follow-up", f"Median {number(follow_up, 0)} days among those without an event; {lost}"),
        ("Model", f"{evaluation['model']['title']}, {len(data['inputs'])} inputs"),
        ("How measured", notes.method_note(evaluation)),
        ("Result", _result(evaluation)),
    )
    return html_table(Table("In short.", ("Item", "Here"), rows))


def _result(evaluation: Json) -> str:
    index = evaluation["index_of_prediction_accuracy"]
    better = "better" if (index["low"] or 0.0) > 0 else "not clearly better"
    return (
        f"Uno's C {value(evaluation['uno_c'], 2)}. Its error is {better} than without any input "
        f"({evaluation['reference']['title']}): index of prediction accuracy {value(index, 2)}. "
        f"D-calibration p = {number(evaluation['d_calibration']['p_value'], 2)}."
    )


def _performance(found: Mapping[str, Table], words: Words) -> str:
    return paragraph(notes.measures_note(words)) + html_tables(found, "performance", "horizons")


def _calibration(evaluation: Json, found: Mapping[str, Table], words: Words, figure: Figure) -> str:
    pictures = "".join(
        figure(
            f"calibration-{row['days']:g}",
            figures.calibration(row),
            (HALF, 3.6),
            f"Observed against predicted risk at {span(row['days'])}, with the diagonal",
            f"{words.event[0].upper()}{words.event[1:]} within {span(row['days'])}.",
        )
        for row in evaluation["horizons"]
    )
    how = (
        f"Dots: five groups of equal size, observed by {words.observed_by}. Line: smoothed with a spline. Bars and "
        "band: 95% intervals."
    )
    histogram = figure(
        "d-calibration",
        figures.d_calibration(evaluation),
        (WIDE, 3.2),
        "Histogram of predicted survival at each patient's own time",
        "D-calibration: predicted survival at the time at which each patient had the event or was lost (the lost in "
        "parts, over all bins below). Equal bars mean that the predicted distribution of times fits.",
    )
    note = paragraph(notes.calibration_note(evaluation, words))
    measured = html_tables(found, "calibration") + paragraph(notes.DISTANCES)
    return (
        f'{note}{measured}<div class="pair">{pictures}</div>{paragraph(how)}{html_tables(found, "groups")}{histogram}'
    )


def _discrimination(evaluation: Json, words: Words, figure: Figure) -> str:
    groups = figure(
        "risk-groups",
        figures.risk_groups(evaluation, words),
        (WIDE, 3.7),
        "Survival over time in three risk groups, observed and predicted",
        f"Thirds of predicted risk: observed (solid, {words.observed_by}, with 95% band) and predicted (dashed).",
    )
    auc = figure(
        "auc",
        figures.auc(evaluation, words),
        (WIDE, 3.1),
        "Time-dependent AUC",
        f"Cumulative/dynamic AUC over time with 95% band; mean {value(evaluation['auc_mean'])}.",
    )
    return groups + auc


def _error(evaluation: Json, words: Words, figure: Figure) -> str:
    return figure(
        "brier",
        figures.brier(evaluation, words),
        (WIDE, 4.6),
        "Brier score over time for each model and without inputs",
        f"Brier score over time, weighted for censoring; the band is the 95% interval of the model that ships. "
        f"{evaluation['reference']['title']}: the same curve for every patient.",
    )


def _benefit(evaluation: Json, words: Words, figure: Figure) -> str:
    text = (
        f"Net benefit counts {words.events} found, less false alarms weighed by the threshold one would act at. It "
        "says whether acting on the model beats acting on everyone or on nobody; it does not say that acting helps."
    )
    pictures = "".join(
        figure(
            f"net-benefit-{row['days']:g}",
            figures.net_benefit(row),
            (HALF, 3.1),
            f"Net benefit at {span(row['days'])} of acting on the model, on everyone and on nobody",
            f"Decision curve at {span(row['days'])}, with 95% band.",
        )
        for row in evaluation["horizons"]
    )
    return f'{paragraph(text)}<div class="pair">{pictures}</div>'


def _model(evaluation: Json, found: Mapping[str, Table], names: Mapping[str, str], words: Words, figure: Figure) -> str:
    parts = []
    if evaluation["importance"]:
        parts.append(
            figure(
                "importance",
                figures.importance(evaluation, names),
                (WIDE, 1.2 + 0.31 * len(names)),
                "Loss of Uno's C when one input is shuffled",
                "Permutation importance on held-out patients, with 95% intervals. Inputs that go together share what "
                "they tell; it is not a cause.",
            )
            + html_tables(found, "importance")
        )
    if evaluation["equation"]:
        parts.append(paragraph(notes.equation_note(evaluation, words)))
        for at, cause in enumerate(evaluation["equation"]["causes"]):
            picture = figure(
                f"hazard-ratios-{at}",
                figures.hazard_ratios(cause, names),
                (WIDE, 1.2 + 0.31 * len(cause["terms"])),
                "Hazard ratio of each input with its interval",
                f"Hazard ratios of {cause['cause']} with 95% intervals.",
            )
            parts.append(picture + html_tables(found, f"equation_{at}"))
    return "".join(parts) or paragraph("The model is in the file; it has no equation that fits on a page.")


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
