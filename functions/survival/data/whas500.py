"""WHAS500: mortality after acute myocardial infarction."""

from __future__ import annotations

import numpy as np

from functions.survival.data.columns import loinc, sex_and_age, snomed
from functions.survival.data.dataset import Column, Dataset
from functions.survival.data.table import BoolArray, SurvivalTable

__all__ = ["WHAS500", "load_whas500"]

_WHAS500_COLUMNS = (
    Column("age", "age", "continuous", "a", 10, "age at admission"),
    Column("female", "gender", "binary", "1", 1, "0 male, 1 female"),
    Column("bmi", "bmi", "continuous", "kg/m2", 5, "body mass index", loinc("39156-5")),
    Column("heart_rate", "hr", "continuous", "/min", 10, "initial heart rate", loinc("8867-4")),
    Column("systolic_bp", "sysbp", "continuous", "mm[Hg]", 10, "initial systolic blood pressure", loinc("8480-6")),
    Column("diastolic_bp", "diasbp", "continuous", "mm[Hg]", 10, "initial diastolic blood pressure", loinc("8462-4")),
    Column("atrial_fibrillation", "afb", "binary", "1", 1, "atrial fibrillation", snomed("49436004")),
    Column("congestive_heart_failure", "chf", "binary", "1", 1, "congestive heart complications", snomed("42343007")),
    Column("cardiogenic_shock", "sho", "binary", "1", 1, "cardiogenic shock", snomed("89138009")),
    Column("complete_av_block", "av3", "binary", "1", 1, "complete heart block", snomed("27885002")),
    Column("recurrent_mi", "miord", "binary", "1", 1, "0 first infarction, 1 recurrent", snomed("399211009")),
    Column("q_wave_mi", "mitype", "binary", "1", 1, "0 non-Q-wave, 1 Q-wave", snomed("304914007")),
    Column("cardiovascular_disease", "cvd", "binary", "1", 1, "history of cardiovascular disease", snomed("49601007")),
)


def load_whas500() -> SurvivalTable:
    """Load WHAS500 from scikit-survival, in the order of the contract's inputs.

    Returns
    -------
    SurvivalTable
        500 patients, 13 inputs, 215 deaths; times in days from hospital admission. Nothing is missing.

    Raises
    ------
    ImportError
        scikit-survival is not installed (``make setup-train``).
    """
    from sksurv.datasets import load_whas500 as source

    frame, outcome = source()
    columns = []
    for column in WHAS500.columns:
        values = np.asarray(frame[column.source].astype(float), dtype=np.float64)
        columns.append((values == 1.0).astype(np.float64) if column.kind == "binary" else values)
    return SurvivalTable(
        names=tuple(column.name for column in WHAS500.columns),
        x=np.column_stack(columns),
        event=np.asarray(outcome["fstat"], dtype=np.bool_),
        time=np.asarray(outcome["lenfol"], dtype=np.float64),
    )


def _subgroups(table: SurvivalTable) -> dict[str, BoolArray]:
    shock = table.x[:, table.names.index("cardiogenic_shock")]
    return {**sex_and_age(table), "Cardiogenic shock": shock == 1.0}


WHAS500 = Dataset(
    title="Worcester Heart Attack Study, the 500-patient subset (WHAS500)",
    source="scikit-survival, sksurv.datasets.load_whas500",
    licence=(
        "published with the textbook for teaching, no licence text of its own; scikit-survival, which "
        "carries the file, is GPL-3.0-or-later. The data are read when training and are not part of this package"
    ),
    reference=(
        "Hosmer DW, Lemeshow S, May S. Applied Survival Analysis: Regression Modeling of Time to Event Data, "
        "2nd ed. Wiley, 2008"
    ),
    columns=_WHAS500_COLUMNS,
    leaks=(
        "Length of stay (los) is dropped: it is not known at admission, and a stay cut short by death would "
        "tell the outcome.",
        "Congestive heart complications, cardiogenic shock, complete heart block and atrial fibrillation "
        "were abstracted from the chart of the whole stay. Some may have begun after the first day, which is when "
        "this model is asked; performance at the bedside may be lower than measured here.",
        "Whether the infarction was Q-wave is settled by serial electrocardiograms, not always on the first day.",
    ),
    limits=(
        "500 patients, 215 deaths: intervals are wide, small subgroups more so.",
        "Admissions of the cohorts 1997, 1999 and 2001 in one region of the United States (Worcester, "
        "Massachusetts): treatment of infarction, and survival after it, have changed since. Expect risks "
        "that are too high for today's patients until the model is recalibrated on local data.",
        "Race and ethnicity are not recorded: nothing can be said about performance across them.",
        "No troponin, creatinine, ST-segment deviation or treatment is recorded; present risk scores use them.",
        "No outside validation: every number comes from resampling the same 500 patients.",
        "That the penalty is to treat binary inputs like continuous ones was settled after a first look at "
        "held-out risks of the 22 patients in shock, which were too low; the integrated Brier score stayed the "
        "same (0.1594 before, 0.1599 after).",
    ),
    caveats=(
        "A risk of death is not a reason to withhold care. Do not use it to ration treatment, and do not show it to "
        "a patient without a clinician.",
        "Age and sex are inputs: they raise or lower a risk for what they stood for in 1997 to 2001, not for what a "
        "patient could gain from treatment today.",
        "A low risk may reflect good treatment that patients of that risk received, not that they needed little.",
        "A condition that nobody recorded counts as absent: a patient with a thin record gets a risk that is too low.",
        "Associations in the equation are not causes; changing an input does not change the risk by that much.",
    ),
    load=load_whas500,
    name="whas500",
    subgroups=_subgroups,
)
