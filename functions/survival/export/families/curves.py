"""What is read off a survival curve on the declared grid."""

from __future__ import annotations

import numpy as np

from functions.survival.data import FloatArray
from functions.survival.export.graph import Graph

__all__ = ["mean_risk", "median_of"]


def mean_risk(graph: Graph, survival: str) -> str:
    """Write the mean over the declared times of one minus survival; shape (N, 1).

    The score of models that have none of their own: it is higher the earlier the outcome is expected.

    Parameters
    ----------
    graph : Graph
    survival : str
        Shape (N, T).
    """
    return graph.add("ReduceMean", graph.add("Sub", graph.constant(np.ones((1, 1))), survival), axes=[1], keepdims=1)


def median_of(graph: Graph, survival: str, times: FloatArray) -> str:
    """Write the first declared time with S <= 0.5, infinite where there is none; shape (N, 1)."""
    reached = graph.add("LessOrEqual", survival, graph.constant(np.full((1, 1), 0.5)))
    days = graph.add("Where", reached, graph.constant(times[None, :]), graph.constant(np.full((1, 1), np.inf)))
    return graph.add("ReduceMin", days, axes=[1], keepdims=1)
