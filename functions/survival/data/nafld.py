"""NAFLD: death in people with non-alcoholic fatty liver disease."""

from __future__ import annotations

import numpy as np

from functions.offline.rtables import RTable, r_table
from functions.survival.data.columns import loinc, sex_and_age, table_of
from functions.survival.data.dataset import Column, Dataset
from functions.survival.data.pbc import R_LICENCE
from functions.survival.data.table import BoolArray, FloatArray, SurvivalTable

__all__ = ["NAFLD", "load_nafld"]

# Days around time zero in which a measurement counts; the last one does.
LOOK_BACK, LOOK_AHEAD = 1095, 90
_COLUMNS = (
    Column("age", "age", "continuous", "a", 10, "completed years at time zero"),
    Column("female", "male", "binary", "1", 1, "0"),
    Column("bmi", "bmi", "continuous", "kg/m2", 5, "body mass index", loinc("39156-5")),
    Column("hdl_cholesterol", "hdl", "continuous", "mg/dL", 10, "cholesterol in HDL", loinc("2085-9")),
)
# What a living adult can have; a record beyond is an error of entry.
_PLAUSIBLE = {"hdl_cholesterol": (3.0, 250.0)}


def load_nafld() -> SurvivalTable:
    """Load the people with the disease of the NAFLD study from the R package ``survival``.

    Their matched controls are left out: the model is for people who have the disease. A measurement is the last
    plausible one from 1,095 days before time zero to 90 days after it.

    Returns
    -------
    SurvivalTable
        3,514 people, 360 deaths; days from the diagnosis of the disease. Body mass index is missing in 15%, HDL
        cholesterol in 12%.

    Raises
    ------
    DataAbsent
        The R package is not here.
    ImportError
        The library ``rdata`` is not installed (``make setup-train``).
    """
    people, readings = r_table("survival", "nafld1"), r_table("survival", "nafld2")
    identity = people.numbers("id")
    # NaN, a control whose case is not told, equals nothing
    cases = identity == people.numbers("case.id")
    values = {
        "age": people.numbers("age"),
        "female": 1.0 - people.numbers("male"),
        "bmi": people.numbers("bmi"),
        **_measured(readings, identity),
    }
    return table_of(
        _COLUMNS,
        {name: column[cases] for name, column in values.items()},
        event=people.numbers("status")[cases] == 1.0,
        time=people.numbers("futime")[cases],
    )


def _measured(readings: RTable, identity: FloatArray) -> dict[str, FloatArray]:
    """Return the last plausible reading in the window for each person, NaN where there is none; shape (n,) each."""
    person, days, value = (readings.numbers(column) for column in ("id", "days", "value"))
    test = np.array(readings.texts("test"))
    in_window = (days >= -LOOK_BACK) & (days <= LOOK_AHEAD)
    found = {}
    for column in _COLUMNS:
        if column.name not in _PLAUSIBLE:
            continue
        low, high = _PLAUSIBLE[column.name]
        usable = in_window & (test == column.source) & (value >= low) & (value <= high)
        order = np.flatnonzero(usable)[np.argsort(days[usable], kind="stable")]
        last = dict(zip(person[order].tolist(), value[order].tolist(), strict=True))
        found[column.name] = np.array([last.get(one, np.nan) for one in identity.tolist()])
    return found


def _subgroups(table: SurvivalTable) -> dict[str, BoolArray]:
    return sex_and_age(table, (50, 65))


NAFLD = Dataset(
    title="Non-alcoholic fatty liver disease, Olmsted County (NAFLD)",
    source="R package survival, tables nafld1 and nafld2",
    licence=R_LICENCE,
    reference=(
        "Allen AM, Therneau TM, Larson JJ, et al. Nonalcoholic fatty liver disease incidence and impact on metabolic "
        "burden and death: a 20 year community study. Hepatology 67:1726-1736, 2018"
    ),
    columns=_COLUMNS,
    leaks=(
        "Measurements up to 90 days after the diagnosis count. Nobody died within 9 days of it, but somebody who died "
        "within 90 had fewer chances of one.",
        "Whether something was measured depends on how a person was: what is missing is not missing by chance.",
        "Readings labelled as total cholesterol (chol) and diastolic pressure (dbp) are dropped: in the published file "
        "they are the values of HDL cholesterol and of systolic pressure again.",
        "Systolic pressure is dropped: not on record for seven of ten. Smoking is dropped: known for one of ten, and "
        "not defined by the source. The FIB-4 index is dropped: it is on record where it was high.",
    ),
    limits=(
        "3,514 people of one county of Minnesota, almost all white, diagnosed from 1997 to 2014; 360 deaths.",
        "The diagnosis is by codes in records, not by imaging or biopsy for all; alcohol is not recorded.",
        "Diabetes, blood pressure, liver enzymes and fibrosis, which present scores use, are not inputs.",
        "No outside validation: every number comes from resampling the same people.",
    ),
    caveats=(
        "Most deaths are not of the liver; the risk is one of death from any cause.",
        "A risk of death is not a reason to withhold care.",
        "Associations in the equation are not causes; changing an input does not change the risk by that much.",
    ),
    load=load_nafld,
    name="nafld",
    origin="diagnosis",
    subgroups=_subgroups,
)
