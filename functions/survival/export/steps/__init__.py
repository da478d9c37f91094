"""Fitted scikit-learn preprocessing as ONNX nodes: the same arithmetic on the same numbers, in double precision."""

from __future__ import annotations

from functions.survival.export.steps.dispatch import SUPPORTED, class_name, lower_step, require_fitted

__all__ = ["SUPPORTED", "class_name", "lower_step", "require_fitted"]
