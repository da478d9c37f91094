"""Two ways to the same answer, timed in turns, so that a busy machine slows both alike."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

import numpy as np

from functions.serving.session import OnnxModel
from functions.survival.data import FloatArray
from functions.survival.export import Exported
from functions.survival.models import Wrapped

__all__ = ["against_scikit_survival", "outcome", "pickled_bytes"]

# Predictions of one before the other's turn.
TURN = 20


def against_scikit_survival(fitted: Wrapped, exported: Exported, rows: FloatArray, rounds: int) -> dict[str, Any]:
    """Time one patient's curve from the exported file and from the pipeline it was made of.

    Both impute, scale and predict on one thread. The library gives its array of S(t) at all of training's times,
    its fastest form; the file gives S(t) on its declared grid.

    Parameters
    ----------
    fitted : Wrapped
        A pipeline of scikit-learn and scikit-survival.
    exported : Exported
        Its file.
    rows : ndarray of float64, shape (n, p)
        Patients, in turn.
    rounds : int
        Predictions of each, in turns of twenty.

    Returns
    -------
    dict
        ``bedside_p50_us``, ``sksurv_p50_us`` (medians in microseconds), ``ratio`` (theirs over ours), ``max_error``
        of S(t) over the rows of the export, and ``rounds``.
    """
    model = OnnxModel("bench", exported.content, rows.shape[1], ["survival"])

    def ours(row: FloatArray) -> Any:
        return model.run(row)

    def theirs(row: FloatArray) -> Any:
        return fitted.estimator.predict_survival_function(row, return_array=True)

    timings: tuple[list[int], list[int]] = ([], [])
    for start in range(-TURN, rounds, TURN):
        turn = [rows[number % len(rows)][None, :] for number in range(start, start + TURN)]
        for series, predict in zip(timings, (ours, theirs), strict=True):
            taken = [_timed(predict, row) for row in turn]
            # Neither is charged for what the other left in the processor's caches, nor for a first call.
            series.extend(taken[1:] if start >= 0 else [])
    bedside, sksurv = (float(np.median(series)) / 1000.0 for series in timings)
    return {
        "bedside_p50_us": round(bedside, 1),
        "sksurv_p50_us": round(sksurv, 1),
        "ratio": round(sksurv / bedside, 1),
        "max_error": exported.max_error,
        "rounds": rounds,
    }


def _timed(predict: Callable[[FloatArray], Any], row: FloatArray) -> int:
    started = perf_counter_ns()
    predict(row)
    return perf_counter_ns() - started


def pickled_bytes(model: Any) -> int:
    """Return the size of a pickle without keeping it anywhere."""
    counter = _Counter()
    pickle.Pickler(counter, protocol=pickle.HIGHEST_PROTOCOL).dump(model)
    return counter.size


class _Counter:
    """A file that forgets what is written to it."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: Any) -> int:
        self.size += (written := memoryview(data).nbytes)
        return written


def outcome(event: Any, time: FloatArray) -> Any:
    """Return event and time as scikit-survival's structured array, shape (n,)."""
    from sksurv.util import Surv

    return Surv.from_arrays(event, time)
