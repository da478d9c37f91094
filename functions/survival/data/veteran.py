"""Veterans' Administration lung cancer trial."""

from __future__ import annotations

import numpy as np

from functions.survival.data.columns import age_groups, loinc, table_of
from functions.survival.data.dataset import Column, Dataset
from functions.survival.data.table import BoolArray, SurvivalTable

__all__ = ["VETERAN", "load_veteran"]

_COLUMNS = (
    Column("age", "Age_in_years", "continuous", "a", 10, "age at random allotment"),
    Column("karnofsky", "Karnofsky_score", "continuous", "{score}", 10, "performance score", loinc("89243-0")),
    Column("months_from_diagnosis", "Months_from_Diagnosis", "continuous", "mo", 6, "from diagnosis to allotment"),
    Column("prior_therapy", "Prior_therapy", "binary", "1", 1, "yes"),
    Column("test_treatment", "Treatment", "binary", "1", 1, "test, not standard, chemotherapy"),
    # squamous cells are the reference
    Column("small_cell", "Celltype", "binary", "1", 1, "smallcell"),
    Column("adenocarcinoma", "Celltype", "binary", "1", 1, "adeno"),
    Column("large_cell", "Celltype", "binary", "1", 1, "large"),
)
_LABELS = {
    "prior_therapy": "yes",
    "test_treatment": "test",
    "small_cell": "smallcell",
    "adenocarcinoma": "adeno",
    "large_cell": "large",
}


def load_veteran() -> SurvivalTable:
    """Load the Veterans' Administration lung cancer trial from scikit-survival.

    Returns
    -------
    SurvivalTable
        137 men, 128 deaths; days from random allotment. Nothing is missing.

    Raises
    ------
    ImportError
        scikit-survival is not installed (``make setup-train``).
    """
    from sksurv.datasets import load_veterans_lung_cancer as source

    frame, outcome = source()
    values = {name: np.asarray(frame[_source(name)] == label, dtype=np.float64) for name, label in _LABELS.items()}
    for column in _COLUMNS:
        if column.kind == "continuous":
            values[column.name] = np.asarray(frame[column.source], dtype=np.float64)
    return table_of(
        _COLUMNS,
        values,
        event=np.asarray(outcome["Status"], dtype=np.bool_),
        time=np.asarray(outcome["Survival_in_days"], dtype=np.float64),
    )


def _source(name: str) -> str:
    return next(column.source for column in _COLUMNS if column.name == name)


def _subgroups(table: SurvivalTable) -> dict[str, BoolArray]:
    return age_groups(table, (50, 65))


VETERAN = Dataset(
    title="Veterans' Administration lung cancer trial",
    source="scikit-survival, sksurv.datasets.load_veterans_lung_cancer",
    licence="GPL-3.0-or-later with scikit-survival; the data were published as a table in the textbook",
    reference="Kalbfleisch JD, Prentice RL. The Statistical Analysis of Failure Time Data, 2nd ed. Wiley, 2002",
    columns=_COLUMNS,
    leaks=(),
    limits=(
        "137 men with inoperable lung cancer, of the 1960s: only of use for trying methods.",
        "All are men; nothing can be said about women.",
    ),
    caveats=("Do not use a model of these data for a patient.",),
    load=load_veteran,
    name="veteran",
    origin="random allotment",
    subgroups=_subgroups,
)
