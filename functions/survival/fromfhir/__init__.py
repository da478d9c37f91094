"""Training tables from FHIR: what ``$export`` gives, read by a model's own contract.

Offline only. The inputs are read by the definition that serves the model, so that it is trained on what it will be
given; what happened afterwards is read by the contract's ``training: outcome``.
"""

from __future__ import annotations

from functions.survival.fromfhir.errors import ExportUnusable
from functions.survival.fromfhir.outcome import Outcome, outcome_from
from functions.survival.fromfhir.table import FromExport, as_recorded, table_from_export

__all__ = ["ExportUnusable", "FromExport", "Outcome", "as_recorded", "outcome_from", "table_from_export"]
