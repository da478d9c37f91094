"""Numbers and tables in words, shared by the page and the card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from functions.survival.report.figures import term_title

__all__ = ["Table", "labels", "percent", "subgroup_note", "summary_rows", "tables", "value"]

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """A table: its first column heads the rows.

    Parameters
    ----------
    caption : str
        One sentence above it.
    head : tuple of str, length k
        Column heads.
    rows : tuple of tuple of str, each of length k
        Cells.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        if any(len(row) != len(self.head) for row in self.rows):
            raise ValueError(f"a row of {self.caption!r} does not fit its heads")


def value(found: Json, digits: int = 3) -> str:
    """Return an estimate with its interval, as ``0.759 (0.722 to 0.791)``."""
    return f"{found['value']:.{digits}f} ({found['low']:.{digits}f} to {found['high']:.{digits}f})"


def percent(found: Json) -> str:
    """Return a probability with its interval in per cent, as ``27% (24 to 31)``."""
    return f"{100 * found['value']:.0f}% ({100 * found['low']:.0f} to {100 * found['high']:.0f})"


def labels(contract: Json) -> dict[str, str]:
    """Return the clinical name of each declared input."""
    return {declared["name"]: declared["display"] for declared in contract["inputs"]}


def tables(evaluation: Json, contract: Json) -> dict[str, Table]:
    """Return every table of the report by name.

    Parameters
    ----------
    evaluation : mapping
        ``evaluation.json`` as read.
    contract : mapping
        ``model.yaml`` as read.
    """
    return {
        "performance": _performance(evaluation),
        "comparison": _comparison(evaluation),
        "differences": _differences(evaluation),
        "subgroups": _subgroups(evaluation),
        "subgroups_30d": _subgroups_30d(evaluation),
        "equation": _equation(evaluation, labels(contract)),
        "inputs": _inputs(evaluation, contract),
    }


def _performance(found: Json) -> Table:
    calibration = found["calibration_1y"]
    rows = (
        ("Uno's C", value(found["uno_c"]), "0.5 chance, 1 perfect ranking"),
        ("Harrell's C", value(found["harrell_c"]), "0.5 chance, 1 perfect ranking"),
        ("AUC at one year", value(found["auc_1y"]), "0.5 chance, 1 perfect ranking"),
        ("Integrated Brier score", value(found["integrated_brier_score"]), "lower is better"),
        (
            "The same for Kaplan-Meier, no inputs",
            value(found["integrated_brier_score_kaplan_meier"]),
            "what the model must beat",
        ),
        (
            "Observed over expected deaths, one year",
            value(calibration["observed_expected_ratio"], 2),
            "1 is ideal",
        ),
        ("Calibration slope, one year", value(calibration["slope"], 2), "1 is ideal; lower is too extreme"),
        (
            "Mean calibration error, one year (ICI)",
            value(calibration["ici"]),
            "0 is ideal; its interval leans high",
        ),
        ("Median calibration error (E50)", value(calibration["e50"]), "0 is ideal"),
    )
    return Table("Held-out performance, with 95% intervals.", ("Measure", "Value", "How to read it"), rows)


def _comparison(found: Json) -> Table:
    rows = tuple(
        (row["title"], value(row["uno_c"]), value(row["harrell_c"]), value(row["integrated_brier_score"]))
        for row in found["comparison"]
    )
    head = ("Model", "Uno's C", "Harrell's C", "Integrated Brier score")
    return Table("The models side by side, on the same held-out patients.", head, rows)


def _differences(found: Json) -> Table:
    titles = {row["name"]: row["title"] for row in found["comparison"]}
    metrics = {"uno_c": "Uno's C", "integrated_brier_score": "Integrated Brier score"}
    rows = tuple(
        (
            titles[row["model"]],
            metrics[row["metric"]],
            f"{row['improvement']:+.4f}",
            f"{row['standard_error']:.4f}",
            "yes" if row["better"] else "no",
        )
        for row in found["decision"]["differences_from_cox"]
    )
    head = ("Model", "Measure", "Gain over Cox", "Standard error", "Better by more than that")
    return Table("Gain of each other model over Cox; below zero it is worse.", head, rows)


def _subgroups(found: Json) -> Table:
    rows = tuple(
        (
            row["title"],
            f"{row['patients']} / {row['deaths_within_1y']}",
            value(row["uno_c"], 2),
            f"{100 * row['predicted_risk_1y']['value']:.0f}%",
            percent(row["observed_risk_1y"]),
            value(row["observed_expected_ratio_1y"], 2),
        )
        for row in found["subgroups"]
    )
    head = ("Patients", "Number / died in a year", "Uno's C", "Predicted risk", "Observed risk", "Observed / expected")
    return Table("Performance by sex, age and shock; risks at one year.", head, rows)


def _subgroups_30d(found: Json) -> Table:
    rows = tuple(
        (
            row["title"],
            f"{100 * row['predicted_risk_30d']['value']:.0f}%",
            percent(row["observed_risk_30d"]),
            value(row["observed_expected_ratio_30d"], 2),
        )
        for row in found["subgroups"]
    )
    head = ("Patients", "Predicted risk", "Observed risk", "Observed / expected")
    return Table("Risks at 30 days by sex, age and shock.", head, rows)


def subgroup_note(evaluation: Json) -> str:
    """Return in words whether the model ranks one sex better than the other."""
    rows = {row["title"]: row["uno_c"] for row in evaluation["subgroups"]}
    note = (
        "Ranking within an age group is harder than across ages, because age itself is a strong input. Groups are "
        "small; an interval that contains 1 does not show that the model is fair to the group."
    )
    worse, better = sorted(("Women", "Men"), key=lambda title: float(rows[title]["value"]))
    if rows[worse]["high"] < rows[better]["low"]:
        note = (
            f"It ranks {worse.lower()} less well than {better.lower()}: Uno's C "
            f"{value(rows[worse], 2)} against {value(rows[better], 2)}. {note}"
        )
    missed = [
        f"{row['title'].lower()} (predicted {100 * row['predicted_risk_30d']['value']:.0f}%, observed "
        f"{percent(row['observed_risk_30d'])})"
        for row in evaluation["subgroups"]
        if not row["observed_expected_ratio_30d"]["low"] <= 1.0 <= row["observed_expected_ratio_30d"]["high"]
    ]
    if missed:
        note += (
            f" Within 30 days the risk is off for: {', '.join(missed)}. The model assumes proportional hazards: an "
            "effect that is strongest in the first weeks is spread over years."
        )
    return note


def _equation(found: Json, names: Mapping[str, str]) -> Table:
    rows = tuple(
        (
            term_title(term, names),
            f"{term['coefficient']:+.6f}",
            f"{term['reference']:.4g}",
            value(term["hazard_ratio"], 2),
        )
        for term in found["equation"]["terms"]
    )
    head = ("Input", "Coefficient a unit", "Reference", "Hazard ratio")
    return Table("The equation; hazard ratios for the difference named.", head, rows)


def _inputs(found: Json, contract: Json) -> Table:
    rows = []
    for declared in contract["inputs"]:
        seen = found["data"]["inputs"][declared["name"]]
        if "share" in seen:
            spread = f"{100 * seen['share']:.0f}%"
        else:
            spread = f"{seen['median']:g} ({seen['quartiles'][0]:g} to {seen['quartiles'][1]:g})"
        rows.append(
            (declared["display"], _codes(declared), declared.get("unit", "yes or no"), spread, _missing(declared))
        )
    head = ("Input", "Codes", "Unit", "In the training data", "When missing")
    return Table("Inputs; median and quartiles, or share with it, in the training data.", head, tuple(rows))


def _codes(declared: Json) -> str:
    systems = {"http://loinc.org": "LOINC", "http://snomed.info/sct": "SNOMED CT"}
    if "codes" not in declared:
        return {"age": "Patient.birthDate", "sex": "Patient.gender"}[declared["kind"]]
    return f"{systems[declared['system']]} {', '.join(declared['codes'])}"


def _missing(declared: Json) -> str:
    meanings = {"refuse": "no prediction", "impute": "typical value", "absent": "counts as absent"}
    return meanings[declared["missing"]]


def summary_rows(evaluation: Json, contract: Json, dataset_title: str) -> Sequence[tuple[str, str]]:
    """Return the reporting summary after TRIPOD+AI (Collins et al., BMJ 385:e078378, 2024): item, answer."""
    missing = sum(seen["missing"] for seen in evaluation["data"]["inputs"].values())
    data, method, equation = evaluation["data"], evaluation["method"], evaluation["equation"]
    return (
        ("Purpose", contract["intended_use"].strip()),
        ("Source of data", dataset_title),
        ("Participants", contract["population"]),
        ("Outcome", f"{contract['outcome']['text']}, counted from admission"),
        (
            "Predictors",
            f"{len(equation['terms'])}, listed below: all that the data hold and that may be known in the first day; "
            "none was selected by its effect",
        ),
        (
            "Sample size",
            f"{data['patients']} patients, {data['deaths']} deaths ({data['deaths_within_1y']} within one year); "
            f"{data['events_per_input']:g} deaths for each input",
        ),
        (
            "Missing data",
            f"{missing or 'None'} in the training data. In use, an input is imputed by its median or more "
            "frequent value where the contract allows it, otherwise no prediction is made",
        ),
        (
            "Follow-up",
            f"Median {data['median_follow_up_alive_days']:.0f} days among those alive at its end; "
            f"{data['censored_within_1y']} lost within one year",
        ),
        (
            "Model",
            f"Cox proportional hazards, linear terms, ridge penalty {equation['ridge_alpha']:g} chosen by "
            "cross-validation",
        ),
        (
            "Validation",
            f"Internal only: cross-validation, {method['outer']}; settings by {method['inner']}",
        ),
        ("Intervals", f"{method['intervals']}; models are not refitted in a resample"),
        (
            "Measured over",
            f"{method['from_days']:.0f} to {method['until_days']:.0f} days after admission",
        ),
        ("Fairness", "By sex, age and shock, below. Race and ethnicity are not recorded in the data"),
        ("Open science", "Code, equation, data source and the numbers (evaluation.json) are in the repository"),
    )
