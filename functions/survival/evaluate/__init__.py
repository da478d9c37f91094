"""Evaluate a survival model package on held-out patients: one JSON object with every number of its report.

Offline only: needs the ``train`` extra (scikit-survival).
"""

from __future__ import annotations

from functions.survival.evaluate.run import evaluate

__all__ = ["evaluate"]
