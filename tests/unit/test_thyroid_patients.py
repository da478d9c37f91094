"""The synthetic people whose thyroid was tested: in the likeness of the published ones, valid, and read as written."""

from __future__ import annotations

import statistics
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from fhir_adapter.features import Features, Record, extract
from fhir_adapter.prediction import Abstention
from fhir_adapter.terminology import Terminology
from functions.serving.package import load_package
from infra.local.thyroid import FORMS, LOCAL_CODES, STATES, ThyroidPatient, draw_thyroid_patients
from tests import validator

REFERENCE = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PACKAGE = Path(__file__).parents[2] / "functions" / "diagnosis" / "packages" / "thyroid"
CONTRACT = yaml.safe_load((PACKAGE / "model.yaml").read_text(encoding="utf-8"))
LOCAL = load_package(PACKAGE).localised(Terminology.from_resources([LOCAL_CODES]))


def answer(patient: ThyroidPatient) -> Features | Abstention:
    """Read a patient's bundle as the function reads it from the EHR, with the hospital's local codes."""
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in patient.bundle()["entry"]:
        resource = entry["resource"]
        meta = {**resource.get("meta", {}), "versionId": "1", "lastUpdated": "2026-03-01T00:00:00Z"}
        found.setdefault(resource["resourceType"], []).append({**resource, "meta": meta})
    record = Record(found["Patient"][0], None, tuple(found["Observation"]), ())
    return extract(LOCAL.inputs, LOCAL.applies_if, record, patient.taken)


def test_values_come_back_as_they_were_written_by_either_laboratory() -> None:
    cohort = draw_thyroid_patients(40, reference=REFERENCE)
    whole = [patient for index, patient in enumerate(cohort) if index % 6 < 4]
    assert {patient.other_units for patient in whole} == {True, False}
    for patient in whole:
        found = answer(patient)
        assert isinstance(found, Features), found
        read = {value.input.name: value.value for value in found.values}
        assert set(read) == set(FORMS)
        assert read == pytest.approx({name: patient.values[name] for name in read}, rel=1e-4)


@pytest.mark.parametrize(("index", "reason"), [(4, "missing-input"), (5, "implausible-input")])
def test_two_of_six_lack_what_the_model_cannot_do_without(index: int, reason: str) -> None:
    found = answer(draw_thyroid_patients(6, reference=REFERENCE)[index])
    assert isinstance(found, Abstention)
    assert found.reason.value == reason


def test_likeness() -> None:
    """Means of the paper's groups (Coomans et al. 1983), with what a draw of 1,000 may differ."""
    cohort = draw_thyroid_patients(6000, reference=REFERENCE)
    published = {"hypothyroidism": (3.6, 1.1), "hyperthyroidism": (17.8, 4.3), "normal": (9.2, 1.7)}
    for number, state in enumerate(STATES):
        group = [patient.values for index, patient in enumerate(cohort) if index % 3 == number]
        t4, t3 = published[state]
        assert statistics.mean(values["thyroxine"] for values in group) == pytest.approx(t4, abs=0.6)
        assert statistics.mean(values["triiodothyronine"] for values in group) == pytest.approx(t3, abs=0.6)


def test_the_cohort_is_the_same_every_time_and_valid() -> None:
    cohort = draw_thyroid_patients(6, reference=REFERENCE)
    assert cohort == draw_thyroid_patients(6, reference=REFERENCE)
    assert draw_thyroid_patients(0, reference=REFERENCE) == []
    for patient in cohort:
        resources = [entry["resource"] for entry in patient.bundle()["entry"]]
        assert resources[-1]["id"] == patient.report_id
        for resource in resources:
            validator.assert_valid(resource)


def test_codes_are_those_of_the_contract() -> None:
    declared = {item["name"]: item for item in CONTRACT["inputs"]}
    assert set(declared) == set(FORMS)
    for name, forms in FORMS.items():
        assert {form[1] for form in forms} - {"TRH-DELTA"} <= set(declared[name]["codes"])
