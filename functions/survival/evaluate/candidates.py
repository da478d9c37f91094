"""The models that are compared: how each is fitted, and which settings are tried inside the training rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from functions.survival.data import FloatArray, SurvivalTable, imputation_values, impute
from functions.survival.models import CoxEquation

__all__ = ["CANDIDATES", "COX", "KAPLAN_MEIER", "Candidate", "Settings", "fit_cox", "outcome"]

Settings = Mapping[str, float]
# (x of shape (n, p), times of shape (T,)) -> S of shape (n, T)
Survival = Callable[[FloatArray, FloatArray], FloatArray]


@dataclass(frozen=True)
class Candidate:
    """A model that may be chosen.

    Parameters
    ----------
    name : str
        Stable key.
    title : str
        For people.
    grid : tuple of mapping
        Settings to choose from by cross-validation within the training rows.
    fit : callable
        ``fit(table, settings)`` returns a function from inputs and times to survival probabilities. All
        preprocessing happens inside, so that nothing of a held-out row is seen.
    exportable : bool
        Whether this package can write it as ONNX.
    """

    name: str
    title: str
    grid: tuple[Settings, ...]
    fit: Callable[[SurvivalTable, Settings], Survival]
    exportable: bool = False


def outcome(table: SurvivalTable) -> Any:
    """Return event and time as scikit-survival's structured array, shape (n,)."""
    from sksurv.util import Surv

    return Surv.from_arrays(table.event, table.time)


def fit_cox(table: SurvivalTable, alpha: float) -> CoxEquation:
    """Fit a ridge-penalised Cox model and express it in the inputs' own units.

    All inputs are standardised for the fit, so that the penalty treats them alike. Binary ones too: left as 0
    and 1, a rare one such as shock would be shrunk far more than a common one, and its patients' risk would be
    too low. Ties are handled by Breslow's method (Biometrics 30:89-99, 1974).

    Parameters
    ----------
    table : SurvivalTable
        Training rows; missing inputs are imputed from these rows.
    alpha : float
        Ridge penalty as scikit-survival defines it.
    """
    from sksurv.linear_model import CoxPHSurvivalAnalysis

    reference = imputation_values(table)
    x = impute(table.x, reference)
    spread = x.std(axis=0)
    # An input that never varies in these rows gets coefficient 0, not a division by 0.
    centre, scale = x.mean(axis=0), np.where(spread > 0, spread, 1.0)
    model = CoxPHSurvivalAnalysis(alpha=alpha).fit((x - centre) / scale, outcome(table))
    baseline = model.cum_baseline_hazard_
    relative = np.exp(((reference - centre) / scale) @ model.coef_)
    return CoxEquation(
        names=table.names,
        coefficients=model.coef_ / scale,
        reference=reference,
        times=np.asarray(baseline.x, dtype=np.float64),
        cumulative_hazard=np.asarray(baseline.y * relative, dtype=np.float64),
        alpha=float(alpha),
    )


def _cox(table: SurvivalTable, settings: Settings) -> Survival:
    return fit_cox(table, settings["alpha"]).survival


def _forest(table: SurvivalTable, settings: Settings) -> Survival:
    from sksurv.ensemble import RandomSurvivalForest

    model = RandomSurvivalForest(
        n_estimators=100,
        min_samples_leaf=int(settings["min_samples_leaf"]),
        max_features="sqrt",
        n_jobs=1,
        random_state=0,
    )
    return _fit_ensemble(model, table)


def _boosting(table: SurvivalTable, settings: Settings) -> Survival:
    from sksurv.ensemble import GradientBoostingSurvivalAnalysis

    model = GradientBoostingSurvivalAnalysis(
        n_estimators=int(settings["n_estimators"]),
        learning_rate=0.1,
        max_depth=int(settings["max_depth"]),
        subsample=0.5,
        random_state=0,
    )
    return _fit_ensemble(model, table)


def _fit_ensemble(model: Any, table: SurvivalTable) -> Survival:
    stand_in = imputation_values(table)
    model.fit(impute(table.x, stand_in), outcome(table))

    def survival(x: FloatArray, times: FloatArray) -> FloatArray:
        curves = model.predict_survival_function(impute(x, stand_in), return_array=True)
        return _step(np.asarray(model.unique_times_), np.asarray(curves), times)

    return survival


def _kaplan_meier(table: SurvivalTable, settings: Settings) -> Survival:
    from sksurv.nonparametric import kaplan_meier_estimator

    del settings
    known_times, curve = kaplan_meier_estimator(table.event, table.time)

    def survival(x: FloatArray, times: FloatArray) -> FloatArray:
        return np.repeat(_step(known_times, curve[None, :], times), len(x), axis=0)

    return survival


def _step(known_times: FloatArray, curves: FloatArray, times: FloatArray) -> FloatArray:
    padded = np.column_stack([np.ones(len(curves)), curves])
    return np.asarray(padded[:, np.searchsorted(known_times, times, side="right")], dtype=np.float64)


COX = Candidate(
    "cox",
    "Cox model with ridge penalty",
    tuple({"alpha": alpha} for alpha in (0.1, 1.0, 3.0, 10.0, 30.0, 100.0)),
    _cox,
    exportable=True,
)
FOREST = Candidate(
    "random_survival_forest",
    "Random survival forest, 100 trees",
    tuple({"min_samples_leaf": leaf} for leaf in (3.0, 6.0, 15.0)),
    _forest,
)
BOOSTING = Candidate(
    "gradient_boosting",
    "Gradient boosting with Cox loss",
    tuple({"n_estimators": n, "max_depth": d} for n, d in ((50.0, 2.0), (150.0, 1.0), (300.0, 1.0))),
    _boosting,
)
KAPLAN_MEIER = Candidate("kaplan_meier", "Kaplan-Meier, no inputs", ({},), _kaplan_meier)

CANDIDATES = (COX, FOREST, BOOSTING)
