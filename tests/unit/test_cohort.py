"""The synthetic cohort: in the likeness of WHAS500, valid FHIR, and read back as it was written."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from fhir.resources.R4B import get_fhir_model_class

from fhir_adapter.features import Features, Record, applies_if_from, extract, index_time_of, input_from
from infra.local.bundles import AsCharted, patient_bundle
from infra.local.cohort import DEFAULT_SIZE, draw_cohort, draw_values

REFERENCE = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MODEL = Path(__file__).parents[2] / "functions" / "survival" / "packages" / "whas500" / "model.yaml"
CONTRACT = yaml.safe_load(MODEL.read_text(encoding="utf-8"))
INPUTS = tuple(input_from(item) for item in CONTRACT["inputs"])
APPLIES_IF = applies_if_from(CONTRACT["applies_if"])

# Means of the 500 patients, as the study's book and every copy of the data give them.
WHAS500 = {
    "age": (69.8, 1.5),
    "female": (0.40, 0.04),
    "bmi": (26.6, 0.6),
    "heart_rate": (87.0, 2.5),
    "systolic_bp": (144.7, 3.5),
    "diastolic_bp": (78.3, 3.0),
    "atrial_fibrillation": (0.156, 0.04),
    "congestive_heart_failure": (0.31, 0.04),
    "cardiogenic_shock": (0.044, 0.025),
    "complete_av_block": (0.022, 0.012),
    "recurrent_mi": (0.342, 0.04),
    "q_wave_mi": (0.306, 0.05),
    "cardiovascular_disease": (0.75, 0.05),
}


def read_back(bundle: Mapping[str, Any]) -> Features | None:
    resources = [entry["resource"] for entry in bundle["entry"]]

    def of(kind: str) -> tuple[dict[str, Any], ...]:
        return tuple(resource for resource in resources if resource["resourceType"] == kind)

    versioned = {"versionId": "1", "lastUpdated": "2026-03-01T00:00:00Z"}
    for resource in resources:
        resource["meta"] = {**resource.get("meta", {}), **versioned}
    record = Record(
        patient=of("Patient")[0],
        encounter=of("Encounter")[0],
        observations=of("Observation"),
        conditions=of("Condition"),
    )
    index_time = index_time_of(record.encounter)
    assert index_time is not None
    found = extract(INPUTS, APPLIES_IF, record, index_time)
    return found if isinstance(found, Features) else None


def numbers(features: Features) -> dict[str, float]:
    return {item.name: value.value for item, value in zip(INPUTS, features.values, strict=True)}


@pytest.mark.parametrize("name", sorted(WHAS500))
def test_likeness(name: str) -> None:
    source = random.Random(7)
    drawn = [draw_values(source)[name] for _ in range(3000)]
    mean, tolerance = WHAS500[name]
    assert sum(drawn) / len(drawn) == pytest.approx(mean, abs=tolerance)


def test_older_patients_are_more_often_women_with_heart_failure_and_leaner() -> None:
    source = random.Random(8)
    drawn = [draw_values(source) for _ in range(3000)]
    old = [values for values in drawn if values["age"] >= 75]
    young = [values for values in drawn if values["age"] < 60]

    def mean(group: list[dict[str, float]], name: str) -> float:
        return sum(values[name] for values in group) / len(group)

    for name, more in (("female", 1), ("congestive_heart_failure", 1), ("bmi", -1), ("q_wave_mi", -1)):
        assert more * (mean(old, name) - mean(young, name)) > 0, name


def test_the_same_seed_draws_the_same_cohort_and_a_larger_one_starts_with_it() -> None:
    first = draw_cohort(6, reference=REFERENCE)
    assert first == draw_cohort(6, reference=REFERENCE)
    assert first == draw_cohort(12, reference=REFERENCE)[:6]
    assert first != draw_cohort(6, seed=1, reference=REFERENCE)


@pytest.mark.parametrize("patient", draw_cohort(reference=REFERENCE), ids=lambda patient: str(patient.patient_id))
def test_bundles_are_valid_and_the_admission_comes_last(patient: Any) -> None:
    bundle = patient.bundle()
    get_fhir_model_class("Bundle").model_validate(bundle)
    for entry in bundle["entry"]:
        resource = entry["resource"]
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
        assert entry["request"] == {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}
    last = bundle["entry"][-1]["resource"]
    assert (last["resourceType"], last["class"]["code"], last["status"]) == ("Encounter", "IMP", "in-progress")
    assert all(
        datetime.fromisoformat(entry["resource"].get("effectiveDateTime", "2000-01-01T00:00:00Z")) <= REFERENCE
        for entry in bundle["entry"]
    )


def test_two_of_the_cohort_lack_a_required_input() -> None:
    cohort = draw_cohort(reference=REFERENCE)
    refused = [patient.patient_id for patient in cohort if read_back(patient.bundle()) is None]
    lacking = [patient.patient_id for patient in cohort if not {"heart_rate", "systolic_bp"} <= set(patient.values)]
    assert len(cohort) == DEFAULT_SIZE
    assert refused == lacking
    assert len(refused) == 2


@pytest.mark.parametrize(
    "charted",
    [
        AsCharted(),
        AsCharted(kilopascal=True),
        AsCharted(pounds_and_inches=True),
        AsCharted(per_second=True),
        AsCharted(kilopascal=True, pounds_and_inches=True, per_second=True),
    ],
    ids=str,
)
def test_every_row_is_read_back_as_it_was_written(charted: AsCharted) -> None:
    source = random.Random(9)
    for index in range(100):
        values = draw_values(source)
        admitted = REFERENCE + timedelta(days=index * 11, minutes=index * 131)
        features = read_back(patient_bundle(values, f"row-{index}", admitted, charted=charted))
        assert features is not None
        assert numbers(features) == pytest.approx(values, rel=1e-4)


def test_a_row_in_the_contract_s_own_units_is_read_back_exactly() -> None:
    values = {**draw_values(random.Random(10)), "bmi": 25.54051, "recurrent_mi": 1.0, "cardiovascular_disease": 0.0}
    features = read_back(patient_bundle(values, "exact", REFERENCE))
    assert features is not None
    assert numbers(features) == values


@pytest.mark.parametrize("gap", ["bmi", "diastolic_bp", "q_wave_mi"])
def test_a_gap_is_read_back_as_a_gap(gap: str) -> None:
    values = {**draw_values(random.Random(11)), gap: math.nan}
    features = read_back(patient_bundle(values, "gap", REFERENCE))
    assert features is not None
    found = numbers(features)
    assert math.isnan(found.pop(gap))
    assert found == {name: value for name, value in values.items() if name != gap}


@pytest.mark.parametrize("offset", [-11, 0, 14])
@pytest.mark.parametrize("day", [(2024, 2, 29), (2025, 1, 1), (2025, 12, 31)])
def test_the_completed_age_holds_in_every_time_zone(day: tuple[int, int, int], offset: int) -> None:
    admitted = datetime(*day, 23, 50, tzinfo=timezone(timedelta(hours=offset)))
    values = {**draw_values(random.Random(12)), "age": 72.0}
    for index in range(20):
        features = read_back(patient_bundle(values, f"age-{index}", admitted))
        assert features is not None
        assert numbers(features)["age"] == 72.0


def test_refuses_what_cannot_be_written() -> None:
    values = draw_values(random.Random(13))
    with pytest.raises(ValueError, match="time zone"):
        patient_bundle(values, "x", datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(ValueError, match="completed years"):
        patient_bundle({**values, "age": 70.5}, "x", REFERENCE)
    with pytest.raises(ValueError, match="at least one"):
        draw_cohort(0, reference=REFERENCE)
