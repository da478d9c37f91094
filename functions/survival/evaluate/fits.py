"""How each candidate is fitted: ``fit(table, settings)``, with all preprocessing inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from functions.survival.data import FloatArray, SurvivalTable, imputation_values, impute, logarithms
from functions.survival.evaluate.causes import CauseSpecific
from functions.survival.evaluate.nonparametric import at_times, incidence
from functions.survival.models import CompetingCox, CoxEquation, Fitted, Wrapped

__all__ = [
    "Settings",
    "boosting",
    "competing_cox",
    "competing_forest",
    "cox",
    "extra_trees",
    "fit_cox",
    "forest",
    "outcome",
    "without_inputs",
]

Settings = Mapping[str, float]

TREES = 100
# Trees keep a curve over all training times in each leaf; this many distinct times lose nothing that a clinic sees.
TREE_TIMES = 250


def outcome(table: SurvivalTable) -> Any:
    """Return event and time as scikit-survival's structured array, shape (n,)."""
    from sksurv.util import Surv

    return Surv.from_arrays(table.event, table.time)


def fit_cox(table: SurvivalTable, alpha: float) -> CoxEquation:
    """Fit a ridge-penalised Cox model and express it in the inputs' own units, or their logarithms.

    All inputs are standardised for the fit, so that the penalty treats them alike. Binary ones too: left as 0
    and 1, a rare one such as shock would be shrunk far more than a common one, and its patients' risk would be
    too low. Ties are handled by Breslow's method (Biometrics 30:89-99, 1974).

    Parameters
    ----------
    table : SurvivalTable
        Training rows; missing inputs are imputed from these rows. A competing event counts as the end of follow-up.
    alpha : float
        Ridge penalty as scikit-survival defines it.
    """
    from sksurv.linear_model import CoxPHSurvivalAnalysis

    reference, log = imputation_values(table), table.logged
    x = logarithms(impute(table.x, reference), log)
    spread = x.std(axis=0)
    # An input that never varies in these rows gets coefficient 0, not a division by 0.
    centre, scale = x.mean(axis=0), np.where(spread > 0, spread, 1.0)
    model = CoxPHSurvivalAnalysis(alpha=alpha).fit((x - centre) / scale, outcome(table))
    baseline = model.cum_baseline_hazard_
    relative = np.exp(((logarithms(reference, log) - centre) / scale) @ model.coef_)
    return CoxEquation(
        names=table.names,
        coefficients=model.coef_ / scale,
        reference=reference,
        times=np.asarray(baseline.x, dtype=np.float64),
        cumulative_hazard=np.asarray(baseline.y * relative, dtype=np.float64),
        alpha=float(alpha),
        log=log,
    )


def cox(table: SurvivalTable, settings: Settings) -> Fitted:
    """Fit a Cox model with ridge penalty ``alpha``."""
    return fit_cox(table, settings["alpha"])


def competing_cox(table: SurvivalTable, settings: Settings) -> Fitted:
    """Fit a Cox model to each cause, both with ridge penalty ``alpha``."""
    return CompetingCox((fit_cox(table.of_cause(1), settings["alpha"]), fit_cox(table.of_cause(2), settings["alpha"])))


def forest(table: SurvivalTable, settings: Settings) -> Wrapped:
    """Fit a random survival forest with ``min_samples_leaf``."""
    from sksurv.ensemble import RandomSurvivalForest

    return _fit_trees(RandomSurvivalForest(**_trees(settings)), table)


def extra_trees(table: SurvivalTable, settings: Settings) -> Wrapped:
    """Fit extra survival trees with ``min_samples_leaf``."""
    from sksurv.ensemble import ExtraSurvivalTrees

    return _fit_trees(ExtraSurvivalTrees(**_trees(settings)), table)


def boosting(table: SurvivalTable, settings: Settings) -> Wrapped:
    """Fit gradient boosting with ``n_estimators`` trees of ``max_depth``."""
    from sksurv.ensemble import GradientBoostingSurvivalAnalysis

    model = GradientBoostingSurvivalAnalysis(
        n_estimators=int(settings["n_estimators"]),
        learning_rate=0.1,
        max_depth=int(settings["max_depth"]),
        subsample=0.5,
        random_state=0,
    )
    return _fit_trees(model, table)


def competing_forest(table: SurvivalTable, settings: Settings) -> Fitted:
    """Fit a random survival forest to each cause, both with ``min_samples_leaf``."""
    return CauseSpecific((forest(table.of_cause(1), settings), forest(table.of_cause(2), settings)))


def without_inputs(table: SurvivalTable, settings: Settings) -> Fitted:
    """Fit the curve of everyone: Kaplan-Meier's, or Aalen-Johansen's where events compete."""
    del settings
    return _SameCurve(table.names, *incidence(table.event, table.competing, table.time))


@dataclass(frozen=True)
class _SameCurve:
    """Gives everyone the same curve: what happened to the training rows on average."""

    names: tuple[str, ...]
    times: FloatArray
    incidence: FloatArray

    def survival(self, x: FloatArray, times: FloatArray) -> FloatArray:
        """Return one minus the cumulative incidence; shape (n, len(times))."""
        curve = 1.0 - at_times(self.times, self.incidence, times, 0.0)
        return np.repeat(curve[None, :], len(x), axis=0)


def _trees(settings: Settings) -> dict[str, Any]:
    leaf = int(settings["min_samples_leaf"])
    return {
        "n_estimators": TREES,
        "min_samples_leaf": leaf,
        "min_samples_split": 2 * leaf,
        "max_features": "sqrt",
        "n_jobs": 1,
        "random_state": 0,
    }


def _fit_trees(model: Any, table: SurvivalTable) -> Wrapped:
    stand_in = imputation_values(table)
    model.fit(impute(table.x, stand_in), outcome(_grouped(table)))
    return Wrapped(table.names, model, stand_in)


def _grouped(table: SurvivalTable) -> SurvivalTable:
    """Round times to the nearest of :data:`TREE_TIMES` equal steps where there are more distinct ones."""
    if len(np.unique(table.time)) <= TREE_TIMES:
        return table
    step = float(table.time.max()) / TREE_TIMES
    rounded = np.maximum(np.round(table.time / step), 1.0) * step
    return SurvivalTable(table.names, table.x, table.event, rounded, table.competing)
