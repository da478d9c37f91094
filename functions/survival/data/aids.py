"""ACTG 320: AIDS or death in people with HIV on antiretroviral treatment."""

from __future__ import annotations

import numpy as np

from functions.survival.data.columns import loinc, sex_and_age, snomed, table_of
from functions.survival.data.dataset import Column, Dataset
from functions.survival.data.table import BoolArray, SurvivalTable

__all__ = ["AIDS", "load_aids"]

_COLUMNS = (
    Column("age", "age", "continuous", "a", 10, "age at enrolment"),
    Column("female", "sex", "binary", "1", 1, "2"),
    Column("cd4", "cd4", "continuous", "/uL", 50, "CD4 cells at baseline", loinc("24467-3")),
    Column("karnofsky", "karnof", "continuous", "{score}", 10, "Karnofsky performance score", loinc("89243-0")),
    Column("prior_zidovudine", "priorzdv", "continuous", "mo", 12, "months of zidovudine before"),
    Column("injected_drugs", "ivdrug", "binary", "1", 1, "2 or 3: ever; 1: never"),
    Column("hemophilia", "hemophil", "binary", "1", 1, "1", snomed("90935002")),
    Column("indinavir", "tx", "binary", "1", 1, "treatment includes indinavir"),
)


def load_aids() -> SurvivalTable:
    """Load ACTG 320 from scikit-survival.

    Returns
    -------
    SurvivalTable
        1,151 people, 96 with AIDS or dead; days from enrolment. Nothing is missing.

    Raises
    ------
    ImportError
        scikit-survival is not installed (``make setup-train``).
    """
    from sksurv.datasets import load_aids as source

    frame, outcome = source(endpoint="aids")
    numbers = {column.name: np.asarray(frame[column.source].astype(float), dtype=np.float64) for column in _COLUMNS}
    values = {
        **numbers,
        "female": (numbers["female"] == 2.0).astype(np.float64),
        "injected_drugs": (numbers["injected_drugs"] > 1.0).astype(np.float64),
    }
    return table_of(
        _COLUMNS,
        values,
        event=np.asarray(outcome["censor"], dtype=np.bool_),
        time=np.asarray(outcome["time"], dtype=np.float64),
    )


def _subgroups(table: SurvivalTable) -> dict[str, BoolArray]:
    cd4 = table.x[:, table.names.index("cd4")]
    return {**sex_and_age(table, (35, 50)), "CD4 at most 50 /uL": cd4 <= 50, "CD4 over 50 /uL": cd4 > 50}


AIDS = Dataset(
    title="AIDS Clinical Trials Group study 320 (ACTG 320)",
    source="scikit-survival, sksurv.datasets.load_aids",
    licence=(
        "published with the textbook for teaching, no licence text of its own; scikit-survival, which carries the "
        "file, is GPL-3.0-or-later"
    ),
    reference=(
        "Hammer SM, Squires KE, Hughes MD, et al. A controlled trial of two nucleoside analogues plus indinavir. "
        "N Engl J Med 337:725-733, 1997; as in Hosmer DW, Lemeshow S, May S. Applied Survival Analysis, 2nd ed. "
        "Wiley, 2008"
    ),
    columns=_COLUMNS,
    leaks=(
        "The time and fact of death are dropped: they come after the outcome.",
        "The CD4 stratum (at most 50 or more) is dropped: it is computed from the count.",
    ),
    limits=(
        "A trial of 1996 and 1997, stopped early: follow-up is at most a year, and today's treatment is another.",
        "96 events. Race and ethnicity are in the source and are no inputs here.",
    ),
    caveats=("The treatment was allotted at random; outside of the trial it is chosen.",),
    load=load_aids,
    name="aids",
    origin="enrolment",
    event="AIDS or death",
    events="diagnoses of AIDS or deaths",
    subgroups=_subgroups,
)
