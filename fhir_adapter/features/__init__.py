"""Declared inputs of a model, read the same way wherever the resources come from.

:mod:`~fhir_adapter.features.declaration` reads the declaration, :mod:`~fhir_adapter.features.inputs` is what it
becomes, :mod:`~fhir_adapter.features.record` the resources of one patient and how to ask for them,
:mod:`~fhir_adapter.features.bundle` and :mod:`~fhir_adapter.features.ndjson` find them in files,
:mod:`~fhir_adapter.features.extract` takes the values out.
"""

from fhir_adapter.features.bundle import records_from_bundle
from fhir_adapter.features.declaration import applies_if_from, input_from
from fhir_adapter.features.extract import Features, Value, extract
from fhir_adapter.features.inputs import (
    AgeInput,
    AppliesIf,
    ConditionInput,
    FhirPathInput,
    Input,
    ObservationInput,
    SexInput,
    localised,
)
from fhir_adapter.features.ndjson import records_from_ndjson
from fhir_adapter.features.record import Record, Selection, index_time_of, queries
from fhir_adapter.features.rows import Row, feature_rows, is_admission

__all__ = [
    "AgeInput",
    "AppliesIf",
    "ConditionInput",
    "Features",
    "FhirPathInput",
    "Input",
    "ObservationInput",
    "Record",
    "Row",
    "Selection",
    "SexInput",
    "Value",
    "applies_if_from",
    "extract",
    "feature_rows",
    "index_time_of",
    "input_from",
    "is_admission",
    "localised",
    "queries",
    "records_from_bundle",
    "records_from_ndjson",
]
