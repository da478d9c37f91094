"""Competing risks from any two survival models, one a cause."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from functions.survival.data import FloatArray
from functions.survival.evaluate.nonparametric import at_times
from functions.survival.models import CompetingCox, Fitted, Wrapped

__all__ = ["CauseSpecific", "cause_specific_survival"]

# Below this a survival probability counts as this: the hazard that would bring it to 0 is infinite.
LEAST = 1e-9


@dataclass(frozen=True)
class CauseSpecific:
    """Cumulative incidence from two models of cause-specific hazards.

    As :class:`~functions.survival.models.CompetingCox` does it (Putter, Fiocco and Geskus, Stat Med 26:2389-2430,
    2007, sec. 4), for models that are not equations.

    Parameters
    ----------
    causes : tuple of Wrapped
        The outcome first, then the competing event; each fitted with the other event as the end of follow-up.
    """

    causes: tuple[Wrapped, Wrapped]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the declared inputs, in order."""
        return self.causes[0].names

    def survival(self, x: FloatArray, times: FloatArray) -> FloatArray:
        """Return one minus the cumulative incidence of the outcome; shape (n, len(times)).

        Parameters
        ----------
        x : ndarray of float64, shape (n, p)
            NaN means missing.
        times : ndarray of float64, shape (m,)
            Days.
        """
        grid = np.unique(np.concatenate([cause.estimator.unique_times_ for cause in self.causes]))
        first, second = (-np.log(np.maximum(cause.survival(x, grid), LEAST)) for cause in self.causes)
        free = np.exp(-first - second)
        leaving = -np.diff(free, axis=1, prepend=1.0)
        ours, together = np.diff(first, axis=1, prepend=0.0), np.diff(first + second, axis=1, prepend=0.0)
        share = np.divide(ours, together, out=np.zeros_like(ours), where=together > 0)
        return np.asarray(1.0 - at_times(grid, np.cumsum(leaving * share, axis=1), times, 0.0), dtype=np.float64)


def cause_specific_survival(fitted: Fitted, x: FloatArray, times: FloatArray) -> FloatArray:
    """Return ``exp(-H(t))`` of the outcome's own hazard; shape (n, len(times)).

    The survival function itself where nothing competes.

    Parameters
    ----------
    fitted : Fitted
    x : ndarray of float64, shape (n, p)
    times : ndarray of float64, shape (m,)
        Days, rising.
    """
    if isinstance(fitted, CompetingCox | CauseSpecific):
        return fitted.causes[0].survival(x, times)
    return fitted.survival(x, times)
