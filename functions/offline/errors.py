"""Why training data cannot be had.

::

    ValueError
    └── DataAbsent    the data are nowhere on this machine, or are not what they should be; says what to do
"""

from __future__ import annotations

__all__ = ["DataAbsent"]


class DataAbsent(ValueError):
    """The data cannot be read."""
