"""What the page makes of the resources that a model's answer is written as."""

from __future__ import annotations

from typing import Any

from fhir_adapter.evidence import evidence_of
from fhir_adapter.prediction import Abstention, AbstentionReason, Contribution, Diagnosis
from functions.smart_app.chart import Curve
from functions.smart_app.findings import Finding, Measured
from infra.local.answers import Result, Risk, abstention_of, diagnosis_of, prediction_of
from tests.unit import test_evidence_diagnosis as diagnosed
from tests.unit.test_evidence import ABSTENTION, COMPETING, MODEL, PREDICTION, PROGRESSION, context, resources

PEOPLE = {"Patient/p1": {"name": [{"given": ["Ada"], "family": "Test"}], "gender": "female", "birthDate": "1950-06-15"}}


def read(answer: Any, model: Any) -> Result:
    written = resources(evidence_of(answer, context(), model))
    own = {f"Observation/{written['Observation']['id']}": written["Observation"]}
    return prediction_of(written["RiskAssessment"], model.name, own, PEOPLE)[1]


def test_a_prediction_comes_back_as_it_was_written() -> None:
    result = read(PREDICTION, MODEL)
    assert result.risks == (Risk(30, 7.12345678901), Risk(365, 25.0))
    assert result.curve == Curve(7, (100.0, 97.0, 90.0))
    assert (result.band, result.competing, result.median_days) == (None, None, None)
    assert (result.title, result.outcome) == ("Death after acute myocardial infarction", "Death from any cause")
    assert (result.person.name, result.person.age) == ("Ada Test", 75)
    assert result.main == Risk(365, 25.0)


def test_the_competing_event_is_kept_apart() -> None:
    result = read(COMPETING, PROGRESSION)
    assert result.outcome == "Progression to myeloma"
    assert result.risks == (Risk(365, 10.0, (5.0, 20.0)), Risk(3650, 30.0, (20.0, 40.0)))
    assert result.band == (Curve(7, (100.0, 90.0, 80.0)), Curve(7, (100.0, 99.0, 95.0)))
    assert result.median_days == 4000
    assert result.competing is not None
    assert result.competing.outcome == "Death without progression"
    assert result.competing.risks == (Risk(365, 5.0), Risk(3650, 25.0))
    assert result.competing.curve == Curve(7, (0.0, 2.0, 5.0))
    assert result.drivers == (
        "M protein 2.1 g/dL raises the risk within 10 years by 3.2 percentage points",
        "Age 61 years lowers the risk within 10 years by 1.0 percentage point",
    )


def test_an_abstention_says_why() -> None:
    written = resources(evidence_of(ABSTENTION, context(), MODEL))["Observation"]
    _, result = abstention_of(written, "whas500", PEOPLE)
    assert (result.risks, result.main) == ((), None)
    assert result.reason == "A required measurement is missing"
    assert result.detail == "Not on record: heart rate."


def diagnosis(answer: Diagnosis, **changes: Any) -> Result:
    found = diagnosed.written(answer, **changes)
    own = {f"Observation/{item['id']}": item for item in diagnosed.of(found, "Observation")}
    (report,) = diagnosed.of(found, "DiagnosticReport")
    return diagnosis_of(report, "film", own, PEOPLE)[1]


def test_a_diagnosis_comes_back_with_its_operating_points_and_what_drove_it() -> None:
    moved = (Contribution("opacity", "Opacity", "0.7", 1.25), Contribution("age", "Age", "3 years", 0.0))
    result = diagnosis(Diagnosis((diagnosed.PNEUMONIA, diagnosed.NORMAL), (), moved, "pneumonia"))
    assert result.findings == (
        Finding("Pneumonia", 62.0, 50.0, "Probability of pneumonia", False, ("Opacity 0.7 raises the score (+1.25)",)),
        Finding("Normal film", 38.0, 50.0, "Probability of normal film"),
    )
    assert [item.name for item in result.stated] == ["Pneumonia"]
    assert (result.title, result.study, result.answered) == ("Film reader", "s1", True)
    assert result.report == result.resources[0].removeprefix("DiagnosticReport/")
    assert (result.risks, result.main, result.notes) == ((), None, ("for tests only",))
    assert "ImagingStudy/s1/_history/2" in result.basis
    assert (result.person.name, result.person.age) == ("Ada Test", 75)


def test_measurements_come_back_with_code_and_unit_and_shares_are_told_apart() -> None:
    result = diagnosis(Diagnosis((diagnosed.SHARE,), (diagnosed.QT,)), images=(diagnosed.STRIP,))
    assert result.measurements == (Measured("Q-T interval", "8634-8", 388.0, "ms"),)
    (finding,) = result.findings
    assert (finding.share, finding.stated, finding.drivers) == (True, False, ())
    assert result.stated == ()


def test_a_refused_image_says_why_and_which_study_it_was() -> None:
    refused = Abstention(AbstentionReason.OUTSIDE_POPULATION, "The model is for ages 1 to 6.")
    (observation,) = diagnosed.of(diagnosed.written(refused), "Observation")
    _, result = abstention_of(observation, "film", PEOPLE)
    assert (result.answered, result.study, result.report) == (False, "s1", "")
    assert result.reason == "Outside the population the model was made for"
    assert result.detail == "The model is for ages 1 to 6."
