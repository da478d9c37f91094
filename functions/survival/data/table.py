"""Patients as arrays: inputs in the order of a contract, and when what happened to them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["BoolArray", "FloatArray", "SurvivalTable", "imputation_values", "impute", "logarithms"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class SurvivalTable:
    """Patients with their inputs and right-censored outcome.

    Parameters
    ----------
    names : tuple of str, length p
        Names of the declared inputs, in the contract's order.
    x : ndarray of float64, shape (n, p)
        Inputs in their declared units; NaN means missing.
    event : ndarray of bool, shape (n,)
        True where the outcome happened, False where follow-up ended without it.
    time : ndarray of float64, shape (n,)
        Days from time zero to the outcome, the competing event or the end of follow-up, positive.
    competing : ndarray of bool, shape (n,), optional
        True where an event happened after which the outcome cannot; never together with ``event``. Absent means
        nobody.
    log : tuple of str
        Inputs of which a linear model takes the logarithm: positive, and skewed to the right.
    """

    names: tuple[str, ...]
    x: FloatArray
    event: BoolArray
    time: FloatArray
    competing: BoolArray = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    log: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.competing.size == 0:
            object.__setattr__(self, "competing", np.zeros(len(self.time), dtype=np.bool_))
        rows = self.x.shape[0]
        if self.x.shape != (rows, len(self.names)):
            raise ValueError(f"x has shape {self.x.shape}, expected (n, {len(self.names)})")
        if self.event.shape != (rows,) or self.time.shape != (rows,):
            raise ValueError("event and time need one value a row of x")
        if self.competing.shape != (rows,) or np.any(self.competing & self.event):
            raise ValueError("competing needs one value a row of x, and excludes event")
        if not np.all(self.time > 0):
            raise ValueError("times must be positive")

    def __len__(self) -> int:
        return len(self.time)

    def take(self, rows: NDArray[np.intp]) -> SurvivalTable:
        """Return the table of the given rows, in their order, repeats allowed.

        Parameters
        ----------
        rows : ndarray of int, shape (m,)
            Row numbers.
        """
        return SurvivalTable(
            self.names, self.x[rows], self.event[rows], self.time[rows], self.competing[rows], self.log
        )

    def of_cause(self, cause: int) -> SurvivalTable:
        """Return the table for one cause-specific hazard: the other cause counts as the end of follow-up.

        Parameters
        ----------
        cause : int
            1 the outcome, 2 the competing event.
        """
        event = self.event if cause == 1 else self.competing
        return SurvivalTable(self.names, self.x, event, self.time, log=self.log)

    @property
    def logged(self) -> BoolArray:
        """Which inputs a linear model takes the logarithm of; shape (p,)."""
        return np.array([name in self.log for name in self.names], dtype=np.bool_)

    @property
    def binary(self) -> BoolArray:
        """Which inputs take only the values 0 and 1; shape (p,)."""
        known = np.isnan(self.x) | (self.x == 0.0) | (self.x == 1.0)
        return np.asarray(known.all(axis=0), dtype=np.bool_)


def imputation_values(table: SurvivalTable) -> FloatArray:
    """Return the value that stands in for each missing input.

    The median for continuous inputs, the more frequent value (the lower one on a tie) for binary inputs: what
    scikit-learn's ``SimpleImputer`` does with ``median`` and ``most_frequent``.

    Returns
    -------
    ndarray of float64, shape (p,)
        In the inputs' units.
    """
    more_often_one = np.nanmean(table.x, axis=0) > 0.5
    values = np.where(table.binary, more_often_one, np.nanmedian(table.x, axis=0))
    return np.asarray(values, dtype=np.float64)


def impute(x: FloatArray, values: FloatArray) -> FloatArray:
    """Replace NaN by each column's stand-in.

    Parameters
    ----------
    x : ndarray of float64, shape (n, p)
    values : ndarray of float64, shape (p,)
    """
    return np.where(np.isnan(x), values, x)


def logarithms(x: FloatArray, log: BoolArray) -> FloatArray:
    """Take the natural logarithm of some inputs, NaN where one is not positive.

    Parameters
    ----------
    x : ndarray of float64, shape (n, p) or (p,)
    log : ndarray of bool, shape (p,)
        Which.
    """
    positive = np.where(log & ~(x > 0), np.nan, np.where(log, x, 1.0))
    return np.where(log, np.log(positive), x)
