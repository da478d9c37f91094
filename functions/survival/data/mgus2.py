"""MGUS2: progression of monoclonal gammopathy, against death without it."""

from __future__ import annotations

import numpy as np

from functions.offline.rtables import r_table
from functions.survival.data.columns import MONTH, loinc, sex_and_age, table_of
from functions.survival.data.dataset import Column, Dataset
from functions.survival.data.pbc import R_LICENCE
from functions.survival.data.table import SurvivalTable

__all__ = ["MGUS2", "load_mgus2"]

_COLUMNS = (
    Column("age", "age", "continuous", "a", 10, "completed years at diagnosis"),
    Column("female", "sex", "binary", "1", 1, "F"),
    Column("hemoglobin", "hgb", "continuous", "g/dL", 1, "haemoglobin", loinc("718-7")),
    Column("creatinine", "creat", "continuous", "mg/dL", 0.5, "serum creatinine", loinc("2160-0")),
    Column("m_spike", "mspike", "continuous", "g/dL", 0.5, "monoclonal protein in serum", loinc("33358-3")),
)


def load_mgus2() -> SurvivalTable:
    """Load MGUS2 from the R package ``survival``.

    Returns
    -------
    SurvivalTable
        1,384 people, 115 progressions to a plasma cell malignancy, 860 deaths without one (competing). Days from
        diagnosis: the source's months times 30.4375. Haemoglobin is missing in 13, creatinine in 30, the M-spike in 11.

    Raises
    ------
    DataAbsent
        The R package is not here.
    ImportError
        The library ``rdata`` is not installed (``make setup-train``).
    """
    source = r_table("survival", "mgus2")
    values = {column.name: source.numbers(column.source) for column in _COLUMNS if column.name != "female"}
    values["female"] = np.array([float(sex == "F") for sex in source.texts("sex")])
    progressed = source.numbers("pstat") == 1.0
    months = np.where(progressed, source.numbers("ptime"), source.numbers("futime"))
    return table_of(
        _COLUMNS,
        values,
        event=progressed,
        time=months * MONTH,
        competing=~progressed & (source.numbers("death") == 1.0),
    )


MGUS2 = Dataset(
    title="Monoclonal gammopathy of undetermined significance, Mayo Clinic (MGUS2)",
    source="R package survival, table mgus2",
    licence=R_LICENCE,
    reference=(
        "Kyle RA, Therneau TM, Rajkumar SV, et al. A long-term study of prognosis in monoclonal gammopathy of "
        "undetermined significance. N Engl J Med 346:564-569, 2002"
    ),
    columns=_COLUMNS,
    leaks=(
        "The year of diagnosis is dropped: it says nothing of a patient of today, and earlier ones had longer "
        "follow-up.",
        "Values are those at diagnosis, from the days around it; a value of the work-up for progression could not be "
        "told from them.",
    ),
    limits=(
        "1,384 people of southeastern Minnesota diagnosed from 1960 to 1994; 115 progressions: intervals are wide.",
        "The type of heavy chain and the ratio of free light chains, which present scores use, are not recorded.",
        "Race and ethnicity are not recorded; the risk of progression is known to differ.",
        "No outside validation: every number comes from resampling the same people.",
    ),
    caveats=(
        "Most die of something else first: the risk shown is that of progressing while alive, which is lower than one "
        "minus a Kaplan-Meier estimate.",
        "Progression is to myeloma or another plasma cell malignancy; it was found by care, not by a protocol.",
        "Associations in the equation are not causes; changing an input does not change the risk by that much.",
    ),
    load=load_mgus2,
    name="mgus2",
    origin="diagnosis",
    event="progression",
    events="progressions",
    competing="death without progression",
    subgroups=sex_and_age,
)
