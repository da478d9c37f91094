"""Proportional hazards: from a log hazard ratio and a baseline to curves; and the Cox equation."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from functions.survival.data import BoolArray, FloatArray
from functions.survival.export.graph import Graph
from functions.survival.export.lowered import Lowered, Refusals
from functions.survival.models import CoxEquation

__all__ = ["Centred", "centred", "hazard_at", "lower_equation", "proportional"]

# Far below any hazard that shows in a double's survival, and never infinity times 0 under a huge hazard ratio.
LEAST_HAZARD = 1e-300


def hazard_at(times: FloatArray, known: FloatArray, hazard: FloatArray) -> FloatArray:
    """Read a cumulative hazard at some times.

    Parameters
    ----------
    times : ndarray of float64, shape (T,)
    known : ndarray of float64, shape (m,)
        Rising times at which it steps.
    hazard : ndarray of float64, shape (m,)
        Its value from each of them on; before the first it is 0.

    Returns
    -------
    ndarray of float64, shape (T,)
    """
    steps = np.concatenate([[0.0], hazard])
    return np.asarray(steps[np.searchsorted(known, times, side="right")], dtype=np.float64)


def proportional(graph: Graph, risk: str, baseline: FloatArray) -> tuple[str, str]:
    """Return survival and cumulative hazard, each of shape (N, T).

    Parameters
    ----------
    graph : Graph
    risk : str
        Log hazard ratio, shape (N, 1).
    baseline : ndarray of float64, shape (T,)
        Cumulative hazard at ratio 1.
    """
    ratio = graph.add("Exp", risk)
    exponent = graph.add("Mul", ratio, graph.constant(-np.maximum(baseline, LEAST_HAZARD)[None, :]))
    return graph.add("Exp", exponent), graph.add("Mul", ratio, graph.constant(baseline[None, :]))


@dataclass(frozen=True)
class Centred:
    """Inputs around a reference patient.

    Parameters
    ----------
    values : str
        Input minus reference, 0 where missing; shape (N, p).
    missing : str
        Bool, shape (N, p).
    """

    values: str
    missing: str


def centred(graph: Graph, equation: CoxEquation) -> Centred:
    """Write the inputs, on the equation's scale, around its reference patient, who stands in for what is missing."""
    missing = graph.add("IsNaN", Graph.INPUT)
    known = graph.add("Where", missing, graph.constant(equation.reference[None, :]), Graph.INPUT)
    if np.any(equation.log):
        known = _logarithms(graph, known, equation.log)
    return Centred(graph.add("Sub", known, graph.constant(equation.scaled(equation.reference)[None, :])), missing)


def _logarithms(graph: Graph, values: str, log: BoolArray) -> str:
    """Write the logarithm of some columns, NaN where a value is not positive."""
    which = graph.constant(log[None, :])
    wrong = graph.add("Not", graph.add("Greater", values, graph.constant(np.zeros((1, 1)))))
    positive = graph.add("Where", wrong, graph.constant(np.full((1, 1), np.nan)), values)
    safe = graph.add("Where", which, positive, graph.constant(np.ones((1, 1))))
    return graph.add("Where", which, graph.add("Log", safe), values)


def lower_equation(graph: Graph, equation: CoxEquation, times: FloatArray) -> Lowered:
    """Write a Cox equation; the whole of it, with its training times, goes into the metadata.

    Parameters
    ----------
    graph : Graph
    equation : CoxEquation
    times : ndarray of float64, shape (T,)
        Days.
    """
    inputs = centred(graph, equation)
    contributions = graph.add("Mul", inputs.values, graph.constant(equation.coefficients[None, :]))
    risk = graph.add("MatMul", inputs.values, graph.constant(equation.coefficients[:, None]))
    survival, hazard = proportional(graph, risk, hazard_at(times, equation.times, equation.cumulative_hazard))
    numbers = {
        "coefficients": equation.coefficients.tolist(),
        "reference": equation.reference.tolist(),
        "times": equation.times.tolist(),
        "cumulative_hazard": equation.cumulative_hazard.tolist(),
    }
    if np.any(equation.log):
        numbers["log"] = equation.log.tolist()
    return Lowered(
        kind="cox",
        survival=survival,
        cumulative_hazard=hazard,
        risk_score=risk,
        contributions=contributions,
        stand_in=equation.reference,
        refusals=Refusals(),
        metadata={"equation": json.dumps(numbers), "ridge_alpha": repr(equation.alpha)},
    )
