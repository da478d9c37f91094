"""Which preprocessing steps have a translation, and the ones that hold others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from functions.survival.export.errors import NotFitted, UnsupportedModel, WrongColumns
from functions.survival.export.graph import Graph
from functions.survival.export.lowered import Columns, Refusals
from functions.survival.export.steps.encoding import one_hot, ordinal
from functions.survival.export.steps.scaling import function, impute, min_max, standardise
from functions.survival.export.steps.splines import splines

__all__ = ["SUPPORTED", "class_name", "lower_step", "require_fitted"]

Step = Callable[[Graph, Columns, Any, Refusals], Columns]


def lower_step(graph: Graph, columns: Columns, step: Any, refusals: Refusals) -> Columns:
    """Write a fitted step into the graph.

    Parameters
    ----------
    graph : Graph
    columns : Columns
        What the step is given.
    step : object
        A fitted scikit-learn transformer, or ``"passthrough"``.
    refusals : Refusals
        Added to: rows the step refuses.

    Returns
    -------
    Columns
        What the step gives.

    Raises
    ------
    UnsupportedModel
        There is no translation of it, or of one of its settings.
    NotFitted
        It was never fitted.
    WrongColumns
        It was fitted to another number of columns.
    """
    if step is None or step == "passthrough":
        return columns
    name = class_name(step)
    if name == "sksurv.OneHotEncoder":
        raise UnsupportedModel(
            "scikit-survival's OneHotEncoder reads a data frame's text columns, and a file's inputs are numbers; "
            "code the categories as numbers and use scikit-learn's OneHotEncoder"
        )
    lower = _STEPS.get(name)
    if lower is None:
        raise UnsupportedModel(f"step {name} has no translation to ONNX; steps that have: {', '.join(SUPPORTED)}")
    require_fitted(step)
    expected = getattr(step, "n_features_in_", len(columns))
    if expected != len(columns):
        raise WrongColumns(f"step {name} was fitted to {expected} columns and is given {len(columns)}")
    return lower(graph, columns, step, refusals)


def class_name(thing: Any) -> str:
    """Return a class as people write it: its package and its name, such as ``sklearn.StandardScaler``."""
    kind = type(thing)
    return f"{kind.__module__.split('.')[0]}.{kind.__name__}"


def require_fitted(thing: Any) -> None:
    """Refuse a scikit-learn object that was never fitted.

    Raises
    ------
    NotFitted
        It was not.
    """
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(thing)
    except NotFittedError:
        raise NotFitted(f"{class_name(thing)} is not fitted; fit the model before exporting it") from None


def _pipeline(graph: Graph, columns: Columns, step: Any, refusals: Refusals) -> Columns:
    for _, inner in step.steps:
        columns = lower_step(graph, columns, inner, refusals)
    return columns


def _by_column(graph: Graph, columns: Columns, step: Any, refusals: Refusals) -> Columns:
    """ColumnTransformer: each part is given its columns; their outputs stand side by side in the order of the parts."""
    parts = []
    for name, inner, _ in step.transformers_:
        at = np.asarray(step._transformer_to_input_indices[name], dtype=np.intp)
        if at.size and not (isinstance(inner, str) and inner == "drop"):
            parts.append(lower_step(graph, columns.take(graph, at), inner, refusals))
    if not parts:
        raise UnsupportedModel("a ColumnTransformer that drops every column leaves the model nothing")
    return Columns.join(graph, parts)


_STEPS: dict[str, Step] = {
    "sklearn.ColumnTransformer": _by_column,
    "sklearn.FunctionTransformer": function,
    "sklearn.MinMaxScaler": min_max,
    "sklearn.OneHotEncoder": one_hot,
    "sklearn.OrdinalEncoder": ordinal,
    "sklearn.Pipeline": _pipeline,
    "sklearn.SimpleImputer": impute,
    "sklearn.SplineTransformer": splines,
    "sklearn.StandardScaler": standardise,
}
SUPPORTED = (*_STEPS, "passthrough")
