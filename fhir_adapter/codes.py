"""Code systems, URLs and constants of the standards we speak, each under its own name.

Bedside's own namespaces are OIDs under ``2.25`` (ISO/IEC 9834-8: a UUID as an OID arc), so that no
domain name has to be owned.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
UCUM = "http://unitsofmeasure.org"
OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
DATA_ABSENT_REASON = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
CONDITION_CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
CONDITION_VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
PROVENANCE_PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
V3_OBSERVATION_VALUE = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"

# AI Transparency on FHIR (HL7 hl7.fhir.uv.aitransparency).
AI_DEVICE_TYPE = "http://hl7.org/fhir/uv/aitransparency/CodeSystem/AIdeviceTypeCS"
AI_KIND = "http://hl7.org/fhir/uv/aitransparency/StructureDefinition/aitransparency.AIKind"

# Subscriptions R5 Backport (HL7 hl7.fhir.uv.subscriptions-backport).
BACKPORT_PAYLOAD = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-payload-content"

BEDSIDE = UUID("bcf76963-5e48-4920-9ad8-09939cd6d000")
BEDSIDE_OID = f"urn:oid:2.25.{BEDSIDE.int}"
RESULT_IDENTIFIER = f"{BEDSIDE_OID}.1"
MODEL_TAG = f"{BEDSIDE_OID}.2"
RESULT_CODE = f"{BEDSIDE_OID}.3"
ABSTENTION_REASON = f"{BEDSIDE_OID}.4"
MODEL_IDENTIFIER = f"{BEDSIDE_OID}.5"

FHIR_JSON = "application/fhir+json"

Json = dict[str, Any]


def coding(system: str, code: str, display: str | None = None) -> Json:
    """Return a FHIR Coding."""
    out: Json = {"system": system, "code": code}
    if display:
        out["display"] = display
    return out


def concept(system: str, code: str, display: str | None = None, text: str | None = None) -> Json:
    """Return a CodeableConcept of one coding."""
    out: Json = {"coding": [coding(system, code, display)]}
    if text:
        out["text"] = text
    return out


AI_ASSERTED = coding(V3_OBSERVATION_VALUE, "AIAST", "Artificial Intelligence asserted")
