"""Pointwise 95% bands of a survival curve from bootstrap replicates.

On the scale of log(-log S), where a curve's sampling distribution is closest to normal and the band stays within 0
and 1 (Kalbfleisch and Prentice, The Statistical Analysis of Failure Time Data, 2nd ed., sec. 1.4.1): the band is
S^exp(1.96 sd) to S^exp(-1.96 sd), with sd the standard deviation over the replicates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from functions.survival.data import FloatArray
from functions.survival.export.errors import BadReplicates
from functions.survival.export.families.competing import incidence_of, weights_around
from functions.survival.export.families.dispatch import lower
from functions.survival.export.families.hazards import centred, hazard_at
from functions.survival.export.graph import DOUBLE, Graph
from functions.survival.export.lowered import Lowered
from functions.survival.models import CompetingCox, CoxEquation

__all__ = ["LEAST_RISK", "NORMAL_97_5", "add_bands"]

# The 97.5th percentile of the standard normal distribution.
NORMAL_97_5 = 1.959963984540054
# A replicate that sees no event yet has no log(-log S); risks nearer to 0 or 1 than this count as this near.
LEAST_RISK = 1e-3


def add_bands(
    graph: Graph, fitted: Any, lowered: Lowered, replicates: Sequence[Any], times: FloatArray
) -> tuple[str, str]:
    """Write the band of a lowered model's survival.

    Parameters
    ----------
    graph : Graph
    fitted : Fitted
        The model.
    lowered : Lowered
        The model as written.
    replicates : sequence of Fitted
        The same model fitted to resampled rows, two or more.
    times : ndarray of float64, shape (T,)
        The declared grid.

    Returns
    -------
    lower, upper : str
        Shape (N, T).

    Raises
    ------
    BadReplicates
        Fewer than two, or with other inputs than the model.
    """
    if len(replicates) < 2:
        raise BadReplicates("a standard deviation needs two replicates or more")
    if any(tuple(one.names) != tuple(fitted.names) for one in replicates):
        raise BadReplicates("a replicate has other inputs than the model")
    if isinstance(fitted, CoxEquation) and all(isinstance(one, CoxEquation) for one in replicates):
        variance = _closed_form(graph, fitted, replicates, times)
    else:
        variance = _over(graph, _log_log(graph, _curves(graph, fitted, replicates, times)), len(replicates))
    deviation = graph.add("Sqrt", variance)
    width = graph.add("Mul", deviation, graph.constant(np.full((1, 1), NORMAL_97_5)))
    below = graph.add("Pow", lowered.survival, graph.add("Exp", width))
    return below, graph.add("Pow", lowered.survival, graph.add("Exp", graph.add("Neg", width)))


def _closed_form(graph: Graph, fitted: CoxEquation, replicates: Sequence[CoxEquation], times: FloatArray) -> str:
    """Write the variance of log H_b(t) + w_b . z over the replicates b from their covariance; shape (N, T).

    z are the inputs around the model's reference, and, where the replicates impute by other values, whether each
    input is known.
    """
    # Half of what the first event adds to the model's hazard, where a replicate has not seen an event yet.
    positive = fitted.cumulative_hazard[fitted.cumulative_hazard > 0]
    least = positive[0] / 2 if positive.size else 1.0
    hazards = np.stack([hazard_at(times, one.times, one.cumulative_hazard) for one in replicates])
    inputs = centred(graph, fitted)
    slopes, shifts = weights_around(replicates, fitted)
    row, weights = inputs.values, slopes
    if np.any(shifts):
        known = graph.add("Cast", graph.add("Not", inputs.missing), to=DOUBLE)
        row, weights = graph.add("Concat", row, known, axis=1), np.concatenate([slopes, shifts])
    levels = np.log(np.maximum(hazards, least))
    together = np.concatenate([levels, weights.T], axis=1)
    covariance = np.cov(together, rowvar=False)
    at = len(times)
    quadratic = graph.add("Mul", graph.add("MatMul", row, graph.constant(covariance[at:, at:])), row)
    variance = graph.add(
        "Sum",
        graph.constant(np.diag(covariance)[None, :at]),
        graph.add("MatMul", row, graph.constant(2.0 * covariance[at:, :at])),
        graph.row_sums(quadratic),
    )
    # Rounding can leave a variance of 0 a little below it.
    return graph.add("Max", variance, graph.constant(np.zeros((1, 1))))


def _curves(graph: Graph, fitted: Any, replicates: Sequence[Any], times: FloatArray) -> str:
    """Write every replicate's survival; shape (N, replicates, T)."""
    one = graph.constant(np.ones((1, 1, 1)))
    if isinstance(fitted, CompetingCox) and all(isinstance(other, CompetingCox) for other in replicates):
        incidence = incidence_of(graph, replicates, fitted.causes[0], times, outcome_only=True)
        return graph.add("Sub", one, graph.add("Squeeze", incidence, graph.constant(np.array([2], dtype=np.int64))))
    middle = graph.constant(np.array([1], dtype=np.int64))
    curves = [graph.add("Unsqueeze", lower(graph, other, times).survival, middle) for other in replicates]
    return graph.add("Concat", *curves, axis=1)


def _log_log(graph: Graph, survival: str) -> str:
    low, high = (graph.constant(np.float64(bound)) for bound in (LEAST_RISK, 1.0 - LEAST_RISK))
    return graph.add("Log", graph.add("Neg", graph.add("Log", graph.add("Clip", survival, low, high))))


def _over(graph: Graph, values: str, count: int) -> str:
    """Write the variance over axis 1 of a tensor of shape (N, count, T); shape (N, T)."""
    deviation = graph.add("Sub", values, graph.add("ReduceMean", values, axes=[1], keepdims=1))
    squares = graph.add("Mul", deviation, deviation)
    total = graph.add("ReduceSum", squares, graph.constant(np.array([1], dtype=np.int64)), keepdims=0)
    return graph.add("Div", total, graph.constant(np.full((1, 1), count - 1.0)))
