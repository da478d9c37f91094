"""One synthetic admission for an infarction, as FHIR resources, and the tenant it belongs to."""

from __future__ import annotations

from typing import Any

from fhir_adapter.tenants import Tenant
from tests.fakes import BASE

Json = dict[str, Any]
SECRET = "a-secret-for-the-tests-only"
LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
UCUM = "http://unitsofmeasure.org"


def tenant(**subscription: Any) -> Tenant:
    return Tenant.from_dict(tenant_json(**subscription))


def tenant_json(**subscription: Any) -> Json:
    return {
        "name": "general",
        "fhir_base": BASE,
        "auth": {"type": "bearer", "token": "token-for-the-tests-only"},
        "organization": "General Hospital",
        "subscriptions": {
            "admissions": {
                "secret": SECRET,
                "criteria": "Encounter?class=IMP",
                "models": ["whas500"],
                **subscription,
            }
        },
    }


def patient(**more: Any) -> Json:
    return {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1950-06-15", **more}


def encounter(**more: Any) -> Json:
    return {
        "resourceType": "Encounter",
        "id": "e1",
        "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "subject": {"reference": "Patient/p1"},
        "period": {"start": "2026-01-10T08:00:00+00:00"},
        **more,
    }


def quantity(value: float, unit: str) -> Json:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def observation(identifier: str, code: str, value: float, unit: str, at: str = "2026-01-10T08:30:00+00:00") -> Json:
    return {
        "resourceType": "Observation",
        "id": identifier,
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": at,
        "valueQuantity": quantity(value, unit),
    }


def blood_pressure(
    systolic: float, diastolic: float, unit: str = "mm[Hg]", at: str = "2026-01-10T08:30:00+00:00"
) -> Json:
    return {
        "resourceType": "Observation",
        "id": "bp",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": "85354-9"}]},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": at,
        "component": [
            {"code": {"coding": [{"system": LOINC, "code": "8480-6"}]}, "valueQuantity": quantity(systolic, unit)},
            {"code": {"coding": [{"system": LOINC, "code": "8462-4"}]}, "valueQuantity": quantity(diastolic, unit)},
        ],
    }


def condition(identifier: str, code: str, onset: str | None = "2026-01-10T07:00:00+00:00", **more: Any) -> Json:
    resource: Json = {
        "resourceType": "Condition",
        "id": identifier,
        "clinicalStatus": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]
        },
        "code": {"coding": [{"system": SNOMED, "code": code}]},
        "subject": {"reference": "Patient/p1"},
        **more,
    }
    if onset:
        resource["onsetDateTime"] = onset
    return resource


def admission() -> list[Json]:
    """Everything the WHAS500 model needs: a woman of 75 with a Q-wave infarction and heart failure."""
    return [
        patient(),
        encounter(),
        blood_pressure(142, 81),
        observation("hr", "8867-4", 96, "/min"),
        observation("bmi", "39156-5", 26.5, "kg/m2", at="2025-11-02"),
        condition("mi", "304914007"),
        condition("chf", "42343007", onset="2020-03-01"),
    ]
