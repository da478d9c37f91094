"""A model's answer as FHIR R4 resources with their evidence, in one transaction.

Observation (horizons and curve, or a finding each), RiskAssessment, DiagnosticReport (of a diagnosis), Device (the
model), DocumentReference (its card) and Provenance, labelled as made by AI (AI Transparency on FHIR). Ids are UUIDv5
of tenant, subject, input versions and model digest, so that the same event written twice, or by two workers at once,
is one result. Everything is checked before it leaves, and is ``preliminary`` until a person attests it.

::

    build -> results (components, rationale), diagnosis, device, provenance -> labels -> check
    attest, review -> labels, check
"""

from fhir_adapter.evidence.attest import Attestation, attest, attestation, verified
from fhir_adapter.evidence.build import Answer, Evidence, evidence_of, result_key, result_query
from fhir_adapter.evidence.check import check
from fhir_adapter.evidence.device import card_id, device, device_id, digest_of, model_card
from fhir_adapter.evidence.labels import confidence, label_elements, percent
from fhir_adapter.evidence.rationale import rationale_of
from fhir_adapter.evidence.review import confirmation, rejection
from fhir_adapter.evidence.times import data_cutoff, horizon_days

__all__ = [
    "Answer",
    "Attestation",
    "Evidence",
    "attest",
    "attestation",
    "card_id",
    "check",
    "confidence",
    "confirmation",
    "data_cutoff",
    "device",
    "device_id",
    "digest_of",
    "evidence_of",
    "horizon_days",
    "label_elements",
    "model_card",
    "percent",
    "rationale_of",
    "rejection",
    "result_key",
    "result_query",
    "verified",
]
