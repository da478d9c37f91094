"""Public data sets as arrays, each in the order of a model's declared inputs.

Nothing here is needed to serve a model; the libraries that carry the data are imported when a table is loaded.
"""

from __future__ import annotations

from functions.offline.errors import DataAbsent
from functions.survival.data.aids import AIDS
from functions.survival.data.dataset import Column, Dataset
from functions.survival.data.flchain import FLCHAIN
from functions.survival.data.gbsg2 import GBSG2
from functions.survival.data.mgus2 import MGUS2
from functions.survival.data.nafld import NAFLD
from functions.survival.data.pbc import PBC
from functions.survival.data.pbcseq import PBCSEQ
from functions.survival.data.rotterdam import ROTTERDAM
from functions.survival.data.table import BoolArray, FloatArray, SurvivalTable, imputation_values, impute, logarithms
from functions.survival.data.veteran import VETERAN
from functions.survival.data.whas500 import WHAS500, load_whas500

__all__ = [
    "AIDS",
    "DATASETS",
    "FLCHAIN",
    "GBSG2",
    "MGUS2",
    "NAFLD",
    "PBC",
    "PBCSEQ",
    "ROTTERDAM",
    "VETERAN",
    "WHAS500",
    "BoolArray",
    "Column",
    "DataAbsent",
    "Dataset",
    "FloatArray",
    "SurvivalTable",
    "imputation_values",
    "impute",
    "load_whas500",
    "logarithms",
]

DATASETS: dict[str, Dataset] = {
    dataset.name: dataset for dataset in (WHAS500, PBC, PBCSEQ, MGUS2, NAFLD, FLCHAIN, GBSG2, ROTTERDAM, AIDS, VETERAN)
}
