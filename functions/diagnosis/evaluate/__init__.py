"""Evaluate a diagnosis package: one JSON object with every number of its report. Offline only (the train extra)."""

from __future__ import annotations

from functions.diagnosis.evaluate.binary import Plan
from functions.diagnosis.evaluate.nested import Resampling
from functions.diagnosis.evaluate.run import NotEvaluated, evaluate

__all__ = ["NotEvaluated", "Plan", "Resampling", "evaluate"]
