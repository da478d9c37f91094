"""The parts of an evaluation beside its headline: the data, curves over time, horizons, groups of patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from functions.survival.data import BoolArray, Dataset, FloatArray, SurvivalTable
from functions.survival.evaluate.calibration import SUMMARY, calibration_groups, calibration_summary, curves_by_risk
from functions.survival.evaluate.comparison import Comparison, as_json, estimates, horizons_of, performance, rounded
from functions.survival.evaluate.heldout import HeldOut, Plan
from functions.survival.evaluate.intervals import Estimate, Metric, point
from functions.survival.evaluate.metrics import auc_at, brier_at, net_benefit, subgroup

__all__ = [
    "describe",
    "detail_horizons",
    "method",
    "missingness",
    "over_time",
    "risk_groups",
    "subgroups",
    "test_split",
]

Json = dict[str, Any]

CALIBRATION_GROUPS = 5
RISK_GROUPS = 3
# Points of the pictures over time, thresholds of a decision curve, points of a smoothed calibration curve.
POINTS, THRESHOLDS, SMOOTHED = 24, 20, 40


def describe(table: SurvivalTable, horizons: Sequence[float]) -> Json:
    """Return who the patients are and what happened to them.

    Parameters
    ----------
    table : SurvivalTable
        All rows.
    horizons : sequence of float
        Days.
    """
    watched = table.time[~table.event & ~table.competing]
    return {
        "patients": len(table),
        "events": int(table.event.sum()),
        "competing_events": int(table.competing.sum()),
        "horizons": [{"days": days, **_by(table, days, np.ones(len(table), dtype=np.bool_))} for days in horizons],
        "median_follow_up_event_free_days": float(np.median(watched)) if len(watched) else None,
        "events_per_input": round(float(table.event.sum()) / len(table.names), 1),
        "inputs": {name: _input(table, at) for at, name in enumerate(table.names)},
    }


def _by(table: SurvivalTable, days: float, members: BoolArray) -> Json:
    within = members & (table.time <= days)
    return {
        "events": int((table.event & within).sum()),
        "competing_events": int((table.competing & within).sum()),
        "censored": int((~table.event & ~table.competing & within).sum()),
    }


def _input(table: SurvivalTable, at: int) -> Json:
    column = table.x[:, at]
    missing = int(np.isnan(column).sum())
    found: Json = {"missing": missing, "missing_share": round(missing / len(table), 4)}
    if table.binary[at]:
        return found | {"share": round(float(np.nanmean(column)), 4)}
    low, middle, high = (round(float(v), 2) for v in np.nanquantile(column, [0.25, 0.5, 0.75]))
    return found | {"median": middle, "quartiles": [low, high]}


def method(plan: Plan, times: FloatArray, table: SurvivalTable, horizons: Sequence[float]) -> Json:
    """Return how it was measured, in words and numbers.

    ``main_horizon_days``, the last but one, stands for all where there is room for one: the last is often at the edge
    of the follow-up.
    """
    return {
        "outer": f"{plan.repeats} x {plan.folds}-fold, stratified by what happened",
        "inner": f"{plan.inner_folds}-fold within the training rows, lowest integrated Brier score",
        "intervals": f"95%, percentile, {plan.replicates} bootstrap resamples of patients",
        "test_share": plan.test_share,
        "repeats": plan.repeats,
        "folds": plan.folds,
        "inner_folds": plan.inner_folds,
        "replicates": plan.replicates,
        "seed": plan.seed,
        "main_horizon_days": horizons[-2] if len(horizons) > 1 else horizons[-1],
        "from_days": float(times[0]),
        "until_days": float(min(times[-1], table.time.max())),
    }


def over_time(comparison: Comparison, name: str, plan: Plan, contract: Mapping[str, Any], jobs: int = 1) -> Json:
    """Return AUC and Brier score over time: with intervals for one model, the Brier score of the others without.

    Parameters
    ----------
    comparison : Comparison
    name : str
        The model that is reported.
    plan : Plan
    contract : mapping
        ``model.yaml`` as read: its horizons are among the times.
    jobs : int
        Processes.
    """
    times = _points(comparison.predictions[name], contract)
    ours = comparison.predictions[name]
    auc, brier = estimates([(auc_at(times), ours), (brier_at(times), ours)], plan, jobs)
    days = [float(t) for t in times]
    scores: Json = {"times_days": days, name: _series(brier)}
    for other in (*comparison.family.candidates, comparison.family.reference):
        if other.name != name:
            values = point(brier_at(times), comparison.predictions[other.name])
            scores[other.name] = {"value": [rounded(v) for v in values]}
    return {
        "auc": {"times_days": days, **_series(auc, 0, len(days))},
        "auc_mean": as_json(auc, len(days)),
        "brier": scores,
    }


def detail_horizons(ours: HeldOut, plan: Plan, horizons: Sequence[float], jobs: int = 1) -> list[Json]:
    """Return for each horizon the calibration curve and groups, and the decision curve.

    Parameters
    ----------
    ours : HeldOut
        The reported model's predictions.
    plan : Plan
    horizons : sequence of float
        Days.
    jobs : int
        Processes.

    Returns
    -------
    list of dict
        Each with ``curve``, ``groups`` and ``net_benefit``.
    """
    wanted: list[tuple[Metric, HeldOut]] = []
    grids = []
    for days in horizons:
        predicted = 1.0 - ours.survival[:, :, int(np.searchsorted(ours.times, days))]
        low, high = np.quantile(predicted, [0.01, 0.99])
        risks = tuple(float(risk) for risk in np.round(np.linspace(low, high, SMOOTHED), 4))
        thresholds = _thresholds(predicted)
        grids.append((risks, thresholds))
        wanted += [
            (calibration_summary(days, risks), ours),
            (calibration_groups(CALIBRATION_GROUPS, days), ours),
            (net_benefit(thresholds, days), ours),
        ]
    found = estimates(wanted, plan, jobs)
    return [_detail(found[3 * at], found[3 * at + 1], found[3 * at + 2], *grids[at]) for at in range(len(horizons))]


def _thresholds(predicted: FloatArray) -> tuple[float, ...]:
    """Risks at which one might act: up to where hardly anybody is left above."""
    top = float(np.clip(np.ceil(np.quantile(predicted, 0.95) * 20.0) / 20.0, 0.05, 0.95))
    return tuple(round(top * step / THRESHOLDS, 4) for step in range(1, THRESHOLDS + 1))


def _detail(
    curve: Estimate, groups: Estimate, benefit: Estimate, risks: Sequence[float], thresholds: Sequence[float]
) -> Json:
    size = len(thresholds)
    return {
        "curve": {"predicted": list(risks), "observed": _series(curve, len(SUMMARY))},
        "groups": {
            "predicted": _series(groups, 0, CALIBRATION_GROUPS)["value"],
            "observed": _series(groups, CALIBRATION_GROUPS),
        },
        "net_benefit": {
            "thresholds": list(thresholds),
            "model": _series(benefit, 0, size),
            "act_on_all": _series(benefit, size)["value"],
        },
    }


def risk_groups(ours: HeldOut, plan: Plan, contract: Mapping[str, Any]) -> Json:
    """Return survival over time in thirds of predicted risk, predicted and observed."""
    times = _points(ours, contract)
    (found,) = estimates([(curves_by_risk(RISK_GROUPS, times), ours)], plan)
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


def subgroups(
    dataset: Dataset, table: SurvivalTable, ours: HeldOut, plan: Plan, horizons: Sequence[float], jobs: int = 1
) -> list[Json]:
    """Return performance for everyone and in each subgroup of the data set, with intervals."""
    members = {"Everyone": np.ones(len(table), dtype=np.bool_), **dataset.subgroups(table)}
    return _parts(members, table, ours, plan, horizons, jobs)


def missingness(table: SurvivalTable, ours: HeldOut, plan: Plan, horizons: Sequence[float], jobs: int = 1) -> Json:
    """Return how much is missing, and performance for patients with and without complete inputs.

    Returns
    -------
    dict
        ``complete_patients``, ``inputs`` (missing and share by name), and ``performance``: rows as of subgroups, or
        None where nothing is missing.
    """
    complete: BoolArray = np.asarray(~np.isnan(table.x).any(axis=1), dtype=np.bool_)
    inputs = {name: _input(table, at) for at, name in enumerate(table.names)}
    found: Json = {
        "complete_patients": int(complete.sum()),
        "inputs": {name: {"missing": seen["missing"], "share": seen["missing_share"]} for name, seen in inputs.items()},
        "performance": None,
    }
    if not complete.all():
        parts: dict[str, BoolArray] = {"All inputs known": complete, "Something missing": ~complete}
        found["performance"] = _parts(parts, table, ours, plan, horizons, jobs)
    return found


def _parts(
    members: Mapping[str, BoolArray],
    table: SurvivalTable,
    ours: HeldOut,
    plan: Plan,
    horizons: Sequence[float],
    jobs: int,
) -> list[Json]:
    found = estimates([(subgroup(belongs, horizons), ours) for belongs in members.values()], plan, jobs)
    rows: list[Json] = []
    for (title, belongs), seen in zip(members.items(), found, strict=True):
        row: Json = {"title": title, "patients": int(belongs.sum()), "events": int(table.event[belongs].sum())}
        row |= {"uno_c": as_json(seen, 0), "integrated_brier_score": as_json(seen, 1), "horizons": []}
        for at, days in enumerate(horizons):
            risks: Json = {"days": days, **_by(table, days, belongs)}
            for offset, key in enumerate(("predicted_risk", "observed_risk", "observed_expected_ratio")):
                risks[key] = as_json(seen, 2 + 3 * at + offset)
            row["horizons"].append(risks)
        rows.append(row)
    return rows


def test_split(
    comparison: Comparison, name: str, table: SurvivalTable, plan: Plan, contract: Mapping[str, Any], jobs: int = 1
) -> Json | None:
    """Return performance on the patients set aside, by models fitted once to the others; None without a test set."""
    if not comparison.test:
        return None
    ours = comparison.test[name]
    only = Comparison(comparison.family, comparison.test, {}, plan, jobs)
    return {
        "share": plan.test_share,
        "patients": len(ours.time),
        "events": int(ours.event.sum()),
        "fitted_to": len(table) - len(ours.time),
        "settings": dict(ours.settings[0]),
        **performance(only, plan, contract, name, jobs),
        "comparison": only.table(),
    }


def _points(ours: HeldOut, contract: Mapping[str, Any]) -> FloatArray:
    """Return some two dozen of the curve's times, and the horizons."""
    stride = max(1, len(ours.times) // POINTS)
    return np.union1d(ours.times[stride - 1 :: stride], np.array(horizons_of(contract)))


def _series(found: Estimate, start: int = 0, stop: int | None = None) -> Json:
    part = slice(start, stop)
    return {
        "value": [rounded(v) for v in found.value[part]],
        "low": [rounded(v) for v in found.low[part]],
        "high": [rounded(v) for v in found.high[part]],
    }
