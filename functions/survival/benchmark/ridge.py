"""Ridge-penalised Cox regression by whole matrices: hundreds of fits with hundreds of features."""

from __future__ import annotations

import numpy as np

from functions.survival.data import BoolArray, FloatArray
from functions.survival.models import CoxEquation

__all__ = ["NotConverged", "fit_ridge"]

_STEPS = 60


class NotConverged(ArithmeticError):
    """Newton's method did not come to rest: a larger penalty is needed."""


def fit_ridge(features: FloatArray, event: BoolArray, time: FloatArray, alpha: float) -> CoxEquation:
    """Fit a Cox model with Breslow's treatment of ties and half the squared coefficients, times alpha, as penalty.

    The same optimum as scikit-survival's ``CoxPHSurvivalAnalysis(alpha)`` gives (Newton's method with step halving;
    Breslow, Biometrics 30:89-99, 1974), with its baseline at features of 0.

    Parameters
    ----------
    features : ndarray of float64, shape (n, p)
    event : ndarray of bool, shape (n,)
    time : ndarray of float64, shape (n,)
    alpha : float
        Positive.

    Returns
    -------
    CoxEquation
        Its names are the positions of the features.

    Raises
    ------
    NotConverged
        Within 60 steps.
    """
    order = np.argsort(-time, kind="stable")
    problem = _Problem(features[order], event[order], time[order], alpha)
    coefficients = np.zeros(features.shape[1])
    loss = problem.loss(coefficients)
    for _ in range(_STEPS):
        gradient, hessian = problem.derivatives(coefficients)
        step = np.linalg.solve(hessian, gradient)
        length, decrease = 1.0, float(gradient @ step)
        if decrease < 1e-10:
            # The last step costs nothing, and squares the error.
            return problem.equation(coefficients - step)
        while problem.loss(coefficients - length * step) > loss - 0.25 * length * decrease and length > 1e-6:
            length *= 0.5
        coefficients = coefficients - length * step
        loss = problem.loss(coefficients)
    raise NotConverged(f"no Cox model after {_STEPS} steps with penalty {alpha:g}; use a larger one")


class _Problem:
    """Rows in falling order of time, so that everyone at risk comes before."""

    def __init__(self, features: FloatArray, event: BoolArray, time: FloatArray, alpha: float) -> None:
        self.features, self.event, self.alpha = features, event, alpha
        instants, first = np.unique(-time, return_index=True)
        ends = np.append(first[1:], len(time))
        deaths = np.add.reduceat(event.astype(np.float64), first)
        # At each time of an event: how many, and the last row at risk.
        self.instants, self.deaths, self.last = -instants[deaths > 0], deaths[deaths > 0], ends[deaths > 0] - 1
        self.total = event.astype(np.float64) @ features

    def loss(self, coefficients: FloatArray) -> float:
        score = self.features @ coefficients
        top = float(score.max())
        at_risk = np.cumsum(np.exp(score - top))[self.last]
        fit = float(score[self.event].sum()) - float(self.deaths @ (np.log(at_risk) + top))
        return -fit + 0.5 * self.alpha * float(coefficients @ coefficients)

    def derivatives(self, coefficients: FloatArray) -> tuple[FloatArray, FloatArray]:
        score = self.features @ coefficients
        relative = np.exp(score - score.max())
        at_risk = np.cumsum(relative)[self.last]
        means = np.cumsum(relative[:, None] * self.features, axis=0)[self.last] / at_risk[:, None]
        hazard = np.zeros(len(relative))
        np.add.at(hazard, self.last, self.deaths / at_risk)
        # What each row gathers over the times at which it is at risk: its own place and everything after.
        gathered = relative * np.cumsum(hazard[::-1])[::-1]
        gradient = self.deaths @ means - self.total + self.alpha * coefficients
        weighted = means * np.sqrt(self.deaths)[:, None]
        hessian = self.features.T @ (gathered[:, None] * self.features) - weighted.T @ weighted
        return gradient, hessian + self.alpha * np.eye(len(coefficients))

    def equation(self, coefficients: FloatArray) -> CoxEquation:
        at_risk = np.cumsum(np.exp(self.features @ coefficients))[self.last]
        return CoxEquation(
            names=tuple(str(at) for at in range(len(coefficients))),
            coefficients=coefficients,
            reference=np.zeros(len(coefficients)),
            times=self.instants[::-1].copy(),
            cumulative_hazard=np.cumsum((self.deaths / at_risk)[::-1]),
            alpha=self.alpha,
        )
