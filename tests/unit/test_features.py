from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from fhir_adapter.errors import ConfigurationError
from fhir_adapter.features import Features, Record, applies_if_from, extract, index_time_of, input_from, queries
from fhir_adapter.features.extract import age_at
from fhir_adapter.features.inputs import duration
from fhir_adapter.prediction import Abstention, AbstentionReason
from tests.samples import admission, blood_pressure, condition, encounter, observation, patient

CONTRACT = yaml.safe_load(Path("functions/survival/packages/whas500/model.yaml").read_text(encoding="utf-8"))
INPUTS = [input_from(item) for item in CONTRACT["inputs"]]
APPLIES_IF = applies_if_from(CONTRACT["applies_if"])
INDEX = datetime(2026, 1, 10, 8, tzinfo=UTC)


def record(*resources: dict[str, Any]) -> Record:
    by_type: dict[str, list[dict[str, Any]]] = {}
    for resource in resources:
        by_type.setdefault(resource["resourceType"], []).append(
            {**resource, "meta": {"versionId": "1", **resource.get("meta", {})}}
        )
    return Record(
        patient=by_type["Patient"][0],
        encounter=by_type["Encounter"][0],
        observations=tuple(by_type.get("Observation", ())),
        conditions=tuple(by_type.get("Condition", ())),
    )


def without(*ids: str) -> list[dict[str, Any]]:
    return [resource for resource in admission() if resource["id"] not in ids]


def values(*resources: dict[str, Any]) -> dict[str, float]:
    found = extract(INPUTS, APPLIES_IF, record(*resources), INDEX)
    assert isinstance(found, Features), found
    return {value.input.name: value.value for value in found.values}


def refusal(*resources: dict[str, Any]) -> Abstention:
    found = extract(INPUTS, APPLIES_IF, record(*resources), INDEX)
    assert isinstance(found, Abstention)
    return found


def test_a_whole_admission() -> None:
    assert values(*admission()) == {
        "age": 75,
        "female": 1,
        "bmi": 26.5,
        "heart_rate": 96,
        "systolic_bp": 142,
        "diastolic_bp": 81,
        "atrial_fibrillation": 0,
        "congestive_heart_failure": 1,
        "cardiogenic_shock": 0,
        "complete_av_block": 0,
        "recurrent_mi": 0,
        "q_wave_mi": 1,
        "cardiovascular_disease": 0,
    }


def test_other_units_are_converted() -> None:
    found = values(
        *without("bp", "hr"), blood_pressure(16.0, 10.0, "kPa"), observation("hr", "8867-4", 1.5, "{beats}/s")
    )
    assert found["systolic_bp"] == pytest.approx(120.0, abs=0.01)
    assert found["diastolic_bp"] == pytest.approx(75.0, abs=0.01)
    assert found["heart_rate"] == 90


def test_bmi_from_weight_and_height() -> None:
    found = values(
        *without("bmi"),
        observation("w", "29463-7", 176.37, "[lb_av]", at="2025-12-01"),
        observation("h", "8302-2", 68.9, "[in_i]", at="2025-06-01"),
    )
    assert found["bmi"] == pytest.approx(80.0 / 1.75**2, rel=1e-3)


def test_unknown_type_of_infarction_and_missing_bmi_are_left_to_the_model() -> None:
    found = values(*without("bmi", "mi"), condition("mi", "22298006"))
    assert math.isnan(found["bmi"])
    assert math.isnan(found["q_wave_mi"])


def test_a_negative_code_is_evidence_of_absence() -> None:
    assert values(*without("mi"), condition("mi", "401314000"))["q_wave_mi"] == 0


@pytest.mark.parametrize(
    ("more", "counts"),
    [
        ({"verificationStatus": {"coding": [{"code": "refuted"}]}}, False),
        ({"verificationStatus": {"coding": [{"code": "entered-in-error"}]}}, False),
        ({"verificationStatus": {"coding": [{"code": "confirmed"}]}}, True),
    ],
)
def test_refuted_conditions_do_not_count(more: dict[str, Any], counts: bool) -> None:
    assert values(*admission(), condition("af", "49436004", **more))["atrial_fibrillation"] == float(counts)


@pytest.mark.parametrize(
    ("onset", "more", "counts"),
    [
        ("2025-06-01", {}, 0),  # shock of another year is not this one
        ("2026-01-10T09:00:00+00:00", {}, 1),
        ("2026-02-01", {}, 0),  # after the fact
        (None, {}, 0),
        (None, {"encounter": {"reference": "Encounter/e1"}}, 1),
    ],
)
def test_windows_of_conditions(onset: str | None, more: dict[str, Any], counts: float) -> None:
    shock = condition("shock", "89138009", onset=onset, **more)
    assert values(*admission(), shock)["cardiogenic_shock"] == counts


def test_the_first_reading_in_the_window_counts() -> None:
    readings = [
        observation("old", "8867-4", 50, "/min", at="2026-01-01T00:00:00Z"),
        observation("later", "8867-4", 70, "/min", at="2026-01-10T20:00:00Z"),
        observation("next-week", "8867-4", 60, "/min", at="2026-01-17T08:00:00Z"),
    ]
    assert values(*admission(), *readings)["heart_rate"] == 96


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled", "registered", "unknown"])
def test_unusable_observations_do_not_count(status: str) -> None:
    assert refusal(*without("hr"), {**observation("hr", "8867-4", 96, "/min"), "status": status}).inputs == (
        "heart_rate",
    )


def test_a_value_with_a_comparator_is_no_value() -> None:
    heart = observation("hr", "8867-4", 300, "/min")
    heart["valueQuantity"]["comparator"] = "<"
    assert refusal(*without("hr"), heart).reason is AbstentionReason.MISSING_INPUT


def test_every_missing_input_is_named() -> None:
    found = refusal(*without("hr", "bp"))
    assert found.reason is AbstentionReason.MISSING_INPUT
    assert found.inputs == ("heart_rate", "systolic_bp")
    assert "heart rate" in found.detail and "systolic blood pressure" in found.detail


@pytest.mark.parametrize(
    ("resources", "reason"),
    [
        ([observation("hr", "8867-4", 900, "/min")], AbstentionReason.IMPLAUSIBLE_INPUT),
        ([observation("hr", "8867-4", 90, "kg")], AbstentionReason.UNIT_NOT_CONVERTIBLE),
    ],
)
def test_never_a_guess(resources: list[dict[str, Any]], reason: AbstentionReason) -> None:
    found = refusal(*without("hr"), *resources)
    assert found.reason is reason
    assert "90" not in found.detail


def test_gender_other_than_the_two_the_model_knows() -> None:
    assert refusal(*without("p1"), patient(gender="other")).inputs == ("female",)


@pytest.mark.parametrize(
    "resources",
    [
        [*without("p1"), patient(birthDate="2015-01-01")],
        [*without("p1"), patient(deceasedBoolean=True)],
        [*without("p1"), patient(deceasedDateTime="2026-01-09")],
        without("mi"),
        [*without("mi"), condition("mi", "304914007", onset="2019-01-01")],
    ],
)
def test_outside_the_population(resources: list[dict[str, Any]]) -> None:
    assert refusal(*resources).reason is AbstentionReason.OUTSIDE_POPULATION


def test_every_value_remembers_its_source() -> None:
    found = extract(INPUTS, APPLIES_IF, record(*admission()), INDEX)
    assert isinstance(found, Features)
    assert {source.reference for source in found.sources} == {
        "Patient/p1/_history/1",
        "Observation/bp/_history/1",
        "Observation/hr/_history/1",
        "Observation/bmi/_history/1",
        "Condition/mi/_history/1",
        "Condition/chf/_history/1",
    }


@pytest.mark.parametrize(
    ("birth", "age"),
    [("1950-01-10", 76), ("1950-01-11", 75), ("1950", 75), ("1950-01", 75), (None, math.nan), ("soon", math.nan)],
)
def test_age_in_completed_years(birth: str | None, age: float) -> None:
    assert age_at(birth, INDEX) == pytest.approx(age, nan_ok=True)


def test_index_time() -> None:
    assert index_time_of(encounter()) == INDEX
    assert index_time_of(encounter(period={})) is None
    assert index_time_of(None) is None


def test_queries_name_every_code_and_only_this_patient() -> None:
    observations, conditions = queries("Patient/p1", INPUTS, APPLIES_IF)
    assert observations.startswith("Observation?patient=p1&code=")
    for code in ("8867-4", "85354-9", "39156-5", "29463-7", "8302-2"):
        assert code in observations
    for code in ("304914007", "401314000", "22298006"):
        assert code in conditions


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"kind": "smell"}, "kind"),
        ({"kind": "age", "missing": "refuse"}, "plausible"),
        ({"kind": "sex", "missing": "guess"}, "missing"),
        ({"kind": "age", "missing": "refuse", "plausible": [9, 1]}, "plausible"),
    ],
)
def test_a_wrong_declaration_is_refused_by_name(broken: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        input_from({"name": "nose", **broken})
    assert "'nose'" in str(caught.value)


@pytest.mark.parametrize("text", ["", "P", "1D", "P1Y", "PT"])
def test_durations(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        duration(text)
