"""The whole benchmark: every table and fold, every package, put together as one mapping."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from functions.survival.benchmark import members
from functions.survival.benchmark.packages import rebuild
from functions.survival.benchmark.scores import METRICS, corrected_interval, pooled_calibration, score
from functions.survival.benchmark.software import software
from functions.survival.benchmark.sources import NOT_HERE, SEED, Source, Split, data_folder, sources
from functions.survival.benchmark.stack import HeldOutCurves, Trial, best, fit_trial, held_out_curves, instants, stack
from functions.survival.data import DataAbsent, SurvivalTable
from functions.survival.evaluate.parallel import ordered
from functions.survival.models import Fitted
from functions.survival.train import packages

__all__ = ["STACK", "TITLES", "Effort", "names", "run"]

Json = dict[str, Any]
Progress = Callable[[str], None]

STACK = "stack"
TITLES = {
    members.COX.name: members.COX.title,
    members.FOREST.name: members.FOREST.title,
    members.BOOSTING.name: members.BOOSTING.title,
    STACK: "Stacked average, recalibrated",
}


@dataclass(frozen=True)
class Effort:
    """How much is computed.

    Parameters
    ----------
    quick : bool
        A run of a minute or so that shows that everything works; its numbers are not to be quoted.
    """

    quick: bool = False

    @property
    def stacked(self) -> tuple[members.Member, ...]:
        """The members of the stack, each with its settings."""
        whole = (members.SPLINES, members.KERNEL, members.FOREST)
        return whole if not self.quick else tuple(_fewer(member) for member in whole)

    @property
    def boosting(self) -> members.Member:
        """Gradient boosting, with its settings."""
        return members.BOOSTING if not self.quick else _fewer(members.BOOSTING)

    def inner(self, rows: int) -> dict[str, int]:
        """Return folds and rounds of cross-validation within ``rows`` training rows."""
        return {"folds": 2, "rounds": 1} if self.quick else {"folds": 5, "rounds": 2 if rows < 1000 else 1}

    def splits(self, found: Sequence[Split]) -> Sequence[Split]:
        """Return the outer folds that are used."""
        return found[:2] if self.quick else found


def _fewer(member: members.Member) -> members.Member:
    small = {"trees": 20.0, "n_estimators": 20.0}
    settings = {key: min(value, small.get(key, value)) for key, value in member.grid[-1].items()}
    return replace(member, grid=(settings,))


def names() -> list[str]:
    """Return what can be asked for by name: tables and packages."""
    return sorted({*sources(), *packages()})


def run(
    only: Collection[str] = (), *, quick: bool = False, jobs: int = 1, progress: Progress = lambda _line: None
) -> Json:
    """Run the benchmark.

    Parameters
    ----------
    only : collection of str
        Names of tables and packages; empty for all.
    quick : bool
        See :class:`Effort`.
    jobs : int
        Processes.
    progress : callable
        Called with a line now and then.

    Returns
    -------
    dict
        ``software``, ``seed``, ``quick``; ``tables`` by name, ``packages`` by name; ``skipped`` with the reason, by
        name.
    """
    effort = Effort(quick)
    skipped = {name: reason for name, reason in NOT_HERE.items() if not only}
    found: dict[str, tuple[Source, SurvivalTable, list[Split]]] = {}
    for name, source in sources().items():
        if only and name not in only:
            continue
        try:
            found[name] = (source, *source.load())
        except (FileNotFoundError, DataAbsent) as absent:
            skipped[name] = _why(source, absent)
            progress(f"{name}: skipped, {skipped[name]}")
    if quick and not only:
        skipped["packages"] = "a quick run trains only those that --only names"
    trained = [name for name in packages() if name in only or not (only or quick)]
    # The longest first, so that no process waits for the last one.
    work: list[_Fold | _Package] = [_Package(name, quick, progress) for name in trained]
    work += [
        _Fold(name, fold, effort, progress)
        for name, (_source, _table, splits) in found.items()
        for fold in range(len(effort.splits(splits)))
    ]
    folds: dict[str, list[Json]] = {name: [] for name in found}
    rebuilt: Json = {}
    for item, done in zip(work, ordered(_do, work, jobs), strict=True):
        if isinstance(item, _Fold):
            folds[item.name].append(done)
        elif "absent" in done:
            skipped[f"package {item.name}"] = done["absent"]
        else:
            rebuilt[item.name] = done
    return {
        "quick": quick,
        "seed": SEED,
        "software": software(),
        "tables": {name: describe(*found[name], folds[name]) for name in found},
        "packages": rebuilt,
        "skipped": skipped,
    }


def _why(source: Source, absent: Exception) -> str:
    if source.published is None:
        return str(absent)
    return (
        f"no table in {data_folder()}; it is not shipped: set BEDSIDE_DATA to the folder that holds survival_benchmark"
    )


@lru_cache(maxsize=2)
def _loaded(name: str) -> tuple[SurvivalTable, list[Split]]:
    return sources()[name].load()


@dataclass(frozen=True)
class _Fold:
    """One outer fold of one table."""

    name: str
    number: int
    effort: Effort
    progress: Progress


@dataclass(frozen=True)
class _Package:
    """One package to be trained."""

    name: str
    quick: bool
    progress: Progress


def _do(item: _Fold | _Package) -> Json:
    if isinstance(item, _Fold):
        return _fold(item)
    try:
        return rebuild(item.name, quick=item.quick, progress=item.progress)
    except DataAbsent as absent:
        return {"absent": str(absent)}


def _fold(item: _Fold) -> Json:
    """Fit every learner to the training rows of one fold, and measure it on the test rows."""
    started = time.monotonic()
    table, splits = _loaded(item.name)
    train, test = (table.take(rows) for rows in splits[item.number])
    fitted, weights = learners(train, item.effort, SEED + 1000 * item.number)
    times = instants(train)
    scores = {key: score(model, train, test, times) for key, model in fitted.items()}
    shown = ", ".join(f"{key} {value['harrell_c']:.4f}" for key, value in scores.items())
    spent = time.monotonic() - started
    item.progress(f"{item.name}: fold {item.number + 1} of {len(splits)} in {spent:.0f} s, Harrell's C: {shown}")
    return {"scores": scores, "weights": weights}


def learners(train: SurvivalTable, effort: Effort, seed: int) -> tuple[dict[str, Fitted], dict[str, float]]:
    """Fit every learner; all that is chosen is chosen by cross-validation within these rows.

    Parameters
    ----------
    train : SurvivalTable
        Training rows.
    effort : Effort
    seed : int

    Returns
    -------
    fitted : dict of str to Fitted
        By name, as in :data:`TITLES`.
    weights : dict of str to float
        Of each kind of member in the stack, sum 1.
    """
    stacked = [Trial(member, settings) for member in effort.stacked for settings in member.grid]
    plain = [Trial(members.COX, settings) for settings in members.COX.grid]
    everything = plain + stacked
    held = held_out_curves(everything, train, **effort.inner(len(train)), seed=seed)
    positions = range(len(everything))
    forest = [at for at in positions if everything[at].member.name == members.FOREST.name]
    cox, grown = (everything[best(held, among)] for among in (positions[: len(plain)], forest))
    ours = HeldOutCurves(held.rows, held.times, held.curves[len(plain) :], held.own[len(plain) :])
    stack_fitted, weight = stack(stacked, ours, train, seed)
    fitted = {
        members.COX.name: fit_trial(cox, train, seed),
        members.FOREST.name: fit_trial(grown, train, seed),
        members.BOOSTING.name: fit_trial(Trial(effort.boosting, effort.boosting.grid[0]), train, seed),
        STACK: stack_fitted,
    }
    shares = {member.name: 0.0 for member in effort.stacked}
    for trial, share in zip(stacked, weight, strict=True):
        shares[trial.member.name] += float(share)
    return fitted, shares


def describe(source: Source, table: SurvivalTable, splits: list[Split], folds: list[Json]) -> Json:
    share = len(splits[0][1]) / len(splits[0][0])
    described: Json = {
        "title": source.title,
        "rows": len(table),
        "events": int(table.event.sum()),
        "inputs": list(table.names),
        "splits": source.splits_by,
        "folds": len(folds),
        "note": source.note,
        "learners": {key: _learner(key, folds, share) for key in TITLES},
        "stack_weights": {
            key: round(float(np.mean([fold["weights"][key] for fold in folds])), 3) for key in folds[0]["weights"]
        },
    }
    if source.published is not None:
        ours = described["learners"][STACK]
        described["published"] = {"best_of_21": source.published.best, "cox": source.published.cox}
        whole = len(folds) == len(splits)
        described["at_or_above_best"] = whole and round(ours["harrell_c"]["value"], 4) >= source.published.best
        described["d_calibrated"] = ours["d_calibration"]["p_value"] > 0.05
    return described


def _learner(key: str, folds: Sequence[Json], share: float) -> Json:
    own = [fold["scores"][key] for fold in folds]
    cox = [fold["scores"][members.COX.name] for fold in folds]
    found: Json = {"title": TITLES[key]}
    found |= {metric: _rounded(corrected_interval([float(f[metric]) for f in own], share)) for metric in METRICS}
    # Five folds cover each patient once: more would count patients again.
    found["d_calibration"] = pooled_calibration(own[:5])
    if key != members.COX.name:
        gains = [float(a["harrell_c"]) - float(b["harrell_c"]) for a, b in zip(own, cox, strict=True)]
        found["harrell_c_above_cox"] = _rounded(corrected_interval(gains, share))
    found["harrell_c_by_fold"] = [round(float(fold["harrell_c"]), 4) for fold in own]
    return found


def _rounded(interval: Mapping[str, float]) -> Json:
    return {key: round(value, 5) for key, value in interval.items()}
