"""Each family of fitted models as ONNX nodes."""

from __future__ import annotations

from functions.survival.export.families.bands import add_bands
from functions.survival.export.families.dispatch import lower

__all__ = ["add_bands", "lower"]
