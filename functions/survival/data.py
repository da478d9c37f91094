"""The training data as arrays: WHAS500, in the order of the model's declared inputs.

Nothing here is needed to serve a model; scikit-survival is imported only when a table is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DATASETS",
    "WHAS500",
    "Column",
    "Dataset",
    "SurvivalTable",
    "imputation_values",
    "impute",
    "load_whas500",
]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class SurvivalTable:
    """Patients with their inputs and right-censored outcome.

    Parameters
    ----------
    names : tuple of str, length p
        Names of the declared inputs, in the contract's order.
    x : ndarray of float64, shape (n, p)
        Inputs in their declared units; NaN means missing.
    event : ndarray of bool, shape (n,)
        True where the patient died, False where follow-up ended alive.
    time : ndarray of float64, shape (n,)
        Days from admission to death or end of follow-up, positive.
    """

    names: tuple[str, ...]
    x: FloatArray
    event: BoolArray
    time: FloatArray

    def __post_init__(self) -> None:
        rows = self.x.shape[0]
        if self.x.shape != (rows, len(self.names)):
            raise ValueError(f"x has shape {self.x.shape}, expected (n, {len(self.names)})")
        if self.event.shape != (rows,) or self.time.shape != (rows,):
            raise ValueError("event and time need one value a row of x")
        if not np.all(self.time > 0):
            raise ValueError("times must be positive")

    def __len__(self) -> int:
        return len(self.time)

    def take(self, rows: NDArray[np.intp]) -> SurvivalTable:
        """Return the table of the given rows, in their order, repeats allowed.

        Parameters
        ----------
        rows : ndarray of int, shape (m,)
            Row numbers.
        """
        return SurvivalTable(self.names, self.x[rows], self.event[rows], self.time[rows])

    @property
    def binary(self) -> BoolArray:
        """Which inputs take only the values 0 and 1; shape (p,)."""
        known = np.isnan(self.x) | (self.x == 0.0) | (self.x == 1.0)
        return np.asarray(known.all(axis=0), dtype=np.bool_)


def imputation_values(table: SurvivalTable) -> FloatArray:
    """Return the value that stands in for each missing input.

    The median for continuous inputs, the more frequent value (the lower one on a tie) for binary inputs: what
    scikit-learn's ``SimpleImputer`` does with ``median`` and ``most_frequent``.

    Returns
    -------
    ndarray of float64, shape (p,)
        In the inputs' units.
    """
    more_often_one = np.nanmean(table.x, axis=0) > 0.5
    values = np.where(table.binary, more_often_one, np.nanmedian(table.x, axis=0))
    return np.asarray(values, dtype=np.float64)


def impute(x: FloatArray, values: FloatArray) -> FloatArray:
    """Replace NaN by each column's stand-in.

    Parameters
    ----------
    x : ndarray of float64, shape (n, p)
    values : ndarray of float64, shape (p,)
    """
    return np.where(np.isnan(x), values, x)


@dataclass(frozen=True)
class Column:
    """Where a declared input comes from in the source data.

    Parameters
    ----------
    name : str
        Name of the declared input.
    source : str
        Column of the source data.
    kind : {"continuous", "binary"}
        Binary inputs are 1 where the source column equals 1.
    unit : str
        UCUM unit; ``1`` for binary inputs.
    step : float
        Difference for which a hazard ratio is quoted, in ``unit``.
    note : str
        How the source defines it.
    """

    name: str
    source: str
    kind: Literal["continuous", "binary"]
    unit: str
    step: float
    note: str


@dataclass(frozen=True)
class Dataset:
    """A public data set: how to load it, where it comes from, and what in it must not be trusted.

    Parameters
    ----------
    title, source, licence, reference : str
        For people.
    columns : tuple of Column
        One for each declared input, in the contract's order.
    leaks : tuple of str
        What the source records that is not, or may not be, known when the model is asked.
    limits : tuple of str
        What the data cannot speak for.
    caveats : tuple of str
        What a user of a model trained on them must keep in mind.
    load : callable
        Returns the table.
    """

    title: str
    source: str
    licence: str
    reference: str
    columns: tuple[Column, ...]
    leaks: tuple[str, ...]
    limits: tuple[str, ...]
    caveats: tuple[str, ...]
    load: Callable[[], SurvivalTable]

    def check_order(self, declared: Sequence[str]) -> None:
        """Refuse a contract whose inputs are not this data set's columns, in the same order.

        Parameters
        ----------
        declared : sequence of str
            Names of the contract's inputs.

        Raises
        ------
        ValueError
            They differ; a model trained so would read one input for another.
        """
        ours = [column.name for column in self.columns]
        if list(declared) != ours:
            raise ValueError(f"the contract declares {list(declared)}, the training data give {ours}")


_WHAS500_COLUMNS = (
    Column("age", "age", "continuous", "a", 10, "age at admission"),
    Column("female", "gender", "binary", "1", 1, "0 male, 1 female"),
    Column("bmi", "bmi", "continuous", "kg/m2", 5, "body mass index"),
    Column("heart_rate", "hr", "continuous", "/min", 10, "initial heart rate"),
    Column("systolic_bp", "sysbp", "continuous", "mm[Hg]", 10, "initial systolic blood pressure"),
    Column("diastolic_bp", "diasbp", "continuous", "mm[Hg]", 10, "initial diastolic blood pressure"),
    Column("atrial_fibrillation", "afb", "binary", "1", 1, "atrial fibrillation"),
    Column("congestive_heart_failure", "chf", "binary", "1", 1, "congestive heart complications"),
    Column("cardiogenic_shock", "sho", "binary", "1", 1, "cardiogenic shock"),
    Column("complete_av_block", "av3", "binary", "1", 1, "complete heart block"),
    Column("recurrent_mi", "miord", "binary", "1", 1, "0 first infarction, 1 recurrent"),
    Column("q_wave_mi", "mitype", "binary", "1", 1, "0 non-Q-wave, 1 Q-wave"),
    Column("cardiovascular_disease", "cvd", "binary", "1", 1, "history of cardiovascular disease"),
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
)

DATASETS: dict[str, Dataset] = {"whas500": WHAS500}
