"""A scikit-survival estimator with the imputation in front of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from functions.survival.data import FloatArray, impute

__all__ = ["Wrapped"]


@dataclass(frozen=True)
class Wrapped:
    """A fitted scikit-survival estimator or scikit-learn pipeline that ends in one.

    Parameters
    ----------
    names : tuple of str, length p
        Declared inputs, in order.
    estimator : object
        Has ``predict_survival_function`` and ``unique_times_``; a scikit-learn ``Pipeline`` has them through its
        last step.
    stand_in : ndarray of float64, shape (p,), or None
        Replaces missing inputs before the estimator sees them; None hands them on.
    """

    names: tuple[str, ...]
    estimator: Any
    stand_in: FloatArray | None = None

    def survival(self, x: FloatArray, times: FloatArray) -> FloatArray:
        """Return S(t) for each patient and time; shape (n, len(times)).

        Parameters
        ----------
        x : ndarray of float64, shape (n, p)
            NaN means missing.
        times : ndarray of float64, shape (m,)
            Days; before the first training time survival is 1, after the last it stays level.
        """
        known = x if self.stand_in is None else impute(x, self.stand_in)
        curves = np.asarray(self.estimator.predict_survival_function(known, return_array=True), dtype=np.float64)
        last = self.estimator[-1] if hasattr(self.estimator, "steps") else self.estimator
        padded = np.column_stack([np.ones(len(curves)), curves])
        return np.asarray(padded[:, np.searchsorted(last.unique_times_, times, side="right")], dtype=np.float64)
