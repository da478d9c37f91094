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
DIAGNOSTIC_SERVICE = "http://terminology.hl7.org/CodeSystem/v2-0074"
DICOM_UID = "urn:dicom:uid"
CONDITION_CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
PROVENANCE_PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
V3_OBSERVATION_VALUE = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
V3_ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
V3_ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
V3_DATA_OPERATION = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"
V3_PARTICIPATION_TYPE = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"

# AI Transparency on FHIR (HL7 hl7.fhir.uv.aitransparency).
AI_DEVICE_TYPE = "http://hl7.org/fhir/uv/aitransparency/CodeSystem/AIdeviceTypeCS"
AI_KIND = "http://hl7.org/fhir/uv/aitransparency/StructureDefinition/aitransparency.AIKind"
AI_MODEL_CARD_OF = "http://hl7.org/fhir/uv/aitransparency/StructureDefinition/aitransparency.modelCardDescription"
AI_CONFIDENCE = "http://hl7.org/fhir/uv/aitransparency/StructureDefinition/AIconfidence"
AI_INPUTS = "http://hl7.org/fhir/uv/aitransparency/CodeSystem/AIinputsCS"
AI_DEVICE_PROFILE = "http://hl7.org/fhir/uv/aitransparency/StructureDefinition/AI-Device"
AI_PROVENANCE_PROFILE = "http://hl7.org/fhir/uv/aitransparency/StructureDefinition/AI-Provenance"
AI_MODEL_CARD_PROFILE = "http://hl7.org/fhir/uv/aitransparency/StructureDefinition/AI-ModelCard"

# Security labels inside a resource (HL7 hl7.fhir.uv.security-label-ds4p).
INLINE_LABEL = "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label"

# AuditEvent (FHIR R4 auditevent.html; IHE ITI Basic Audit Log Patterns).
AUDIT_EVENT_TYPE = "http://terminology.hl7.org/CodeSystem/audit-event-type"
AUDIT_ENTITY_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
AUDIT_SOURCE_TYPE = "http://terminology.hl7.org/CodeSystem/security-source-type"
OBJECT_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
RESTFUL_INTERACTION = "http://hl7.org/fhir/restful-interaction"
RESOURCE_TYPES = "http://hl7.org/fhir/resource-types"
DICOM = "http://dicom.nema.org/resources/ontology/DCM"
IHE_TRANSACTION = "urn:ihe:event-type-code"
BALP_ENTITY_TYPE = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"

# Subscriptions R5 Backport (HL7 hl7.fhir.uv.subscriptions-backport).
BACKPORT_PAYLOAD = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-payload-content"

BEDSIDE = UUID("bcf76963-5e48-4920-9ad8-09939cd6d000")
BEDSIDE_OID = f"urn:oid:2.25.{BEDSIDE.int}"
RESULT_IDENTIFIER = f"{BEDSIDE_OID}.1"
MODEL_TAG = f"{BEDSIDE_OID}.2"
RESULT_CODE = f"{BEDSIDE_OID}.3"
ABSTENTION_REASON = f"{BEDSIDE_OID}.4"
MODEL_IDENTIFIER = f"{BEDSIDE_OID}.5"
MODEL_METHOD = f"{BEDSIDE_OID}.6"
APPLICATION = f"{BEDSIDE_OID}.7"
ABOUT_TAG = f"{BEDSIDE_OID}.8"
# Why a person set an answer aside: on a card, or on the page.
OVERRIDE_REASON = f"{BEDSIDE_OID}.9"
REVIEW = f"{BEDSIDE_OID}.10"

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
INLINE_LABELS = coding(V3_ACT_CODE, "PROCESSINLINELABEL", "process inline security label")
