"""PBC: death or liver transplantation in primary biliary cholangitis."""

from __future__ import annotations

import numpy as np

from functions.offline.rtables import RTable, r_table
from functions.survival.data.columns import loinc, sex_and_age, snomed, table_of
from functions.survival.data.dataset import Column, Dataset
from functions.survival.data.table import BoolArray, FloatArray, SurvivalTable

__all__ = ["PBC", "PBC_COLUMNS", "R_LICENCE", "load_pbc", "pbc_inputs"]

R_LICENCE = (
    "LGPL-2.0-or-later with the R package survival (T. Therneau and others). The data are read when training and are "
    "not part of this package"
)
# The logarithms are those of the Mayo model (Dickson et al., 1989), and of the two enzymes beside them.
PBC_COLUMNS = (
    Column("age", "age", "continuous", "a", 10, "completed years at registration"),
    Column("female", "sex", "binary", "1", 1, "f"),
    Column("bilirubin", "bili", "continuous", "mg/dL", 1, "serum bilirubin", loinc("1975-2"), log=True),
    Column("albumin", "albumin", "continuous", "g/dL", 0.5, "serum albumin", loinc("1751-7"), log=True),
    Column(
        "prothrombin_time", "protime", "continuous", "s", 1, "standardised clotting time", loinc("5902-2"), log=True
    ),
    Column("alkaline_phosphatase", "alk.phos", "continuous", "U/L", 1000, "of serum", loinc("6768-6"), log=True),
    Column("ast", "ast", "continuous", "U/L", 50, "aspartate aminotransferase (SGOT)", loinc("1920-8"), log=True),
    Column("platelets", "platelet", "continuous", "10*3/uL", 100, "platelet count", loinc("777-3")),
    Column("ascites", "ascites", "binary", "1", 1, "presence of ascites", snomed("389026000")),
    Column("hepatomegaly", "hepato", "binary", "1", 1, "enlarged liver", snomed("80515008")),
    Column("spider_angiomata", "spiders", "binary", "1", 1, "spider naevi of the skin", snomed("195382003")),
    Column("edema", "edema", "binary", "1", 1, "0.5 (no diuretics, or gone with them) or 1", snomed("267038008")),
)


def load_pbc() -> SurvivalTable:
    """Load the Mayo Clinic's PBC data from the R package ``survival``: those of the trial, and those beside it.

    Age is cut down to completed years, which is what a birth date gives at the bedside. Death and transplantation are
    one event.

    Returns
    -------
    SurvivalTable
        418 people, 161 deaths and 25 transplantations; days from registration. Of the 106 who were not in the trial,
        alkaline phosphatase, AST, ascites, hepatomegaly and spider angiomata are missing.

    Raises
    ------
    DataAbsent
        The R package is not here.
    ImportError
        The library ``rdata`` is not installed (``make setup-train``).
    """
    source = r_table("survival", "pbc")
    values = pbc_inputs(source)
    return table_of(PBC_COLUMNS, values, event=source.numbers("status") > 0, time=source.numbers("time"))


def pbc_inputs(source: RTable) -> dict[str, FloatArray]:
    """Return the inputs of each row of ``pbc`` or ``pbcseq`` by name; shape (n,) each."""
    values = {column.name: source.numbers(column.source) for column in PBC_COLUMNS if column.name != "female"}
    edema = values["edema"]
    return {
        **values,
        "age": np.floor(values["age"]),
        "female": np.array([float(sex == "f") for sex in source.texts("sex")]),
        "edema": np.where(np.isnan(edema), np.nan, (edema > 0).astype(np.float64)),
    }


def _subgroups(table: SurvivalTable) -> dict[str, BoolArray]:
    return sex_and_age(table, (50, 65))


PBC = Dataset(
    title="Mayo Clinic trial in primary biliary cholangitis (PBC)",
    source="R package survival, table pbc",
    licence=R_LICENCE,
    reference=(
        "Therneau TM, Grambsch PM. Modeling Survival Data: Extending the Cox Model. Springer, 2000; Dickson ER, "
        "Grambsch PM, Fleming TR, et al. Prognosis in primary biliary cirrhosis: model for decision making. Hepatology "
        "10:1-7, 1989"
    ),
    columns=PBC_COLUMNS,
    leaks=(
        "What is missing tells who was not in the trial (106 of 418): their examination and two enzymes are missing "
        "together.",
        "The treatment arm is dropped: penicillamine, without effect and no longer given.",
        "The histologic stage is dropped: it needs a biopsy. Cholesterol, copper and triglycerides are dropped: "
        "missing in a third.",
        "Whether and when somebody was transplanted depended on what doctors expected, from these very inputs.",
    ),
    limits=(
        "418 people referred to one clinic from 1974 to 1984, before ursodeoxycholic acid: survival is better today. "
        "Expect risks that are too high until the model is recalibrated on local data.",
        "Nine in ten are women: intervals for men are wide.",
        "Prothrombin time is in seconds, which depend on the laboratory's reagent; there is no INR.",
        "No outside validation: every number comes from resampling the same people.",
    ),
    caveats=(
        "Oedema counts as present from the mildest grade, with or without diuretics.",
        "A finding that nobody recorded counts as absent: a person with a thin record gets a risk that is too low.",
        "A risk is not a reason to withhold care, nor an allocation score for transplantation.",
        "Associations in the equation are not causes; changing an input does not change the risk by that much.",
    ),
    load=load_pbc,
    name="pbc",
    origin="registration",
    event="death or transplantation",
    events="deaths or transplantations",
    subgroups=_subgroups,
)
