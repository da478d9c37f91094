"""How fast and how small a forest is as a file: 100 survival trees on FLCHAIN against the library's own object."""

from __future__ import annotations

from statistics import median
from time import perf_counter
from typing import Any

from functions.serving.explain import survshap
from functions.serving.session import OnnxModel
from functions.survival.data import FloatArray
from infra.bench.flchain import GRID, forest, forest_file, people
from infra.bench.interleaved import against_scikit_survival, pickled_bytes

__all__ = ["measure"]

BACKGROUND = 32


def measure(rounds: int = 300) -> dict[str, Any]:
    """Time single-row prediction of both, weigh both, and time one patient's explanation from the file.

    Parameters
    ----------
    rounds : int
        Predictions of each; people in turn.

    Returns
    -------
    dict
        As :func:`infra.bench.interleaved.against_scikit_survival`, with ``times`` (of the declared grid),
        ``file_mb``, ``pickle_mb`` and ``explanation_s`` (median of five people's SurvSHAP(t)).

    Raises
    ------
    ImportError
        scikit-survival is not installed (``make setup-train``).
    """
    rows, _ = people()
    fitted, exported = forest(), forest_file()
    found = against_scikit_survival(fitted, exported, rows, rounds)
    return found | {
        "times": len(GRID),
        "file_mb": round(len(exported.content) / 1e6, 2),
        "pickle_mb": round(pickled_bytes(fitted.estimator) / 1e6, 1),
        "explanation_s": round(_explained(exported.content, rows), 3),
    }


def _explained(content: bytes, rows: FloatArray) -> float:
    model = OnnxModel("bench", content, rows.shape[1], ["survival"])

    def curves(at: FloatArray) -> FloatArray:
        found: FloatArray = model.run(at)["survival"]
        return found

    seconds = []
    for person in range(5):
        started = perf_counter()
        survshap(curves, rows[person], rows[100 : 100 + BACKGROUND])
        seconds.append(perf_counter() - started)
    return median(seconds)
