"""The candidates side by side, and which one is chosen: in numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from functions.survival.data import FloatArray, SurvivalTable
from functions.survival.evaluate.calibration import SUMMARY, calibration_summary
from functions.survival.evaluate.candidates import CANDIDATES, COX, KAPLAN_MEIER
from functions.survival.evaluate.heldout import HeldOut, Plan, held_out
from functions.survival.evaluate.intervals import Estimate, estimate
from functions.survival.evaluate.metrics import HEADLINE, auc_at, headline, integrated_brier

__all__ = ["YEAR", "Comparison", "as_json", "compare", "curve_times", "performance"]

YEAR = 365.0

Progress = Callable[[str], None]
Json = dict[str, Any]


class Comparison:
    """Every candidate's held-out predictions and headline metrics.

    Attributes
    ----------
    predictions : dict of str to HeldOut
        By candidate name, ``kaplan_meier`` included.
    headline : dict of str to Estimate
        Uno's C, Harrell's C, integrated Brier score; by candidate name.
    kaplan_meier : Estimate
        Integrated Brier score without any input; shape (1,).
    """

    def __init__(self, predictions: dict[str, HeldOut], plan: Plan) -> None:
        self.predictions = predictions
        self.headline = {c.name: estimate(headline, predictions[c.name], plan) for c in CANDIDATES}
        self.kaplan_meier = estimate(integrated_brier, predictions[KAPLAN_MEIER.name], plan)

    def table(self) -> list[Json]:
        """Return one row a candidate, the exportable one first."""
        rows: list[Json] = []
        for candidate in CANDIDATES:
            found = self.headline[candidate.name]
            row: Json = {"name": candidate.name, "title": candidate.title, "exportable": candidate.exportable}
            row |= {key: as_json(found, at) for at, key in enumerate(HEADLINE)}
            rows.append(row | {"chosen_settings": _count(self.predictions[candidate.name])})
        return rows

    def decision(self) -> Json:
        """Return what was chosen, by which rule, and each rival's difference with its standard error."""
        differences: list[Json] = []
        for rival in (c for c in CANDIDATES if c is not COX):
            ours, theirs = self.headline[COX.name], self.headline[rival.name]
            for at, metric, sign in ((2, HEADLINE[2], -1.0), (0, HEADLINE[0], 1.0)):
                gain = sign * float(theirs.value[at] - ours.value[at])
                error = float(np.std(theirs.draws[:, at] - ours.draws[:, at], ddof=1))
                differences.append(
                    {
                        "model": rival.name,
                        "metric": metric,
                        "improvement": _round(gain),
                        "standard_error": _round(error),
                        "better": gain > error,
                    }
                )
        better = sorted({str(d["model"]) for d in differences if d["better"] and d["metric"] == HEADLINE[2]})
        return {
            "chosen": COX.name,
            "rule": (
                "Cox, unless another model's integrated Brier score is better by more than the standard "
                "error of the difference (paired bootstrap over patients, held-out predictions)"
            ),
            "differences_from_cox": differences,
            "better_than_cox": better,
            "forced": bool(better),
        }


def curve_times(contract: Mapping[str, Any]) -> FloatArray:
    """Return the days at which a contract wants predictions: its curve's points after 0, and its horizons.

    Parameters
    ----------
    contract : mapping
        ``model.yaml`` as read.
    """
    step, until = float(contract["curve"]["step_days"]), float(contract["curve"]["until_days"])
    horizons = np.asarray(contract["horizons_days"], dtype=np.float64)
    return np.union1d(np.arange(step, until + step / 2, step), horizons)


def compare(table: SurvivalTable, times: FloatArray, plan: Plan, progress: Progress) -> Comparison:
    """Predict held-out patients with every candidate and with Kaplan-Meier, and measure them.

    Parameters
    ----------
    table : SurvivalTable
        All rows.
    times : ndarray of float64, shape (T,)
        Days at which to predict.
    plan : Plan
        The resampling.
    progress : callable
        Called with a line now and then.
    """
    everything = (*CANDIDATES, KAPLAN_MEIER)
    predictions = {c.name: held_out(c, table, times, plan, progress) for c in everything}
    progress(f"comparing over {plan.replicates} bootstrap resamples")
    return Comparison(predictions, plan)


def performance(comparison: Comparison, plan: Plan) -> Json:
    """Return the chosen model's held-out performance: each value with its 95% interval.

    Parameters
    ----------
    comparison : Comparison
        From :func:`compare`.
    plan : Plan
        The resampling.
    """
    ours = comparison.predictions[COX.name]
    found: Json = {key: as_json(comparison.headline[COX.name], at) for at, key in enumerate(HEADLINE)}
    found["integrated_brier_score_kaplan_meier"] = as_json(comparison.kaplan_meier, 0)
    found["auc_1y"] = as_json(estimate(auc_at(np.array([YEAR])), ours, plan), 0)
    calibration = estimate(calibration_summary(YEAR), ours, plan)
    found["calibration_1y"] = {key: as_json(calibration, at) for at, key in enumerate(SUMMARY)}
    return found


def as_json(found: Estimate, at: int) -> Json:
    """Return one entry of an estimate as ``value``, ``low`` and ``high``, to five decimals."""
    return {
        "value": _round(found.value[at]),
        "low": _round(found.low[at]),
        "high": _round(found.high[at]),
    }


def _round(value: float) -> float:
    return round(float(value), 5)


def _count(predictions: HeldOut) -> list[Json]:
    seen: dict[str, Json] = {}
    for settings in predictions.settings:
        key = repr(sorted(settings.items()))
        seen.setdefault(key, {**settings, "times_chosen": 0})["times_chosen"] += 1
    return [seen[key] for key in sorted(seen, key=lambda k: -int(seen[k]["times_chosen"]))]
