"""How much a model leans on each input: what held-out ranking loses when that input is shuffled."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from functions.survival.data import FloatArray, SurvivalTable
from functions.survival.evaluate.candidates import Candidate, Settings
from functions.survival.evaluate.comparison import as_json, estimates
from functions.survival.evaluate.heldout import Fold, HeldOut, Plan, first_repeat
from functions.survival.evaluate.intervals import combine
from functions.survival.evaluate.metrics import uno_c
from functions.survival.evaluate.parallel import ordered

__all__ = ["permutation_importance"]

Json = dict[str, Any]

PERMUTATIONS = 5


def permutation_importance(
    candidate: Candidate, predictions: HeldOut, table: SurvivalTable, plan: Plan, jobs: int = 1
) -> list[Json]:
    """Return the loss of Uno's C by each input, the largest first.

    The models of the first repeat's folds are fitted again as they were, and asked about the held-out patients with
    one input shuffled among them (Breiman, Mach Learn 45:5-32, 2001; conditional on nothing, so that inputs that go
    together share what they tell).

    Parameters
    ----------
    candidate : Candidate
        The model.
    predictions : HeldOut
        Its held-out predictions: the times and the settings of each fold.
    table : SurvivalTable
        All rows.
    plan : Plan
    jobs : int
        Processes.
    """
    folds = first_repeat(table, plan)
    work = partial(_fold, candidate, table, predictions.times, plan.seed)
    risks = np.empty((1 + len(table.names), PERMUTATIONS, len(table)))
    tasks = list(zip(folds, predictions.settings[: len(folds)], strict=True))
    for (_train, test), found in zip(folds, ordered(work, tasks, jobs), strict=True):
        risks[:, :, test] = found
    base, *shuffled = estimates([(uno_c, _held(predictions, part)) for part in risks], plan, jobs)
    losses = [combine(lambda ours, theirs: ours - theirs, base, other) for other in shuffled]
    rows = [{"name": name, "loss_of_uno_c": as_json(loss, 0)} for name, loss in zip(table.names, losses, strict=True)]
    return sorted(rows, key=lambda row: -float(row["loss_of_uno_c"]["value"] or 0.0))


def _fold(
    candidate: Candidate, table: SurvivalTable, times: FloatArray, seed: int, task: tuple[Fold, Settings]
) -> FloatArray:
    """Mean survival over the curve: unshuffled, then with each input shuffled; shape (1 + p, permutations, m)."""
    (train, test), settings = task
    fitted = candidate.fit(table.take(train), settings)
    x = table.x[test]
    found = np.empty((1 + x.shape[1], PERMUTATIONS, len(test)))
    found[0] = fitted.survival(x, times).mean(axis=1)
    for at in range(x.shape[1]):
        for number in range(PERMUTATIONS):
            changed = x.copy()
            changed[:, at] = np.random.default_rng([seed, at, number]).permutation(x[:, at])
            found[1 + at, number] = fitted.survival(changed, times).mean(axis=1)
    return found


def _held(predictions: HeldOut, survival: FloatArray) -> HeldOut:
    """Held-out predictions of one number a patient, which is all that ranking needs."""
    return HeldOut(
        predictions.rows,
        predictions.event,
        predictions.competing,
        predictions.time,
        predictions.times[-1:],
        survival[:, :, None],
        survival,
        predictions.settings,
    )
