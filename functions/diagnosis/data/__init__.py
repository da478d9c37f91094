"""Public data sets as arrays: where they come from, and what in them must not be trusted. Offline only."""

from __future__ import annotations

from functions.diagnosis.data.dataset import Dataset, ImageSplits, Labelled, LabTable
from functions.diagnosis.data.pneumonia import PNEUMONIA
from functions.diagnosis.data.thyroid import THYROID
from functions.offline.errors import DataAbsent

__all__ = ["DATASETS", "PNEUMONIA", "THYROID", "DataAbsent", "Dataset", "ImageSplits", "LabTable", "Labelled"]

DATASETS: dict[str, Dataset] = {dataset.name: dataset for dataset in (PNEUMONIA, THYROID)}
