"""Synthetic patients and exported files for the tests of the exporter."""

from __future__ import annotations

from typing import Any

import numpy as np

from functions.survival.data import BoolArray, FloatArray
from functions.survival.export import Exported, export_model
from functions.survival.models import Fitted

GRID = np.linspace(0.0, 2400.0, 49)


def patients(n: int = 300, seed: int = 1, missing: float = 0.0) -> tuple[FloatArray, Any]:
    """Five inputs (two continuous, one of few values with ties, one binary, one of four categories) and an outcome.

    Values are rounded, so that thresholds between them meet values again, and some times are tied.
    """
    random = np.random.default_rng(seed)
    x = np.column_stack(
        [
            np.round(random.normal(60.0, 12.0, n), 1),
            np.round(random.lognormal(0.0, 1.0, n) + 0.1, 2),
            random.integers(0, 6, n) / 2.0,
            random.random(n) < 0.4,
            random.choice([1.0, 2.0, 5.0, 7.0], n),
        ]
    ).astype(np.float64)
    hazard = np.exp(0.04 * (x[:, 0] - 60) + 0.3 * np.log(x[:, 1]) + 0.5 * x[:, 3] + 0.2 * (x[:, 4] == 5.0))
    time = np.ceil(random.exponential(1000.0 / hazard) / 10) * 10
    censored = np.ceil(random.uniform(200.0, 2500.0, n) / 10) * 10
    if missing:
        holes = random.random(x.shape) < missing
        holes[:, 0] = False
        x = np.where(holes, np.nan, x)
    return x, outcome(time <= censored, np.minimum(time, censored))


def outcome(event: BoolArray, time: FloatArray) -> Any:
    """As scikit-survival takes it."""
    from sksurv.util import Surv

    return Surv.from_arrays(event, time)


NAMES = ("age", "bilirubin", "stage", "female", "site")


def export(fitted: Fitted, sample: FloatArray, times: FloatArray = GRID, **more: Any) -> Exported:
    return export_model(fitted, name="synthetic", version="1.0.0", times=times, sample=sample, **more)


def run(content: bytes, x: FloatArray, *names: str) -> dict[str, FloatArray]:
    """Evaluate a file: the named outputs, or all of them."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    wanted = list(names) or [item.name for item in session.get_outputs()]
    return dict(zip(wanted, session.run(wanted, {"inputs": x}), strict=True))


def metadata(content: bytes) -> dict[str, str]:
    from onnx import load_from_string

    return {entry.key: entry.value for entry in load_from_string(content).metadata_props}
