"""Declared inputs of a model, read the same way wherever the resources come from.

:mod:`~fhir_adapter.features.inputs` is the declaration, :mod:`~fhir_adapter.features.record` the resources of one
patient and how to ask for them, :mod:`~fhir_adapter.features.extract` takes the values out.
"""

from fhir_adapter.features.extract import Features, Value, extract
from fhir_adapter.features.inputs import (
    AgeInput,
    AppliesIf,
    ConditionInput,
    Input,
    ObservationInput,
    SexInput,
    applies_if_from,
    input_from,
)
from fhir_adapter.features.record import Record, index_time_of, queries

__all__ = [
    "AgeInput",
    "AppliesIf",
    "ConditionInput",
    "Features",
    "Input",
    "ObservationInput",
    "Record",
    "SexInput",
    "Value",
    "applies_if_from",
    "extract",
    "index_time_of",
    "input_from",
    "queries",
]
