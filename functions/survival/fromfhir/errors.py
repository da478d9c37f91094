"""Why an export cannot be trained on."""

from __future__ import annotations

__all__ = ["ExportUnusable"]


class ExportUnusable(ValueError):
    """A contract does not say what to train for, or nobody in an export can be trained on; holds no patient data."""
