"""PBC sequential: the trial's later visits, looked at from a landmark one year after registration."""

from __future__ import annotations

import numpy as np

from functions.offline.rtables import r_table
from functions.survival.data.columns import sex_and_age, table_of
from functions.survival.data.dataset import Column, Dataset
from functions.survival.data.pbc import PBC_COLUMNS, R_LICENCE, pbc_inputs
from functions.survival.data.table import BoolArray, FloatArray, SurvivalTable

__all__ = ["LANDMARK", "PBCSEQ", "load_pbcseq"]

# Days after registration: the protocol's visits are at half a year and a year, and some came late.
LANDMARK = 400.0
_CHANGE = Column(
    *("bilirubin_change", "bili", "continuous", "mg/dL", 1),
    note="bilirubin of the last visit minus that of registration",
)


def load_pbcseq() -> SurvivalTable:
    """Load the sequential PBC data from the R package ``survival``, one row a patient at a landmark.

    A row stands for a patient who is alive without transplantation 400 days after registration. Its inputs are the
    last known ones of all visits until then, its time counts from then: nothing of it was unknown at its time zero
    (van Houwelingen, Scand J Stat 34:70-85, 2007). Death and transplantation are one event.

    Returns
    -------
    SurvivalTable
        From 1,945 visits of 312 patients, those 288 who passed the landmark; days from the landmark. The change of
        bilirubin is missing where there was no visit after registration.

    Raises
    ------
    DataAbsent
        The R package is not here.
    ImportError
        The library ``rdata`` is not installed (``make setup-train``).
    """
    source = r_table("survival", "pbcseq")
    patient, day = source.numbers("id"), source.numbers("day")
    until, status = source.numbers("futime"), source.numbers("status")
    visits = {**pbc_inputs(source), "age": source.numbers("age")}
    rows: list[dict[str, float]] = []
    event, time = [], []
    for one in np.unique(patient):
        seen = np.flatnonzero((patient == one) & (day <= LANDMARK))
        seen = seen[np.argsort(day[seen], kind="stable")]
        if until[seen[0]] > LANDMARK:
            rows.append(_at_landmark({name: column[seen] for name, column in visits.items()}))
            event.append(status[seen[0]] > 0)
            time.append(until[seen[0]] - LANDMARK)
    values = {column.name: np.array([row[column.name] for row in rows]) for column in PBCSEQ.columns}
    return table_of(PBCSEQ.columns, values, event=np.array(event), time=np.array(time))


def _at_landmark(visits: dict[str, FloatArray]) -> dict[str, float]:
    """Return the last known value of each input, from the visits of one patient, oldest first."""
    row = {name: _last(column) for name, column in visits.items()}
    row["age"] = float(np.floor(visits["age"][0] + LANDMARK / 365.25))
    bilirubin = visits["bilirubin"]
    row["bilirubin_change"] = float(bilirubin[-1] - bilirubin[0]) if len(bilirubin) > 1 else np.nan
    return row


def _last(values: FloatArray) -> float:
    known = values[~np.isnan(values)]
    return float(known[-1]) if len(known) else np.nan


def _subgroups(table: SurvivalTable) -> dict[str, BoolArray]:
    return sex_and_age(table, (50, 65))


PBCSEQ = Dataset(
    title="Mayo Clinic trial in primary biliary cholangitis, sequential (PBCSEQ), one year on",
    source="R package survival, table pbcseq",
    licence=R_LICENCE,
    reference=(
        "Murtaugh PA, Dickson ER, Van Dam GM, et al. Primary biliary cirrhosis: prediction of short-term survival "
        "based on repeated patient visits. Hepatology 20:126-134, 1994"
    ),
    columns=(*PBC_COLUMNS, _CHANGE),
    leaks=(
        "Only visits until day 400 are used, of people at risk then. A row for each visit, or the last visit, would "
        "leak: sicker people have visits close to their death, and fewer of them.",
        "That somebody missed the visits before the landmark is itself a sign of how they were.",
        "Whether and when somebody was transplanted depended on what doctors expected, from these very inputs.",
    ),
    limits=(
        "The 312 patients of the trial with longer follow-up; not independent of PBC, so no validation of it.",
        "Before ursodeoxycholic acid: survival is better today.",
    ),
    caveats=("For people who have been observed for a year; not for a first visit.",),
    load=load_pbcseq,
    name="pbcseq",
    origin="the landmark at 400 days",
    event="death or transplantation",
    events="deaths or transplantations",
    subgroups=_subgroups,
)
