"""Which item of TRIPOD+AI is reported where (Collins et al., BMJ 385:e078378, 2024), and which is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from functions.offline.report.tables import Table
from functions.survival.data import Dataset
from functions.survival.report.notes import data_note, method_note, missing_note
from functions.survival.report.words import Words, span

__all__ = ["tripod"]

Json = Mapping[str, Any]
Row = tuple[str, str, str]

NOT_DONE = "Not done."
SOURCE = "Not given by the data as published; see the reference of the data."


def tripod(evaluation: Json, contract: Json, dataset: Dataset) -> Table:
    """Return the checklist: item, topic, where it is reported or that it was not done.

    Parameters
    ----------
    evaluation : mapping
        ``evaluation.json`` as read.
    contract : mapping
        ``model.yaml`` as read.
    dataset : Dataset
        The training data's description.
    """
    rows = (*_front(contract, dataset), *_methods(evaluation, contract, dataset), *_rest(evaluation))
    caption = "TRIPOD+AI checklist, for the development of a prediction model and its internal validation."
    return Table(caption, ("Item", "Topic", "Reported"), rows)


def _front(contract: Json, dataset: Dataset) -> tuple[Row, ...]:
    return (
        ("1", "Title", f"{contract['title']}: development and internal validation of a prediction model."),
        ("2", "Abstract", "Summary, at the top."),
        ("3a", "Healthcare context and rationale", str(contract["intended_use"]).strip()),
        ("3b", "Target population and intended users", f"{contract['population']} Clinicians who treat them."),
        ("3c", "Known health inequalities", f"{NOT_DONE} What the data lack is named under limits."),
        ("4", "Objectives", "To develop a model and estimate its performance on patients not used to fit it."),
        ("5a", "Sources of data", f"{dataset.title}. {dataset.source}. Reference: {dataset.reference}."),
        ("5b", "Dates of the data", "Under limits, where the source gives them."),
        ("6a", "Setting", "Under limits; details in the reference of the data."),
        ("6b", "Eligibility criteria", f"{contract['population']} Out of scope: {contract['out_of_scope']}"),
        ("6c", "Treatments received", f"{SOURCE} Treatment is not an input."),
    )


def _methods(evaluation: Json, contract: Json, dataset: Dataset) -> tuple[Row, ...]:
    words, data = Words.of(dataset), evaluation["data"]
    horizons = ", ".join(span(row["days"]) for row in evaluation["horizons"])
    competing = f" Competing event: {words.competing}." if words.competing else ""
    return (
        ("7", "Data preparation", "Inputs, and what the data may give away; the loader is in the repository."),
        (
            "8a",
            "Outcome and horizon",
            f"{contract['outcome']['text']}, counted from {words.origin}; {horizons}.{competing}",
        ),
        ("8b", "Assessors of the outcome", SOURCE),
        ("8c", "Blinding of the outcome", SOURCE),
        ("9a", "Choice of predictors", f"All {len(data['inputs'])} inputs; none was selected by its effect here."),
        ("9b", "Definition of predictors", "Inputs, with codes, units and windows in model.yaml."),
        ("9c", "Assessors of predictors", SOURCE),
        (
            "10",
            "Sample size",
            f"All the data there are: {data_note(evaluation, dataset)}; {data['events_per_input']:g} events for each "
            "input. No sample size was calculated.",
        ),
        ("11", "Missing data", f"{missing_note(evaluation)} Multiple imputation was not done."),
        ("12a", "Use of the data", method_note(evaluation)),
        (
            "12b",
            "Handling of predictors",
            "As they are for trees; standardised and linear in Cox models. No transformation was tried.",
        ),
        (
            "12c",
            "Type of model, tuning, internal validation",
            f"{evaluation['model']['title']}; alternatives and the rule of choice under “Why this model”; settings by "
            f"{evaluation['method']['inner']}.",
        ),
        ("12d", "Heterogeneity across sites", f"{NOT_DONE} The data do not name sites."),
        (
            "12e",
            "Measures of performance",
            "Discrimination (C, AUC), calibration (curve, slope, ICI, D-calibration), error (Brier), net benefit.",
        ),
        ("12f", "Model updating", NOT_DONE),
        ("12g", "How predictions are calculated", "The equation or the file; the file is run as it is served."),
        ("13", "Class imbalance", "None corrected: risks are probabilities at the data's own frequency."),
        ("14", "Fairness", "Performance in subgroups is reported. Nothing was done to change it."),
        ("15", "Output of the model", f"Risk of {words.event} at {horizons}, and the curve. No threshold is set."),
        (
            "16",
            "Training against evaluation",
            "The same source: random folds and a random test set differ by chance only.",
        ),
        ("17", "Ethical approval", SOURCE),
    )


def _rest(evaluation: Json) -> tuple[Row, ...]:
    missing = "The equation" if evaluation["equation"] else "The file itself, in full; importance of inputs"
    return (
        ("18a", "Funding", "None for this analysis. Of the data: see their reference."),
        ("18b", "Conflicts of interest", "None known."),
        ("18c", "Protocol", f"{NOT_DONE} The rule of choice and the plan are fixed in the code."),
        ("18d", "Registration", NOT_DONE),
        ("18e", "Data sharing", "Public, at their source; no row is in this package."),
        ("18f", "Code sharing", "In the repository; “Rebuild it” says how."),
        ("19", "Patient and public involvement", NOT_DONE),
        ("20a", "Flow of participants", "Data: number of patients, events and losses by each horizon."),
        ("20b", "Characteristics", "Inputs, and missing values."),
        ("20c", "Comparison with development data", "The same patients; see 16."),
        ("21", "Patients and events in each analysis", "Summary; subgroups; test set."),
        ("22", "Full specification", f"{missing}; model.onnx."),
        ("23a", "Performance with intervals", "Performance, calibration, subgroups, test set."),
        ("23b", "Heterogeneity in performance", "By subgroup. By site: not done."),
        ("24", "Results of updating", "There was none."),
        ("25", "Interpretation", "Summary, limits and caveats."),
        ("26", "Limitations", "Limits and caveats. Above all: no outside validation."),
        ("27a", "Poor or missing input in use", "Inputs: when missing. Implausible values are refused."),
        ("27b", "Interaction and expertise", "None: inputs are read from the record. A clinician confirms the result."),
        ("27c", "Next steps", "Validation and recalibration on local data before any use."),
    )
