"""The forest of the benchmarks: 100 survival trees on FLCHAIN, and its file."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from functions.survival.data import FloatArray
from functions.survival.export import Exported, export_model
from functions.survival.models import Wrapped
from infra.bench.interleaved import outcome

__all__ = ["GRID", "forest", "forest_file", "people"]

# Monthly for four years, then half-yearly until thirteen.
GRID = np.concatenate([np.arange(1, 49) * 365.25 / 12, np.arange(9, 27) * 365.25 / 2])
COLUMNS = ("age", "creatinine", "kappa", "lambda", "flc.grp", "sample.yr", "sex", "mgus")


@cache
def people() -> tuple[FloatArray, Any]:
    """Return FLCHAIN as numbers, shape (7874, 8), and its outcome; the cause of death is dropped, it tells the outcome.

    Creatinine is missing in 1,350.
    """
    from sksurv.datasets import load_flchain

    frame, known = load_flchain()
    coded = frame.assign(sex=frame["sex"] == "F", mgus=frame["mgus"] == "yes")
    rows = np.column_stack([np.asarray(coded[name], dtype=np.float64) for name in COLUMNS])
    return rows, outcome(known["death"], known["futime"])


@cache
def forest() -> Wrapped:
    """Return the forest behind an imputer, fitted to everyone."""
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sksurv.ensemble import RandomSurvivalForest

    rows, known = people()
    trees = RandomSurvivalForest(100, min_samples_leaf=15, max_features="sqrt", random_state=0, n_jobs=1)
    return Wrapped(COLUMNS, make_pipeline(SimpleImputer(strategy="median"), trees).fit(rows, known))


@cache
def forest_file() -> Exported:
    """Return its file, compared with it on every eighth person."""
    rows, _ = people()
    return export_model(forest(), name="flchain", version="1.0.0", times=GRID, sample=rows[::8])
