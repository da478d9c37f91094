"""An average of several survival models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from functions.survival.data import FloatArray
from functions.survival.models.protocol import Fitted

__all__ = ["StackedAverage"]


@dataclass(frozen=True)
class StackedAverage:
    """Weighted average of survival curves (stacking: Polley and van der Laan; Wey et al., Biostatistics 2015).

    Parameters
    ----------
    members : tuple of Fitted
        All with the same declared inputs.
    weights : tuple of float
        One a member, not negative, sum 1.
    """

    members: tuple[Fitted, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.members or len(self.members) != len(self.weights):
            raise ValueError("a stack needs members, and one weight each")
        if min(self.weights) < 0 or abs(sum(self.weights) - 1.0) > 1e-9:
            raise ValueError("weights are not negative and sum to 1")
        if any(member.names != self.members[0].names for member in self.members):
            raise ValueError("the members of a stack share their declared inputs")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the declared inputs, in order."""
        return self.members[0].names

    def survival(self, x: FloatArray, times: FloatArray) -> FloatArray:
        """Return the weighted average of the members' S(t); shape (n, len(times)).

        Parameters
        ----------
        x : ndarray of float64, shape (n, p)
            NaN means missing.
        times : ndarray of float64, shape (m,)
            Days.
        """
        parts = [w * member.survival(x, times) for member, w in zip(self.members, self.weights, strict=True)]
        return np.asarray(np.sum(parts, axis=0), dtype=np.float64)
