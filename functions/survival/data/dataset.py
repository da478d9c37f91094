"""What is known about a public data set: where it comes from, and what in it must not be trusted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from functions.survival.data.table import BoolArray, SurvivalTable

__all__ = ["Column", "Dataset"]


@dataclass(frozen=True)
class Column:
    """Where a declared input comes from in the source data.

    Parameters
    ----------
    name : str
        Name of the declared input.
    source : str
        Column of the source data.
    kind : {"continuous", "binary"}
        Binary inputs are 1 where the source column equals 1.
    unit : str
        UCUM unit; ``1`` for binary inputs.
    step : float
        Difference for which a hazard ratio is quoted, in ``unit``.
    note : str
        How the source defines it.
    codes : tuple of str
        What it is called in LOINC (``http://loinc.org|...``) or SNOMED CT (``http://snomed.info/sct|...``); empty
        where the Patient says it, or where no code means just this.
    log : bool
        A linear model takes its logarithm, as decided before looking at these data; its hazard ratio is quoted for a
        doubling.
    """

    name: str
    source: str
    kind: Literal["continuous", "binary"]
    unit: str
    step: float
    note: str
    codes: tuple[str, ...] = ()
    log: bool = False


@dataclass(frozen=True)
class Dataset:
    """A public data set: how to load it, where it comes from, and what in it must not be trusted.

    Parameters
    ----------
    title, source, licence, reference : str
        For people.
    columns : tuple of Column
        One for each declared input, in the contract's order.
    leaks : tuple of str
        What the source records that is not, or may not be, known when the model is asked.
    limits : tuple of str
        What the data cannot speak for.
    caveats : tuple of str
        What a user of a model trained on them must keep in mind.
    load : callable
        Returns the table.
    name : str
        Key in :data:`functions.survival.data.DATASETS`.
    origin : str
        Time zero, for axes: "Years after {origin}".
    event, events : str
        The outcome in a word, one and many, for people.
    competing : str or None
        The competing event, for people; None where there is none.
    subgroups : callable
        From the table to the members of each subgroup that is reported, shape (n,), by title; "Everyone" is added.
    """

    title: str
    source: str
    licence: str
    reference: str
    columns: tuple[Column, ...]
    leaks: tuple[str, ...]
    limits: tuple[str, ...]
    caveats: tuple[str, ...]
    load: Callable[[], SurvivalTable]
    name: str = ""
    origin: str = "admission"
    event: str = "death"
    events: str = "deaths"
    competing: str | None = None
    subgroups: Callable[[SurvivalTable], Mapping[str, BoolArray]] = field(default=lambda _table: {})

    @property
    def log(self) -> tuple[str, ...]:
        """Names of the inputs of which a linear model takes the logarithm."""
        return tuple(column.name for column in self.columns if column.log)

    def check_order(self, declared: Sequence[str]) -> None:
        """Refuse a contract whose inputs are not this data set's columns, in the same order.

        Parameters
        ----------
        declared : sequence of str
            Names of the contract's inputs.

        Raises
        ------
        ValueError
            They differ; a model trained so would read one input for another.
        """
        ours = [column.name for column in self.columns]
        if list(declared) != ours:
            raise ValueError(f"the contract declares {list(declared)}, the training data give {ours}")
