"""FLCHAIN: serum free light chains and survival in the general population."""

from __future__ import annotations

import numpy as np

from functions.survival.data.columns import loinc, sex_and_age, snomed, table_of
from functions.survival.data.dataset import Column, Dataset
from functions.survival.data.table import SurvivalTable

__all__ = ["FLCHAIN", "load_flchain"]

_COLUMNS = (
    Column("age", "age", "continuous", "a", 10, "age at the blood sample"),
    Column("female", "sex", "binary", "1", 1, "F"),
    Column("creatinine", "creatinine", "continuous", "mg/dL", 0.5, "serum creatinine", loinc("2160-0")),
    Column("free_kappa", "kappa", "continuous", "mg/dL", 1, "free light chain, kappa", loinc("36916-5")),
    Column("free_lambda", "lambda", "continuous", "mg/dL", 1, "free light chain, lambda", loinc("33944-0")),
    Column("mgus", "mgus", "binary", "1", 1, "monoclonal gammopathy diagnosed", snomed("277577000")),
)


def load_flchain() -> SurvivalTable:
    """Load FLCHAIN from scikit-survival.

    Returns
    -------
    SurvivalTable
        7,874 people, 2,169 deaths; days from the blood sample, of which 3 are 0 and become half a day. Creatinine is
        missing in 1,350.

    Raises
    ------
    ImportError
        scikit-survival is not installed (``make setup-train``).
    """
    from sksurv.datasets import load_flchain as source

    frame, outcome = source()
    values = {
        "female": np.asarray(frame["sex"] == "F", dtype=np.float64),
        "mgus": np.asarray(frame["mgus"] == "yes", dtype=np.float64),
    }
    for column in _COLUMNS:
        if column.kind == "continuous":
            values[column.name] = np.asarray(frame[column.source], dtype=np.float64)
    return table_of(
        _COLUMNS,
        values,
        event=np.asarray(outcome["death"], dtype=np.bool_),
        time=np.asarray(outcome["futime"], dtype=np.float64),
    )


FLCHAIN = Dataset(
    title="Free light chain assay and survival, Olmsted County (FLCHAIN)",
    source="scikit-survival, sksurv.datasets.load_flchain",
    licence="GPL-3.0-or-later with scikit-survival, which has it from the R package survival (LGPL-2.0-or-later)",
    reference=(
        "Dispenzieri A, Katzmann JA, Kyle RA, et al. Use of nonclonal serum immunoglobulin free light chains to "
        "predict overall survival in the general population. Mayo Clin Proc 87:517-523, 2012"
    ),
    columns=_COLUMNS,
    leaks=(
        "The chapter of the cause of death is dropped: it is known for the dead only, and tells the outcome.",
        "The year of the sample is dropped: it says nothing of a patient of today, and earlier samples had longer "
        "follow-up.",
        "The decile of the free light chains is dropped: it is computed from the two chains over the whole cohort.",
    ),
    limits=(
        "People of 50 years and over in one county of Minnesota, almost all white: a random half of the study.",
        "Follow-up of a stored sample; whether creatinine was measured depends on the care a person had.",
    ),
    caveats=("A risk of death from any cause in the general population, not of a disease of the plasma cells.",),
    load=load_flchain,
    name="flchain",
    origin="the blood sample",
    subgroups=sex_and_age,
)
