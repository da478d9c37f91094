"""What is measured on test rows, and how it is put together over folds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from functions.survival.benchmark.members import structured
from functions.survival.benchmark.stack import at_own_time
from functions.survival.data import FloatArray, SurvivalTable
from functions.survival.evaluate.dcalibration import d_calibration, expected_bins
from functions.survival.models import Fitted

__all__ = ["METRICS", "corrected_interval", "pooled_calibration", "score"]

METRICS = ("harrell_c", "uno_c", "integrated_brier_score")

Json = dict[str, Any]


def score(fitted: Fitted, train: SurvivalTable, test: SurvivalTable, times: FloatArray) -> Json:
    """Measure a model on test rows.

    The risk by which patients are ordered is the area above the survival curve over ``times``: the expected time lost.

    Parameters
    ----------
    fitted : Fitted
    train : SurvivalTable
        The rows it was fitted to; their censoring gives the weights.
    test : SurvivalTable
    times : ndarray of float64, shape (T,)
        Days, rising, within the follow-up of the training rows.

    Returns
    -------
    dict
        ``harrell_c``; ``uno_c``, to the last of ``times``; ``integrated_brier_score``; and ``bins``, the ten of
        D-calibration.
    """
    from sksurv.metrics import concordance_index_censored, concordance_index_ipcw, integrated_brier_score

    known, seen = structured(test.event, test.time), structured(train.event, train.time)
    risk = 1.0 - fitted.survival(test.x, times).mean(axis=1)
    # Nobody can be weighted by censoring that the training rows did not live to see.
    followed = test.take(np.flatnonzero(test.time < train.time.max()))
    within = times[(times > followed.time.min()) & (times < followed.time.max())]
    return {
        "harrell_c": float(concordance_index_censored(test.event, test.time, risk)[0]),
        "uno_c": float(concordance_index_ipcw(seen, known, risk, tau=times[-1])[0]),
        "integrated_brier_score": float(
            integrated_brier_score(
                seen, structured(followed.event, followed.time), fitted.survival(followed.x, within), within
            )
        ),
        "bins": expected_bins(at_own_time(fitted, test), test.event).tolist(),
    }


def corrected_interval(values: Sequence[float], share: float) -> Json:
    """Return mean and 95% interval by the corrected resampled t statistic.

    Training sets overlap, so folds are not independent: their variance is multiplied by ``1 / J + share`` and not by
    ``1 / J`` (Nadeau and Bengio, Machine Learning 52:239-281, 2003).

    Parameters
    ----------
    values : sequence of float, length J
        One a fold, at least two.
    share : float
        Test rows over training rows.
    """
    from scipy.stats import t  # type: ignore[import-untyped]

    found = np.asarray(values, dtype=np.float64)
    error = float(np.sqrt((1.0 / len(found) + share) * found.var(ddof=1)))
    reach = float(t.ppf(0.975, len(found) - 1)) * error
    mean = float(found.mean())
    return {"value": mean, "low": mean - reach, "high": mean + reach}


def pooled_calibration(folds: Sequence[Json]) -> Json:
    """Return the D-calibration of test rows of several folds together.

    Parameters
    ----------
    folds : sequence of dict
        From :func:`score`; no row twice.
    """
    found = d_calibration(np.sum([fold["bins"] for fold in folds], axis=0))
    return {
        "statistic": round(found.statistic, 3),
        "p_value": round(found.p_value, 4),
        "bins": [round(float(b), 1) for b in found.bins],
    }
