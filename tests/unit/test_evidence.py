from __future__ import annotations

import base64
import hashlib
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fhir_adapter.codes import (
    AI_ASSERTED,
    AI_CONFIDENCE,
    AI_DEVICE_PROFILE,
    AI_DEVICE_TYPE,
    AI_INPUTS,
    AI_KIND,
    AI_MODEL_CARD_OF,
    AI_MODEL_CARD_PROFILE,
    AI_PROVENANCE_PROFILE,
    INLINE_LABEL,
    INLINE_LABELS,
    RESULT_IDENTIFIER,
    UCUM,
    concept,
)
from fhir_adapter.errors import InvalidResourceError
from fhir_adapter.evidence import (
    Evidence,
    attest,
    attestation,
    card_id,
    check,
    data_cutoff,
    device_id,
    digest_of,
    evidence_of,
    horizon_days,
    label_elements,
    percent,
    rationale_of,
)
from fhir_adapter.prediction import (
    Abstention,
    AbstentionReason,
    CompetingRisk,
    Contribution,
    IncidenceCurve,
    ModelIdentity,
    Prediction,
    ResultContext,
    RiskAtHorizon,
    SurvivalCurve,
)
from fhir_adapter.references import Source, source_of
from functions.serving.errors import ModelRefused
from functions.serving.package import load_package
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
WITH_CARD = replace(MODEL, card="# Model card\n\nÜber das Modell.\n", mitigation="A clinician decides.")
NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
CLINICAL_RESULT = {"laboratory", "exam", "therapy", "imaging", "procedure", "vital-signs", "activity"}
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


@pytest.mark.conformance("G32")
def test_the_same_event_is_the_same_result_and_any_new_version_another() -> None:
    first = evidence_of(PREDICTION, context(), MODEL)
    again = evidence_of(PREDICTION, context(tuple(reversed(context().fingerprints))), MODEL)
    newer = evidence_of(PREDICTION, context(("Patient/p1@3", *context().fingerprints[1:])), MODEL)
    elsewhere = evidence_of(PREDICTION, context(tenant="other"), MODEL)
    assert first.result == again.result
    assert len({first.result, newer.result, elsewhere.result}) == 3
    for kind in ("Observation", "RiskAssessment"):
        resource = resources(first)[kind]
        assert resource["identifier"] == [{"system": RESULT_IDENTIFIER, "value": resource["id"]}]


@pytest.mark.conformance("G10")
def test_probabilities_are_percentages_at_each_horizon() -> None:
    risk = resources(evidence_of(PREDICTION, context(), MODEL))["RiskAssessment"]
    assert [item["probabilityDecimal"] for item in risk["prediction"]] == [7.12345678901, 25.0]
    assert [horizon_days(item) for item in risk["prediction"]] == [30, 365]
    assert risk["status"] == "preliminary"
    assert {"reference": "Observation/hr/_history/2"} in risk["basis"]
    assert "Age 81 years raises the risk (+0.90)" in risk["prediction"][0]["rationale"]


def test_the_curve_is_sampled_data() -> None:
    observation = resources(evidence_of(PREDICTION, context(), MODEL))["Observation"]
    (curve,) = [item["valueSampledData"] for item in observation["component"] if "valueSampledData" in item]
    assert curve["data"] == "100.0000 97.0000 90.0000"
    assert curve["period"] == 7 * 24 * 3600 * 1000
    assert observation["derivedFrom"] == [{"reference": "Observation/hr/_history/2"}]


BAND = SurvivalCurve(7, (1.0, 0.97, 0.9), (1.0, 0.9, 0.8), (1.0, 0.99, 0.95))
PROGRESSION = replace(
    MODEL,
    outcome={},
    outcome_text="Progression to myeloma",
    competing=concept("http://snomed.info/sct", "419620001", "Death"),
    competing_text="Death without progression",
)
COMPETING = Prediction(
    risks=(RiskAtHorizon(365, 0.1, (0.05, 0.2)), RiskAtHorizon(3650, 0.3, (0.2, 0.4))),
    curve=BAND,
    contributions=(
        Contribution("m_spike", "M protein", "2.1 g/dL", 3.24),
        Contribution("age", "Age", "61 years", -1.0),
        Contribution("female", "Sex", "female", 0.04),
    ),
    scale="percentage points",
    explained_days=3650,
    median_days=4000,
    competing=CompetingRisk(
        (RiskAtHorizon(365, 0.05), RiskAtHorizon(3650, 0.25)), IncidenceCurve(7, (0.0, 0.02, 0.05))
    ),
)


def components(answer: Prediction, model: ModelIdentity = PROGRESSION) -> dict[str, dict[str, Any]]:
    observation = resources(evidence_of(answer, context(), model))["Observation"]
    return {part["code"]["coding"][0]["code"]: part for part in observation["component"]}


def test_the_band_is_two_further_components_and_an_interval_at_each_horizon() -> None:
    parts = components(COMPETING)
    assert parts["survival-curve-lower"]["valueSampledData"]["data"] == "100.0000 90.0000 80.0000"
    assert parts["survival-curve-upper"]["valueSampledData"]["data"] == "100.0000 99.0000 95.0000"
    assert "Lower bound (95%)" in parts["survival-curve-lower"]["code"]["text"]
    (extension,) = parts["risk-365d"]["extension"]
    assert [extension["valueRange"][end]["value"] for end in ("low", "high")] == [5.0, 20.0]
    assert parts["median-time"]["valueQuantity"] == {"value": 4000, "unit": "d", "system": UCUM, "code": "d"}
    plain = components(replace(COMPETING, curve=SurvivalCurve(7, (1.0, 0.9)), median_days=None))
    assert {"survival-curve-lower", "survival-curve-upper", "median-time"}.isdisjoint(plain)


def test_the_competing_event_cannot_be_taken_for_the_predicted_one() -> None:
    parts = components(COMPETING)
    for code, part in parts.items():
        text = part["code"]["text"]
        assert ("Death without progression" in text) is code.startswith("competing-")
        assert text.startswith("Competing event") is code.startswith("competing-")
    assert parts["competing-risk-3650d"]["valueQuantity"]["value"] == 25.0
    assert parts["competing-incidence-curve"]["valueSampledData"]["data"] == "0.0000 2.0000 5.0000"
    predictions = resources(evidence_of(COMPETING, context(), PROGRESSION))["RiskAssessment"]["prediction"]
    assert [(item["outcome"]["text"], item["probabilityDecimal"], horizon_days(item)) for item in predictions] == [
        ("Progression to myeloma", 10.0, 365),
        ("Progression to myeloma", 30.0, 3650),
        ("Death without progression", 5.0, 365),
        ("Death without progression", 25.0, 3650),
    ]
    assert "coding" not in predictions[0]["outcome"], "a composite outcome has no code"
    assert predictions[2]["outcome"]["coding"][0]["code"] == "419620001"
    for item in predictions[2:]:
        assert item["rationale"].startswith("Competing event, not the predicted one")


def test_percentage_points_are_said_with_the_horizon_they_are_about() -> None:
    assert rationale_of(COMPETING) == (
        "M protein 2.1 g/dL raises the risk within 10 years by 3.2 percentage points; "
        "Age 61 years lowers the risk within 10 years by 1.0 percentage point"
    )


@pytest.mark.conformance("H01", "H04", "G20")
def test_everything_is_labelled_as_made_by_ai() -> None:
    found = resources(evidence_of(PREDICTION, context(), MODEL))
    for kind in ("Observation", "RiskAssessment"):
        assert AI_ASSERTED in found[kind]["meta"]["security"]
    provenance = found["Provenance"]
    assert {target["reference"].split("/")[0] for target in provenance["target"]} == {"Observation", "RiskAssessment"}
    assert provenance["reason"] == [{"coding": [AI_ASSERTED]}]
    assert provenance["agent"][0]["who"] == {"reference": f"Device/{found['Device']['id']}"}
    assert len(provenance["entity"]) == len(SOURCES)


@pytest.mark.conformance("G02")
def test_an_abstention_is_an_observation_that_says_why() -> None:
    evidence = evidence_of(ABSTENTION, context(), MODEL)
    found = resources(evidence)
    assert "RiskAssessment" not in found
    assert found["Observation"]["note"] == [{"text": "No prediction. Not on record: heart rate."}]
    codes = [item["code"] for item in found["Observation"]["dataAbsentReason"]["coding"]]
    assert codes == ["unknown", "missing-input"]
    assert evidence.result == evidence.observation


@pytest.mark.conformance("G01", "G02", "G04")
def test_the_observation_is_a_us_core_clinical_result() -> None:
    observation = resources(evidence_of(PREDICTION, context(), MODEL))["Observation"]
    (category,) = observation["category"]
    assert category["coding"][0]["code"] in CLINICAL_RESULT
    assert observation["code"]["text"] == "Predicted risk: Death from any cause"
    assert observation["subject"] == {"reference": "Patient/p1"}
    assert observation["effectiveDateTime"] == "2026-01-10T08:00:00+00:00"
    quantities = [part["valueQuantity"] for part in observation["component"] if "valueQuantity" in part]
    assert {(quantity["system"], quantity["code"]) for quantity in quantities} == {(UCUM, "%")}
    assert observation["method"]["text"] == "Death after acute myocardial infarction 1.0.0"
    assert observation["method"]["coding"][0]["code"] == "whas500-1.0.0"
    assert "interpretation" not in observation


@pytest.mark.conformance("G03")
def test_the_model_is_the_device_of_an_observation_and_never_its_performer() -> None:
    for answer in (PREDICTION, ABSTENTION):
        observation = resources(evidence_of(answer, context(), MODEL))["Observation"]
        assert observation["device"] == {"reference": f"Device/{device_id(MODEL)}"}
        assert "performer" not in observation
        assert observation["status"] == "preliminary"


@pytest.mark.conformance("G04")
def test_derived_from_names_only_what_it_may() -> None:
    more = tuple(Source(f"{kind}/x/_history/1", f"{kind}/x@1") for kind in ("Condition", "ImagingStudy"))
    observation = resources(evidence_of(PREDICTION, context(sources=(*SOURCES, *more)), MODEL))["Observation"]
    assert [item["reference"] for item in observation["derivedFrom"]] == [
        "Observation/hr/_history/2",
        "ImagingStudy/x/_history/1",
    ]


@pytest.mark.conformance("G02")
def test_without_a_time_zero_the_data_cut_off_stands_in() -> None:
    late = datetime(2026, 1, 10, 9, 30, tzinfo=UTC)
    observation = resources(evidence_of(ABSTENTION, context(index_time=None, data_until=late), MODEL))["Observation"]
    assert observation["effectiveDateTime"] == "2026-01-10T09:30:00+00:00"


@pytest.mark.conformance("G10", "G11")
def test_a_risk_assessment_says_everything_about_itself() -> None:
    late = datetime(2026, 1, 10, 9, 30, tzinfo=UTC)
    written = resources(evidence_of(PREDICTION, context(condition="Condition/mi", data_until=late), WITH_CARD))
    risk = written["RiskAssessment"]
    assert risk["performer"] == {"reference": f"Device/{device_id(MODEL)}"}
    assert risk["occurrenceDateTime"] == "2026-01-10T09:30:00+00:00"
    assert risk["condition"] == {"reference": "Condition/mi"}
    assert risk["encounter"] == {"reference": "Encounter/e1"}
    assert risk["mitigation"] == "A clinician decides."
    assert risk["note"] == [{"text": "research use only"}]
    assert risk["method"] == written["Observation"]["method"]
    assert [item["reference"] for item in risk["basis"]] == [
        f"Observation/{written['Observation']['id']}",
        *(source.reference for source in SOURCES),
    ]
    assert {item["outcome"]["text"] for item in risk["prediction"]} == {"Death from any cause"}
    without = resources(evidence_of(PREDICTION, context(), MODEL))["RiskAssessment"]
    assert without["occurrenceDateTime"] == "2026-01-10T08:00:00+00:00", "no source has a time: time zero"
    assert not {"condition", "mitigation"} & set(without)


@pytest.mark.conformance("G11")
def test_the_data_cut_off_is_the_newest_clinical_time_that_is_not_in_the_future() -> None:
    record = [
        {"resourceType": "Patient", "id": "p1", "meta": {"lastUpdated": "2026-01-10T11:59:00Z"}},
        {"resourceType": "Encounter", "id": "e1", "period": {"start": "2026-01-10T08:00:00Z"}},
        {"resourceType": "Observation", "id": "hr", "effectiveDateTime": "2026-01-10T09:30:00+01:00"},
        {"resourceType": "Observation", "id": "bp", "effectivePeriod": {"start": "2026-01-10T09:00:00Z"}},
        {"resourceType": "Observation", "id": "wrong-clock", "effectiveInstant": "2026-02-10T09:30:00Z"},
        {"resourceType": "Condition", "id": "mi", "recordedDate": "2026-01-10"},
    ]
    assert data_cutoff(record, NOW) == datetime(2026, 1, 10, 9, tzinfo=UTC)
    assert data_cutoff(record[:1], NOW) is None


@pytest.mark.conformance("H01")
def test_what_the_ai_asserts_is_labelled_and_what_software_records_is_not() -> None:
    for answer in (PREDICTION, ABSTENTION):
        for kind, resource in resources(evidence_of(answer, context(), WITH_CARD)).items():
            made_by_ai = kind in ("Observation", "RiskAssessment")
            assert (AI_ASSERTED in resource["meta"].get("security", [])) is made_by_ai


@pytest.mark.conformance("H02")
def test_elements_are_labelled_where_a_resource_is_not_all_of_one_hand() -> None:
    for kind, name in (("Observation", "component"), ("RiskAssessment", "prediction")):
        resource = resources(evidence_of(PREDICTION, context(), MODEL))[kind]
        once = label_elements(resource)
        assert once["meta"]["security"] == [AI_ASSERTED, INLINE_LABELS]
        for element in once[name]:
            assert element["extension"] == [{"url": INLINE_LABEL, "valueCoding": AI_ASSERTED}]
        assert label_elements(once) == once
        assert "extension" not in resource[name][0], "what was given stays as it was"
        check(once)


@pytest.mark.conformance("H03")
def test_the_device_is_an_ai_device() -> None:
    device = resources(evidence_of(PREDICTION, context(), WITH_CARD))["Device"]
    assert device["meta"]["profile"] == [AI_DEVICE_PROFILE]
    assert device["type"] == {"coding": [{"system": AI_DEVICE_TYPE, "code": "Artificial-Intelligence"}]}
    kinds = [item["valueCodeableConcept"] for item in device["extension"] if item["url"] == AI_KIND]
    assert [kind["coding"][0]["code"] for kind in kinds] == [
        "Machine-Learning-Models",
        "AI-for-Structured-Clinical-Data",
    ]
    (card,) = [item["valueReference"] for item in device["extension"] if item["url"] == AI_MODEL_CARD_OF]
    assert card == {"reference": f"DocumentReference/{card_id(WITH_CARD)}"}
    assert device["manufacturer"] == "Bedside"
    assert [item["value"] for item in device["version"]] == ["1.0.0", MODEL.digest]
    assert device["identifier"][0]["value"] == f"whas500|1.0.0|{MODEL.digest}"
    assert digest_of(device) == MODEL.digest
    assert digest_of({"resourceType": "Device"}) is None


@pytest.mark.conformance("G20", "H04", "H05")
def test_the_provenance_is_an_ai_provenance() -> None:
    evidence = evidence_of(PREDICTION, context(), WITH_CARD, replaces=("RiskAssessment/old/_history/1",), now=NOW)
    provenance = resources(evidence)["Provenance"]
    assert provenance["meta"]["profile"] == [AI_PROVENANCE_PROFILE]
    assert provenance["recorded"] == provenance["occurredDateTime"] == "2026-01-10T12:00:00.000+00:00"
    assert provenance["reason"] == [{"coding": [AI_ASSERTED]}]
    (agent,) = provenance["agent"]
    assert agent["type"]["coding"][0]["code"] == "author"
    assert agent["role"] == [{"coding": [{"system": AI_DEVICE_TYPE, "code": "Artificial-Intelligence"}]}]
    assert agent["who"] == {"reference": f"Device/{device_id(MODEL)}"}
    assert agent["onBehalfOf"] == {"display": "General Hospital"}
    entities = [(item["role"], item["what"]["reference"]) for item in provenance["entity"]]
    assert entities == [
        *(("source", source.reference) for source in SOURCES),
        ("derivation", f"DocumentReference/{card_id(WITH_CARD)}"),
        ("revision", "RiskAssessment/old/_history/1"),
    ]


@pytest.mark.conformance("H05")
def test_the_model_card_is_a_document_of_its_own() -> None:
    card = resources(evidence_of(PREDICTION, context(), WITH_CARD))["DocumentReference"]
    assert card["meta"]["profile"] == [AI_MODEL_CARD_PROFILE]
    assert card["type"]["coding"] == [{"system": AI_INPUTS, "code": "AIModelCard", "display": "AI Model-Card"}]
    assert [item["coding"][0]["code"] for item in card["category"]] == ["AIModelCardMarkdownFormat"]
    (content,) = card["content"]
    attachment = content["attachment"]
    text = base64.b64decode(attachment["data"])
    assert attachment["contentType"] == "text/markdown"
    assert text.decode() == WITH_CARD.card
    assert attachment["size"] == len(text) > len(WITH_CARD.card)
    assert base64.b64decode(attachment["hash"]) == hashlib.sha1(text).digest()


@pytest.mark.conformance("H05")
@pytest.mark.parametrize(
    ("known", "written"),
    [
        ({}, {"Device", "DocumentReference"}),
        ({"device_known": True}, set()),
        ({"device_known": True, "card_known": True}, set()),
        ({"device_known": False, "card_known": True}, {"Device"}),
        # a device that refers to another card gets a new version
        ({"device_known": True, "card_known": False}, {"Device", "DocumentReference"}),
    ],
)
def test_model_and_card_are_written_once(known: dict[str, bool], written: set[str]) -> None:
    found = set(resources(evidence_of(PREDICTION, context(), WITH_CARD, **known)))
    assert found - {"Observation", "RiskAssessment", "Provenance"} == written
    assert "DocumentReference" not in resources(evidence_of(PREDICTION, context(), MODEL))
    assert card_id(WITH_CARD) != card_id(replace(WITH_CARD, card="another"))


@pytest.mark.conformance("G10", "H03", "H05")
def test_a_package_brings_its_card_and_may_say_what_can_be_done(tmp_path: Path) -> None:
    shipped = Path("functions/survival/packages/whas500")
    assert load_package(shipped).identity.card == (shipped / "card.md").read_text(encoding="utf-8")
    folder = Path(shutil.copytree(shipped, tmp_path / "whas500"))
    contract = (folder / "model.yaml").read_text(encoding="utf-8")
    more = (
        "mitigation: >-\n  A clinician decides\n  what follows.\nmanufacturer: Acme\nai_kinds: [Rule-Based-Systems]\n"
    )
    (folder / "model.yaml").write_text(contract + "\n" + more, encoding="utf-8")
    (folder / "card.md").unlink()
    identity = load_package(folder).identity
    assert (identity.mitigation, identity.manufacturer, identity.card) == (
        "A clinician decides what follows.",
        "Acme",
        "",
    )
    device = resources(evidence_of(PREDICTION, context(), identity))["Device"]
    assert device["manufacturer"] == "Acme"
    assert [item["valueCodeableConcept"]["coding"][0]["code"] for item in device["extension"]] == ["Rule-Based-Systems"]
    (folder / "card.md").write_bytes(b"\xff\xfe")
    with pytest.raises(ModelRefused, match="'card'"):
        load_package(folder)


@pytest.mark.conformance("H06")
def test_confidence_is_written_where_the_model_states_one_and_never_made_up() -> None:
    certain = Prediction((RiskAtHorizon(30, 0.1, (0.05, 0.2)), RiskAtHorizon(365, 0.3)))
    found = resources(evidence_of(certain, context(), MODEL))
    for elements in (found["RiskAssessment"]["prediction"], found["Observation"]["component"]):
        (extension,) = elements[0]["extension"]
        assert extension["url"] == AI_CONFIDENCE
        assert [name for name in extension if name.startswith("value")] == ["valueRange"]
        assert extension["valueRange"]["low"]["value"] == percent(0.05)
        assert extension["valueRange"]["high"]["code"] == "%"
        assert "extension" not in elements[1]


@pytest.mark.conformance("H07")
@pytest.mark.parametrize(("before", "after"), [("preliminary", "final"), ("final", "amended"), ("amended", "amended")])
@pytest.mark.parametrize("kind", ["Observation", "RiskAssessment"])
def test_a_person_attests_a_result(kind: str, before: str, after: str) -> None:
    resource = {**resources(evidence_of(PREDICTION, context(), MODEL))[kind], "status": before}
    attested = attest(resource, "Practitioner/dr1", NOW, organization="General Hospital", note="Agreed.")
    assert attested.resource["status"] == after
    assert attested.resource["note"][-1] == {
        "authorReference": {"reference": "Practitioner/dr1"},
        "time": "2026-01-10T12:00:00+00:00",
        "text": "Agreed.",
    }
    assert AI_ASSERTED in attested.resource["meta"]["security"]
    assert INLINE_LABELS in attested.resource["meta"]["security"]
    assert attested.agent["type"]["coding"][0]["code"] == "verifier"
    assert attested.agent["who"] == {"reference": "Practitioner/dr1"}
    assert resource["status"] == before, "what was given stays as it was"
    who = {
        "Observation": [{"reference": "Practitioner/dr1"}],
        "RiskAssessment": {"reference": f"Device/{device_id(MODEL)}"},
    }
    assert attested.resource["performer"] == who[kind]


@pytest.mark.conformance("H07", "G20")
def test_an_attestation_is_bound_to_the_version_that_was_seen() -> None:
    found = resources(evidence_of(PREDICTION, context(), MODEL))
    stored = {kind: {**item, "meta": {**item["meta"], "versionId": "3"}} for kind, item in found.items()}
    results = [stored["Observation"], stored["RiskAssessment"]]
    bundle = attestation(results, stored["Provenance"], "PractitionerRole/r1", NOW, organization="General Hospital")
    assert [entry["request"]["ifMatch"] for entry in bundle["entry"]] == ['W/"3"'] * 3
    provenance = bundle["entry"][-1]["resource"]
    assert [agent["type"]["coding"][0]["code"] for agent in provenance["agent"]] == ["author", "verifier"]
    assert provenance["target"] == stored["Provenance"]["target"], "found by Provenance?target="
    again = attestation(results, provenance, "PractitionerRole/r1", NOW, organization="General Hospital")
    assert len(again["entry"][-1]["resource"]["agent"]) == 2


@pytest.mark.parametrize(
    ("change", "who"),
    [
        ({}, "Device/d1"),
        ({}, "Practitioner/dr1/extra"),
        ({"status": "entered-in-error"}, "Practitioner/dr1"),
        ({"resourceType": "Patient"}, "Practitioner/dr1"),
    ],
)
def test_what_cannot_be_attested(change: dict[str, str], who: str) -> None:
    resource = {**resources(evidence_of(PREDICTION, context(), MODEL))["Observation"], **change}
    with pytest.raises(ValueError, match=r"attest"):
        attest(resource, who, NOW)


@pytest.mark.peer("fhirkit-rs")
@pytest.mark.parametrize("answer", [PREDICTION, ABSTENTION])
@pytest.mark.parametrize("more", [{}, {"encounter": None, "index_time": None, "sources": ()}])
@pytest.mark.parametrize("model", [MODEL, WITH_CARD])
def test_every_written_resource_is_valid_r4(
    answer: Prediction | Abstention, more: dict[str, Any], model: ModelIdentity
) -> None:
    require_peer("fhirkit-rs", module="fhirkit")
    import fhirkit

    evidence = evidence_of(answer, context(**more), model)
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
        (
            {
                "resourceType": "RiskAssessment",
                "status": "final",
                "subject": {"reference": "Patient/1"},
                "prediction": [{"probabilityRange": {"high": {"value": 0.4, "system": UCUM, "code": "1"}}}],
            },
            "ras-1",
        ),
        ({"resourceType": "Observation", "status": "done", "code": {"text": "x"}, "valueInteger": 1}, "status"),
        (
            {
                "resourceType": "Observation",
                "status": "final",
                "code": {"text": "x"},
                "valueInteger": 1,
                "dataAbsentReason": {"text": "x"},
            },
            "obs-6",
        ),
        (
            {
                "resourceType": "Observation",
                "status": "final",
                "code": concept("s", "c"),
                "valueInteger": 1,
                "component": [{"code": concept("s", "c"), "valueInteger": 1}],
            },
            "obs-7",
        ),
        (
            {
                "resourceType": "Observation",
                "status": "final",
                "code": {"text": "x"},
                "valueInteger": 1,
                "effectiveDateTime": "2026-01",
            },
            "us-core-1",
        ),
        ({"resourceType": "Observation", "status": "final", "code": {"text": "x"}}, "us-core-2"),
        (
            {
                "resourceType": "Observation",
                "status": "final",
                "code": {"text": "x"},
                "valueQuantity": {"value": 1, "system": "urn:other", "code": "x"},
            },
            "us-core-3",
        ),
        (
            {
                "resourceType": "Provenance",
                "target": [{"reference": "Observation/1"}],
                "recorded": "2026-01-10T08:00:00Z",
                "agent": [{"who": {"reference": "Device/1"}}],
            },
            "provenance-1",
        ),
        ({"resourceType": "Canary"}, "none of FHIR R4"),
    ],
)
@pytest.mark.conformance("G01", "G02", "G10", "G20")
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
        lambda: RiskAtHorizon(30, 0.5, (0.6, 0.7)),
        lambda: RiskAtHorizon(30, 0.5, (-0.1, 0.7)),
        lambda: SurvivalCurve(7, (0.9, 0.95)),
        lambda: SurvivalCurve(7, ()),
        lambda: SurvivalCurve(7, (1.0, float("nan"))),
        lambda: SurvivalCurve(7, (1.0, 0.9), (1.0, 0.8)),
        lambda: SurvivalCurve(7, (1.0, 0.9), (1.0, 0.95), (1.0, 1.0)),
        lambda: SurvivalCurve(7, (1.0, 0.9), (1.0,), (1.0,)),
        lambda: IncidenceCurve(7, (0.0, 0.2, 0.1)),
        lambda: IncidenceCurve(0, (0.0, 0.2)),
        lambda: replace(COMPETING, competing=CompetingRisk((RiskAtHorizon(365, 0.05),))),
        lambda: replace(COMPETING, risks=(RiskAtHorizon(365, 0.96), RiskAtHorizon(3650, 0.97))),
        lambda: replace(COMPETING, explained_days=30),
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
