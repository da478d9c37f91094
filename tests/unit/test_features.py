from __future__ import annotations

import math
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml

from fhir_adapter.errors import ConfigurationError
from fhir_adapter.features import (
    Features,
    Record,
    Selection,
    applies_if_from,
    extract,
    index_time_of,
    input_from,
    localised,
    queries,
)
from fhir_adapter.features.declaration import duration
from fhir_adapter.features.extract import age_at
from fhir_adapter.prediction import Abstention, AbstentionReason
from fhir_adapter.terminology import Terminology
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


CREATININE = {
    "name": "creatinine",
    "display": "Creatinine",
    "kind": "observation",
    "system": "http://loinc.org",
    "codes": ["2160-0"],
    "unit": "umol/L",
    "molar_mass": 113.12,
    "look_back": "P7D",
    "aggregation": "latest",
    "plausible": [1, 5000],
    "missing": "refuse",
}


def one(declared: dict[str, Any], *resources: dict[str, Any], terminology: Terminology | None = None) -> Any:
    """Return the value of one input, or the reason why there is none."""
    inputs, anyone = localised([input_from(declared, terminology)], applies_if_from({}), terminology or Terminology())
    found = extract(inputs, anyone, Selection.of(inputs, anyone).record(patient(), encounter(), resources), INDEX)
    return found.values[0].value if isinstance(found, Features) else found.reason


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [(1.0, "mg/dL", 88.40), (90.0, "umol/L", 90.0), (0.09, "mmol/L", 90.0), (1.0, "[iU]/L", "unit-not-convertible")],
)
def test_mass_and_amount_of_a_declared_substance(value: float, unit: str, expected: Any) -> None:
    before = "2026-01-09T08:00:00Z"
    found = one(CREATININE, observation("c", "2160-0", value, unit, at=before))
    assert found == (expected if isinstance(expected, str) else pytest.approx(expected, abs=0.01))


SCORE = {**CREATININE, "name": "gcs", "codes": ["9269-2"], "unit": "{score}", "plausible": [3, 15]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"valueInteger": 14}, 14),
        ({"valueQuantity": {"value": 14}}, 14),
        ({"valueQuantity": {"value": 14, "unit": "{score}"}}, 14),
        ({"valueQuantity": {"value": 14, "unit": "kg"}}, "unit-not-convertible"),
        ({"valueInteger": True}, "missing-input"),
        ({"valueInteger": 16}, "implausible-input"),
    ],
)
def test_a_score_has_no_unit(value: dict[str, Any], expected: Any) -> None:
    resource = observation("s", "9269-2", 0, "1", at="2026-01-09T08:00:00Z")
    del resource["valueQuantity"]
    assert one(SCORE, {**resource, **value}) == expected


def test_a_printed_unit_is_read_where_no_code_is() -> None:
    heart = observation("hr", "8867-4", 96, "/min")
    heart["valueQuantity"] = {"value": 96, "unit": "bpm"}
    assert values(*without("hr"), heart)["heart_rate"] == 96


LOCAL = "https://hospital.test/codes"
TERMS = Terminology.from_resources(
    [
        {
            "resourceType": "ValueSet",
            "url": "https://example.org/vs/creatinine",
            "expansion": {"contains": [{"system": "http://loinc.org", "code": code} for code in ("2160-0", "38483-4")]},
        },
        {
            "resourceType": "ConceptMap",
            "status": "active",
            "group": [
                {
                    "source": LOCAL,
                    "target": "http://loinc.org",
                    "element": [
                        {"code": "CREA", "target": [{"code": "38483-4", "equivalence": "equivalent"}]},
                        {"code": "CREAW", "target": [{"code": "2160-0", "equivalence": "wider"}]},
                        {"code": "BP", "target": [{"code": "85354-9", "equivalence": "equal"}]},
                        {"code": "SYS", "target": [{"code": "8480-6", "equivalence": "equal"}]},
                        {"code": "KG", "target": [{"code": "29463-7", "equivalence": "equal"}]},
                    ],
                }
            ],
        },
    ]
)


def local(resource: dict[str, Any], code: str) -> dict[str, Any]:
    return {**resource, "code": {"coding": [{"system": LOCAL, "code": code}]}}


@pytest.mark.parametrize(
    ("code", "equivalence", "counts"),
    [("CREA", [], True), ("CREAW", [], False), ("CREAW", ["wider"], True), ("OTHER", ["wider"], False)],
)
def test_value_sets_and_local_codes(code: str, equivalence: list[str], counts: bool) -> None:
    declared = {key: value for key, value in CREATININE.items() if key not in ("system", "codes")}
    declared |= {"value_set": "https://example.org/vs/creatinine", "equivalence": equivalence}
    reading = local(observation("c", "x", 90, "umol/L", at="2026-01-09T08:00:00Z"), code)
    assert one(declared, reading, terminology=TERMS) == (90 if counts else "missing-input")


def test_local_codes_of_panels_components_and_what_is_derived() -> None:
    inputs, applies_if = localised(INPUTS, APPLIES_IF, TERMS)
    pressure = local(blood_pressure(142, 81), "BP")
    pressure["component"][0] = local(pressure["component"][0], "SYS")
    resources = [
        *without("bp", "bmi"),
        pressure,
        local(observation("w", "x", 80, "kg"), "KG"),
        observation("h", "8302-2", 200, "cm"),
    ]
    observed, _ = queries("Patient/p1", inputs, applies_if)
    for code in ("BP", "SYS", "KG"):
        assert f"codes%7C{code}" in observed
    found = extract(inputs, applies_if, record(*resources), INDEX)
    assert isinstance(found, Features)
    read = {value.input.name: value.value for value in found.values}
    assert (read["systolic_bp"], read["diastolic_bp"], read["bmi"]) == (142, 81, 20)


def path(expression: str, **more: Any) -> dict[str, Any]:
    return {"name": "p", "display": "It", "kind": "fhirpath", "missing": "refuse", "expression": expression, **more}


RATES = [{"type": "Observation", "system": "http://loinc.org", "codes": ["8867-4"]}]


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        (path("Patient.gender = 'female'"), 1.0),
        (path("Patient.gender = 'male'"), 0.0),
        (path("Encounter.class.code = 'IMP' and Encounter.period.start <= %indexTime"), 1.0),
        (path("Observation.where(status = 'final').count()", reads=RATES), 2.0),
        (path("Observation.value.ofType(Quantity).first()", reads=RATES, unit="/s"), 1.5),
        (path("Observation.value.value.last()", reads=RATES, plausible=[0, 300]), 96.0),
        (path("Observation.value.value.last()", reads=RATES, plausible=[0, 95]), "implausible-input"),
        (path("Observation.value.value", reads=RATES), "implausible-input"),  # two of them
        (path("Patient.birthDate"), "implausible-input"),  # no number
        (path("Observation.value.ofType(Quantity).first()", reads=RATES, unit="kg"), "unit-not-convertible"),
        (path("Patient.gender + 1"), "implausible-input"),  # fails on this record only
        (path("Patient.maritalStatus.exists()"), 0.0),
        (path("Patient.maritalStatus.coding.code"), "missing-input"),
        (path("Patient.maritalStatus.coding.code", missing="absent"), 0.0),
        (path("iif(Patient.gender = 'female', 3 'kg', 4 'kg')", unit="g"), 3000.0),
    ],
)
def test_what_codes_cannot_say(declared: dict[str, Any], expected: Any) -> None:
    resources = [
        observation("late", "8867-4", 96, "/min", at="2026-01-10T09:00:00Z"),
        observation("early", "8867-4", 90, "/min"),
        observation("other", "9999-9", 1, "/min"),
    ]
    assert one(declared, *resources) == expected


def test_a_computed_value_comes_from_all_that_the_expression_sees() -> None:
    inputs, anyone = [input_from(path("Observation.count() > 0", reads=RATES))], applies_if_from({})
    seen = record(*admission(), observation("other", "9999-9", 1, "/min"))
    found = extract(inputs, anyone, seen, INDEX)
    assert isinstance(found, Features)
    assert [source.reference for source in found.sources] == ["Observation/hr/_history/1"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"expression": "Patient.gender ="}, "FHIRPath"),
        ({"expression": "Patient gender"}, "FHIRPath"),
        ({"expression": "Patient.gender("}, "FHIRPath"),
        ({"expression": "Patient.smell()"}, "smell"),
        ({"expression": "Patient.birthDate < today()"}, "today"),
        ({"expression": "Patient.birthDate < now()"}, "now"),
        ({"expression": "Patient.trace('x')"}, "trace"),
        ({"expression": "Patient.generalPractitioner.resolve()"}, "resolve"),
        ({"expression": "%nope.x | Patient"}, "nope"),
        ({"expression": "gender = 'female'"}, "start from"),
        ({"expression": "Observation.exists()"}, "reads"),
        ({"expression": "Patient.active", "reads": [{"type": "Device", "codes": []}]}, "Device"),
        ({"kind": "observation", "molar_mass": 0}, "molar_mass"),
        ({"kind": "observation", "codes": []}, "codes or value_set"),
        ({"kind": "observation", "codes": "2160-0"}, "list"),
        ({"kind": "observation", "value_set": "https://example.org/vs/nothing"}, "not in the package"),
        ({"kind": "observation", "equivalence": ["narrower"]}, "narrower"),
        ({"kind": "observation", "derive": {"weight": "1"}}, "height"),
        ({"kind": "condition", "codes": []}, "codes or value_set"),
    ],
)
def test_declarations_that_would_not_work_are_refused_by_name(more: dict[str, Any], message: str) -> None:
    base = path("Patient.active") if "kind" not in more else CREATININE
    with pytest.raises(ConfigurationError, match=message) as caught:
        input_from({**base, **more, "name": "nose"})
    assert "'nose'" in str(caught.value)


def test_packages_without_expressions_do_not_load_the_library() -> None:
    code = (
        "import sys, yaml; from fhir_adapter.features import input_from;"
        "[input_from(i) for i in yaml.safe_load(open('functions/survival/packages/whas500/model.yaml'))['inputs']];"
        "sys.exit(any(name in sys.modules for name in ('fhirpathpy', 'antlr4', 'pint', 'sqlite3', 'httpx')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_model_without_codes_asks_for_no_code() -> None:
    observed, diagnosed = queries("Patient/p1", [INPUTS[0]], applies_if_from({}))
    assert observed == "Observation?patient=p1&_summary=count"
    assert diagnosed == "Condition?patient=p1&_summary=count"


def test_days_are_days_where_the_hospital_is() -> None:
    early = INDEX.replace(hour=0) - timedelta(hours=6)  # the tenth in Auckland, the ninth in UTC
    noted = {**observation("hr", "8867-4", 96, "/min"), "effectiveDateTime": "2026-01-10"}
    inputs = [input_from({**CREATININE, "codes": ["8867-4"], "unit": "/min", "look_ahead": "PT0H"})]
    anyone = applies_if_from({})
    for zone, kind in ((UTC, Abstention), (timezone(timedelta(hours=13)), Features)):
        seen = Selection.of(inputs, anyone).record(patient(), encounter(), [noted], zone)
        assert isinstance(extract(inputs, anyone, seen, early), kind)


def test_only_what_is_needed_is_kept() -> None:
    selection = Selection.of(INPUTS, APPLIES_IF)
    heart = observation("hr", "8867-4", 96, "/min") | {"note": [{"text": "x"}], "meta": {"versionId": "1"}}
    assert selection.pick(heart) == {key: value for key, value in heart.items() if key != "note"}
    assert selection.pick(observation("other", "9999-9", 1, "/min")) is None
    assert selection.pick({"resourceType": "Media", "id": "m"}) is None
    unversioned = {key: value for key, value in heart.items() if key != "meta"}
    assert selection.pick(unversioned) is unversioned  # its digest tells it from another state
