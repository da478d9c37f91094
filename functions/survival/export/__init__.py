"""Fitted survival models as ONNX files: what training knows, in a form that serving can run."""

from __future__ import annotations

from functions.survival.export.cox import read_cox
from functions.survival.export.errors import (
    AllMissingRow,
    BadReplicates,
    BadSample,
    BadTimeGrid,
    BaselineMissing,
    Disagreement,
    ExportError,
    MissingValue,
    NotFitted,
    UnseenCategory,
    UnsupportedModel,
    WrongColumns,
)
from functions.survival.export.model import Exported, export_model

__all__ = [
    "AllMissingRow",
    "BadReplicates",
    "BadSample",
    "BadTimeGrid",
    "BaselineMissing",
    "Disagreement",
    "ExportError",
    "Exported",
    "MissingValue",
    "NotFitted",
    "UnseenCategory",
    "UnsupportedModel",
    "WrongColumns",
    "export_model",
    "read_cox",
]
