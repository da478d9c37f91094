"""B-spline bases by de Boor's recursion (A Practical Guide to Splines, 1978, chapter X)."""

from __future__ import annotations

from typing import Any

import numpy as np

from functions.survival.data import FloatArray
from functions.survival.export.errors import UnsupportedModel
from functions.survival.export.graph import DOUBLE, Graph
from functions.survival.export.lowered import Columns, Refusals

__all__ = ["splines"]


def splines(graph: Graph, columns: Columns, step: Any, refusals: Refusals) -> Columns:
    """Write a SplineTransformer that is constant beyond its outer knots, scikit-learn's default."""
    if step.extrapolation != "constant" or step.sparse_output:
        raise UnsupportedModel(
            f"SplineTransformer with extrapolation={step.extrapolation!r}, sparse_output={step.sparse_output}: "
            "supported are extrapolation='constant' and dense output"
        )
    if getattr(step, "handle_missing", "error") != "error":
        raise UnsupportedModel("SplineTransformer with handle_missing other than 'error'; impute before it")
    refusals.missing(graph, columns)
    degree = step.degree
    knots = np.stack([spline.t for spline in step.bsplines_])
    count = knots.shape[1] - degree - 1
    basis = _basis(graph, columns, knots, degree)
    source = np.repeat(np.arange(len(columns)), count)
    known = np.zeros(len(source), dtype=np.bool_)
    result = Columns(basis, columns.origin[source], known, known, columns.stand_in[source])
    if step.include_bias:
        return result
    return result.take(graph, np.flatnonzero(np.arange(len(source)) % count != count - 1))


def _basis(graph: Graph, columns: Columns, knots: FloatArray, degree: int) -> str:
    """Return the basis of shape (N, columns * splines); knots have shape (columns, number)."""
    number, size = knots.shape
    low, high = knots[:, degree], knots[:, size - degree - 1]
    inside = graph.add("Max", columns.tensor, graph.constant(low[None, :]))
    inside = graph.add("Min", inside, graph.constant(high[None, :]))
    x = graph.add("Unsqueeze", inside, graph.constant(np.array([2], dtype=np.int64)))
    # The last interval between the outer knots holds its right end, so that the basis sums to 1 there too.
    right = knots[:, 1:].copy()
    left = knots[:, :-1]
    last = size - degree - 2
    right[:, last] = np.nextafter(high, np.inf)
    left = np.where(np.arange(size - 1) > last, np.inf, left)
    above = graph.add("GreaterOrEqual", x, graph.constant(left[None]))
    below = graph.add("Less", x, graph.constant(right[None]))
    value = graph.add("Cast", graph.add("And", above, below), to=DOUBLE)
    for order in range(1, degree + 1):
        span = knots[:, order:] - knots[:, :-order]
        rising = graph.add(
            "Div", graph.add("Sub", x, graph.constant(knots[None, :, :-order])), graph.constant(span[None])
        )
        falling = graph.add("Sub", graph.constant(np.ones((1, 1, 1))), rising)
        value = graph.add(
            "Add",
            graph.add("Mul", _part(graph, rising, 0, -1), _part(graph, value, 0, -1)),
            graph.add("Mul", _part(graph, falling, 1, size), _part(graph, value, 1, size)),
        )
    shape = graph.constant(np.array([-1, number * (size - degree - 1)], dtype=np.int64))
    return graph.add("Reshape", value, shape)


def _part(graph: Graph, tensor: str, start: int, stop: int) -> str:
    """Return tensor[:, :, start:stop]."""
    bounds = (graph.constant(np.array([value], dtype=np.int64)) for value in (start, stop, 2))
    return graph.add("Slice", tensor, *bounds)
