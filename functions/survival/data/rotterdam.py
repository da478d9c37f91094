"""Rotterdam: recurrence or death after surgery for breast cancer."""

from __future__ import annotations

import numpy as np

from functions.offline.rtables import r_table
from functions.survival.data.columns import age_groups, loinc, table_of
from functions.survival.data.dataset import Column, Dataset
from functions.survival.data.pbc import R_LICENCE
from functions.survival.data.table import BoolArray, SurvivalTable

__all__ = ["ROTTERDAM", "load_rotterdam"]

_COLUMNS = (
    Column("age", "age", "continuous", "a", 10, "completed years at surgery"),
    Column("postmenopausal", "meno", "binary", "1", 1, "1"),
    Column("size_over_20_mm", "size", "binary", "1", 1, "20-50 or >50"),
    Column("size_over_50_mm", "size", "binary", "1", 1, ">50"),
    Column("grade_3", "grade", "binary", "1", 1, "differentiation grade 3, not 2"),
    Column("positive_nodes", "nodes", "continuous", "1", 5, "positive lymph nodes", loinc("21893-3")),
    Column("progesterone_receptor", "pgr", "continuous", "fmol/L", 100, "progesterone receptor, unit by the source"),
    Column("estrogen_receptor", "er", "continuous", "fmol/L", 100, "oestrogen receptor, unit by the source"),
    Column("hormonal_therapy", "hormon", "binary", "1", 1, "hormonal treatment"),
    Column("chemotherapy", "chemo", "binary", "1", 1, "chemotherapy"),
)


def load_rotterdam() -> SurvivalTable:
    """Load the Rotterdam tumour bank's data from the R package ``survival``.

    The outcome is recurrence or death, whichever was first, as in Royston and Altman (BMC Med Res Methodol 13:33,
    2013). For those who died without a recurrence the time is that of death, though in 43 of them the last look for
    a recurrence was earlier.

    Returns
    -------
    SurvivalTable
        2,982 women, 1,713 recurrences or deaths; days from surgery. Nothing is missing.

    Raises
    ------
    DataAbsent
        The R package is not here.
    ImportError
        The library ``rdata`` is not installed (``make setup-train``).
    """
    source = r_table("survival", "rotterdam")
    size = np.array(source.texts("size"))
    values = {
        "size_over_20_mm": (size != "<=20").astype(np.float64),
        "size_over_50_mm": (size == ">50").astype(np.float64),
        "grade_3": (source.numbers("grade") == 3.0).astype(np.float64),
    }
    for column in _COLUMNS:
        if column.name not in values:
            values[column.name] = source.numbers(column.source)
    recurred = source.numbers("recur") == 1.0
    return table_of(
        _COLUMNS,
        values,
        event=recurred | (source.numbers("death") == 1.0),
        time=np.where(recurred, source.numbers("rtime"), source.numbers("dtime")),
    )


def _subgroups(table: SurvivalTable) -> dict[str, BoolArray]:
    postmenopausal = table.x[:, table.names.index("postmenopausal")]
    return {
        **age_groups(table, (45, 60)),
        "Before menopause": postmenopausal == 0.0,
        "After menopause": postmenopausal == 1.0,
    }


ROTTERDAM = Dataset(
    title="Rotterdam tumour bank, primary breast cancer",
    source="R package survival, table rotterdam",
    licence=R_LICENCE,
    reference=(
        "Royston P, Altman DG. External validation of a Cox prognostic model: principles and methods. BMC Med Res "
        "Methodol 13:33, 2013; Foekens JA, Peters HA, Look MP, et al. Cancer Res 60:636-643, 2000"
    ),
    columns=_COLUMNS,
    leaks=(
        "The year of surgery is dropped: it says nothing of a patient of today, and earlier ones had longer follow-up.",
        "Treatment was chosen by what was known of the tumour; its coefficients are not effects.",
    ),
    limits=("2,982 women operated on from 1978 to 1993 in one region: treatment has changed since.",),
    caveats=("Recurrence and death count as one event.",),
    load=load_rotterdam,
    name="rotterdam",
    origin="surgery",
    event="recurrence or death",
    events="recurrences or deaths",
    subgroups=_subgroups,
)
