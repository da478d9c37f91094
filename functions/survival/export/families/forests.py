"""Survival trees and forests: the average of the leaves' Kaplan-Meier curves.

Random survival forests: Ishwaran, Kogalur, Blackstone and Lauer, Ann Appl Stat 2:841-860, 2008.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from functions.survival.data import FloatArray
from functions.survival.export.errors import UnsupportedModel
from functions.survival.export.families.trees import leaves_of, lower_leaves
from functions.survival.export.graph import DOUBLE, Graph

__all__ = ["lower_forest", "survival_trees"]


def survival_trees(estimator: Any) -> list[Any]:
    """Return the trees of a scikit-survival forest or tree.

    Raises
    ------
    UnsupportedModel
        It was trained with ``low_memory=True``, which keeps no curves.
    """
    if estimator.low_memory:
        raise UnsupportedModel(
            f"{type(estimator).__name__} trained with low_memory=True keeps no survival curves; "
            "train it again with low_memory=False"
        )
    return [tree.tree_ for tree in getattr(estimator, "estimators_", [estimator])]


def lower_forest(graph: Graph, tensor: str, estimator: Any, times: FloatArray) -> tuple[str, str]:
    """Write a forest.

    Curves are kept in single precision at the declared times only, equal leaves once; they are averaged in double.

    Parameters
    ----------
    graph : Graph
    tensor : str
        Columns as the estimator takes them, shape (N, k).
    estimator : object
        RandomSurvivalForest, ExtraSurvivalTrees, SurvivalTree or ExtraSurvivalTree.
    times : ndarray of float64, shape (T,)

    Returns
    -------
    survival : str
        Shape (N, T).
    risk_score : str
        Shape (N, 1): as ``estimator.predict``.
    """
    trees = survival_trees(estimator)
    at = np.searchsorted(estimator.unique_times_, times, side="right")
    leaf_rows, curves, risks = _leaf_table(trees, at, np.asarray(estimator.is_event_time_))
    rows = lower_leaves(graph, tensor, trees, leaf_rows)
    leaves = graph.add("Cast", graph.add("Gather", graph.constant(curves), rows, axis=0), to=DOUBLE)
    # A matrix product is the fastest sum over the middle axis that ONNX Runtime has. Divided only then, curves that
    # are all 1 average to 1 and not to the next number above.
    summed = graph.add("MatMul", graph.constant(np.ones((1, len(trees)))), leaves)
    summed = graph.add("Squeeze", summed, graph.constant(np.array([1], dtype=np.int64)))
    survival = graph.add("Div", summed, graph.constant(np.full((1, 1), float(len(trees)))))
    scores = graph.add("Gather", graph.constant(risks), rows, axis=0)
    return survival, graph.add("ReduceMean", scores, axes=[1], keepdims=1)


def _leaf_table(trees: Sequence[Any], at: Any, events: Any) -> tuple[list[Any], Any, FloatArray]:
    """Return each tree's table rows, the table's curves of shape (rows, T), and its risk scores of shape (rows,)."""
    known: dict[bytes, int] = {}
    curves: list[Any] = []
    risks: list[float] = []
    leaf_rows = []
    for tree in trees:
        leaves = leaves_of(tree)
        value = tree.value[leaves]
        survival = np.column_stack([np.ones(len(leaves)), value[:, :, 1]])[:, at].astype("<f4")
        risk = value[:, events, 0].sum(axis=1)
        numbers = np.empty(len(leaves), dtype=np.intp)
        for leaf in range(len(leaves)):
            key = survival[leaf].tobytes() + risk[leaf].tobytes()
            numbers[leaf] = known.setdefault(key, len(known))
            if numbers[leaf] == len(curves):
                curves.append(survival[leaf])
                risks.append(risk[leaf])
        leaf_rows.append(numbers)
    return leaf_rows, np.stack(curves), np.array(risks, dtype=np.float64)
