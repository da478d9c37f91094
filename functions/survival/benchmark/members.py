"""The learners that are stacked: how each is fitted to training rows with given settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from functions.survival.benchmark.basis import fit_kernel, fit_splines
from functions.survival.benchmark.ridge import fit_ridge
from functions.survival.data import FloatArray, SurvivalTable, imputation_values, impute
from functions.survival.models import CoxEquation, Fitted

__all__ = ["BOOSTING", "COX", "FOREST", "KERNEL", "SPLINES", "BasisCox", "Coarse", "Member", "Settings", "structured"]

Settings = Mapping[str, float]

# Forests round time up to this many quantiles of event times.
INSTANTS = 80


@dataclass(frozen=True)
class Member:
    """A learner with the settings it may take.

    Parameters
    ----------
    name, title : str
        Stable key; for people.
    grid : tuple of mapping
        Settings, tried by cross-validation within the training rows.
    fit : callable
        ``fit(table, settings, seed)`` returns a fitted model; sees nothing but the rows of ``table``.
    """

    name: str
    title: str
    grid: tuple[Settings, ...]
    fit: Callable[[SurvivalTable, Settings, int], Fitted]


@dataclass(frozen=True)
class BasisCox:
    """A Cox model on features computed from the inputs.

    Parameters
    ----------
    names : tuple of str, length p
        Declared inputs.
    stand_in : ndarray of float64, shape (p,)
        For missing inputs.
    basis : callable
        From shape (n, p) to (n, features).
    equation : CoxEquation
        On the features.
    """

    names: tuple[str, ...]
    stand_in: FloatArray
    basis: Callable[[FloatArray], FloatArray]
    equation: CoxEquation

    def survival(self, x: FloatArray, times: FloatArray) -> FloatArray:
        """Return S(t) for each patient and time; shape (n, len(times)).

        Parameters
        ----------
        x : ndarray of float64, shape (n, p)
            NaN means missing.
        times : ndarray of float64, shape (m,)
            Days, rising.
        """
        return self.equation.survival(self.basis(impute(x, self.stand_in)), times)


@dataclass(frozen=True)
class Coarse:
    """A forest that was grown on rounded times, read straight between them.

    Parameters
    ----------
    names : tuple of str, length p
        Declared inputs.
    stand_in : ndarray of float64, shape (p,)
        For missing inputs.
    estimator : object
        scikit-survival's.
    """

    names: tuple[str, ...]
    stand_in: FloatArray
    estimator: Any

    def survival(self, x: FloatArray, times: FloatArray) -> FloatArray:
        """Return S(t) for each patient and time; shape (n, len(times)).

        Parameters
        ----------
        x : ndarray of float64, shape (n, p)
            NaN means missing.
        times : ndarray of float64, shape (m,)
            Days, rising; after the last training time the curve stays level.
        """
        steps = self.estimator.predict_survival_function(impute(x, self.stand_in), return_array=True)
        known = np.concatenate([[0.0], self.estimator.unique_times_])
        curves = np.hstack([np.ones((len(x), 1)), steps])
        at = np.clip(np.searchsorted(known, times, side="right"), 1, len(known) - 1)
        share = np.clip((times - known[at - 1]) / (known[at] - known[at - 1]), 0.0, 1.0)
        return np.asarray(curves[:, at - 1] * (1.0 - share) + curves[:, at] * share, dtype=np.float64)


def structured(event: Any, time: Any) -> Any:
    """Return event and time as scikit-survival's structured array, shape (n,)."""
    from sksurv.util import Surv

    return Surv.from_arrays(event, time)


def _cox_on(
    table: SurvivalTable, basis: Callable[[FloatArray], FloatArray], stand_in: FloatArray, alpha: float
) -> BasisCox:
    equation = fit_ridge(basis(impute(table.x, stand_in)), table.event, table.time, alpha)
    return BasisCox(table.names, stand_in, basis, equation)


def _linear(table: SurvivalTable, settings: Settings, seed: int) -> Fitted:
    del seed
    stand_in = imputation_values(table)
    x = impute(table.x, stand_in)
    centre, spread = x.mean(axis=0), x.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    return _cox_on(table, lambda x: (x - centre) / scale, stand_in, settings["alpha"])


def _splines(table: SurvivalTable, settings: Settings, seed: int) -> Fitted:
    del seed
    stand_in = imputation_values(table)
    basis = fit_splines(impute(table.x, stand_in), int(settings["knots"]))
    return _cox_on(table, basis, stand_in, settings["alpha"])


def _kernel(table: SurvivalTable, settings: Settings, seed: int) -> Fitted:
    stand_in = imputation_values(table)
    basis = fit_kernel(impute(table.x, stand_in), settings["width"], 150, seed)
    return _cox_on(table, basis, stand_in, settings["alpha"])


def _forest(table: SurvivalTable, settings: Settings, seed: int) -> Fitted:
    from sksurv.ensemble import RandomSurvivalForest

    leaf = int(settings["min_samples_leaf"])
    estimator = RandomSurvivalForest(
        n_estimators=int(settings["trees"]),
        min_samples_leaf=leaf,
        min_samples_split=2 * leaf,
        max_features="sqrt",
        n_jobs=1,
        random_state=seed,
    )
    stand_in = imputation_values(table)
    estimator.fit(impute(table.x, stand_in), structured(table.event, round_up(table.time, table.event, INSTANTS)))
    return Coarse(table.names, stand_in, estimator)


def round_up(time: FloatArray, event: Any, instants: int) -> FloatArray:
    """Return times rounded up to quantiles of the event times; those after the last event stay.

    Parameters
    ----------
    time : ndarray of float64, shape (n,)
    event : ndarray of bool, shape (n,)
    instants : int
        How many quantiles.
    """
    grid = np.unique(np.quantile(time[event], np.linspace(0.0, 1.0, instants), method="higher"))
    later = time > grid[-1]
    at = np.minimum(np.searchsorted(grid, time, side="left"), len(grid) - 1)
    return np.where(later, time, grid[at])


def _boosting(table: SurvivalTable, settings: Settings, seed: int) -> Fitted:
    from sksurv.ensemble import GradientBoostingSurvivalAnalysis

    from functions.survival.models import Wrapped

    estimator = GradientBoostingSurvivalAnalysis(
        n_estimators=int(settings["n_estimators"]),
        learning_rate=0.05,
        max_depth=int(settings["max_depth"]),
        min_samples_leaf=10,
        subsample=0.5,
        random_state=seed,
    )
    stand_in = imputation_values(table)
    estimator.fit(impute(table.x, stand_in), structured(table.event, table.time))
    return Wrapped(table.names, estimator, stand_in)


COX = Member("cox", "Cox, ridge penalty", tuple({"alpha": a} for a in (0.1, 1.0, 10.0, 30.0, 100.0)), _linear)
SPLINES = Member(
    "splines",
    "Cox, ridge penalty, natural splines",
    tuple({"knots": 5.0, "alpha": a} for a in (3.0, 10.0, 30.0, 100.0)),
    _splines,
)
KERNEL = Member(
    "kernel",
    "Cox, ridge penalty, Gaussian kernel",
    tuple({"width": w, "alpha": a} for w in (0.6, 1.0, 2.0) for a in (1.0, 3.0, 10.0, 30.0, 100.0)),
    _kernel,
)
FOREST = Member(
    "random_survival_forest",
    "Random survival forest",
    tuple({"trees": 300.0, "min_samples_leaf": leaf} for leaf in (5.0, 15.0)),
    _forest,
)
# Fixed in advance: the slowest by far, and no better than the others.
BOOSTING = Member(
    "gradient_boosting", "Gradient boosting, Cox loss", ({"n_estimators": 150.0, "max_depth": 2.0},), _boosting
)
