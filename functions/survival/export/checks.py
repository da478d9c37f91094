"""What must hold before and after a file is made: the grid, the sample, and that the file says what the model says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from functions.survival.data import FloatArray
from functions.survival.export.errors import (
    AllMissingRow,
    BadSample,
    BadTimeGrid,
    Disagreement,
    MissingValue,
    UnseenCategory,
    WrongColumns,
)
from functions.survival.export.lowered import Refusals
from functions.survival.models import Fitted

__all__ = ["check_against", "check_answers", "check_grid", "check_sample", "compare"]

# A forest of hundreds of trees holds rows x trees x times at once.
CHUNK = 128


def check_grid(times: FloatArray) -> FloatArray:
    """Return the declared times as float64, shape (T,).

    Raises
    ------
    BadTimeGrid
        They are none, not finite, negative, or do not rise.
    """
    grid = np.asarray(times, dtype=np.float64)
    if grid.ndim != 1 or grid.size == 0:
        raise BadTimeGrid("times need one axis and at least one value")
    if not np.all(np.isfinite(grid)):
        raise BadTimeGrid("times must be finite")
    if grid[0] < 0:
        raise BadTimeGrid(f"times must not be negative; the first is {grid[0]:g}")
    falls = np.flatnonzero(np.diff(grid) <= 0)
    if falls.size:
        at = int(falls[0])
        raise BadTimeGrid(f"times must rise; {grid[at]:g} is followed by {grid[at + 1]:g}")
    return grid


def check_sample(sample: FloatArray, names: Sequence[str]) -> FloatArray:
    """Return the sample as float64, shape (n, p).

    Raises
    ------
    WrongColumns
        Not one column for each declared input.
    BadSample
        No rows, or a value that is infinite.
    AllMissingRow
        A row without any value.
    """
    rows = np.ascontiguousarray(sample, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != len(names):
        raise WrongColumns(f"the sample has shape {rows.shape}; the model has {len(names)} inputs: {', '.join(names)}")
    if len(rows) == 0:
        raise BadSample("the sample has no rows, so nothing would be compared")
    infinite = np.argwhere(np.isinf(rows))
    if infinite.size:
        row, column = infinite[0]
        raise BadSample(f"sample row {row}, input {names[column]!r}: infinite; a missing value is NaN")
    empty = np.flatnonzero(np.isnan(rows).all(axis=1))
    if empty.size:
        raise AllMissingRow(f"sample row {empty[0]} has no value at all")
    return rows


def check_against(sample: FloatArray, names: Sequence[str], refusals: Refusals) -> None:
    """Refuse sample rows that the model itself would refuse.

    Raises
    ------
    UnseenCategory
        An encoder never saw a value.
    MissingValue
        A value is missing that the model cannot do without.
    """
    for column, known in refusals.coded:
        values = sample[:, column]
        unseen = np.flatnonzero(~np.isnan(values) & ~np.isin(values, known))
        if unseen.size:
            raise UnseenCategory(
                f"sample row {unseen[0]}, input {names[column]!r}: a category that the model's encoder never saw; "
                "train on it, or set the encoder's handle_unknown"
            )
    for column in sorted(refusals.required):
        missing = np.flatnonzero(np.isnan(sample[:, column]))
        if missing.size:
            raise MissingValue(
                f"sample row {missing[0]}, input {names[column]!r}: missing, and the model does not impute it; "
                "put a SimpleImputer before the model"
            )


def check_answers(survival: FloatArray) -> None:
    """Refuse a sample row for which the file has no curve; survival has shape (n, T)."""
    none = np.flatnonzero(np.isnan(survival).any(axis=1))
    if none.size:
        raise BadSample(
            f"sample row {none[0]}: the model has no answer, as a category is unseen or a value outside the domain "
            "of a function"
        )


def compare(session: Any, fitted: Fitted, sample: FloatArray, times: FloatArray, tolerance: float) -> float:
    """Return the largest difference of survival between file and model.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        The file.
    fitted : Fitted
        The model.
    sample : ndarray of float64, shape (n, p)
    times : ndarray of float64, shape (T,)
    tolerance : float
        The most that is accepted.

    Raises
    ------
    BadSample
        One of them has no answer for a row.
    Disagreement
        They differ by more than the tolerance.
    """
    worst = 0.0
    for start in range(0, len(sample), CHUNK):
        rows = sample[start : start + CHUNK]
        ours = session.run(["survival"], {"inputs": rows})[0]
        check_answers(ours)
        difference = np.abs(ours - _answers(fitted, rows, times))
        row, column = np.unravel_index(int(np.argmax(difference)), difference.shape)
        error = float(difference[row, column])
        if not error <= tolerance:
            raise Disagreement(
                f"sample row {start + row} at time {times[column]:g}: survival differs by {error:.3g}, "
                f"tolerance {tolerance:g}",
                error,
            )
        worst = max(worst, error)
    return worst


def _answers(fitted: Fitted, rows: FloatArray, times: FloatArray) -> FloatArray:
    try:
        return fitted.survival(rows, times)
    except ValueError as error:
        # The library's own message may quote values of the row.
        raise BadSample(f"the model refuses the sample rows ({type(error).__name__})") from None
