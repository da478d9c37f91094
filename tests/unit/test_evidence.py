from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from fhir_adapter.codes import AI_ASSERTED, concept
from fhir_adapter.errors import InvalidResourceError
from fhir_adapter.evidence import Evidence, check, evidence_of
from fhir_adapter.prediction import (
    Abstention,
    AbstentionReason,
    Contribution,
    ModelIdentity,
    Prediction,
    ResultContext,
    RiskAtHorizon,
    SurvivalCurve,
)
from fhir_adapter.references import Source, source_of
from tests.peering import require_peer

MODEL = ModelIdentity(
    name="whas500",
    version="1.0.0",
    title="Death after acute myocardial infarction",
    digest="ab" * 32,
    kind="survival",
    outcome=concept("http://snomed.info/sct", "419620001", "Death"),
    outcome_text="Death from any cause",
    status="research use only",
)
SOURCES = tuple(Source(f"{ref}/_history/2", f"{ref}@2") for ref in ("Patient/p1", "Encounter/e1", "Observation/hr"))
PREDICTION = Prediction(
    risks=(RiskAtHorizon(30, 0.0712345678901), RiskAtHorizon(365, 0.25)),
    curve=SurvivalCurve(7, (1.0, 0.97, 0.9)),
    contributions=(Contribution("age", "Age", "81 years", 0.9), Contribution("bmi", "BMI", "30 kg/m2", -0.1)),
)
ABSTENTION = Abstention(AbstentionReason.MISSING_INPUT, "Not on record: heart rate.", ("heart_rate",))


def context(fingerprints: tuple[str, ...] | None = None, **more: Any) -> ResultContext:
    return ResultContext(
        **{
            "tenant": "general",
            "organization": "General Hospital",
            "patient": "Patient/p1",
            "encounter": "Encounter/e1",
            "index_time": datetime(2026, 1, 10, 8, tzinfo=UTC),
            "sources": SOURCES,
            "fingerprints": fingerprints or tuple(source.fingerprint for source in SOURCES),
            **more,
        }
    )


def resources(evidence: Evidence) -> dict[str, dict[str, Any]]:
    return {entry["resource"]["resourceType"]: entry["resource"] for entry in evidence.bundle["entry"]}


def test_one_transaction_of_puts_with_ids_of_our_own() -> None:
    evidence = evidence_of(PREDICTION, context(), MODEL)
    assert evidence.bundle["type"] == "transaction"
    for entry in evidence.bundle["entry"]:
        resource = entry["resource"]
        assert entry["request"] == {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}
    assert set(resources(evidence)) == {"Device", "Observation", "RiskAssessment", "Provenance"}


def test_the_same_event_is_the_same_result_and_any_new_version_another() -> None:
    first = evidence_of(PREDICTION, context(), MODEL)
    again = evidence_of(PREDICTION, context(tuple(reversed(context().fingerprints))), MODEL)
    newer = evidence_of(PREDICTION, context(("Patient/p1@3", *context().fingerprints[1:])), MODEL)
    elsewhere = evidence_of(PREDICTION, context(tenant="other"), MODEL)
    assert first.result == again.result
    assert len({first.result, newer.result, elsewhere.result}) == 3


def test_probabilities_are_percentages_at_each_horizon() -> None:
    risk = resources(evidence_of(PREDICTION, context(), MODEL))["RiskAssessment"]
    assert [item["probabilityDecimal"] for item in risk["prediction"]] == [7.12345678901, 25.0]
    assert [item["whenRange"]["high"]["value"] for item in risk["prediction"]] == [30, 365]
    assert risk["status"] == "preliminary"
    assert {"reference": "Observation/hr/_history/2"} in risk["basis"]
    assert "Age 81 years raises the risk (+0.90)" in risk["prediction"][0]["rationale"]


def test_the_curve_is_sampled_data() -> None:
    observation = resources(evidence_of(PREDICTION, context(), MODEL))["Observation"]
    (curve,) = [item["valueSampledData"] for item in observation["component"] if "valueSampledData" in item]
    assert curve["data"] == "100.0000 97.0000 90.0000"
    assert curve["period"] == 7 * 24 * 3600 * 1000
    assert observation["derivedFrom"] == [{"reference": "Observation/hr/_history/2"}]


def test_everything_is_labelled_as_made_by_ai() -> None:
    found = resources(evidence_of(PREDICTION, context(), MODEL))
    for kind in ("Observation", "RiskAssessment"):
        assert AI_ASSERTED in found[kind]["meta"]["security"]
    provenance = found["Provenance"]
    assert {target["reference"].split("/")[0] for target in provenance["target"]} == {"Observation", "RiskAssessment"}
    assert provenance["reason"] == [{"coding": [AI_ASSERTED]}]
    assert provenance["agent"][0]["who"] == {"reference": f"Device/{found['Device']['id']}"}
    assert len(provenance["entity"]) == len(SOURCES)


def test_an_abstention_is_an_observation_that_says_why() -> None:
    evidence = evidence_of(ABSTENTION, context(), MODEL)
    found = resources(evidence)
    assert "RiskAssessment" not in found
    assert found["Observation"]["note"] == [{"text": "No prediction. Not on record: heart rate."}]
    codes = [item["code"] for item in found["Observation"]["dataAbsentReason"]["coding"]]
    assert codes == ["unknown", "missing-input"]
    assert evidence.result == evidence.observation


@pytest.mark.peer("fhirkit-rs")
@pytest.mark.parametrize("answer", [PREDICTION, ABSTENTION])
@pytest.mark.parametrize("more", [{}, {"encounter": None, "index_time": None, "sources": ()}])
def test_every_written_resource_is_valid_r4(answer: Prediction | Abstention, more: dict[str, Any]) -> None:
    require_peer("fhirkit-rs", module="fhirkit")
    import fhirkit

    evidence = evidence_of(answer, context(**more), MODEL)
    assert fhirkit.validate(evidence.bundle) == []
    for entry in evidence.bundle["entry"]:
        check(entry["resource"])
        assert fhirkit.validate(entry["resource"]) == []


@pytest.mark.parametrize(
    ("resource", "message"),
    [
        ({"resourceType": "Observation", "status": "final"}, "code: missing"),
        ({"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "secret": "Canary"}, "secret"),
        (
            {
                "resourceType": "RiskAssessment",
                "status": "final",
                "subject": {"reference": "Patient/1"},
                "prediction": [{"probabilityDecimal": 100.1}],
            },
            "ras-2",
        ),
    ],
)
def test_an_invalid_resource_is_never_built(resource: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidResourceError, match=message) as caught:
        check(resource)
    assert "Canary" not in str(caught.value)


@pytest.mark.parametrize(
    "broken",
    [
        lambda: RiskAtHorizon(30, 1.2),
        lambda: RiskAtHorizon(0, 0.5),
        lambda: RiskAtHorizon(30, float("nan")),
        lambda: SurvivalCurve(7, (0.9, 0.95)),
        lambda: SurvivalCurve(7, ()),
        lambda: SurvivalCurve(7, (1.0, float("nan"))),
        lambda: Prediction(()),
        lambda: Prediction((RiskAtHorizon(365, 0.1), RiskAtHorizon(30, 0.1))),
        lambda: Abstention(AbstentionReason.MISSING_INPUT, ""),
    ],
)
def test_a_constructed_answer_is_valid(broken: Any) -> None:
    with pytest.raises(ValueError):
        broken()


def test_versions_identify_sources_even_without_version_ids() -> None:
    plain = {"resourceType": "Patient", "id": "p1"}
    assert source_of({**plain, "meta": {"versionId": "4"}}).reference == "Patient/p1/_history/4"
    updated = source_of({**plain, "meta": {"lastUpdated": "2026-01-01T00:00:00Z"}})
    assert updated.reference == "Patient/p1"
    assert source_of(plain) != source_of({**plain, "gender": "male"})
