"""How fast one patient's curve is: our ONNX file against the library that trained it, in the same run."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

import numpy as np

__all__ = ["measure"]


def measure(rounds: int = 400) -> dict[str, Any]:
    """Time single-row prediction of both, interleaved, so that a busy machine slows both alike.

    Ours imputes and scales, and gives curve, risk score, contributions and imputed inputs; scikit-survival is
    handed rows already scaled, and gives the curve only, as the array that is its fastest form.

    Parameters
    ----------
    rounds : int
        Predictions of each; patients in turn.

    Returns
    -------
    dict
        ``bedside_p50_us``, ``sksurv_p50_us`` (medians in microseconds), ``ratio`` (theirs over ours),
        ``max_error`` of survival probabilities on the rows timed, and ``rounds``.

    Raises
    ------
    ImportError
        scikit-survival is not installed (``make setup-train``).
    """
    from functions.survival.data import load_whas500
    from functions.survival.export import read_cox
    from functions.survival.train import PACKAGES

    content = (PACKAGES / "whas500" / "model.onnx").read_bytes()
    table = load_whas500()
    peer, scaled = _peer(table, read_cox(content)[0].alpha)
    session = _session(content)

    def ours(row: Any) -> Any:
        return session.run(None, {"inputs": row})[0]

    def theirs(row: Any) -> Any:
        return peer.predict_survival_function(row, return_array=True)

    timings: tuple[list[int], list[int]] = ([], [])
    error = 0.0
    for number in range(-20, rounds):
        at = number % len(table)
        left, first = _timed(ours, table.x[at : at + 1])
        right, second = _timed(theirs, scaled[at : at + 1])
        if number >= 0:
            timings[0].append(left)
            timings[1].append(right)
        error = max(error, float(np.abs(first - second).max()))
    bedside, sksurv = (float(np.median(series)) / 1000.0 for series in timings)
    return {
        "bedside_p50_us": round(bedside, 1),
        "sksurv_p50_us": round(sksurv, 1),
        "ratio": round(sksurv / bedside, 1),
        "max_error": error,
        "rounds": rounds,
    }


def _timed(predict: Callable[[Any], Any], row: Any) -> tuple[int, Any]:
    started = perf_counter_ns()
    answer = predict(row)
    return perf_counter_ns() - started, answer


def _session(content: bytes) -> Any:
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _peer(table: Any, alpha: float) -> tuple[Any, Any]:
    """Return the library's fitted model, and the rows as it wants them, shape (n, p)."""
    from sksurv.linear_model import CoxPHSurvivalAnalysis
    from sksurv.util import Surv

    scaled = (table.x - table.x.mean(axis=0)) / table.x.std(axis=0)
    known = Surv.from_arrays(table.event, table.time)
    return CoxPHSurvivalAnalysis(alpha=alpha).fit(scaled, known), scaled
