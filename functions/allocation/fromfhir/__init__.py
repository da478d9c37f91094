"""Wards, rooms and stays from FHIR R4: Location, Encounter, ServiceRequest, Appointment, Patient, Flag, Condition,
RiskAssessment, PractitionerRole, Schedule and Slot, as plain dicts.

::

    findings, elements, rules -> places, needs -> stays -> read
"""

from functions.allocation.fromfhir.findings import Finding
from functions.allocation.fromfhir.read import PROPOSAL, Reading, patient_queries, queries, read_house
from functions.allocation.fromfhir.rules import ROOM_FEATURE, HouseRules

__all__ = ["PROPOSAL", "ROOM_FEATURE", "Finding", "HouseRules", "Reading", "patient_queries", "queries", "read_house"]
