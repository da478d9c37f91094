"""Fitted survival models as ONNX files: what training knows, in a form that serving can run."""

from __future__ import annotations

from functions.survival.export.cox import export_cox, read_cox

__all__ = ["export_cox", "read_cox"]
