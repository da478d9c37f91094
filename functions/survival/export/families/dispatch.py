"""From a fitted model of any supported shape to nodes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from functions.survival.data import FloatArray
from functions.survival.export.errors import UnsupportedModel
from functions.survival.export.families.competing import lower_competing
from functions.survival.export.families.curves import mean_risk
from functions.survival.export.families.estimators import lower_wrapped
from functions.survival.export.families.hazards import lower_equation
from functions.survival.export.graph import Graph
from functions.survival.export.lowered import Lowered, Refusals
from functions.survival.models import CompetingCox, CoxEquation, StackedAverage, Wrapped

__all__ = ["lower"]


def lower(graph: Graph, fitted: Any, times: FloatArray) -> Lowered:
    """Write a fitted model into a graph.

    Parameters
    ----------
    graph : Graph
    fitted : Fitted
        One of :mod:`functions.survival.models`.
    times : ndarray of float64, shape (T,)
        The declared grid.

    Raises
    ------
    UnsupportedModel
        It, or a part of it, has no translation.
    """
    if isinstance(fitted, CoxEquation):
        return lower_equation(graph, fitted, times)
    if isinstance(fitted, CompetingCox):
        return lower_competing(graph, fitted, times)
    if isinstance(fitted, StackedAverage):
        return _stack(graph, fitted, times)
    if isinstance(fitted, Wrapped):
        return lower_wrapped(graph, fitted, times)
    raise UnsupportedModel(
        f"{type(fitted).__name__} is not a CoxEquation, CompetingCox, StackedAverage or Wrapped; "
        "put a scikit-survival estimator or pipeline into functions.survival.models.Wrapped"
    )


def _stack(graph: Graph, fitted: StackedAverage, times: FloatArray) -> Lowered:
    """Write the weighted average of the members' survival; members of weight 0 are left out."""
    used = [(one, weight) for one, weight in zip(fitted.members, fitted.weights, strict=True) if weight > 0]
    members = [lower(graph, one, times) for one, _ in used]
    weighted = [
        graph.add("Mul", member.survival, graph.constant(np.full((1, 1), weight)))
        for member, (_, weight) in zip(members, used, strict=True)
    ]
    # Weights sum to 1 but for rounding.
    survival = graph.add("Min", graph.add("Sum", *weighted), graph.constant(np.ones((1, 1))))
    refusals = Refusals(
        [count for member in members for count in member.refusals.counts],
        set().union(*(member.refusals.required for member in members)),
        [coded for member in members for coded in member.refusals.coded],
    )
    first = members[0].stand_in
    agreed = np.all([member.stand_in == first for member in members], axis=0)
    parts = [{"kind": member.kind, "weight": weight} for member, (_, weight) in zip(members, used, strict=True)]
    return Lowered(
        kind="stacked_average",
        survival=survival,
        cumulative_hazard=graph.add("Neg", graph.add("Log", survival)),
        risk_score=mean_risk(graph, survival),
        stand_in=np.where(agreed, first, np.nan),
        refusals=refusals,
        metadata={"members": json.dumps(parts)},
    )
