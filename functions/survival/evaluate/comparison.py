"""The candidates side by side, and which one is chosen: in numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from functions.survival.data import FloatArray, SurvivalTable
from functions.survival.evaluate.calibration import SUMMARY, calibration_summary
from functions.survival.evaluate.candidates import Candidate, Family, family_of
from functions.survival.evaluate.dcalibration import DCalibration, d_calibration, expected_bins
from functions.survival.evaluate.heldout import HeldOut, Plan, held_out
from functions.survival.evaluate.intervals import Estimate, Metric, combine, estimate
from functions.survival.evaluate.metrics import HEADLINE, auc_at, brier_at, headline, integrated_brier
from functions.survival.evaluate.parallel import ordered

__all__ = [
    "Comparison",
    "as_json",
    "compare",
    "curve_times",
    "d_calibration_json",
    "estimates",
    "horizons_of",
    "performance",
    "rounded",
]

Progress = Callable[[str], None]
Json = dict[str, Any]

UNO, HARRELL, BRIER = range(3)


class Comparison:
    """Every candidate's held-out predictions and headline metrics.

    Attributes
    ----------
    family : Family
        The candidates.
    predictions, test : dict of str to HeldOut
        By candidate name, the reference included: out of fold, and for the test set (empty without one).
    headline : dict of str to Estimate
        Uno's C, Harrell's C, integrated Brier score; by candidate name.
    reference : Estimate
        Integrated Brier score without any input; shape (1,).
    """

    def __init__(
        self,
        family: Family,
        predictions: dict[str, HeldOut],
        test: dict[str, HeldOut],
        plan: Plan,
        jobs: int = 1,
    ) -> None:
        self.family, self.predictions, self.test = family, predictions, test
        names = [candidate.name for candidate in family.candidates]
        wanted = [(headline, predictions[name]) for name in names]
        *found, self.reference = estimates(
            [*wanted, (integrated_brier, predictions[family.reference.name])], plan, jobs
        )
        self.headline = dict(zip(names, found, strict=True))

    @property
    def chosen(self) -> Candidate:
        """The model that the rule of :meth:`decision` chooses."""
        return self.family.named(str(self.decision()["chosen"]))

    def accuracy(self, name: str) -> Estimate:
        """Return the index of prediction accuracy, one minus the integrated Brier score over the reference's.

        Kattan and Gerds, Diagn Progn Res 2:7, 2018; shape (1,).

        Parameters
        ----------
        name : str
            A candidate's.
        """
        found = self.headline[name]
        part = Estimate(*(values[..., BRIER:] for values in (found.value, found.low, found.high, found.draws)))
        return combine(lambda ours, theirs: 1.0 - ours / theirs, part, self.reference)

    def d_calibration(self, name: str) -> DCalibration:
        """Return a candidate's D-calibration: its bins are the mean over the repeats of cross-validation."""
        ours = self.predictions[name]
        return d_calibration(np.mean([expected_bins(own, ours.event) for own in ours.own], axis=0))

    def table(self) -> list[Json]:
        """Return one row a candidate, the baseline first."""
        rows: list[Json] = []
        for candidate in self.family.candidates:
            name, found = candidate.name, self.headline[candidate.name]
            row: Json = {"name": name, "title": candidate.title, "exportable": candidate.exportable}
            row |= {key: as_json(found, at) for at, key in enumerate(HEADLINE)}
            row["index_of_prediction_accuracy"] = as_json(self.accuracy(name), 0)
            row["d_calibration_p_value"] = rounded(self.d_calibration(name).p_value)
            rows.append(row | {"chosen_settings": _count(self.predictions[name])})
        return rows

    def decision(self) -> Json:
        """Return what was chosen, by which rule, and each rival's difference with its standard error."""
        baseline, *rivals = self.family.candidates
        differences = [row for rival in rivals for row in self._differences(rival)]
        gains = {
            str(d["model"]): float(d["improvement"])
            for d in differences
            if d["better"] and d["metric"] == HEADLINE[BRIER]
        }
        served = [rival.name for rival in rivals if rival.name in gains and rival.exportable]
        return {
            "chosen": max(served, key=lambda name: gains[name]) if served else baseline.name,
            "rule": (
                "Cox, unless another model's integrated Brier score is better by more than the standard "
                "error of the difference (paired bootstrap over patients, held-out predictions); then the best of those"
            ),
            "baseline": baseline.name,
            "differences_from_cox": differences,
            "better_than_cox": sorted(gains),
            # A better model that no file can hold.
            "forced": bool(gains) and not served,
        }

    def _differences(self, rival: Candidate) -> list[Json]:
        ours, theirs = self.headline[self.family.baseline.name], self.headline[rival.name]
        rows: list[Json] = []
        for at, sign in ((BRIER, -1.0), (UNO, 1.0)):
            gain = sign * float(theirs.value[at] - ours.value[at])
            error = float(np.nanstd(theirs.draws[:, at] - ours.draws[:, at], ddof=1))
            rows.append(
                {
                    "model": rival.name,
                    "metric": HEADLINE[at],
                    "improvement": rounded(gain),
                    "standard_error": rounded(error),
                    "better": gain > error,
                }
            )
        return rows


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


def horizons_of(contract: Mapping[str, Any]) -> tuple[float, ...]:
    """Return the days for which a contract wants risks, rising."""
    return tuple(sorted(float(days) for days in contract["horizons_days"]))


def compare(table: SurvivalTable, times: FloatArray, plan: Plan, progress: Progress, jobs: int = 1) -> Comparison:
    """Predict held-out patients with every candidate and without any input, and measure them.

    Parameters
    ----------
    table : SurvivalTable
        All rows; with competing events the candidates are those for competing risks.
    times : ndarray of float64, shape (T,)
        Days at which to predict.
    plan : Plan
        The resampling.
    progress : callable
        Called with a line now and then.
    jobs : int
        Processes. They change no number.
    """
    family = family_of(table)
    predictions, test = held_out((*family.candidates, family.reference), table, times, plan, progress, jobs)
    progress(f"comparing over {plan.replicates} bootstrap resamples")
    return Comparison(family, predictions, test, plan, jobs)


def performance(
    comparison: Comparison,
    plan: Plan,
    contract: Mapping[str, Any],
    name: str | None = None,
    jobs: int = 1,
) -> Json:
    """Return a model's held-out performance: each value with its 95% interval.

    Parameters
    ----------
    comparison : Comparison
        From :func:`compare`.
    plan : Plan
        The resampling.
    contract : mapping
        ``model.yaml`` as read: its horizons.
    name : str, optional
        A candidate's; the chosen one's when absent.
    jobs : int
        Processes. They change no number.

    Returns
    -------
    dict
        ``uno_c``, ``harrell_c``, ``integrated_brier_score``, ``integrated_brier_score_reference``,
        ``index_of_prediction_accuracy``, ``d_calibration`` and a list of ``horizons``.
    """
    name = name or comparison.chosen.name
    found: Json = {key: as_json(comparison.headline[name], at) for at, key in enumerate(HEADLINE)}
    found["integrated_brier_score_reference"] = as_json(comparison.reference, 0)
    found["index_of_prediction_accuracy"] = as_json(comparison.accuracy(name), 0)
    fit = d_calibration_json(comparison.d_calibration(name))
    found["d_calibration"] = {key: fit[key] for key in ("statistic", "p_value")}
    days = horizons_of(contract)
    found["horizons"] = _at_horizons(comparison.predictions[name], days, plan, jobs)
    return found


def _at_horizons(ours: HeldOut, days: Sequence[float], plan: Plan, jobs: int) -> list[Json]:
    times = np.array(days)
    wanted: list[tuple[Metric, HeldOut]] = [(auc_at(times), ours), (brier_at(times), ours)]
    wanted += [(calibration_summary(horizon), ours) for horizon in days]
    auc, brier, *calibrated = estimates(wanted, plan, jobs)
    return [
        {
            "days": horizon,
            "auc": as_json(auc, at),
            "brier": as_json(brier, at),
            "calibration": {key: as_json(calibrated[at], number) for number, key in enumerate(SUMMARY)},
        }
        for at, horizon in enumerate(days)
    ]


def estimates(wanted: Sequence[tuple[Metric, HeldOut]], plan: Plan, jobs: int = 1) -> list[Estimate]:
    """Return an estimate of each metric on its predictions, made in ``jobs`` processes.

    Parameters
    ----------
    wanted : sequence of (metric, HeldOut)
    plan : Plan
        Its ``replicates`` and ``seed``.
    jobs : int
        Processes. They change no number.
    """
    return list(ordered(partial(_estimate, plan), wanted, jobs))


def _estimate(plan: Plan, wanted: tuple[Metric, HeldOut]) -> Estimate:
    return estimate(*wanted, plan)


def d_calibration_json(found: DCalibration) -> Json:
    """Return a D-calibration for JSON: the bins as shares of the patients, lowest survival first."""
    return {
        "statistic": rounded(found.statistic),
        "p_value": rounded(found.p_value),
        "bins": [rounded(share) for share in found.bins / found.bins.sum()],
    }


def as_json(found: Estimate, at: int) -> Json:
    """Return one entry of an estimate as ``value``, ``low`` and ``high``, to five decimals; None where unknown."""
    return {
        "value": rounded(found.value[at]),
        "low": rounded(found.low[at]),
        "high": rounded(found.high[at]),
    }


def rounded(value: float) -> float | None:
    """Return a number to five decimals; None for NaN, which JSON has not."""
    return None if math.isnan(value) else round(float(value), 5)


def _count(predictions: HeldOut) -> list[Json]:
    seen: dict[str, Json] = {}
    for settings in predictions.settings:
        key = repr(sorted(settings.items()))
        seen.setdefault(key, {**settings, "times_chosen": 0})["times_chosen"] += 1
    return [seen[key] for key in sorted(seen, key=lambda k: -int(seen[k]["times_chosen"]))]
