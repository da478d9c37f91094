"""What the numbers say, in sentences: shared by the page and the card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from functions.survival.data import Dataset
from functions.survival.report.words import Words, main, percent, share, short, span, value

__all__ = [
    "DISTANCES",
    "calibration_note",
    "choice_note",
    "data_note",
    "equation_note",
    "measures_note",
    "method_note",
    "missing_note",
    "served_note",
    "subgroup_note",
    "test_note",
]

Json = Mapping[str, Any]

# Survival probabilities of one model that differ by more were not made by the same fit.
SAME = 1e-5

DISTANCES = (
    "Observed / expected and the calibration slope are ideal at 1; a slope below 1 means risks that are too extreme. "
    "ICI, E50, E90: mean, median and 90th percentile of the distance between predicted and smoothed observed risk, "
    "ideal at 0; their intervals lean high, because resampling adds noise to a distance."
)


def data_note(evaluation: Json, dataset: Dataset) -> str:
    """Return who the patients are and what happened to them."""
    data, words = evaluation["data"], Words.of(dataset)
    happened = f"{data['events']} {words.events}"
    if words.competing:
        happened += f", {data['competing_events']} with {words.competing} first"
    by = "; ".join(f"{row['events']} within {span(row['days'])}" for row in data["horizons"])
    return f"{dataset.title}: {data['patients']} patients, {happened} ({by})"


def method_note(evaluation: Json) -> str:
    """Return how it was measured."""
    method = evaluation["method"]
    text = f"Held out by cross-validation, {method['outer']}; settings chosen by {method['inner']}."
    if evaluation["test_split"]:
        text += (
            f" Beside it, a random {100 * method['test_share']:.0f}% of the patients was set aside, predicted once by "
            "models fitted to the others."
        )
    return f"{text} Intervals: {method['intervals']}; models are not refitted in a resample. No outside validation."


def measures_note(words: Words) -> str:
    """Return what the measures mean where events compete."""
    if not words.competing:
        return ""
    return (
        f"Risks are cumulative incidences of {words.event}: {words.competing} is an event of its own, after which "
        f"{words.event} cannot happen. Patients with it count as known to stay free (C: Wolbers et al., 2009 and 2014; "
        "AUC: Blanche et al., 2013), and observed risks are Aalen-Johansen's. D-calibration is of the cause-specific "
        "hazard."
    )


def calibration_note(evaluation: Json, words: Words) -> str:
    """Return how far predicted and observed risks differ."""
    row = main(evaluation)
    days, ici = row["days"], row["calibration"]["ici"]["value"]
    lost = next(part["censored"] for part in evaluation["data"]["horizons"] if part["days"] == days)
    by = f"{words.observed_by}'s" if lost or words.competing else "a plain proportion, as nobody was lost"
    text = f"Observed risk at {span(days)} is {by}. "
    if ici is not None:
        text += f"On average it and the predicted risk differ by {100 * ici:.1f} percentage points. "
    p_value = evaluation["d_calibration"]["p_value"]
    fits = "are compatible with" if p_value >= 0.05 else "do not fit"
    text += f"Over the whole curve the predicted times {fits} what happened (D-calibration, p = {p_value:.2f})."
    happened = evaluation["data"]["events"] / evaluation["data"]["patients"]
    if happened < 0.3:
        text += (
            f" Only {share(happened)} of the patients had the event; the others are spread over the bins by the model "
            "itself, so that the test can hardly fail."
        )
    return text


def choice_note(evaluation: Json) -> str:
    """Return why this model ships, and what the plain Cox model does beside it."""
    decision, titles = evaluation["decision"], {row["name"]: short(row["title"]) for row in evaluation["comparison"]}
    text = f"Rule set beforehand: {decision['rule']}. "
    better = ", ".join(titles[name] for name in decision["better_than_cox"])
    if not better:
        text += "No other model was, so Cox was chosen."
    elif decision["forced"]:
        text += (
            f"{better} was better by that rule, but cannot be written as a file that is served: Cox ships all the same."
        )
    else:
        text += f"Better by that rule: {better}. Chosen: {titles[decision['chosen']]}."
    shipped = evaluation["model"]["kind"]
    if shipped != decision["chosen"]:
        text += f" What ships here, and is reported, is another: {titles[shipped]}."
    if shipped != decision["baseline"]:
        plain = next(row for row in evaluation["comparison"] if row["name"] == decision["baseline"])
        text += (
            f" The plain Cox baseline: Uno's C {value(plain['uno_c'])}, integrated Brier score "
            f"{value(plain['integrated_brier_score'])}."
        )
    return text


def subgroup_note(evaluation: Json) -> str:
    """Return whether the model ranks one sex better than the other, and where its risks are off."""
    note = (
        "Ranking within an age group is harder than across ages where age itself is a strong input. Groups are "
        "small; an interval that contains 1 does not show that the model is fair to the group."
    )
    rows = {row["title"]: row["uno_c"] for row in evaluation["subgroups"]}
    known = [title for title in ("Women", "Men") if title in rows and rows[title]["low"] is not None]
    if len(known) == 2:
        worse, better = sorted(known, key=lambda title: float(rows[title]["value"]))
        if rows[worse]["high"] < rows[better]["low"]:
            note = (
                f"It ranks {worse.lower()} less well than {better.lower()}: Uno's C "
                f"{value(rows[worse], 2)} against {value(rows[better], 2)}. {note}"
            )
    return " ".join([note, *_missed(evaluation)])


def _missed(evaluation: Json) -> list[str]:
    found: dict[float, list[str]] = {}
    for row in evaluation["subgroups"]:
        for part in row["horizons"]:
            ratio = part["observed_expected_ratio"]
            if ratio["low"] is not None and not ratio["low"] <= 1.0 <= ratio["high"]:
                found.setdefault(part["days"], []).append(
                    f"{row['title'][0].lower()}{row['title'][1:]} (predicted {share(part['predicted_risk']['value'])}, "
                    f"observed {percent(part['observed_risk'])})"
                )
    notes = [f"At {span(days)} the risk is off for: {', '.join(found[days])}." for days in sorted(found)]
    if notes and evaluation["model"]["kind"] in {"cox", "competing_cox"}:
        notes.append(
            "The model assumes proportional hazards: an effect that is strong early or late is spread over all years."
        )
    return notes


def missing_note(evaluation: Json) -> str:
    """Return how missing inputs are treated."""
    found, patients = evaluation["missingness"], evaluation["data"]["patients"]
    if found["complete_patients"] == patients:
        return "Nothing is missing in the training data: how the model does with missing inputs was not measured."
    return (
        f"{found['complete_patients']} of {patients} patients have every input. Missing ones were imputed by the "
        "median or the more frequent value of the training rows, within each fold."
    )


def test_note(evaluation: Json) -> str:
    """Return what the test set is."""
    test = evaluation["test_split"]
    return (
        f"{test['patients']} patients ({test['events']} events), drawn at random by a stated seed "
        f"({evaluation['method']['seed']}) with as many events in proportion, and predicted once by models fitted to "
        f"the other {test['fitted_to']}. A set so small says less than the cross-validation; it is here as a check."
    )


def equation_note(evaluation: Json, words: Words) -> str:
    """Return the equation's form and the reference patient."""
    equation, texts = evaluation["equation"], []
    for cause in equation["causes"]:
        survival = ", ".join(f"{share(row['survival'])} at {span(row['days'])}" for row in cause["reference_survival"])
        free = words.free.lower() if len(equation["causes"]) == 1 else f"free of {cause['cause']} if it were alone"
        texts.append(f"probability of being {free}: {survival} (ridge penalty {cause['ridge_alpha']:g})")
    return (
        f"{equation['form']}. The reference patient has every input at its reference value; {'; '.join(texts)}. "
        "Intervals come from refitting to resampled patients at the same penalty; they describe association, not cause."
    )


def served_note(evaluation: Json) -> str:
    """Return whether the file is the model that was measured."""
    found = evaluation["served"]
    text = (
        f"The ONNX file ({found['bytes'] / 1000:.0f} kB) was run on all {found['rows']} patients: its survival "
        f"probabilities differ from those of the same model fitted again by at most {found['max_difference']:g}."
    )
    if found["max_difference"] > SAME:
        text += (
            " That is more than rounding: the file was fitted with other settings or to other data than this "
            "evaluation would, and the performance reported here is not strictly its own."
        )
    return text
