"""What a fitted survival model can do, whatever it is."""

from __future__ import annotations

from typing import Protocol

from functions.survival.data import FloatArray

__all__ = ["Fitted"]


class Fitted(Protocol):
    """A fitted survival model: declared inputs in, survival curves out.

    Everything between the declared inputs and the model (imputation, coding, scaling) belongs to it.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the declared inputs, in order; length p."""
        ...

    def survival(self, x: FloatArray, times: FloatArray) -> FloatArray:
        """Return the probability of being free of the outcome at each time; shape (n, len(times)).

        Where events compete, one minus the cumulative incidence of the outcome.

        Parameters
        ----------
        x : ndarray of float64, shape (n, p)
            In the declared units; NaN means missing.
        times : ndarray of float64, shape (m,)
            Days, rising.
        """
        ...
