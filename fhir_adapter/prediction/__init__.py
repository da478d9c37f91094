"""The value objects between a model and the EHR: what a model answers, and what it was answered from.

A constructed object is valid: probabilities lie in [0, 1], horizons are positive, a survival curve never
rises. They know neither FHIR nor a model; :mod:`fhir_adapter.evidence` turns them into resources.
"""

from fhir_adapter.prediction.abstention import Abstention, AbstentionReason
from fhir_adapter.prediction.context import ImageSource, ModelIdentity, ResultContext
from fhir_adapter.prediction.contribution import Contribution
from fhir_adapter.prediction.diagnosis import Diagnosis, Finding, Measurement, Saliency
from fhir_adapter.prediction.survival import CompetingRisk, IncidenceCurve, Prediction, RiskAtHorizon, SurvivalCurve

__all__ = [
    "Abstention",
    "AbstentionReason",
    "CompetingRisk",
    "Contribution",
    "Diagnosis",
    "Finding",
    "ImageSource",
    "IncidenceCurve",
    "Measurement",
    "ModelIdentity",
    "Prediction",
    "ResultContext",
    "RiskAtHorizon",
    "Saliency",
    "SurvivalCurve",
]
