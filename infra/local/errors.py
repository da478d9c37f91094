"""What can go wrong in the twin."""

from __future__ import annotations

__all__ = ["TwinError"]


class TwinError(RuntimeError):
    """Something in the twin did not do what it should; says what."""
