"""Errors of the planner.

::

    PlannerError
    ├── Malformed      a file is not what its format says; names file, line and field
    └── Unplannable    an instance has no plan whatever is done; names what stands against it
"""

from __future__ import annotations

__all__ = ["Malformed", "PlannerError", "Unplannable"]


class PlannerError(Exception):
    """Base of the planner's errors."""


class Malformed(PlannerError):
    """A file is not what its format says.

    Attributes
    ----------
    line : int
        Of the file, from 1.
    field : str
        Where in the document, such as ``patients[3].gender``; empty for the document itself.
    """

    def __init__(self, name: str, line: int, field: str, problem: str) -> None:
        super().__init__(f"{name}, line {line}{f', {field}' if field else ''}: {problem}")
        self.line = line
        self.field = field


class Unplannable(PlannerError):
    """An instance has no plan, whatever is done."""
