"""The report's tables, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from functions.offline.report.tables import Table
from functions.survival.report.model_tables import (
    equation_table,
    importance_table,
    inputs_table,
    served_table,
)
from functions.survival.report.words import (
    Words,
    labels,
    main,
    number,
    percent,
    share,
    short,
    span,
    value,
)

__all__ = ["tables"]

Json = Mapping[str, Any]


def tables(evaluation: Json, contract: Json, words: Words) -> dict[str, Table]:
    """Return every table of the report by name.

    Parameters
    ----------
    evaluation : mapping
        ``evaluation.json`` as read.
    contract : mapping
        ``model.yaml`` as read.
    words : Words
        How the outcome is spoken of.
    """
    found = {
        "performance": _performance(evaluation),
        "horizons": _horizons(evaluation),
        "calibration": _calibration(evaluation),
        "groups": _groups(evaluation),
        "comparison": _comparison(evaluation["comparison"]),
        "differences": _differences(evaluation),
        "subgroups": _subgroups(evaluation, words),
        "subgroup_horizons": _subgroup_horizons(evaluation["subgroups"]),
        "inputs": inputs_table(evaluation, contract),
        "served": served_table(evaluation),
    }
    if evaluation["missingness"]["performance"]:
        found["missing"] = _missing(evaluation, contract)
        found["missing_performance"] = _missing_performance(evaluation)
    if evaluation["test_split"]:
        found["test_comparison"] = _test_comparison(evaluation)
    if evaluation["importance"]:
        found["importance"] = importance_table(evaluation, labels(contract))
    for at, cause in enumerate((evaluation["equation"] or {"causes": ()})["causes"]):
        found[f"equation_{at}"] = equation_table(cause, labels(contract))
    return found


def _performance(found: Json) -> Table:
    test = found["test_split"]
    reference = found["reference"]["title"]
    measures = (
        ("Uno's C", "uno_c", "0.5 chance, 1 perfect ranking"),
        ("Harrell's C", "harrell_c", "0.5 chance, 1 perfect ranking"),
        ("Integrated Brier score", "integrated_brier_score", "lower is better"),
        (f"The same for {reference}", "integrated_brier_score_reference", "what the model must beat"),
        ("Index of prediction accuracy", "index_of_prediction_accuracy", "share of that error taken away"),
    )
    rows = [
        (title, value(found[key]), *([value(test[key])] if test else []), reading) for title, key, reading in measures
    ]
    fit = (
        "D-calibration, p",
        number(found["d_calibration"]["p_value"], 2),
        *([number(test["d_calibration"]["p_value"], 2)] if test else []),
        "below 0.05: the predicted times do not fit",
    )
    head = ("Measure", "Cross-validation", *(["Test set"] if test else []), "How to read it")
    return Table("Held-out performance, with 95% intervals.", head, (*rows, fit))


def _horizons(found: Json) -> Table:
    test = {row["days"]: row for row in found["test_split"]["horizons"]} if found["test_split"] else {}
    rows = tuple(
        (
            span(row["days"]),
            value(row["auc"], 2),
            *([value(test[row["days"]]["auc"], 2)] if test else []),
            value(row["brier"]),
            *([value(test[row["days"]]["brier"])] if test else []),
        )
        for row in found["horizons"]
    )
    head = ("Horizon", "AUC", *(["AUC, test set"] if test else []), "Brier score")
    head += ("Brier score, test set",) if test else ()
    return Table("Discrimination and error at each horizon.", head, rows)


def _calibration(found: Json) -> Table:
    rows = []
    for row in found["horizons"]:
        calibration = row["calibration"]
        rows.append(
            (
                span(row["days"]),
                value(calibration["observed_expected_ratio"], 2),
                value(calibration["slope"], 2),
                value(calibration["ici"]),
                number(calibration["e50"]["value"]),
                number(calibration["e90"]["value"]),
            )
        )
    head = ("Horizon", "Observed / expected", "Calibration slope", "ICI", "E50", "E90")
    return Table("Calibration at each horizon, by cross-validation.", head, tuple(rows))


def _groups(found: Json) -> Table:
    head = ("Fifth of risk", *(f"{span(row['days'])}: predicted, observed" for row in found["horizons"]))
    rows = []
    for at in range(len(main(found)["calibration"]["groups"]["predicted"])):
        cells = []
        for row in found["horizons"]:
            groups = row["calibration"]["groups"]
            observed = {key: groups["observed"][key][at] for key in ("value", "low", "high")}
            cells.append(f"{share(groups['predicted'][at])}, {percent(observed)}")
        rows.append((f"{at + 1}", *cells))
    return Table("Risk by fifths of predicted risk.", head, tuple(rows))


def _comparison(candidates: Sequence[Json], caption: str = "The models side by side, on the same patients.") -> Table:
    rows = tuple(
        (
            short(row["title"]),
            value(row["uno_c"]),
            value(row["harrell_c"]),
            value(row["integrated_brier_score"]),
            value(row["index_of_prediction_accuracy"], 2),
            number(row["d_calibration_p_value"], 2),
        )
        for row in candidates
    )
    head = ("Model", "Uno's C", "Harrell's C", "Integrated Brier score", "Accuracy index", "D-calibration, p")
    return Table(caption, head, rows)


def _test_comparison(found: Json) -> Table:
    test = found["test_split"]
    caption = f"The models on the {test['patients']} patients of the test set ({test['events']} events)."
    return _comparison(test["comparison"], caption)


def _differences(found: Json) -> Table:
    titles = {row["name"]: short(row["title"]) for row in found["comparison"]}
    gains = {(row["model"], row["metric"]): row for row in found["decision"]["differences_from_cox"]}
    rows = []
    for name in dict.fromkeys(row["model"] for row in found["decision"]["differences_from_cox"]):
        error, rank = gains[name, "integrated_brier_score"], gains[name, "uno_c"]
        rows.append((titles[name], _gain(error), _gain(rank), "yes" if error["better"] else "no"))
    head = ("Model", "Brier score: gain, standard error", "Uno's C: gain, standard error", "Better by the rule")
    return Table("Gain of each other model over Cox; below zero it is worse.", head, tuple(rows))


def _gain(row: Json) -> str:
    return f"{row['improvement']:+.4f}, {row['standard_error']:.4f}"


def _at(row: Json, days: float) -> Json:
    found: Json = next(part for part in row["horizons"] if part["days"] == days)
    return found


def _subgroups(found: Json, words: Words) -> Table:
    days = main(found)["days"]
    rows = []
    for row in found["subgroups"]:
        part = _at(row, days)
        rows.append(
            (
                row["title"],
                f"{row['patients']} / {part['events']}",
                value(row["uno_c"], 2),
                share(part["predicted_risk"]["value"]),
                percent(part["observed_risk"]),
                value(part["observed_expected_ratio"], 2),
            )
        )
    head = (
        "Patients",
        f"Number / {words.events} by {span(days)}",
        "Uno's C",
        "Predicted risk",
        "Observed risk",
        "Observed / expected",
    )
    return Table(f"Performance in subgroups; risks at {span(days)}.", head, tuple(rows))


def _subgroup_horizons(members: Sequence[Json]) -> Table:
    days = [part["days"] for part in members[0]["horizons"]]
    rows = tuple(
        (row["title"], *(value(part["observed_expected_ratio"], 2) for part in row["horizons"])) for row in members
    )
    head = ("Patients", *(span(day) for day in days))
    return Table("Observed over expected events in subgroups, at each horizon.", head, rows)


def _missing(found: Json, contract: Json) -> Table:
    names = labels(contract)
    rows = tuple(
        (names[name], str(seen["missing"]), f"{100 * seen['share']:.1f}%")
        for name, seen in found["missingness"]["inputs"].items()
    )
    return Table("Missing values in the training data.", ("Input", "Patients without it", "Share"), rows)


def _missing_performance(found: Json) -> Table:
    days = main(found)["days"]
    rows = []
    for row in found["missingness"]["performance"]:
        part = _at(row, days)
        rows.append(
            (
                row["title"],
                f"{row['patients']} / {row['events']}",
                value(row["uno_c"], 2),
                value(row["integrated_brier_score"]),
                value(part["observed_expected_ratio"], 2),
            )
        )
    head = ("Patients", "Number / events", "Uno's C", "Integrated Brier score", f"Observed / expected, {span(days)}")
    return Table("Performance with complete and with incomplete inputs.", head, tuple(rows))
