"""Cause-specific Cox models read together, one set of them or many at once (as bootstrap replicates are)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from functions.survival.data import FloatArray
from functions.survival.export.families.curves import mean_risk
from functions.survival.export.families.hazards import centred, hazard_at
from functions.survival.export.graph import DOUBLE, Graph
from functions.survival.export.lowered import Lowered, Refusals
from functions.survival.models import CompetingCox, CoxEquation

__all__ = ["incidence_of", "lower_competing", "weights_around"]


def lower_competing(graph: Graph, fitted: CompetingCox, times: FloatArray) -> Lowered:
    """Write competing risks; survival is one minus the incidence of the outcome.

    Parameters
    ----------
    graph : Graph
    fitted : CompetingCox
    times : ndarray of float64, shape (T,)
        Days.
    """
    incidence = incidence_of(graph, [fitted], fitted.causes[0], times)
    every = graph.add("Squeeze", incidence, graph.constant(np.array([1], dtype=np.int64)))
    outcome = graph.add("Gather", every, graph.constant(np.array(0, dtype=np.int64)), axis=1)
    # An incidence near 1 can be rounded above it.
    left = graph.add("Sub", graph.constant(np.ones((1, 1))), outcome)
    survival = graph.add("Max", left, graph.constant(np.zeros((1, 1))))
    return Lowered(
        kind="competing_cox",
        survival=survival,
        cumulative_hazard=graph.add("Neg", graph.add("Log", survival)),
        risk_score=mean_risk(graph, survival),
        stand_in=fitted.causes[0].reference,
        refusals=Refusals(),
        incidence=every,
        causes=len(fitted.causes),
    )


def incidence_of(
    graph: Graph,
    models: Sequence[CompetingCox],
    around: CoxEquation,
    times: FloatArray,
    *,
    outcome_only: bool = False,
) -> str:
    """Write the cumulative incidence of the causes under every model; shape (N, models, causes, T).

    Parameters
    ----------
    graph : Graph
    models : sequence of CompetingCox
        All with the same inputs and number of causes.
    around : CoxEquation
        Its reference is the patient around whom the inputs are taken, on its scale.
    times : ndarray of float64, shape (T,)
        Days.
    outcome_only : bool
        Of the first cause alone; the shape is then (N, models, 1, T).
    """
    causes = len(models[0].causes)
    equations = [cause for model in models for cause in model.causes]
    stepping, hazards = _hazards(equations)
    hazards = hazards.reshape(len(models), causes, -1)
    ratio = graph.add("Exp", _log_ratios(graph, equations, around))
    ratio = graph.add("Reshape", ratio, graph.constant(np.array([-1, len(models), causes, 1], dtype=np.int64)))
    by_cause = graph.constant(np.array([2], dtype=np.int64))
    every = graph.constant(hazards[None])
    together = graph.add("ReduceSum", graph.add("Mul", ratio, every), by_cause, keepdims=1)
    free = graph.add("Exp", graph.add("Neg", together))
    end = hazards.shape[2]
    leaving = graph.add("Sub", _part(graph, free, 0, -1, 3), _part(graph, free, 1, end, 3))
    steps = graph.add("Mul", ratio, graph.add("Sub", _part(graph, every, 1, end, 3), _part(graph, every, 0, -1, 3)))
    # Where nothing happens every step is 0: 0 over anything positive is the 0 that is meant.
    least = graph.constant(np.float64(np.finfo(np.float64).tiny))
    all_steps = graph.add("Max", graph.add("ReduceSum", steps, by_cause, keepdims=1), least)
    if outcome_only:
        steps = _part(graph, steps, 0, 1, 2)
    shares = graph.add("Mul", graph.add("Div", steps, all_steps), leaving)
    # From 0 before the first step, so that a declared time reads the number of steps up to it.
    start = graph.constant(np.array([0, 0, 0, 1, 0, 0, 0, 0], dtype=np.int64))
    summed = graph.add("CumSum", graph.add("Pad", shares, start), graph.constant(np.array(3, dtype=np.int64)))
    reached = graph.constant(np.searchsorted(stepping, times, side="right").astype(np.int64))
    return graph.add("Gather", summed, reached, axis=3)


def weights_around(equations: Sequence[CoxEquation], around: CoxEquation) -> tuple[FloatArray, FloatArray]:
    """Return what makes every equation's log hazard ratio from inputs around one reference.

    An equation has its own reference r: ``b (x - r) = b (x - reference) + b (reference - r)``, and a missing input
    adds nothing to it. So the ratio is linear in the centred inputs and in whether each is known.

    Returns
    -------
    slopes, shifts : ndarray of float64, shape (p, equations)
        For the centred inputs, and for 1 where an input is known.
    """
    slopes = np.stack([equation.coefficients for equation in equations], axis=1)
    references = np.stack([equation.scaled(equation.reference) for equation in equations], axis=1)
    return slopes, slopes * (around.scaled(around.reference)[:, None] - references)


def _log_ratios(graph: Graph, equations: Sequence[CoxEquation], around: CoxEquation) -> str:
    inputs = centred(graph, around)
    slopes, shifts = weights_around(equations, around)
    ratios = graph.add("MatMul", inputs.values, graph.constant(slopes))
    if not np.any(shifts):
        return ratios
    known = graph.add("Cast", graph.add("Not", inputs.missing), to=DOUBLE)
    return graph.add("Add", ratios, graph.add("MatMul", known, graph.constant(shifts)))


def _hazards(equations: Sequence[CoxEquation]) -> tuple[FloatArray, FloatArray]:
    """Return the times at which any hazard steps, shape (G,), and all hazards from 0 on, shape (equations, G + 1)."""
    every = np.unique(np.concatenate([equation.times for equation in equations]))
    hazards = np.stack([hazard_at(every, one.times, one.cumulative_hazard) for one in equations])
    padded = np.column_stack([np.zeros(len(equations)), hazards])
    steps = np.flatnonzero(np.any(np.diff(padded, axis=1) > 0, axis=0))
    return every[steps], padded[:, np.concatenate([[0], steps + 1])]


def _part(graph: Graph, tensor: str, start: int, stop: int, axis: int) -> str:
    """Return tensor[start:stop] along an axis."""
    bounds = (graph.constant(np.array([value], dtype=np.int64)) for value in (start, stop, axis))
    return graph.add("Slice", tensor, *bounds)
