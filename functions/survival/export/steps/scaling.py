"""Imputation, scaling and functions of single columns.

Operations and their order are scikit-learn's, so that a tree behind them compares the very same numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from functions.survival.export.errors import UnsupportedModel
from functions.survival.export.graph import DOUBLE, Graph
from functions.survival.export.lowered import Columns, Refusals

__all__ = ["function", "impute", "min_max", "standardise"]


def impute(graph: Graph, columns: Columns, step: Any, _refusals: Refusals) -> Columns:
    """Write a SimpleImputer: columns never seen with a value are dropped, indicators come last."""
    missing = step.missing_values
    if not (isinstance(missing, float) and np.isnan(missing)):
        raise UnsupportedModel("SimpleImputer with missing_values other than NaN: a file's missing inputs are NaN")
    statistics = np.asarray(step.statistics_, dtype=np.float64)
    kept = np.arange(len(columns))
    if not step.keep_empty_features:
        kept = np.flatnonzero(~np.isnan(statistics))
    filled = columns.take(graph, kept).impute(graph, statistics[kept])
    if not step.add_indicator:
        return filled
    flagged = columns.take(graph, np.asarray(step.indicator_.features_, dtype=np.intp))
    if len(flagged) == 0:
        return filled
    absent = graph.add("Cast", graph.add("IsNaN", flagged.tensor), to=DOUBLE)
    # A flag says the same of its input as the imputed column beside it: what a missing value counts as.
    stand_in = np.full(len(columns), np.nan)
    stand_in[kept] = filled.stand_in
    flags = Columns(
        absent,
        flagged.origin,
        np.zeros(len(flagged), dtype=np.bool_),
        np.zeros(len(flagged), dtype=np.bool_),
        stand_in[step.indicator_.features_],
    )
    return Columns.join(graph, [filled, flags])


def standardise(graph: Graph, columns: Columns, step: Any, _refusals: Refusals) -> Columns:
    """Write a StandardScaler."""
    tensor = columns.tensor
    if step.with_mean:
        tensor = graph.add("Sub", tensor, graph.constant(np.asarray(step.mean_, dtype=np.float64)[None, :]))
    if step.with_std:
        tensor = graph.add("Div", tensor, graph.constant(np.asarray(step.scale_, dtype=np.float64)[None, :]))
    return columns.derived(tensor)


def min_max(graph: Graph, columns: Columns, step: Any, _refusals: Refusals) -> Columns:
    """Write a MinMaxScaler."""
    scaled = graph.add("Mul", columns.tensor, graph.constant(np.asarray(step.scale_, dtype=np.float64)[None, :]))
    tensor = graph.add("Add", scaled, graph.constant(np.asarray(step.min_, dtype=np.float64)[None, :]))
    if step.clip:
        low, high = (graph.constant(np.float64(bound)) for bound in step.feature_range)
        # Clip turns a NaN into a bound on some machines.
        tensor = graph.add("Where", graph.add("IsNaN", tensor), tensor, graph.add("Clip", tensor, low, high))
    return columns.derived(tensor)


def function(graph: Graph, columns: Columns, step: Any, refusals: Refusals) -> Columns:
    """Write a FunctionTransformer of a function that ONNX has; rows outside the function's domain are refused."""
    if step.func is None:
        return columns
    if step.kw_args or step.func not in (np.log, np.log1p, np.sqrt):
        named = getattr(step.func, "__name__", "a function")
        raise UnsupportedModel(
            f"FunctionTransformer of {named}: supported are numpy's log, log1p and sqrt without arguments"
        )
    zero, one = graph.constant(np.zeros((1, 1))), graph.constant(np.ones((1, 1)))
    if step.func is np.sqrt:
        refusals.where(graph, graph.add("Less", columns.tensor, zero))
        return columns.derived(graph.add("Sqrt", columns.tensor))
    argument = graph.add("Add", columns.tensor, one) if step.func is np.log1p else columns.tensor
    refusals.where(graph, graph.add("LessOrEqual", argument, zero))
    return columns.derived(graph.add("Log", argument))
