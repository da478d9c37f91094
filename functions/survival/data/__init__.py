"""Public data sets as arrays, each in the order of a model's declared inputs.

Nothing here is needed to serve a model; the libraries that carry the data are imported when a table is loaded.
"""

from __future__ import annotations

from functions.survival.data.dataset import Column, Dataset
from functions.survival.data.table import BoolArray, FloatArray, SurvivalTable, imputation_values, impute
from functions.survival.data.whas500 import WHAS500, load_whas500

__all__ = [
    "DATASETS",
    "WHAS500",
    "BoolArray",
    "Column",
    "Dataset",
    "FloatArray",
    "SurvivalTable",
    "imputation_values",
    "impute",
    "load_whas500",
]

DATASETS: dict[str, Dataset] = {"whas500": WHAS500}
