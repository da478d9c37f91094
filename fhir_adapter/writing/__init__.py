"""Writing a transaction Bundle to whatever server there is.

:mod:`~fhir_adapter.writing.write` decides how, :mod:`~fhir_adapter.writing.entries` are the forms of one entry.
"""

from fhir_adapter.writing.entries import renamed
from fhir_adapter.writing.write import Habits, Written, habits_of, is_whole, write

__all__ = ["Habits", "Written", "habits_of", "is_whole", "renamed", "write"]
