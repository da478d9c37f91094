"""What the validator found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Issue:
    """One thing that is wrong with a resource. Never carries a value from it.

    Parameters
    ----------
    severity : str
        ``error`` or ``warning``; only errors make a resource invalid.
    path : str
        ``Observation.component[1].valueQuantity``.
    rule : str
        Key of an invariant (``obs-6``), or a rule's name (``cardinality``, ``binding``, ``reference``, ...).
    message : str
        What is wrong.
    """

    severity: Severity
    path: str
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message} ({self.rule})"
