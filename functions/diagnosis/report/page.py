"""The report as one HTML page: no scripts, nothing fetched, readable on a phone and on paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from functions.diagnosis.data import Dataset
from functions.diagnosis.report import figures, notes
from functions.diagnosis.report.tables import number, tables, value
from functions.offline.report.style import STYLE
from functions.offline.report.svg import Draw, svg
from functions.offline.report.tables import Table, html_table, html_tables, paragraph

__all__ = ["render_page"]

Json = Mapping[str, Any]
HALF = (3.9, 3.5)


def render_page(found: Json, contract: Json, dataset: Dataset) -> str:
    """Render the report.

    Parameters
    ----------
    found : mapping
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
    sections = _sections(found, contract, dataset)
    contents = "".join(f'<li><a href="#{key}">{escape(title)}</a></li>' for key, title, _ in sections)
    body = "".join(f'<section id="{key}"><h2>{escape(title)}</h2>{text}</section>' for key, title, text in sections)
    title = escape(str(contract["title"]))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}: evaluation</title><style>{STYLE}</style></head><body>"
        f"<header><h1>{title}</h1>{_heading(found, contract)}</header>"
        f'<nav aria-label="Contents"><ol>{contents}</ol></nav><main>{body}</main></body></html>\n'
    )


def _heading(found: Json, contract: Json) -> str:
    facts = [("AUROC", "auroc"), ("Accuracy", "accuracy")]
    if "classes" in found:
        facts += [("Log loss", "log_loss"), ("Brier score", "brier")]
    else:
        facts += [("Sensitivity", "sensitivity"), ("Specificity", "specificity")]
    boxes = "".join(
        f"<div><dt>{name}</dt><dd>{number(found[key]['value'])}"
        f"<small>{number(found[key]['low'])} to {number(found[key]['high'])}</small></dd></div>"
        for name, key in facts
    )
    model = found["model"]
    return (
        f"<p>Evaluation of <code>{escape(model['name'])}</code> {escape(model['version'])}; model file "
        f"<code>sha256:{escape(model['sha256'][:12])}…</code>, {model['size'] / 1000:.0f} kB</p>"
        f'<p class="status"><strong>{escape(str(contract["status"]).capitalize())}.</strong> '
        f'{escape(notes.method_note(found))}</p><dl class="key">{boxes}</dl>'
    )


def _sections(found: Json, contract: Json, dataset: Dataset) -> list[tuple[str, str, str]]:
    made = tables(found, contract)
    parts = [("summary", "Summary", html_table(_summary(found, contract, dataset)))]
    parts.append(
        ("performance", "Performance", paragraph(notes.point_note(found)) + html_tables(made, "performance", "cells"))
    )
    if "classes" in found:
        names = {item["name"]: item["display"] for item in contract["findings"]}
        parts.append(("classes", "Class by class", html_tables(made, "classes", "confusion")))
        parts += [
            (row["name"], names[row["name"]], _pictures(row, _share(found, row["name"]), row["name"]))
            for row in found["classes"]
        ]
        parts.append(
            ("choice", "Why this model", paragraph(notes.choice_note(found)) + html_tables(made, "candidates"))
        )
        parts.append(("inputs", "Inputs", html_tables(made, "inputs")))
    else:
        share = found["data"]["test"]["with_finding"] / found["data"]["test"]["images"]
        parts.append(("curves", "Curves", _pictures(found, share, "test") + html_tables(made, "validation")))
        parts.append(("robustness", "Robustness", _robustness(found, made)))
        parts.append(("subgroups", "Groups of images", paragraph(NO_PERSON) + html_tables(made, "subgroups")))
    parts.append(("calibration", "Does the probability mean what it says?", paragraph(notes.calibration_note(found))))
    parts.append(("limits", "Limits and caveats", _limits(dataset)))
    parts.append(("rebuild", "Rebuild it", _rebuild(found)))
    return parts


NO_PERSON = (
    "Of the patients nothing is recorded, so that nothing can be said about age, sex or equipment. The images are "
    "grouped by what can be seen of them."
)


def _share(found: Json, name: str) -> float:
    return float(found["data"]["classes"][name] / found["data"]["people"])


def _summary(found: Json, contract: Json, dataset: Dataset) -> Table:
    rows: tuple[tuple[str, str], ...] = (
        ("Purpose", str(contract["intended_use"]).strip()),
        ("For whom", str(contract["population"])),
        ("Not for", str(contract["out_of_scope"]).strip()),
        ("Data", f"{dataset.title}. {notes.data_note(found)}"),
        ("How measured", notes.method_note(found)),
        ("Result", f"AUROC {value(found['auroc'])}, accuracy {value(found['accuracy'])}."),
    )
    if road := notes.dicom_note(found):
        rows += (("Through DICOM", road),)
    return Table("In short.", ("Item", "Here"), rows)


def _pictures(row: Json, share: float, name: str) -> str:
    drawn: Sequence[tuple[str, Callable[[Any], None], str, str]] = (
        ("roc", figures.roc(row), "ROC curve with the operating point", f"ROC curve; AUROC {value(row['auroc'])}."),
        (
            "pr",
            figures.precision_recall(row, share),
            "Positive predictive value over sensitivity",
            f"Precision and recall; AUPRC {value(row['auprc'])}.",
        ),
        (
            "calibration",
            figures.calibration(row["calibration_groups"]),
            "Observed against predicted, with the diagonal",
            f"Calibration; expected calibration error {value(row['ece'])}.",
        ),
        (
            "benefit",
            figures.net_benefit(row),
            "Net benefit of acting on the model, on everyone and on nobody",
            "Decision curve with 95% band: findings found, less false alarms weighed by the threshold.",
        ),
    )
    shown = "".join(_figure(f"{name}-{key}", draw, HALF, told, caption) for key, draw, told, caption in drawn)
    return f'<div class="pair">{shown}</div>'


def _robustness(found: Json, made: Mapping[str, Table]) -> str:
    picture = _figure(
        "robustness",
        figures.robustness(found["robustness"], found["auroc"]),
        (5.6, 4.6),
        "AUROC under each disturbance",
        "AUROC of the test images under each disturbance, with 95% intervals.",
    )
    return paragraph(notes.robustness_note()) + picture + html_tables(made, "robustness")


def _figure(name: str, draw: Draw, size: tuple[float, float], told: str, caption: str) -> str:
    picture = svg(name, draw, size, escape(told, quote=True))
    return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"


def _limits(dataset: Dataset) -> str:
    limits = "".join(f"<li>{escape(text)}</li>" for text in dataset.limits)
    caveats = "".join(f"<li>{escape(text)}</li>" for text in dataset.caveats)
    return (
        f"<ul>{limits}</ul><h3>Caveats</h3><ul>{caveats}</ul>"
        f"<p>Source: {escape(dataset.source)}; {escape(dataset.licence)}. Reference: {escape(dataset.reference)}.</p>"
    )


def _rebuild(found: Json) -> str:
    name = escape(found["model"]["name"])
    software = ", ".join(f"{key} {number}" for key, number in found["software"].items())
    return (
        f"<p><code>make setup-train</code>, then <code>bedside train {name}</code> and "
        f"<code>bedside evaluate {name}</code>. Made with {escape(software)}; seed {found['method']['seed']}. Every "
        "number here is in <code>evaluation.json</code>.</p>"
    )
