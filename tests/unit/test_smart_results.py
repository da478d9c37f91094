"""What the page makes of resources, as the evidence writes them and as nobody should."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_adapter.codes import MODEL_TAG, concept
from fhir_adapter.evidence import evidence_of
from fhir_adapter.prediction import CompetingRisk, Diagnosis, Finding, Measurement, RiskAtHorizon
from functions.smart_app.findings import Measured
from functions.smart_app.person import Person, person_of
from functions.smart_app.results import Answer, Risk, answers_of
from tests.fakes import BASE
from tests.smart import with_interval, written
from tests.unit.test_evidence import MODEL, PREDICTION, context

Json = dict[str, Any]
TODAY = date(2026, 6, 14)


def answers(*resources: Json) -> list[Answer]:
    return answers_of(resources, BASE, "p1", UTC)


def of(answer: Any, model: Any = MODEL, **more: Any) -> list[Json]:
    entries = evidence_of(answer, context(**more), model).bundle["entry"]
    return [entry["resource"] for entry in entries if entry["resource"]["resourceType"] != "Provenance"]


def test_a_prediction_is_one_answer_though_it_is_two_resources() -> None:
    found = answers(*of(PREDICTION))
    assert [answer.risks for answer in found] == [
        (
            Risk("Death from any cause", 30.0, pytest.approx(7.12, abs=0.01)),  # type: ignore[arg-type]
            Risk("Death from any cause", 365.0, 25.0),
        )
    ]
    (answer,) = found
    assert answer.when == datetime(2026, 1, 10, 8, tzinfo=UTC) and answer.status == "preliminary"
    assert answer.title == "Death after acute myocardial infarction" and answer.method.endswith("1.0.0")
    assert answer.reference.startswith("RiskAssessment/") and "Observation/hr/_history/2" in answer.sources


def test_the_observation_alone_tells_the_same_risks() -> None:
    (both,) = answers(*of(PREDICTION))
    (alone,) = answers(*(item for item in of(PREDICTION) if item["resourceType"] == "Observation"))
    assert [(risk.days, risk.percent) for risk in alone.risks] == [(risk.days, risk.percent) for risk in both.risks]
    assert alone.risks[0].outcome == both.risks[0].outcome


def test_intervals_and_competing_events() -> None:
    (answer,) = answers(with_interval())
    assert answer.risks == (Risk("Death from any cause", 365.0, 25.0, (20.0, 31.0)),)
    model = replace(MODEL, competing=concept("http://snomed.info/sct", "1"), competing_text="Other")
    other = CompetingRisk((RiskAtHorizon(30, 0.02), RiskAtHorizon(365, 0.1)))
    prediction = replace(PREDICTION, competing=other)
    found = of(prediction, model)
    (with_other,) = answers(*found)
    assert [risk.outcome for risk in with_other.risks] == ["Death from any cause"] * 2 + ["Other"] * 2
    (alone,) = answers(*(item for item in found if item["resourceType"] == "Observation"))
    assert [risk.percent for risk in alone.risks] == [risk.percent for risk in with_other.risks]


def test_an_abstention_tells_its_reason() -> None:
    declined = [answer for answer in answers(*written()) if answer.declined]
    assert [(answer.declined, answer.risks) for answer in declined] == [("missing-input", ())]
    assert "heart rate" in declined[0].remarks[0]


def test_a_diagnosis_tells_what_was_measured() -> None:
    model = replace(MODEL, name="ecg", kind="diagnosis", title="ECG")
    fibrillation = Finding("af", "Atrial fibrillation", concept("http://snomed.info/sct", "49436004"), 0.8, 0.5)
    rate = Measurement("rate", "Heart rate", concept("http://loinc.org", "8867-4"), 96.0, "/min")
    found = answers(*of(Diagnosis((fibrillation,), (rate,)), model, about="ImagingStudy/i1"))
    assert [answer.measurements for answer in found] == [(Measured("Heart rate", "8867-4", 96.0, "/min"),)], (
        "one answer"
    )
    assert [(item.percent, item.stated) for answer in found for item in answer.findings] == [(80.0, True)]
    assert [answer.report for answer in found] != [""] and found[0].title == "ECG"
    assert [risk for answer in found for risk in answer.risks] == [Risk("Atrial fibrillation", None, 80.0)]


@pytest.mark.conformance("A51", "A60")
@pytest.mark.parametrize(
    "change",
    [
        {"subject": {"reference": "Patient/p2"}},
        {"subject": {"reference": "https://evil.test/fhir/Patient/p1"}},
        {"subject": None},
        {"meta": {}},
        {"meta": {"tag": [{"system": "urn:other", "code": "whas500"}]}},
        {"status": "entered-in-error"},
        {"status": "cancelled"},
    ],
)
def test_what_is_not_ours_about_this_patient_and_alive_is_left_out(change: Json) -> None:
    assert answers({**with_interval(), **change}) == []


def test_newest_first_and_what_has_no_time_last() -> None:
    base = {**with_interval(), "basis": []}
    times = ["2026-01-01", "2026-03-01T10:00:00+02:00", "2025", None]
    resources = [{**base, "id": str(number), "occurrenceDateTime": time} for number, time in enumerate(times)]
    assert [answer.reference[-1] for answer in answers(*resources)] == ["1", "0", "2", "3"]


def test_of_the_same_time_the_one_written_last_comes_first() -> None:
    base = {**with_interval(), "basis": []}
    times = ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]
    resources = [
        {**base, "id": str(number), "meta": {**base["meta"], "lastUpdated": time}} for number, time in enumerate(times)
    ]
    assert [answer.reference[-1] for answer in answers(*resources)] == ["1", "0"]


def test_who_a_patient_is() -> None:
    names = [
        {"use": "maiden", "family": "Before"},
        {"use": "nickname", "text": "Lizzy"},
        {"use": "usual", "family": "Usual"},
        {"use": "official", "given": ["Ada", "M."], "family": "Byron"},
    ]
    numbers = [
        {"value": "123-45-6789", "type": {"coding": [{"code": "SS"}]}},
        {"value": "MR-7", "type": {"coding": [{"code": "MR"}]}},
    ]
    patient = {"name": names, "identifier": numbers, "gender": "female", "birthDate": "1950-06-15"}
    assert person_of(patient, TODAY) == Person("Ada M. Byron", "female", "1950-06-15", 75, ("MR-7",), False)
    assert person_of({}, TODAY) == Person("", "", "", None, (), False)
    assert person_of({"birthDate": "1950-06", "deceasedDateTime": "2020"}, TODAY).deceased
    assert person_of({"birthDate": "1950-06"}, TODAY).age is None


ELEMENTS = sorted({*with_interval(), "component", "valueQuantity", "name"})
PARTS = [*ELEMENTS, "coding", "value", "low", "high", "url", "text", "reference", "valueRange", "given", "whenPeriod"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(PARTS), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(ELEMENTS), JSON))
def test_whatever_an_ehr_holds_it_is_read(change: Json) -> None:
    """An EHR's resource breaks no page; at the worst it says nothing."""
    tag = {"meta": {"tag": [{"system": MODEL_TAG, "code": "whas500"}]}, "subject": {"reference": "Patient/p1"}}
    for kind in ("RiskAssessment", "Observation"):
        found = answers({**with_interval(), **change, **tag, "resourceType": kind})
        assert len(found) <= 1 and all(isinstance(risk.percent, float) for answer in found for risk in answer.risks)
    assert isinstance(person_of(change, TODAY), Person)
