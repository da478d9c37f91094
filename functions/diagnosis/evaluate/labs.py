"""Evaluation of a model of laboratory values, by nested cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from functions.diagnosis.data.dataset import Float64, Int64, LabTable
from functions.diagnosis.evaluate.binary import Plan, curves, groups, headline
from functions.diagnosis.evaluate.intervals import Json, bootstrap, rounded, told
from functions.diagnosis.evaluate.metrics import auprc, auroc
from functions.diagnosis.evaluate.nested import (
    CANDIDATES,
    HeldOut,
    Resampling,
    decide,
    held_out,
    log_losses,
    one_against_rest,
)

__all__ = ["class_measures", "compare", "evaluate_labs"]


def compare(
    table: LabTable, plan: Resampling, progress: Callable[[str], None] = lambda _line: None
) -> dict[str, HeldOut]:
    """Return the held-out predictions of every candidate, by name."""
    return {name: held_out(name, table, plan, progress) for name in CANDIDATES}


def evaluate_labs(
    table: LabTable,
    content: bytes,
    contract: Mapping[str, Any],
    resampling: Resampling,
    plan: Plan,
    progress: Callable[[str], None] = lambda _line: None,
) -> Json:
    """Measure a model of laboratory values: the procedure held out, and the served file on everybody.

    Parameters
    ----------
    table : LabTable
        All people.
    content : bytes
        The model file.
    contract : mapping
        ``model.yaml`` as read: each finding's threshold.
    resampling : Resampling
    plan : Plan
        Of the intervals.
    progress : callable
        Called with a line now and then.
    """
    found = compare(table, resampling, progress)
    decision = decide(table.labels, found, resampling)
    metadata, served = _served(content, table)
    ours = found[metadata["kind"]].probabilities
    thresholds = {str(item["name"]): float(item["threshold"]) for item in contract["findings"]}
    progress("measures and intervals")
    apparent = log_losses(table.labels, served)
    return {
        "data": {
            "people": len(table),
            "classes": {name: int((table.labels == at).sum()) for at, name in enumerate(table.classes)},
            "inputs": {name: _described(table.values[:, at]) for at, name in enumerate(table.names)},
        },
        **class_measures(table.labels, ours, plan),
        "classes": [_one(table, at, ours, thresholds.get(name, 0.5), plan) for at, name in enumerate(table.classes)],
        "confusion": _confusion(table.labels, ours, len(table.classes)),
        "decision": decision,
        "served": {
            "kind": metadata["kind"],
            "log_loss": rounded(apparent.mean()),
            "accuracy": rounded((served.argmax(axis=1) == table.labels).mean()),
        },
        "subgroups": [],
        "robustness": [],
    }


def _served(content: bytes, table: LabTable) -> tuple[Mapping[str, str], Float64]:
    from onnxruntime import InferenceSession

    session = InferenceSession(content, providers=["CPUExecutionProvider"])
    return (
        dict(session.get_modelmeta().custom_metadata_map),
        session.run(["probabilities"], {"inputs": table.values})[0],
    )


def class_measures(labels: Int64, predictions: Float64, plan: Plan) -> Json:
    """Return what is measured over all classes: mean AUROC and AUPRC one against the rest, accuracy, errors.

    Parameters
    ----------
    labels : ndarray of int64, shape (n,)
    predictions : ndarray, shape (repeats, n, classes)
    plan : Plan
    """
    classes = predictions.shape[2]

    def measure(truth: Int64, given: Float64) -> Float64:
        one = [one_against_rest(truth, at) for at in range(classes)]
        return np.array(
            [
                np.mean([auroc(one[at], given[:, at]) for at in range(classes)]),
                np.mean([auprc(one[at], given[:, at]) for at in range(classes)]),
                (given.argmax(axis=1) == truth).mean(),
                log_losses(truth, given).mean(),
                ((given - np.eye(classes)[truth]) ** 2).sum(axis=1).mean(),
            ]
        )

    rows = bootstrap(measure, labels, list(predictions), plan.replicates, plan.seed)
    names = ("auroc", "auprc", "accuracy", "log_loss", "brier")
    return {name: told(*row) for name, *row in zip(names, *rows, strict=True)}


def _one(table: LabTable, at: int, predictions: Float64, threshold: float, plan: Plan) -> Json:
    labels, ours = one_against_rest(table.labels, at), [each[:, at] for each in predictions]
    return {
        "name": table.classes[at],
        "threshold": threshold,
        **headline(labels, ours, threshold, plan),
        **curves(labels, ours, plan),
        "calibration_groups": groups(labels, ours, 5),
    }


def _confusion(labels: Int64, predictions: Float64, classes: int) -> list[list[float]]:
    """Return how many of each class (rows) are given to each class (columns), mean over the repeats."""
    table = np.zeros((classes, classes))
    for each in predictions:
        np.add.at(table, (labels, each.argmax(axis=1)), 1.0 / len(predictions))
    return [[round(float(cell), 2) for cell in row] for row in table]


def _described(column: Float64) -> Json:
    low, middle, high = (round(float(value), 2) for value in np.quantile(column, [0.25, 0.5, 0.75]))
    return {"median": middle, "quartiles": [low, high], "range": [float(column.min()), float(column.max())]}
