"""A Cox model as the numbers it consists of."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from functions.survival.data import BoolArray, FloatArray, impute, logarithms

__all__ = ["CoxEquation"]


@dataclass(frozen=True)
class CoxEquation:
    """A fitted proportional-hazards model (Cox, J R Stat Soc B 34:187-220, 1972) around a reference patient.

    ``S(t | x) = exp(-H(t) * exp(sum(coefficients * (f(x) - f(reference)))))``, where f is the natural logarithm for
    some inputs and changes nothing in the others. The reference patient has the stand-in for a missing value in every
    input, so that an imputed input contributes exactly nothing.

    Parameters
    ----------
    names : tuple of str, length p
        Declared inputs, in order.
    coefficients : ndarray of float64, shape (p,)
        Log hazard ratio for one unit of each input, or of its logarithm.
    reference : ndarray of float64, shape (p,)
        The reference patient, in the inputs' units.
    times : ndarray of float64, shape (T,)
        Days, rising.
    cumulative_hazard : ndarray of float64, shape (T,)
        H(t) of the reference patient (Breslow's estimator), never falling.
    alpha : float
        Ridge penalty that the coefficients were fitted with.
    log : ndarray of bool, shape (p,), optional
        Inputs of which the logarithm counts; such an input must be positive. Absent means none.
    """

    names: tuple[str, ...]
    coefficients: FloatArray
    reference: FloatArray
    times: FloatArray
    cumulative_hazard: FloatArray
    alpha: float
    log: BoolArray = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))

    def __post_init__(self) -> None:
        inputs = (len(self.names),)
        if self.log.size == 0:
            object.__setattr__(self, "log", np.zeros(inputs, dtype=np.bool_))
        if self.log.shape != inputs:
            raise ValueError("log needs one value an input")
        if self.coefficients.shape != inputs or self.reference.shape != inputs:
            raise ValueError("coefficients and reference need one value an input")
        if self.times.ndim != 1 or self.times.shape != self.cumulative_hazard.shape:
            raise ValueError("times and cumulative_hazard need the same shape (T,)")
        if not np.all(np.diff(self.times) > 0):
            raise ValueError("times must rise")
        if self.cumulative_hazard[0] < 0 or not np.all(np.diff(self.cumulative_hazard) >= 0):
            raise ValueError("a cumulative hazard is not negative and never falls")
        if not np.all(np.isfinite(np.concatenate([self.coefficients, self.reference]))):
            raise ValueError("coefficients and reference must be finite")
        if np.any(self.reference[self.log] <= 0):
            raise ValueError("an input of which the logarithm counts needs a positive reference")

    def scaled(self, x: FloatArray) -> FloatArray:
        """Return the inputs as the coefficients take them, NaN for the logarithm of what is not positive.

        Parameters
        ----------
        x : ndarray of float64, shape (n, p) or (p,)
        """
        return logarithms(x, self.log)

    def risk_score(self, x: FloatArray) -> FloatArray:
        """Return the log hazard relative to the reference patient; shape (n,).

        Parameters
        ----------
        x : ndarray of float64, shape (n, p)
            NaN means missing.
        """
        centred = self.scaled(impute(x, self.reference)) - self.scaled(self.reference)
        return np.asarray(centred @ self.coefficients, dtype=np.float64)

    def survival(self, x: FloatArray, times: FloatArray) -> FloatArray:
        """Return S(t) for each patient and time; shape (n, len(times)).

        Parameters
        ----------
        x : ndarray of float64, shape (n, p)
            NaN means missing.
        times : ndarray of float64, shape (m,)
            Days; before the first training time survival is 1, after the last it stays level.
        """
        return np.asarray(np.exp(-self.hazard(x, times)), dtype=np.float64)

    def hazard(self, x: FloatArray, times: FloatArray) -> FloatArray:
        """Return the cumulative hazard H(t | x) for each patient and time; shape (n, len(times)).

        Parameters
        ----------
        x : ndarray of float64, shape (n, p)
            NaN means missing.
        times : ndarray of float64, shape (m,)
            Days.
        """
        steps = np.concatenate([[0.0], self.cumulative_hazard])
        at = steps[np.searchsorted(self.times, times, side="right")]
        return np.asarray(np.outer(np.exp(self.risk_score(x)), at), dtype=np.float64)
