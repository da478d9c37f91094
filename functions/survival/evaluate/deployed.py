"""The file that is served, run as it is served: is it the model that was measured, and how does it do in hindsight?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from functions.survival.data import FloatArray, SurvivalTable
from functions.survival.evaluate.candidates import Settings
from functions.survival.evaluate.comparison import rounded
from functions.survival.evaluate.heldout import HeldOut
from functions.survival.evaluate.intervals import point
from functions.survival.evaluate.metrics import HEADLINE, auc_at, brier_at, headline, subgroup
from functions.survival.evaluate.nonparametric import at_times
from functions.survival.models import Fitted

__all__ = ["ServedFile", "served"]

Json = dict[str, Any]


@dataclass(frozen=True)
class ServedFile:
    """An ONNX file as onnxruntime reads it.

    Parameters
    ----------
    content : bytes
        The file.
    """

    content: bytes

    @property
    def metadata(self) -> dict[str, str]:
        """What the file says of itself: name, version, kind, inputs."""
        return dict(self._session().get_modelmeta().custom_metadata_map)

    def survival(self, x: FloatArray, times: FloatArray) -> FloatArray:
        """Return the file's survival probabilities; shape (n, len(times)).

        Parameters
        ----------
        x : ndarray of float64, shape (n, p)
            NaN means missing.
        times : ndarray of float64, shape (m,)
            Days; between two of the file's own times the earlier one's probability holds.
        """
        curves, known = self._session().run(["survival", "times"], {"inputs": x})
        return at_times(np.asarray(known), np.asarray(curves), times, 1.0)

    def _session(self) -> Any:
        from onnxruntime import InferenceSession, SessionOptions

        options = SessionOptions()
        options.intra_op_num_threads = 1
        return InferenceSession(self.content, options, providers=["CPUExecutionProvider"])


def served(
    file: ServedFile,
    table: SurvivalTable,
    times: FloatArray,
    horizons: Sequence[float],
    refit: Fitted,
    settings: Settings,
) -> Json:
    """Run the file on every row it was fitted to.

    Parameters
    ----------
    file : ServedFile
    table : SurvivalTable
        All rows.
    times : ndarray of float64, shape (T,)
        Days of the contract's curve.
    horizons : sequence of float
        Days.
    refit : Fitted
        The model as training fits it to all rows.
    settings : mapping
        Its settings.

    Returns
    -------
    dict
        ``max_difference`` between the file's survival probabilities and the refit's, over all rows and times; and
        ``apparent``: the performance on the training rows themselves, which flatters.
    """
    survival = file.survival(table.x, times)
    difference = np.abs(survival - refit.survival(table.x, times)).max()
    rows, own = np.arange(len(table)), np.full((1, len(table)), np.nan)
    seen = HeldOut(rows, table.event, table.competing, table.time, times, survival[None], own, (settings,))
    at = np.array(horizons)
    auc, brier = point(auc_at(at), seen), point(brier_at(at), seen)
    risks = point(subgroup(np.ones(len(table), dtype=np.bool_), horizons), seen)
    apparent: Json = {key: rounded(v) for key, v in zip(HEADLINE, point(headline, seen), strict=True)}
    apparent["horizons"] = [
        {
            "days": days,
            "auc": rounded(auc[number]),
            "brier": rounded(brier[number]),
            "observed_expected_ratio": rounded(risks[4 + 3 * number]),
        }
        for number, days in enumerate(horizons)
    ]
    return {
        "rows": len(table),
        "bytes": len(file.content),
        "refit_settings": dict(settings),
        "max_difference": float(f"{difference:.2g}"),
        "apparent": apparent,
    }
