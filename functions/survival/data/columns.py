"""What the loaders share: codes, putting columns together, subgroups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from functions.survival.data.dataset import Column
from functions.survival.data.table import BoolArray, FloatArray, SurvivalTable

__all__ = ["HALF_A_DAY", "MONTH", "age_groups", "loinc", "sex_and_age", "snomed", "table_of"]

# Somebody whose event fell on day 0 was at risk before it; survival analysis needs a positive time.
HALF_A_DAY = 0.5
# Days, the mean over four years.
MONTH = 30.4375


def loinc(*codes: str) -> tuple[str, ...]:
    """Return LOINC codes with their system."""
    return tuple(f"http://loinc.org|{code}" for code in codes)


def snomed(*codes: str) -> tuple[str, ...]:
    """Return SNOMED CT codes with their system."""
    return tuple(f"http://snomed.info/sct|{code}" for code in codes)


def table_of(
    columns: Sequence[Column],
    values: Mapping[str, FloatArray],
    *,
    event: BoolArray,
    time: FloatArray,
    competing: BoolArray | None = None,
) -> SurvivalTable:
    """Put columns together in their declared order.

    Parameters
    ----------
    columns : sequence of Column
        What is declared.
    values : mapping of str to ndarray, shape (n,)
        By name of the column; NaN is missing. Binary ones hold 0 and 1.
    event, competing : ndarray of bool, shape (n,)
        Whether the outcome, and whether the competing event, happened.
    time : ndarray, shape (n,)
        Days from time zero; 0 becomes half a day.

    Raises
    ------
    ValueError
        A column that is declared binary holds something else; names the column, never a value.
    """
    for column in columns:
        known = values[column.name][~np.isnan(values[column.name])]
        if column.kind == "binary" and not np.all((known == 0.0) | (known == 1.0)):
            raise ValueError(f"{column.name} is declared binary, and the source has other values in {column.source!r}")
    return SurvivalTable(
        names=tuple(column.name for column in columns),
        x=np.column_stack([values[column.name] for column in columns]),
        event=np.asarray(event, dtype=np.bool_),
        time=np.where(time == 0.0, HALF_A_DAY, time),
        competing=np.zeros(0, dtype=np.bool_) if competing is None else np.asarray(competing, dtype=np.bool_),
        log=tuple(column.name for column in columns if column.log),
    )


def age_groups(table: SurvivalTable, cuts: Sequence[int] = (65, 80)) -> dict[str, BoolArray]:
    """Return the members of age groups by title, youngest first.

    Parameters
    ----------
    cuts : sequence of int
        Completed years at which a group begins, rising.
    """
    age = table.x[:, table.names.index("age")]
    groups = {f"Under {cuts[0]} years": age < cuts[0]}
    for low, high in pairwise(cuts):
        groups[f"{low} to {high - 1} years"] = (age >= low) & (age < high)
    return {**groups, f"{cuts[-1]} years and over": age >= cuts[-1]}


def sex_and_age(table: SurvivalTable, cuts: Sequence[int] = (65, 80)) -> dict[str, BoolArray]:
    """Return women, men and age groups."""
    female = table.x[:, table.names.index("female")]
    return {"Women": female == 1.0, "Men": female == 0.0, **age_groups(table, cuts)}
