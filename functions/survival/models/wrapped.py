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
        last step. One that was fitted to a data frame is given a data frame with these names.
    stand_in : ndarray of float64, shape (p,), or None
        Replaces missing inputs before the estimator sees them; None hands them on.
    alpha : float or None
        Where on the path of a ``CoxnetSurvivalAnalysis``; None means its last, the smallest penalty.
    """

    names: tuple[str, ...]
    estimator: Any
    stand_in: FloatArray | None = None
    alpha: float | None = None

    def survival(self, x: FloatArray, times: FloatArray) -> FloatArray:
        """Return S(t) for each patient and time; shape (n, len(times)).

        Parameters
        ----------
        x : ndarray of float64, shape (n, p)
            NaN means missing.
        times : ndarray of float64, shape (m,)
            Days; before the first training time survival is 1, after the last it stays level.
        """
        found = self.estimator.predict_survival_function(self._rows(x), return_array=True, **self._where())
        curves = np.asarray(found, dtype=np.float64)
        padded = np.column_stack([np.ones(len(curves)), curves])
        known = _last(self.estimator).unique_times_
        return np.asarray(padded[:, np.searchsorted(known, times, side="right")], dtype=np.float64)

    def risk_score(self, x: FloatArray) -> FloatArray:
        """Return the estimator's own score, higher for an earlier event; shape (n,).

        Parameters
        ----------
        x : ndarray of float64, shape (n, p)
            NaN means missing.
        """
        return np.asarray(self.estimator.predict(self._rows(x), **self._where()), dtype=np.float64)

    def _where(self) -> dict[str, float]:
        return {} if self.alpha is None else {"alpha": self.alpha}

    def _rows(self, x: FloatArray) -> Any:
        known = x if self.stand_in is None else impute(x, self.stand_in)
        if not hasattr(self.estimator, "feature_names_in_"):
            return known
        from pandas import DataFrame  # type: ignore[import-untyped]

        return DataFrame(known, columns=list(self.names))


def _last(estimator: Any) -> Any:
    return _last(estimator[-1]) if hasattr(estimator, "steps") else estimator
