"""Competing risks: cumulative incidence from one Cox model a cause."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from functions.survival.data import FloatArray
from functions.survival.models.cox import CoxEquation

__all__ = ["CompetingCox"]


@dataclass(frozen=True)
class CompetingCox:
    """Cause-specific Cox models read together (Putter, Fiocco and Geskus, Stat Med 26:2389-2430, 2007, sec. 4).

    ``F_k(t | x)`` is the sum over event times u <= t of ``(S(u- | x) - S(u | x)) dH_k(u | x) / dH(u | x)``, with
    ``H`` the sum of the cause-specific hazards and ``S = exp(-H)``: what leaves S at u is shared out between the
    causes by their hazards, so that all incidences and S sum to 1.

    Parameters
    ----------
    causes : tuple of CoxEquation
        The outcome first; all with the same declared inputs and reference.
    """

    causes: tuple[CoxEquation, ...]

    def __post_init__(self) -> None:
        if len(self.causes) < 2:
            raise ValueError("competing risks need two causes")
        first = self.causes[0]
        for cause in self.causes[1:]:
            same = np.array_equal(cause.reference, first.reference) and np.array_equal(cause.log, first.log)
            if cause.names != first.names or not same:
                raise ValueError("the causes share their declared inputs, their scales and the reference patient")

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
        return np.asarray(1.0 - self.cumulative_incidence(x, times)[:, 0], dtype=np.float64)

    def cumulative_incidence(self, x: FloatArray, times: FloatArray) -> FloatArray:
        """Return the probability of each cause by each time; shape (n, causes, len(times)).

        Parameters
        ----------
        x : ndarray of float64, shape (n, p)
            NaN means missing.
        times : ndarray of float64, shape (m,)
            Days.
        """
        grid = np.unique(np.concatenate([cause.times for cause in self.causes]))
        hazards = np.stack([cause.hazard(x, grid) for cause in self.causes], axis=1)
        steps = np.diff(hazards, axis=2, prepend=0.0)
        free = np.exp(-hazards.sum(axis=1))
        leaving = -np.diff(free, axis=1, prepend=1.0)
        together = steps.sum(axis=1)
        share = np.divide(steps, together[:, None], out=np.zeros_like(steps), where=together[:, None] > 0)
        incidence = np.cumsum(leaving[:, None] * share, axis=2)
        padded = np.concatenate([np.zeros((*incidence.shape[:2], 1)), incidence], axis=2)
        return np.asarray(padded[:, :, np.searchsorted(grid, times, side="right")], dtype=np.float64)
