"""From nothing to the first curve in a new process: the file against the library's pickle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from functions.survival.data import FloatArray, load_whas500
from functions.survival.export import Exported
from functions.survival.models import Wrapped
from infra.bench.flchain import forest, forest_file, people
from infra.bench.survival import cox

__all__ = ["measure"]

# What a process prints at its end: its largest resident set so far. Not from getrusage, which on Linux starts from
# what the parent had.
PEAK = """
import json, resource, sys
try:
    peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
except OSError:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(json.dumps({"first": float(curve[0, 0]), "peak_kb": peak}))
"""
OURS = """
import sys, numpy as np
from functions.serving.session import OnnxModel
row = np.load(sys.argv[2])
with open(sys.argv[1], "rb") as stream:
    model = OnnxModel("bench", stream.read(), row.shape[1], ["survival"])
curve = model.run(row)["survival"]
"""
THEIRS = """
import sys, joblib, numpy as np, sksurv
row = np.load(sys.argv[2])
curve = joblib.load(sys.argv[1]).predict_survival_function(row, return_array=True)
"""


def measure(rounds: int = 3) -> dict[str, Any]:
    """Start a process of each in turn, that imports, loads and answers for one person.

    Parameters
    ----------
    rounds : int
        Processes of each; the first pair warms the disk's cache and is not counted.

    Returns
    -------
    dict
        For ``forest`` (100 trees on FLCHAIN) and ``cox`` (WHAS500): ``bedside_s``, ``sksurv_s`` (median wall-clock
        time of a process), ``ratio``; ``bedside_peak_mb``, ``sksurv_peak_mb`` (median of the largest resident sets),
        ``memory_ratio``; ``rounds``.

    Raises
    ------
    ImportError
        scikit-survival is not installed (``make setup-train``).
    """
    return {
        "cox": _cold(*cox(), load_whas500().x[:1], rounds),
        "forest": _cold(forest(), forest_file(), people()[0][:1], rounds),
    }


def _cold(fitted: Wrapped, exported: Exported, row: FloatArray, rounds: int) -> dict[str, Any]:
    import joblib  # type: ignore[import-untyped]

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "model.onnx").write_bytes(exported.content)
        joblib.dump(fitted.estimator, folder / "model.joblib")
        np.save(folder / "row.npy", row)
        ours, theirs = [], []
        for number in range(rounds + 1):
            pair = _process(OURS, folder / "model.onnx"), _process(THEIRS, folder / "model.joblib")
            if number:
                ours.append(pair[0])
                theirs.append(pair[1])
    bedside, sksurv = (median(seconds for seconds, _ in found) for found in (ours, theirs))
    bedside_peak, sksurv_peak = (median(peak for _, peak in found) for found in (ours, theirs))
    return {
        "bedside_s": round(bedside, 3),
        "sksurv_s": round(sksurv, 3),
        "ratio": round(sksurv / bedside, 1),
        "bedside_peak_mb": round(bedside_peak / 1024, 1),
        "sksurv_peak_mb": round(sksurv_peak / 1024, 1),
        "memory_ratio": round(sksurv_peak / bedside_peak, 1),
        "rounds": rounds,
    }


def _process(code: str, model: Path) -> tuple[float, int]:
    """Return the seconds a process took and its largest resident set in kB."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    started = perf_counter()
    done = subprocess.run(  # noqa: S603 - our own interpreter and code
        [sys.executable, "-c", code + PEAK, str(model), str(model.with_name("row.npy"))],
        capture_output=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | threads,
    )
    seconds = perf_counter() - started
    return seconds, int(json.loads(done.stdout)["peak_kb"])
