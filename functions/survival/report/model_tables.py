"""Tables of the report about the model itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from functions.offline.report.tables import Table
from functions.survival.report.words import codes_of, number, span, term_title, value

__all__ = ["equation_table", "importance_table", "inputs_table", "served_table"]

Json = Mapping[str, Any]


def served_table(found: Json) -> Table:
    """Return the served file's apparent performance beside the held-out one."""
    apparent = found["served"]["apparent"]
    rows = [
        ("Uno's C", number(apparent["uno_c"]), number(found["uno_c"]["value"])),
        ("Harrell's C", number(apparent["harrell_c"]), number(found["harrell_c"]["value"])),
        (
            "Integrated Brier score",
            number(apparent["integrated_brier_score"]),
            number(found["integrated_brier_score"]["value"]),
        ),
    ]
    for row, held in zip(apparent["horizons"], found["horizons"], strict=True):
        rows.append((f"AUC, {span(row['days'])}", number(row["auc"]), number(held["auc"]["value"])))
    caption = "The served file on the patients it was fitted to, which flatters, and the same measured held out."
    return Table(caption, ("Measure", "Apparent", "Held out"), tuple(rows))


def importance_table(found: Json, names: Mapping[str, str]) -> Table:
    """Return the importance of each input."""
    rows = tuple((names[row["name"]], value(row["loss_of_uno_c"])) for row in found["importance"])
    return Table("What held-out ranking loses when one input is shuffled.", ("Input", "Loss of Uno's C"), rows)


def equation_table(cause: Json, names: Mapping[str, str]) -> Table:
    """Return one equation, with its hazard ratios."""
    rows = tuple(
        (
            term_title(term, names),
            f"{term['coefficient']:+.6f}",
            f"{term['reference']:.4g}",
            value(term["hazard_ratio"], 2),
        )
        for term in cause["terms"]
    )
    logarithms = any(term["log"] for term in cause["terms"])
    of = "Coefficient a unit, or of the logarithm where doubled" if logarithms else "Coefficient a unit"
    head = ("Input", of, "Reference", "Hazard ratio")
    return Table(f"The equation for {cause['cause']}; hazard ratios for the difference named.", head, rows)


def inputs_table(found: Json, contract: Json) -> Table:
    """Return the declared inputs, and what the training data have of them."""
    meanings = {"refuse": "no prediction", "impute": "typical value", "absent": "counts as absent"}
    rows = []
    for declared in contract["inputs"]:
        seen = found["data"]["inputs"][declared["name"]]
        if "share" in seen:
            spread = f"{100 * seen['share']:.0f}%"
        else:
            spread = f"{seen['median']:g} ({seen['quartiles'][0]:g} to {seen['quartiles'][1]:g})"
        missing = str(declared["missing"])
        rows.append(
            (
                declared["display"],
                codes_of(declared),
                declared.get("unit", "yes or no"),
                spread,
                meanings.get(missing, missing),
            )
        )
    head = ("Input", "Codes", "Unit", "In the training data", "When missing")
    return Table("Inputs; median and quartiles, or share with it, in the training data.", head, tuple(rows))
