"""GBSG2: recurrence after surgery for node-positive breast cancer."""

from __future__ import annotations

import numpy as np

from functions.survival.data.columns import age_groups, loinc, table_of
from functions.survival.data.dataset import Column, Dataset
from functions.survival.data.table import BoolArray, SurvivalTable

__all__ = ["GBSG2", "load_gbsg2"]

_COLUMNS = (
    Column("age", "age", "continuous", "a", 10, "age at study entry"),
    Column("postmenopausal", "menostat", "binary", "1", 1, "Post"),
    Column("tumor_size", "tsize", "continuous", "mm", 10, "size of the tumour", loinc("21889-1")),
    Column("grade", "tgrade", "continuous", "1", 1, "tumour grade, 1 to 3"),
    Column("positive_nodes", "pnodes", "continuous", "1", 5, "positive lymph nodes", loinc("21893-3")),
    Column("progesterone_receptor", "progrec", "continuous", "fmol", 100, "progesterone receptor, fmol by the source"),
    Column("estrogen_receptor", "estrec", "continuous", "fmol", 100, "oestrogen receptor, fmol by the source"),
    Column("hormonal_therapy", "horTh", "binary", "1", 1, "hormonal therapy"),
)
_GRADES = {"I": 1.0, "II": 2.0, "III": 3.0}


def load_gbsg2() -> SurvivalTable:
    """Load GBSG2 from scikit-survival.

    Returns
    -------
    SurvivalTable
        686 women, 299 recurrences or deaths; days from study entry. Nothing is missing.

    Raises
    ------
    ImportError
        scikit-survival is not installed (``make setup-train``).
    """
    from sksurv.datasets import load_gbsg2 as source

    frame, outcome = source()
    values = {
        "postmenopausal": np.asarray(frame["menostat"] == "Post", dtype=np.float64),
        "grade": np.array([_GRADES[str(grade)] for grade in frame["tgrade"]]),
        "hormonal_therapy": np.asarray(frame["horTh"] == "yes", dtype=np.float64),
    }
    for column in _COLUMNS:
        if column.name not in values:
            values[column.name] = np.asarray(frame[column.source], dtype=np.float64)
    return table_of(
        _COLUMNS,
        values,
        event=np.asarray(outcome["cens"], dtype=np.bool_),
        time=np.asarray(outcome["time"], dtype=np.float64),
    )


def _subgroups(table: SurvivalTable) -> dict[str, BoolArray]:
    postmenopausal = table.x[:, table.names.index("postmenopausal")]
    return {
        **age_groups(table, (45, 60)),
        "Before menopause": postmenopausal == 0.0,
        "After menopause": postmenopausal == 1.0,
    }


GBSG2 = Dataset(
    title="German Breast Cancer Study Group trial 2 (GBSG2)",
    source="scikit-survival, sksurv.datasets.load_gbsg2",
    licence="GPL-3.0-or-later with scikit-survival, which has it from the R package TH.data (GPL-3)",
    reference=(
        "Schumacher M, Bastert G, Bojar H, et al. Randomized 2 x 2 trial evaluating hormonal treatment and the "
        "duration of chemotherapy in node-positive breast cancer patients. J Clin Oncol 12:2086-2093, 1994"
    ),
    columns=_COLUMNS,
    leaks=(
        "Hormonal therapy was given by random choice in some and by preference in others; it is decided at time zero.",
    ),
    limits=(
        "686 women of a trial of the 1980s with complete records: treatment has changed since.",
        "All are women; HER2 and other present markers are not recorded.",
    ),
    caveats=("Recurrence and death count as one event.",),
    load=load_gbsg2,
    name="gbsg2",
    origin="study entry",
    event="recurrence or death",
    events="recurrences or deaths",
    subgroups=_subgroups,
)
