"""Fitted survival models as ONNX files: what training knows, in a form that serving can run."""

from __future__ import annotations

from functions.survival.export.cox import export_cox, read_cox
from functions.survival.export.equation import CoxEquation

__all__ = ["CoxEquation", "export_cox", "read_cox"]
