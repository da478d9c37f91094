"""Gradient boosting of trees with the Cox loss (Ridgeway, Computing Science and Statistics 31:172-181, 1999)."""

from __future__ import annotations

from typing import Any

import numpy as np

from functions.survival.export.families.trees import leaves_of, lower_leaves
from functions.survival.export.graph import Graph

__all__ = ["lower_boosting"]


def lower_boosting(graph: Graph, tensor: str, estimator: Any) -> str:
    """Write a GradientBoostingSurvivalAnalysis; returns its log hazard ratio, shape (N, 1).

    Parameters
    ----------
    graph : Graph
    tensor : str
        Columns as the estimator takes them, shape (N, k).
    estimator : object
        With learning rate and, where it was trained with dropout, each tree's scale.
    """
    trees = [stage[0].tree_ for stage in estimator.estimators_]
    scale = getattr(estimator, "_scale", np.ones(len(trees)))
    values = [estimator.learning_rate * scale[at] * tree.value[leaves_of(tree), 0, 0] for at, tree in enumerate(trees)]
    ends = np.cumsum([len(leaves) for leaves in values])
    leaf_rows = [np.arange(end - len(leaves), end) for end, leaves in zip(ends, values, strict=True)]
    rows = lower_leaves(graph, tensor, trees, leaf_rows)
    return graph.row_sums(graph.add("Gather", graph.constant(np.concatenate(values)), rows, axis=0))
