"""Nested cross-validation of the models of laboratory values, and which of them ships."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from functions.diagnosis.data.dataset import Float64, Int64, LabTable
from functions.diagnosis.evaluate.intervals import Json, rounded
from functions.diagnosis.evaluate.metrics import EDGE
from functions.diagnosis.models.labs import GRID, LabModel, fit_logistic, fit_network, softmax

__all__ = [
    "CANDIDATES",
    "HeldOut",
    "Resampling",
    "choose",
    "decide",
    "fit",
    "held_out",
    "log_losses",
    "miscalibration",
    "one_against_rest",
]

CANDIDATES: Mapping[str, str] = {
    "logistic": "Multinomial logistic regression with ridge penalty",
    "network": "Neural network, one hidden layer of 8, three starts averaged",
}
RULE = (
    "the model that loses less held-out log loss to miscalibration (log loss less what remains after the best "
    "recalibration by one slope and an intercept for each class), unless its log loss is worse than the other's by "
    "more than the standard error of the difference (paired bootstrap over people)"
)
STEPS, SETTLED = 100, 1e-10


@dataclass(frozen=True)
class Resampling:
    """How people are held out.

    Parameters
    ----------
    repeats, folds, inner_folds : int
        Repeats of the outer cross-validation, its folds, and those within which settings are chosen.
    replicates : int
        Bootstrap resamples behind the standard error of a difference.
    seed : int
    """

    repeats: int = 5
    folds: int = 10
    inner_folds: int = 5
    replicates: int = 500
    seed: int = 19830401


@dataclass(frozen=True)
class HeldOut:
    """Predictions of people who were not in the training of the model that makes them.

    Parameters
    ----------
    name : str
        A key of :data:`CANDIDATES`.
    probabilities : ndarray, shape (repeats, n, classes)
    penalties : tuple of float
        Chosen in each fold.
    """

    name: str
    probabilities: Float64
    penalties: tuple[float, ...]


def fit(name: str, table: LabTable, rows: Int64, penalty: float) -> LabModel:
    """Fit a candidate to some rows of a table."""
    values, labels = table.values[rows], table.labels[rows]
    function = fit_logistic if name == "logistic" else fit_network
    return function(table.names, values, labels, table.classes, penalty)


def choose(name: str, table: LabTable, rows: Int64, folds: int, seed: int) -> float:
    """Choose a candidate's penalty by the lowest log loss of a stratified cross-validation within some rows."""
    losses = {}
    for penalty in GRID[name]:
        total = 0.0
        for train, test in _folds(table.labels[rows], folds, seed):
            model = fit(name, table, rows[train], penalty)
            probabilities = model.probabilities(table.values[rows[test]])
            total += float(log_losses(table.labels[rows[test]], probabilities).sum())
        losses[penalty] = total
    return min(losses, key=lambda penalty: (losses[penalty], -penalty))


def held_out(
    name: str, table: LabTable, plan: Resampling, progress: Callable[[str], None] = lambda _line: None
) -> HeldOut:
    """Predict everybody from models fitted without them, settings chosen without them, too.

    Parameters
    ----------
    name : str
        A key of :data:`CANDIDATES`.
    table : LabTable
    plan : Resampling
    progress : callable
        Called with a line now and then.
    """
    found = np.empty((plan.repeats, len(table), len(table.classes)))
    penalties = []
    for repeat in range(plan.repeats):
        progress(f"{CANDIDATES[name]}: repeat {repeat + 1} of {plan.repeats}")
        for train, test in _folds(table.labels, plan.folds, plan.seed + repeat):
            penalty = choose(name, table, train, plan.inner_folds, plan.seed + repeat)
            found[repeat, test] = fit(name, table, train, penalty).probabilities(table.values[test])
            penalties.append(penalty)
    return HeldOut(name, found, tuple(penalties))


def _folds(labels: Int64, count: int, seed: int) -> list[tuple[Int64, Int64]]:
    """Return (train, test) rows of each fold; every class is spread evenly over the folds."""
    random = np.random.default_rng(seed)
    fold = np.empty(len(labels), dtype=np.int64)
    start = 0
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        # each class goes on where the last one ended, so that folds differ by one person at most
        fold[members] = (start + np.arange(len(members))) % count
        start += len(members)
    return [(np.flatnonzero(fold != at), np.flatnonzero(fold == at)) for at in range(count)]


def log_losses(labels: Int64, probabilities: Float64) -> Float64:
    """Return each person's -ln of the probability given to what was the case; shape (n,)."""
    return np.asarray(-np.log(np.clip(probabilities[np.arange(len(labels)), labels], EDGE, 1.0)))


def miscalibration(labels: Int64, probabilities: Float64) -> tuple[float, float]:
    """Return the log loss that the best recalibration saves, and its slope.

    Parameters
    ----------
    labels : ndarray of int64, shape (n,)
    probabilities : ndarray, shape (n, classes)

    Returns
    -------
    tuple of float
        Saved log loss (0 is perfect), and the slope on the log odds (1 is ideal, below 1 is too extreme).
    """
    scores = np.log(np.clip(probabilities, EDGE, 1.0))
    classes = scores.shape[1]
    # slope, and intercepts of all classes but the first
    design = np.zeros((len(labels), classes, classes))
    design[:, :, 0] = scores
    for at in range(1, classes):
        design[:, at, at] = 1.0
    found = np.zeros(classes)
    found[0] = 1.0
    for _ in range(STEPS):
        given = softmax(design @ found)
        mean = np.einsum("nc,nck->nk", given, design)
        picked = design[np.arange(len(labels)), labels]
        centred = design - mean[:, None]
        curvature = np.einsum("nc,nck,ncl->kl", given, centred, centred) + 1e-9 * np.eye(classes)
        step = np.linalg.solve(curvature, (picked - mean).sum(axis=0))
        # a full step may leap over the maximum where classes are nearly separate
        found = found + step * min(1.0, 1.0 / max(1e-12, float(np.abs(step).max())))
        if np.abs(step).max() < SETTLED:
            break
    after = log_losses(labels, softmax(design @ found))
    return float(log_losses(labels, probabilities).mean() - after.mean()), float(found[0])


def decide(labels: Int64, found: Mapping[str, HeldOut], plan: Resampling) -> Json:
    """Return which candidate ships, and by what numbers.

    Parameters
    ----------
    labels : ndarray of int64, shape (n,)
    found : mapping
        Held-out predictions of the logistic baseline and the network.
    plan : Resampling
    """
    losses = {
        name: np.mean([log_losses(labels, each) for each in held.probabilities], axis=0) for name, held in found.items()
    }
    rows = {name: _measured(labels, held, float(losses[name].mean())) for name, held in found.items()}
    better = min(found, key=lambda name: float(rows[name]["miscalibration"]))
    other = next(name for name in found if name != better)
    worse = losses[better] - losses[other]
    random = np.random.default_rng(plan.seed)
    error = float(np.std([worse[random.integers(0, len(worse), len(worse))].mean() for _ in range(plan.replicates)]))
    return {
        "rule": RULE,
        "chosen": other if float(worse.mean()) > error else better,
        "better_calibrated": better,
        "log_loss_difference": rounded(float(worse.mean())),
        "standard_error": rounded(error),
        "candidates": list(rows.values()),
    }


def _measured(labels: Int64, held: HeldOut, loss: float) -> Json:
    saved = [miscalibration(labels, each) for each in held.probabilities]
    return {
        "name": held.name,
        "title": CANDIDATES[held.name],
        "log_loss": rounded(loss),
        "brier": rounded(float(np.mean([_brier(labels, each) for each in held.probabilities]))),
        "accuracy": rounded(float(np.mean(held.probabilities.argmax(axis=2) == labels))),
        "miscalibration": rounded(float(np.mean([less for less, _ in saved]))),
        "slope": rounded(float(np.mean([slope for _, slope in saved]))),
    }


def _brier(labels: Int64, probabilities: Float64) -> float:
    """Return the sum over the classes of the squared error, mean over people (Brier, 1950): 0 to 2."""
    truth = np.eye(probabilities.shape[1])[labels]
    return float(((probabilities - truth) ** 2).sum(axis=1).mean())


def one_against_rest(labels: Int64, at: int) -> Int64:
    """Return 1 for people of one class and 0 for all others."""
    return np.asarray(labels == at, dtype=np.int64)
