"""Predictions for patients that the model did not see: nested, stratified cross-validation, and a test set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from functions.survival.data import BoolArray, FloatArray, SurvivalTable
from functions.survival.evaluate.candidates import Candidate, Settings
from functions.survival.evaluate.causes import cause_specific_survival
from functions.survival.evaluate.choosing import Fold, Plan, Rows, choose_all, choose_settings, folds_of, status_of
from functions.survival.evaluate.parallel import ordered

__all__ = ["Fold", "HeldOut", "Plan", "choose_settings", "first_repeat", "held_out", "split_for_test"]


@dataclass(frozen=True)
class HeldOut:
    """Out-of-fold survival curves: for each repeat, a curve for each patient from a model that saw only others.

    Parameters
    ----------
    rows : ndarray of int, shape (n,)
        Row numbers in the data.
    event, competing : ndarray of bool, shape (n,)
    time : ndarray of float64, shape (n,)
        Days.
    times : ndarray of float64, shape (T,)
        Days at which the curves are given.
    survival : ndarray of float64, shape (repeats, n, T)
        One minus the probability of the outcome.
    own : ndarray of float64, shape (repeats, n)
        Survival at each patient's own time, by the outcome's own hazard alone where events compete.
    settings : tuple of mapping, length repeats * folds
        What was chosen within each training set.
    """

    rows: Rows
    event: BoolArray
    competing: BoolArray
    time: FloatArray
    times: FloatArray
    survival: FloatArray
    own: FloatArray
    settings: tuple[Settings, ...]

    @property
    def competes(self) -> bool:
        """Whether the data have competing events."""
        return bool(self.competing.any())


@dataclass(frozen=True)
class _Part:
    """One model's predictions for one fold: ``survival`` (m, T), ``own`` (m,)."""

    settings: Settings
    survival: FloatArray
    own: FloatArray


def held_out(
    candidates: Sequence[Candidate],
    table: SurvivalTable,
    times: FloatArray,
    plan: Plan,
    progress: Callable[[str], None] = lambda _line: None,
    jobs: int = 1,
) -> tuple[dict[str, HeldOut], dict[str, HeldOut]]:
    """Predict every patient ``plan.repeats`` times by models fitted without that patient; and the test set once.

    Imputation, scaling and the choice of settings happen inside each training set (nested cross-validation:
    Varma and Simon, BMC Bioinformatics 7:91, 2006).

    Parameters
    ----------
    candidates : sequence of Candidate
        The models; a stack after its members.
    table : SurvivalTable
        All rows.
    times : ndarray of float64, shape (T,)
        Days at which to predict.
    plan : Plan
        The resampling.
    progress : callable
        Called with a line after each fold.
    jobs : int
        Processes. They change no number.

    Returns
    -------
    cross_validated, test : dict of str to HeldOut
        By candidate; ``test`` is empty where the plan has no test set.

    Raises
    ------
    ValueError
        There are fewer events than folds.
    """
    rarest = min(int(kind.sum()) for kind in (table.event, table.competing) if kind.any() or kind is table.event)
    if rarest < plan.folds:
        raise ValueError(f"{rarest} events for {plan.folds} folds: there are too few to hold some out")
    outer = [fold for repeat in range(plan.repeats) for fold in folds_of(table, plan.folds, plan.seed + repeat)]
    last = [split_for_test(table, plan)] if plan.test_share > 0 else []
    everything = [*outer, *last]
    work = partial(_predict_fold, tuple(candidates), table, times, plan)
    parts: list[Mapping[str, _Part]] = []
    for done in ordered(work, everything, jobs):
        parts.append(done)
        progress(f"{len(parts)} of {len(everything)} training sets: {len(candidates)} models fitted and held out")
    names = [candidate.name for candidate in candidates]
    crossed = {name: _assemble(table, times, plan, outer, [part[name] for part in parts]) for name in names}
    tested = {name: _tested(table, times, last[0], parts[-1][name]) for name in names} if last else {}
    return crossed, tested


def split_for_test(table: SurvivalTable, plan: Plan) -> Fold:
    """Return the row numbers to fit to and those of the test set, stratified by what happened.

    Parameters
    ----------
    table : SurvivalTable
        All rows.
    plan : Plan
        Its ``test_share`` and ``seed``.
    """
    from sklearn.model_selection import train_test_split

    rows = np.arange(len(table))
    train, test = train_test_split(
        rows, test_size=plan.test_share, random_state=plan.seed, shuffle=True, stratify=status_of(table)
    )
    return np.sort(train), np.sort(test)


def first_repeat(table: SurvivalTable, plan: Plan) -> list[Fold]:
    """Return the folds of the first repeat of the outer cross-validation."""
    return list(folds_of(table, plan.folds, plan.seed))


def _predict_fold(
    candidates: Sequence[Candidate], table: SurvivalTable, times: FloatArray, plan: Plan, fold: Fold
) -> dict[str, _Part]:
    train, test = fold
    rows, x = table.take(train), table.x[test]
    chosen = choose_all(candidates, rows, times, plan)
    parts: dict[str, _Part] = {}
    for candidate in candidates:
        settings = chosen[candidate.name]
        if candidate.members:
            parts[candidate.name] = _average(candidate, settings, parts)
            continue
        fitted = candidate.fit(rows, settings)
        own_times, at = np.unique(table.time[test], return_inverse=True)
        own = cause_specific_survival(fitted, x, own_times)[np.arange(len(test)), at]
        parts[candidate.name] = _Part(settings, fitted.survival(x, times), own)
    return parts


def _average(stack: Candidate, settings: Settings, parts: Mapping[str, _Part]) -> _Part:
    """The stack's predictions, from its members' that were just made: fitting them again would change nothing."""
    weighed = [(settings[f"{member.name}.weight"], parts[member.name]) for member in stack.members]
    survival = np.sum([weight * part.survival for weight, part in weighed], axis=0)
    return _Part(settings, survival, np.sum([weight * part.own for weight, part in weighed], axis=0))


def _assemble(
    table: SurvivalTable, times: FloatArray, plan: Plan, folds: Sequence[Fold], parts: Sequence[_Part]
) -> HeldOut:
    survival = np.empty((plan.repeats, len(table), len(times)))
    own = np.empty((plan.repeats, len(table)))
    for number, (_train, test) in enumerate(folds):
        repeat = number // plan.folds
        survival[repeat, test], own[repeat, test] = parts[number].survival, parts[number].own
    settings = tuple(part.settings for part in parts[: len(folds)])
    rows = np.arange(len(table))
    return HeldOut(rows, table.event, table.competing, table.time, times, survival, own, settings)


def _tested(table: SurvivalTable, times: FloatArray, fold: Fold, part: _Part) -> HeldOut:
    rows = fold[1]
    only = table.take(rows)
    return HeldOut(
        rows, only.event, only.competing, only.time, times, part.survival[None], part.own[None], (part.settings,)
    )
