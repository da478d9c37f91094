"""scikit-survival's estimators behind their preprocessing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from functions.survival.data import FloatArray
from functions.survival.export.errors import BaselineMissing, UnsupportedModel, WrongColumns
from functions.survival.export.families.boosting import lower_boosting
from functions.survival.export.families.forests import lower_forest
from functions.survival.export.families.hazards import hazard_at, proportional
from functions.survival.export.graph import Graph
from functions.survival.export.lowered import Columns, Lowered, Refusals, combine_stand_ins
from functions.survival.export.steps import class_name, lower_step, require_fitted
from functions.survival.models import Wrapped

__all__ = ["ESTIMATORS", "lower_wrapped"]


@dataclass(frozen=True)
class _Score:
    """A log hazard ratio: the tensor of shape (N, 1), and each column's part of it, shape (N, k), where it has one."""

    tensor: str
    parts: str | None = None


def lower_wrapped(graph: Graph, fitted: Wrapped, times: FloatArray) -> Lowered:
    """Write a scikit-survival estimator, or a pipeline that ends in one.

    Parameters
    ----------
    graph : Graph
    fitted : Wrapped
    times : ndarray of float64, shape (T,)
        In the time unit of training, days for Bedside's own.

    Raises
    ------
    UnsupportedModel, NotFitted, BaselineMissing, WrongColumns
    """
    steps, estimator = _split(fitted.estimator)
    name = class_name(estimator)
    if name not in ESTIMATORS:
        raise UnsupportedModel(f"{name} has no translation to ONNX; models that have: {', '.join(ESTIMATORS)}")
    trained = getattr(fitted.estimator, "feature_names_in_", None)
    if trained is not None and list(trained) != list(fitted.names):
        raise WrongColumns(f"the model was fitted to the columns {list(trained)}, not to {list(fitted.names)}")
    refusals = Refusals()
    columns = Columns.inputs(len(fitted.names))
    if fitted.stand_in is not None:
        columns = columns.impute(graph, fitted.stand_in)
    for step in steps:
        columns = lower_step(graph, columns, step, refusals)
    require_fitted(estimator)
    if estimator.n_features_in_ != len(columns):
        raise WrongColumns(f"{name} was fitted to {estimator.n_features_in_} columns and is given {len(columns)}")
    stand_in = combine_stand_ins(columns.origin, columns.stand_in, len(fitted.names))
    kind = ESTIMATORS[name]
    if kind in _FORESTS:
        survival, risk = lower_forest(graph, columns.tensor, estimator, times)
        hazard = graph.add("Neg", graph.add("Log", survival))
        return Lowered(kind, survival, hazard, risk, stand_in, refusals)
    refusals.missing(graph, columns)
    score = _SCORES[kind](graph, columns, estimator, fitted.alpha)
    survival, hazard = proportional(graph, score.tensor, _baseline(estimator, fitted.alpha, times))
    contributions = None
    if score.parts is not None:
        belongs = (columns.origin[:, None] == np.arange(len(fitted.names))[None, :]).astype(np.float64)
        contributions = graph.add("MatMul", score.parts, graph.constant(belongs))
    return Lowered(kind, survival, hazard, score.tensor, stand_in, refusals, contributions)


def _split(estimator: Any) -> tuple[list[Any], Any]:
    """Return the steps before the model, and the model."""
    if class_name(estimator) == "sklearn.Pipeline":
        steps = [step for _, step in estimator.steps]
        before, last = _split(steps[-1])
        return steps[:-1] + before, last
    if hasattr(estimator, "best_estimator_"):
        raise UnsupportedModel(f"{class_name(estimator)} is a search, not a model; export its best_estimator_")
    return [], estimator


def _baseline(estimator: Any, alpha: float | None, times: FloatArray) -> FloatArray:
    """Return the baseline cumulative hazard at the times."""
    name = class_name(estimator)
    path = name == "sksurv.CoxnetSurvivalAnalysis"
    if alpha is not None and not path:
        raise UnsupportedModel(f"alpha chooses on the path of a CoxnetSurvivalAnalysis; {name} has none")
    if name == "sksurv.CoxPHSurvivalAnalysis":
        found = estimator
    else:
        try:
            found = estimator._get_baseline_model(*([alpha] if path else []))
        except ValueError:
            raise BaselineMissing(_without_baseline(estimator, alpha)) from None
    step = found.cum_baseline_hazard_
    return hazard_at(times, np.asarray(step.x, dtype=np.float64), step.a * np.asarray(step.y) + step.b)


def _without_baseline(estimator: Any, alpha: float | None) -> str:
    name = class_name(estimator)
    if hasattr(estimator, "fit_baseline_model") and estimator.fit_baseline_model:
        return f"{name} was not fitted at alpha={alpha}; choose one of its alphas_"
    need = "fit_baseline_model=True" if hasattr(estimator, "fit_baseline_model") else "loss='coxph'"
    return f"{name} has no baseline hazard and so no survival function; fit it again with {need}"


def _linear(graph: Graph, columns: Columns, coefficients: FloatArray, constant: float) -> _Score:
    parts = graph.add("Mul", columns.tensor, graph.constant(coefficients[None, :]))
    score = graph.add("MatMul", columns.tensor, graph.constant(coefficients[:, None]))
    # Parts explain the score only where nothing is left over; a scaled model's constant is rounding.
    if abs(constant) < 1e-12:
        return _Score(score, parts)
    return _Score(graph.add("Add", score, graph.constant(np.full((1, 1), constant))))


def _cox(graph: Graph, columns: Columns, estimator: Any, _alpha: float | None) -> _Score:
    return _linear(graph, columns, np.asarray(estimator.coef_, dtype=np.float64), 0.0)


def _coxnet(graph: Graph, columns: Columns, estimator: Any, alpha: float | None) -> _Score:
    coefficients, offset = estimator._get_coef(alpha)
    return _linear(graph, columns, np.asarray(coefficients, dtype=np.float64), -float(offset))


def _componentwise(graph: Graph, columns: Columns, estimator: Any, _alpha: float | None) -> _Score:
    intercept, *coefficients = estimator.coef_
    return _linear(graph, columns, np.asarray(coefficients, dtype=np.float64), float(intercept))


def _boosting(graph: Graph, columns: Columns, estimator: Any, _alpha: float | None) -> _Score:
    return _Score(lower_boosting(graph, columns.tensor, estimator))


ESTIMATORS = {
    "sksurv.ComponentwiseGradientBoostingSurvivalAnalysis": "componentwise_gradient_boosting",
    "sksurv.CoxPHSurvivalAnalysis": "cox",
    "sksurv.CoxnetSurvivalAnalysis": "coxnet",
    "sksurv.ExtraSurvivalTree": "extra_survival_tree",
    "sksurv.ExtraSurvivalTrees": "extra_survival_trees",
    "sksurv.GradientBoostingSurvivalAnalysis": "gradient_boosting",
    "sksurv.RandomSurvivalForest": "random_survival_forest",
    "sksurv.SurvivalTree": "survival_tree",
}
_FORESTS = {"extra_survival_tree", "extra_survival_trees", "random_survival_forest", "survival_tree"}
_SCORES: dict[str, Callable[[Graph, Columns, Any, float | None], _Score]] = {
    "componentwise_gradient_boosting": _componentwise,
    "cox": _cox,
    "coxnet": _coxnet,
    "gradient_boosting": _boosting,
}
