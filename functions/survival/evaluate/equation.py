"""The equation of a Cox model as its file holds it, with intervals from refits to resampled patients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from functions.survival.data import Dataset, SurvivalTable
from functions.survival.evaluate.candidates import fit_cox
from functions.survival.evaluate.heldout import Plan
from functions.survival.models import CoxEquation

__all__ = ["describe_equation"]

Json = dict[str, Any]


def describe_equation(
    equations: Sequence[CoxEquation], dataset: Dataset, table: SurvivalTable, plan: Plan, horizons: Sequence[float]
) -> Json:
    """Return the shipped coefficients: one equation, or one for each cause.

    Parameters
    ----------
    equations : sequence of CoxEquation
        The outcome's first.
    dataset : Dataset
        Its columns say for which difference a hazard ratio is quoted.
    table : SurvivalTable
        All rows.
    plan : Plan
        Its ``replicates`` and ``seed``.
    horizons : sequence of float
        Days at which the reference patient's survival is told.
    """
    causes = []
    for number, equation in enumerate(equations, start=1):
        rows = table.of_cause(number) if len(equations) > 1 else table
        title = dataset.event if number == 1 else dataset.competing or "the competing event"
        causes.append({"cause": title, **_cause(equation, dataset, rows, plan, horizons)})
    form = "S(t) = S0(t) ^ exp(sum of coefficient x (value - reference))"
    if np.any(equations[0].log):
        form += ", with the natural logarithm of value and reference where the table says so"
    if len(causes) > 1:
        form += (
            " for each cause; the cumulative incidence is the sum over time of S(u-) x the cause's share of the hazard"
        )
    return {"form": form, "causes": causes}


def _cause(
    equation: CoxEquation, dataset: Dataset, table: SurvivalTable, plan: Plan, horizons: Sequence[float]
) -> Json:
    random = np.random.default_rng(plan.seed)
    refits = [
        fit_cox(table.take(random.integers(0, len(table), len(table))), equation.alpha).coefficients
        for _ in range(plan.replicates)
    ]
    low, high = np.percentile(np.array(refits), [2.5, 97.5], axis=0)
    terms = []
    for at, column in enumerate(dataset.columns):
        step = float(np.log(2.0)) if equation.log[at] else column.step
        ratios = np.exp(np.array([equation.coefficients[at], low[at], high[at]]) * step)
        value, lower, upper = (round(float(ratio), 4) for ratio in ratios)
        terms.append(
            {
                "name": column.name,
                "kind": column.kind,
                "unit": column.unit,
                "coefficient": float(equation.coefficients[at]),
                "reference": float(equation.reference[at]),
                "step": column.step,
                "log": bool(equation.log[at]),
                "hazard_ratio": {"value": value, "low": lower, "high": upper},
            }
        )
    survival = equation.survival(equation.reference[None, :], np.array(horizons))[0]
    return {
        "ridge_alpha": equation.alpha,
        "reference_survival": [
            {"days": days, "survival": round(float(s), 5)} for days, s in zip(horizons, survival, strict=True)
        ],
        "terms": terms,
    }
