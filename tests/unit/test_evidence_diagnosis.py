"""What a diagnosis becomes in the EHR: numbers beside their operating points, never a statement, always a draft."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from fhir_adapter.codes import ABOUT_TAG, AI_ASSERTED, INLINE_LABEL, INLINE_LABELS
from fhir_adapter.errors import InvalidResourceError
from fhir_adapter.evidence import attest, check, evidence_of
from fhir_adapter.evidence.results import ABSENT
from fhir_adapter.evidence.supersede import Earlier, about_of, results_queries
from fhir_adapter.prediction import (
    Abstention,
    AbstentionReason,
    Contribution,
    Diagnosis,
    Finding,
    ImageSource,
    Measurement,
    ModelIdentity,
    ResultContext,
)
from fhir_adapter.references import Source
from tests import validator

Json = dict[str, Any]
NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
SNOMED = "http://snomed.info/sct"
MODEL = ModelIdentity("film", "1.0.0", "Film reader", "a" * 64, "diagnosis", {}, "Pneumonia", "for tests only")
CODE = {"coding": [{"system": SNOMED, "code": "233604007", "display": "Pneumonia"}]}
LOINC = {"coding": [{"system": "http://loinc.org", "code": "8634-8", "display": "Q-T interval"}]}
PNEUMONIA, NORMAL = Finding("pneumonia", "Pneumonia", CODE, 0.62, 0.5), Finding("normal", "Normal film", {}, 0.38, 0.5)
SHARE = Finding("afib", "Atrial fibrillation", CODE, 0.4996, 0.5, "share")
QT = Measurement("qt_ms", "Q-T interval", LOINC, 388.0, "ms")
FILM = ImageSource("1.2.3", "1.2.3.4", "1.2.840.10008.5.1.4.1.1.1.1", "1.2.3.4.5", "b" * 64)
STRIP = replace(FILM, sop_class="1.2.840.10008.5.1.4.1.1.9.1.1")


def context(**changes: Any) -> ResultContext:
    base = ResultContext(
        tenant="general",
        organization="General Hospital",
        patient="Patient/p1",
        encounter="Encounter/e1",
        index_time=datetime(2026, 1, 10, 8, tzinfo=UTC),
        sources=(Source("Patient/p1/_history/1", "p1@1"), Source("ImagingStudy/s1/_history/2", "s1@2")),
        fingerprints=("p1@1", FILM.fingerprint),
        about="ImagingStudy/s1",
        study="ImagingStudy/s1",
        images=(FILM,),
    )
    return replace(base, **changes)


def written(answer: Diagnosis | Abstention, **changes: Any) -> list[Json]:
    bundle = evidence_of(answer, context(**changes), MODEL, now=NOW).bundle
    return [entry["resource"] for entry in bundle["entry"]]


def of(found: list[Json], kind: str) -> list[Json]:
    return [item for item in found if item["resourceType"] == kind]


@pytest.mark.parametrize(
    ("answer", "changes"),
    [
        (Diagnosis((PNEUMONIA, NORMAL)), {}),
        (Diagnosis((SHARE,), (QT,), notes=("The lead may be off.",)), {"images": (STRIP,)}),
        (Diagnosis((), (QT,)), {"images": (STRIP,), "encounter": None}),
        (Diagnosis((PNEUMONIA,)), {"images": (), "study": None, "about": "DiagnosticReport/r1", "index_time": None}),
        (Abstention(AbstentionReason.AGE, "The model is for ages 1 to 5."), {}),
    ],
)
def test_everything_written_is_valid(answer: Diagnosis | Abstention, changes: dict[str, Any]) -> None:
    found = written(answer, **changes)
    for resource in found:
        validator.assert_valid(resource)
        check(resource)
    targets = {item["reference"] for item in of(found, "Provenance")[0]["target"]}
    results = [item for kind in ("Observation", "RiskAssessment", "DiagnosticReport") for item in of(found, kind)]
    assert targets == {f"{item['resourceType']}/{item['id']}" for item in results}
    assert all(AI_ASSERTED in item["meta"]["security"] and item["status"] == "preliminary" for item in results)


@pytest.mark.parametrize("reason", AbstentionReason)
def test_every_reason_can_be_written(reason: AbstentionReason) -> None:
    (observation,) = of(written(Abstention(reason, "Why.")), "Observation")
    standard, ours = observation["dataAbsentReason"]["coding"]
    assert ours["code"] == reason.value
    assert standard["code"] == ABSENT.get(reason, ("not-applicable", ""))[0]


def test_a_finding_is_a_number_and_not_a_statement() -> None:
    (observation,) = of(written(Diagnosis((PNEUMONIA,))), "Observation")
    assert observation["code"]["coding"][0]["code"] == "film.pneumonia"
    assert observation["code"]["text"] == "Probability of pneumonia"
    assert "valueCodeableConcept" not in observation
    assert observation["interpretation"] == [{"text": "At or above the operating point of 50%"}]
    assert {"system": ABOUT_TAG, "code": "ImagingStudy/s1"} in observation["meta"]["tag"]


@pytest.mark.conformance("G21")
def test_a_share_is_neither_a_probability_nor_a_risk() -> None:
    found = written(Diagnosis((SHARE,), (QT,)), images=(STRIP,))
    share, interval = of(found, "Observation")
    assert share["code"]["text"] == "Share of the recording read as atrial fibrillation"
    assert share["interpretation"] == [{"text": "Below the operating point of 50%"}]
    assert interval["valueQuantity"] == {
        "value": 388.0,
        "unit": "ms",
        "system": "http://unitsofmeasure.org",
        "code": "ms",
    }
    assert of(found, "RiskAssessment") == []
    (report,) = of(found, "DiagnosticReport")
    assert "49.96% of the recording" in report["conclusion"], "the side of the operating point is not rounded away"
    assert "Q-T interval 388 ms" in report["conclusion"]


def test_what_moved_the_score_is_said_of_the_finding_it_moved() -> None:
    moved = (Contribution("tsh", "TSH", "20 m[IU]/L", 2.31), Contribution("t4", "T4", "2 ug/dL", -0.5))
    answer = Diagnosis((PNEUMONIA, NORMAL), contributions=moved, explained="pneumonia")
    found = written(answer)
    told = "TSH 20 m[IU]/L raises the score (+2.31); T4 2 ug/dL lowers the score (-0.50)"
    notes = [item["note"][0]["text"] for item in of(found, "Observation")]
    assert notes == [told, "for tests only"]
    (risk,) = of(found, "RiskAssessment")
    assert [item.get("rationale") for item in risk["prediction"]] == [told], "what has no code is no outcome"


def test_the_files_that_were_read_are_named_with_their_digests() -> None:
    (provenance,) = of(written(Diagnosis((PNEUMONIA,))), "Provenance")
    (file,) = [entity["what"] for entity in provenance["entity"] if "identifier" in entity["what"]]
    assert file["identifier"] == {"system": "urn:dicom:uid", "value": "urn:oid:1.2.3.4.5"}
    assert file["display"] == f"DICOM instance, SHA-256 {'b' * 64}"


def test_the_same_images_are_the_same_result_and_other_ones_another() -> None:
    same, other = context(), context(fingerprints=("p1@1", replace(FILM, sha256="c" * 64).fingerprint))
    answer = Diagnosis((PNEUMONIA,))
    first = evidence_of(answer, context(), MODEL, now=NOW)
    assert evidence_of(answer, same, MODEL).result == first.result
    assert evidence_of(answer, other, MODEL).result != first.result


def test_results_are_held_against_each_other_by_what_they_are_about() -> None:
    observation, report = (
        written(Diagnosis((PNEUMONIA,)))[1],
        of(written(Diagnosis((PNEUMONIA,))), "DiagnosticReport")[0],
    )
    assert about_of(observation) == about_of(report) == "ImagingStudy/s1"
    earlier = Earlier((observation, report))
    assert len(earlier.replaced_by((), "ImagingStudy/s1")) == 2
    assert earlier.replaced_by((), "Encounter/e1") == ()
    assert earlier.newer_than([Source("ImagingStudy/s1/_history/1", "s1@1")], "ImagingStudy/s1")
    (query,) = results_queries("film", None, about="ImagingStudy/s1", types=("DiagnosticReport",))
    assert query.startswith("DiagnosticReport?_tag=")
    assert query.count("_tag=") == 2


@pytest.mark.conformance("H07")
def test_a_person_attests_a_report() -> None:
    (report,) = of(written(Diagnosis((PNEUMONIA,))), "DiagnosticReport")
    attested = attest(report, "Practitioner/dr1", NOW, organization="General Hospital").resource
    assert (attested["status"], attested["resultsInterpreter"]) == ("final", [{"reference": "Practitioner/dr1"}])
    assert INLINE_LABELS in attested["meta"]["security"]
    assert attested["_conclusion"]["extension"] == [{"url": INLINE_LABEL, "valueCoding": AI_ASSERTED}]
    validator.assert_valid(attested)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": "draft"}, "required value set"),
        ({"category": []}, "category"),
        ({"effectiveDateTime": None}, "us-core-10"),
        ({"result": [], "conclusion": None}, "result or a conclusion"),
    ],
)
def test_an_invalid_report_is_never_written(change: Json, message: str) -> None:
    (report,) = of(written(Diagnosis((PNEUMONIA,))), "DiagnosticReport")
    broken = {name: value for name, value in {**report, **change}.items() if value is not None and value != []}
    with pytest.raises(InvalidResourceError, match=message):
        check(broken)
