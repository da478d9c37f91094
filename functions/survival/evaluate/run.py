"""One evaluation from start to end."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from functions.survival.data import BoolArray, Dataset, FloatArray, SurvivalTable
from functions.survival.evaluate.calibration import calibration_curve, calibration_groups, curves_by_risk
from functions.survival.evaluate.candidates import CANDIDATES, COX, KAPLAN_MEIER, fit_cox
from functions.survival.evaluate.comparison import YEAR, Comparison, as_json, compare, curve_times, performance
from functions.survival.evaluate.heldout import Plan
from functions.survival.evaluate.intervals import Estimate, estimate
from functions.survival.evaluate.metrics import auc_at, brier_at, net_benefit, subgroup
from functions.survival.export import read_cox
from functions.survival.models import CoxEquation

__all__ = ["evaluate"]

Json = dict[str, Any]

MONTH = 30.0
CALIBRATION_GROUPS = 5
RISK_GROUPS = 3
THRESHOLDS = tuple(round(0.05 + 0.025 * step, 3) for step in range(23))
CURVE_RISKS = tuple(round(0.02 * step, 2) for step in range(1, 46))


def evaluate(
    dataset: Dataset,
    contract: Mapping[str, Any],
    model_file: Path,
    *,
    plan: Plan | None = None,
    progress: Callable[[str], None] = lambda _line: None,
) -> Json:
    """Measure how the package's modelling procedure does on patients it did not see.

    Parameters
    ----------
    dataset : Dataset
        The training data.
    contract : mapping
        ``model.yaml`` as read.
    model_file : Path
        The ``model.onnx`` whose equation is reported; it must be the one the contract names by digest.
    plan : Plan, optional
        The resampling.
    progress : callable
        Called with a line now and then.

    Returns
    -------
    dict
        Ready for JSON; the same for the same data, package versions and plan.

    Raises
    ------
    ValueError
        The model file is not the contract's, or the inputs are in another order.
    """
    plan = plan or Plan()
    content = model_file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != contract["sha256"]:
        declared = contract["sha256"]
        raise ValueError(f"{model_file} has sha256 {digest}, model.yaml says {declared!r}; train first")
    equation, metadata = read_cox(content)
    dataset.check_order(equation.names)
    table = dataset.load()
    comparison = compare(table, curve_times(contract), plan, progress)
    result: Json = {
        "schema": 1,
        "model": {"name": metadata["name"], "version": metadata["version"], "sha256": digest},
        "data": _describe(table),
        "method": _method(plan, curve_times(contract)),
        **performance(comparison, plan),
    }
    progress("curves over time, calibration, net benefit")
    result |= _over_time(comparison, contract, plan)
    result["calibration_1y"] |= _calibration(comparison, plan)
    result["risk_groups"] = _risk_groups(comparison, contract, plan)
    result["net_benefit_1y"] = _net_benefit(comparison, plan)
    progress("subgroups")
    result["subgroups"] = _subgroups(comparison, table, plan)
    result |= {"comparison": comparison.table(), "decision": comparison.decision()}
    progress("intervals of the coefficients")
    result["equation"] = _equation(equation, dataset, table, plan)
    result["software"] = {name: version(name) for name in ("scikit-survival", "scikit-learn", "numpy")}
    return result


def _describe(table: SurvivalTable) -> Json:
    inputs: Json = {}
    for at, name in enumerate(table.names):
        column = table.x[:, at]
        missing = int(np.isnan(column).sum())
        if table.binary[at]:
            inputs[name] = {"missing": missing, "share": round(float(np.nanmean(column)), 4)}
        else:
            low, middle, high = (round(float(v), 2) for v in np.nanquantile(column, [0.25, 0.5, 0.75]))
            inputs[name] = {"missing": missing, "median": middle, "quartiles": [low, high]}
    within_year = table.time <= YEAR
    return {
        "patients": len(table),
        "deaths": int(table.event.sum()),
        "deaths_within_1y": int((table.event & within_year).sum()),
        "censored_within_1y": int((~table.event & within_year).sum()),
        "median_follow_up_alive_days": float(np.median(table.time[~table.event])),
        "events_per_input": round(float(table.event.sum()) / len(table.names), 1),
        "inputs": inputs,
    }


def _method(plan: Plan, times: FloatArray) -> Json:
    return {
        "outer": f"{plan.repeats} x {plan.folds}-fold, stratified by event",
        "inner": f"{plan.inner_folds}-fold within the training rows, lowest integrated Brier score",
        "intervals": f"95%, percentile, {plan.replicates} bootstrap resamples of patients",
        "seed": plan.seed,
        "from_days": float(times[0]),
        "until_days": float(times[-1]),
    }


def _series(found: Estimate, start: int = 0, stop: int | None = None) -> Json:
    part = slice(start, stop)
    return {
        "value": [round(float(v), 5) for v in found.value[part]],
        "low": [round(float(v), 5) for v in found.low[part]],
        "high": [round(float(v), 5) for v in found.high[part]],
    }


def _quarters(contract: Mapping[str, Any]) -> FloatArray:
    """Return every 13th point of the curve, and the horizons, in days."""
    step, until = float(contract["curve"]["step_days"]), float(contract["curve"]["until_days"])
    horizons = np.asarray(contract["horizons_days"], dtype=np.float64)
    return np.union1d(np.arange(13 * step, until, 13 * step), horizons)


def _over_time(comparison: Comparison, contract: Mapping[str, Any], plan: Plan) -> Json:
    times = _quarters(contract)
    days = [float(t) for t in times]
    auc = estimate(auc_at(times), comparison.predictions[COX.name], plan)
    brier: Json = {"times_days": days}
    for candidate in (*CANDIDATES, KAPLAN_MEIER):
        found = estimate(brier_at(times), comparison.predictions[candidate.name], plan)
        brier[candidate.name] = _series(found)
    return {
        "auc": {"times_days": days, **_series(auc, 0, len(days))},
        "auc_mean": as_json(auc, len(days)),
        "brier": brier,
    }


def _calibration(comparison: Comparison, plan: Plan) -> Json:
    ours = comparison.predictions[COX.name]
    groups = estimate(calibration_groups(CALIBRATION_GROUPS, YEAR), ours, plan)
    predicted = 1.0 - ours.survival[:, :, int(np.searchsorted(ours.times, YEAR))]
    low, high = np.quantile(predicted, [0.01, 0.99])
    risks = tuple(risk for risk in CURVE_RISKS if low <= risk <= high)
    curve = estimate(calibration_curve(risks, YEAR), ours, plan)
    return {
        "groups": {
            "predicted": _series(groups, 0, CALIBRATION_GROUPS)["value"],
            "observed": _series(groups, CALIBRATION_GROUPS),
        },
        "curve": {"predicted": list(risks), "observed": _series(curve)},
    }


def _risk_groups(comparison: Comparison, contract: Mapping[str, Any], plan: Plan) -> Json:
    times = _quarters(contract)
    found = estimate(curves_by_risk(RISK_GROUPS, times), comparison.predictions[COX.name], plan)
    size = len(times)
    return {
        "times_days": [float(t) for t in times],
        "groups": [
            {
                "predicted": _series(found, group * size, (group + 1) * size)["value"],
                "observed": _series(found, (RISK_GROUPS + group) * size, (RISK_GROUPS + group + 1) * size),
            }
            for group in range(RISK_GROUPS)
        ],
    }


def _net_benefit(comparison: Comparison, plan: Plan) -> Json:
    found = estimate(net_benefit(THRESHOLDS, YEAR), comparison.predictions[COX.name], plan)
    size = len(THRESHOLDS)
    return {
        "thresholds": list(THRESHOLDS),
        "model": _series(found, 0, size),
        "act_on_all": _series(found, size)["value"],
    }


def _subgroups(comparison: Comparison, table: SurvivalTable, plan: Plan) -> list[Json]:
    age = table.x[:, table.names.index("age")]
    female = table.x[:, table.names.index("female")] == 1.0
    members: dict[str, BoolArray] = {
        "Everyone": np.ones(len(table), dtype=np.bool_),
        "Women": female,
        "Men": ~female,
        "Under 65 years": age < 65,
        "65 to 79 years": (age >= 65) & (age < 80),
        "80 years and over": age >= 80,
        "Cardiogenic shock": table.x[:, table.names.index("cardiogenic_shock")] == 1.0,
    }
    rows = []
    for title, belongs in members.items():
        row: Json = {
            "title": title,
            "patients": int(belongs.sum()),
            "deaths": int(table.event[belongs].sum()),
            "deaths_within_1y": int((table.event & (table.time <= YEAR))[belongs].sum()),
        }
        for days, label in ((YEAR, "1y"), (MONTH, "30d")):
            found = estimate(subgroup(belongs, days), comparison.predictions[COX.name], plan)
            row["uno_c"] = as_json(found, 0)
            for at, key in enumerate(("predicted_risk", "observed_risk", "observed_expected_ratio"), start=1):
                row[f"{key}_{label}"] = as_json(found, at)
        rows.append(row)
    return rows


def _equation(equation: CoxEquation, dataset: Dataset, table: SurvivalTable, plan: Plan) -> Json:
    """Report the shipped coefficients; intervals from refits to resampled patients, same penalty."""
    random = np.random.default_rng(plan.seed)
    refits = [
        fit_cox(table.take(random.integers(0, len(table), len(table))), equation.alpha).coefficients
        for _ in range(plan.replicates)
    ]
    low, high = np.percentile(np.array(refits), [2.5, 97.5], axis=0)
    terms = []
    for at, column in enumerate(dataset.columns):
        ratios = np.exp(np.array([equation.coefficients[at], low[at], high[at]]) * column.step)
        value, lower, upper = (round(float(ratio), 4) for ratio in ratios)
        terms.append(
            {
                "name": column.name,
                "kind": column.kind,
                "unit": column.unit,
                "coefficient": float(equation.coefficients[at]),
                "reference": float(equation.reference[at]),
                "step": column.step,
                "hazard_ratio": {"value": value, "low": lower, "high": upper},
            }
        )
    horizons = {
        f"{days:g}": round(float(equation.survival(equation.reference[None, :], np.array([days]))[0, 0]), 5)
        for days in (MONTH, 180.0, YEAR, 1095.0)
    }
    return {
        "form": "S(t) = S0(t) ^ exp(sum of coefficient x (value - reference))",
        "ridge_alpha": equation.alpha,
        "reference_survival": horizons,
        "terms": terms,
    }
