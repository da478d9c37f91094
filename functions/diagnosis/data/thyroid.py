"""Five thyroid tests and the state of the thyroid, of the R package ``mclust``."""

from __future__ import annotations

import numpy as np

from functions.diagnosis.data.dataset import Dataset, Float64, LabTable
from functions.offline.errors import DataAbsent
from functions.offline.rtables import r_table

__all__ = ["CLASSES", "INPUTS", "THYROID", "load_thyroid"]

# Our names of the source's columns, in the order of the model's inputs.
INPUTS = {
    "t3_resin_uptake": "RT3U",
    "thyroxine": "T4",
    "triiodothyronine": "T3",
    "tsh": "TSH",
    "tsh_response": "DTSH",
}
CLASSES = {"normal": "Normal", "hypothyroidism": "Hypo", "hyperthyroidism": "Hyper"}
ROWS = 215

THYROID = Dataset(
    name="thyroid",
    title="Five thyroid function tests of 215 people, with the diagnosis made from all clinical information",
    source="R package mclust, data set thyroid (Debian r-cran-mclust)",
    licence="as published with Coomans et al. 1983 and in the UCI repository (CC BY 4.0, new-thyroid)",
    reference=(
        "Coomans D, Broeckaert I, Jonckheer M, Massart DL. Comparison of multivariate discrimination techniques for "
        "clinical data: application to the thyroid functional state. Methods of Information in Medicine 22:93-101, 1983"
    ),
    limits=(
        "215 people, published in 1983 from Belgium: 150 with a normal thyroid, 30 with hypo- and 35 with "
        "hyperthyroidism. Intervals are wide. How they were chosen is not known here.",
        "Radioimmunoassays of that time: a TSH test that could not tell low from normal, which is why the TSH response "
        "to TRH was measured. Today's sensitive TSH alone tells most of it.",
        "The source gives no units. They were taken from where the values of people with a normal thyroid lie: T4 in "
        "ug/dL, TSH in mIU/L; for T3 that is ng/mL or nmol/L, and ng/mL, which goes with a T4 in mass units, was "
        "taken.",
        "The T3 resin uptake is given as per cent of a normal serum (about 110 when the thyroid is normal, higher in "
        "hypothyroidism), not as today's uptake of 24 to 39%: a value of today's scale is outside the plausible range "
        "and is refused.",
        "Age, sex, pregnancy and drugs are not recorded: nothing can be said about performance across them. Oestrogens "
        "and pregnancy change T4, T3 and the uptake.",
        "Three states only: latent disease of the thyroid, and other illness, are no class of these data.",
        "No outside validation: every number comes from resampling the same 215 people.",
    ),
    caveats=(
        "For research and demonstration. A diagnosis of the thyroid needs a clinician, today's tests and the patient.",
        "The probabilities hold for people of whom 70% have a normal thyroid, as here; elsewhere they must be "
        "recalibrated.",
        "Associations in the equation are not causes.",
    ),
)


def load_thyroid() -> LabTable:
    """Load the table.

    Raises
    ------
    DataAbsent
        The package is not here, or its table is another one.
    ImportError
        The library ``rdata`` is not installed.
    """
    source = r_table("mclust", "thyroid")
    if len(source) != ROWS:
        raise DataAbsent(f"the table thyroid of the R package mclust has {len(source)} rows; {ROWS} are expected")
    values: Float64 = np.column_stack([source.numbers(column) for column in INPUTS.values()])
    order = list(CLASSES.values())
    labels = np.array([order.index(told) for told in source.texts("Diagnosis")], dtype=np.int64)
    return LabTable(tuple(INPUTS), values, labels, tuple(CLASSES))
