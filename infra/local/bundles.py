"""A model's input row as FHIR R4: the reverse of feature reading, for tests and the synthetic cohort.

Every code and unit is one that ``functions/survival/packages/whas500/model.yaml`` declares, so a row that
goes through :func:`patient_bundle`, an EHR and the feature reader comes back as it was. The parts serve
:mod:`infra.local.clinic` as well.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"

MMHG_IN_KILOPASCAL = 0.133322387415
POUND_IN_KILOGRAM = 0.45359237
INCH_IN_METRE = 0.0254

CATEGORIES = {"vital-signs": "Vital Signs", "laboratory": "Laboratory"}

# The standard's own mark for data of nobody.
HTEST = {"system": f"{TERMINOLOGY}/v3-ActReason", "code": "HTEST", "display": "test health data"}

FOLLOW_UP = ("281036007", "Follow-up consultation")

# Input name -> (SNOMED code, display, days before admission at which it began). 1755008 for an earlier
# infarction, because 399211009 also counts as a history of cardiovascular disease.
CONDITIONS: dict[str, tuple[str, str, int]] = {
    "atrial_fibrillation": ("49436004", "Atrial fibrillation", 900),
    "congestive_heart_failure": ("42343007", "Congestive heart failure", 1200),
    "cardiogenic_shock": ("89138009", "Cardiogenic shock", 0),
    "complete_av_block": ("27885002", "Complete atrioventricular block", 0),
    "recurrent_mi": ("1755008", "Old myocardial infarction", 1500),
    "cardiovascular_disease": ("266995000", "History of cardiovascular disease", 2200),
}
INFARCTION: dict[float | None, tuple[str, str]] = {
    1.0: ("304914007", "Acute Q wave myocardial infarction"),
    0.0: ("307140009", "Acute non-Q wave infarction"),
    None: ("22298006", "Myocardial infarction"),
}


@dataclass(frozen=True)
class AsCharted:
    """The units a patient's measurements are written in; all as in ``model.yaml`` by default.

    Parameters
    ----------
    kilopascal : bool
        Blood pressure in kPa instead of mmHg.
    pounds_and_inches : bool
        Weight in pounds and height in inches instead of a body mass index.
    per_second : bool
        Heart rate per second instead of per minute.
    """

    kilopascal: bool = False
    pounds_and_inches: bool = False
    per_second: bool = False


def patient_bundle(
    values: Mapping[str, float],
    patient_id: str,
    admitted: datetime,
    *,
    charted: AsCharted | None = None,
    given: str = "Alder",
) -> dict[str, Any]:
    """Write one input row as a FHIR R4 transaction Bundle, without loss.

    Parameters
    ----------
    values : Mapping of str to float
        Inputs by their names in ``model.yaml``. An absent name or NaN is a gap: no Observation, and an
        infarction that is not typed. ``age`` (completed years) and ``female`` are required.
    patient_id : str
        FHIR id of the Patient; every other id starts with it, so the same row gives the same ids.
    admitted : datetime
        Start of the admission, with a time zone.
    charted : AsCharted, optional
        Units to write the measurements in.
    given : str
        Given name of the patient.

    Returns
    -------
    dict
        Bundle of type ``transaction``, each entry a PUT; the admission Encounter (class IMP, in progress)
        is the last entry.
    """
    if admitted.tzinfo is None:
        raise ValueError("the admission needs a time zone")
    known = {name: float(value) for name, value in values.items() if not math.isnan(value)}
    resources = [
        person(known, patient_id, admitted, given),
        *_conditions(known, patient_id, admitted),
        *_observations(known, patient_id, admitted, charted or AsCharted()),
        admission(patient_id, admitted, encounter_id=f"{patient_id}-admission"),
    ]
    return transaction(resources)


def transaction(resources: list[dict[str, Any]]) -> dict[str, Any]:
    """Wrap resources, in order, as a transaction Bundle of PUTs to their own ids."""
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"resource": resource, "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}}
            for resource in resources
        ],
    }


def visit(patient_id: str, begun: datetime, *, encounter_id: str) -> dict[str, Any]:
    """Return an outpatient Encounter in progress: a follow-up consultation."""
    return {
        **admission(patient_id, begun, encounter_id=encounter_id),
        "class": {"system": f"{TERMINOLOGY}/v3-ActCode", "code": "AMB", "display": "ambulatory"},
        "type": [concept(SNOMED, *FOLLOW_UP)],
    }


def admission(patient_id: str, admitted: datetime, *, encounter_id: str) -> dict[str, Any]:
    """Return an inpatient Encounter in progress, which is what the Subscription waits for."""
    return {
        "resourceType": "Encounter",
        "id": encounter_id,
        "status": "in-progress",
        "class": {"system": f"{TERMINOLOGY}/v3-ActCode", "code": "IMP", "display": "inpatient encounter"},
        "subject": {"reference": f"Patient/{patient_id}"},
        "period": {"start": admitted.isoformat()},
    }


def person(values: Mapping[str, float], patient_id: str, admitted: datetime, given: str) -> dict[str, Any]:
    """Return the Patient of a row, of the right age on a day."""
    return {
        "resourceType": "Patient",
        "id": patient_id,
        "meta": {"security": [HTEST]},
        "identifier": [{"system": "https://example.org/bedside/synthetic", "value": patient_id}],
        "name": [{"use": "official", "family": "Synthetic", "given": [given]}],
        "gender": "female" if values["female"] else "male",
        "birthDate": _born(values["age"], patient_id, admitted.date()).isoformat(),
    }


def _born(age: float, patient_id: str, on: date) -> date:
    """Return a birth date that makes the completed age right on a day, and on the days next to it."""
    if age != int(age) or age < 0:
        raise ValueError("age is in completed years")
    year = on.year - int(age)
    birthday = date(year, on.month, 28 if (on.month, on.day) == (2, 29) else on.day)
    return birthday - timedelta(days=2 + zlib.crc32(patient_id.encode()) % 350)


def concept(system: str, code: str, display: str) -> dict[str, Any]:
    """Return a CodeableConcept of one coding."""
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def _conditions(values: Mapping[str, float], patient_id: str, admitted: datetime) -> list[dict[str, Any]]:
    code, display = INFARCTION[values.get("q_wave_mi")]
    found = [condition(patient_id, "infarction", code, display, admitted - timedelta(hours=3))]
    for name, (code, display, days) in CONDITIONS.items():
        if values.get(name):
            onset = admitted - timedelta(days=days, hours=0 if days else 1)
            found.append(condition(patient_id, name.replace("_", "-"), code, display, onset))
    return found


def condition(patient_id: str, name: str, code: str, display: str, onset: datetime) -> dict[str, Any]:
    """Return an active, confirmed Condition with a SNOMED CT code."""
    return {
        "resourceType": "Condition",
        "id": f"{patient_id}-{name}",
        "clinicalStatus": {"coding": [{"system": f"{TERMINOLOGY}/condition-clinical", "code": "active"}]},
        "verificationStatus": {"coding": [{"system": f"{TERMINOLOGY}/condition-ver-status", "code": "confirmed"}]},
        "code": concept(SNOMED, code, display),
        "subject": {"reference": f"Patient/{patient_id}"},
        "onsetDateTime": onset.isoformat(),
    }


def _observations(
    values: Mapping[str, float], patient_id: str, admitted: datetime, charted: AsCharted
) -> list[dict[str, Any]]:
    def observation(name: str, code: str, display: str, minutes: int, **value: Any) -> dict[str, Any]:
        at = admitted + timedelta(minutes=minutes)
        return measured(patient_id, name, (code, display), at, "vital-signs", **value)

    found = []
    components = pressures(values, charted)
    if components:
        panel = "Blood pressure panel with all children optional"
        found.append(observation("blood-pressure", "85354-9", panel, 10, component=components))
    if "heart_rate" in values:
        rate = values["heart_rate"]
        per_minute = quantity(rate, "beats/minute", "/min")
        rated = quantity(rate / 60, "/s", "/s", 6) if charted.per_second else per_minute
        found.append(observation("heart-rate", "8867-4", "Heart rate", 10, valueQuantity=rated))
    if "bmi" in values and charted.pounds_and_inches:
        height = 1.62 if values["female"] else 1.76
        weight = values["bmi"] * height**2 / POUND_IN_KILOGRAM
        pounds = quantity(weight, "lb", "[lb_av]", 3)
        inches = quantity(height / INCH_IN_METRE, "in", "[in_i]", 5)
        found.append(observation("weight", "29463-7", "Body weight", 60, valueQuantity=pounds))
        found.append(observation("height", "8302-2", "Body height", 60, valueQuantity=inches))
    elif "bmi" in values:
        index = quantity(values["bmi"], "kg/m2", "kg/m2")
        found.append(observation("bmi", "39156-5", "Body mass index (BMI) [Ratio]", 60, valueQuantity=index))
    return found


def measured(
    patient_id: str, name: str, coded: tuple[str, str], at: datetime, category: str, **value: Any
) -> dict[str, Any]:
    """Return a final Observation with a LOINC code and display; `category` is ``vital-signs`` or ``laboratory``."""
    return {
        "resourceType": "Observation",
        "id": f"{patient_id}-{name}",
        "status": "final",
        "category": [concept(f"{TERMINOLOGY}/observation-category", category, CATEGORIES[category])],
        "code": concept(LOINC, *coded),
        "subject": {"reference": f"Patient/{patient_id}"},
        "effectiveDateTime": at.isoformat(),
        **value,
    }


def pressures(values: Mapping[str, float], charted: AsCharted) -> list[dict[str, Any]]:
    """Return the components of a blood pressure panel."""
    components: list[dict[str, Any]] = []
    for name, code, display in (
        ("systolic_bp", "8480-6", "Systolic blood pressure"),
        ("diastolic_bp", "8462-4", "Diastolic blood pressure"),
    ):
        if name not in values:
            continue
        if charted.kilopascal:
            reading = quantity(values[name] * MMHG_IN_KILOPASCAL, "kPa", "kPa", 5)
        else:
            reading = quantity(values[name], "mmHg", "mm[Hg]")
        components.append({"code": concept(LOINC, code, display), "valueQuantity": reading})
    return components


def quantity(value: float, unit: str, code: str, digits: int | None = None) -> dict[str, Any]:
    """Return a Quantity with a printed unit and its UCUM code."""
    number = value if digits is None else round(value, digits)
    return {"value": number, "unit": unit, "system": UCUM, "code": code}
