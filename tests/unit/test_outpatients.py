"""The synthetic outpatients: in the likeness of published cohorts, valid FHIR, and read back as they were written."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from fhir.resources.R4B import get_fhir_model_class

from fhir_adapter.features import Features, Record, applies_if_from, extract, index_time_of, input_from
from fhir_adapter.prediction import Abstention
from infra.local.clinic import DIAGNOSES, FINDINGS, LABS, Outpatient
from infra.local.outpatients import DEFAULT_SIZE, DRAWS, draw_outpatients
from infra.local.subscriptions import OUTPATIENTS
from tests import validator

REFERENCE = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PACKAGES = Path(__file__).parents[2] / "functions" / "survival" / "packages"
CONTRACTS = {name: yaml.safe_load((PACKAGES / name / "model.yaml").read_text(encoding="utf-8")) for name in DIAGNOSES}

# Means (medians where "about the middle" is what the paper gives) with what a draw of 3,000 may differ.
PUBLISHED = {
    # Dickson et al., Hepatology 10:1-7, 1989; Fleming, Harrington, Counting Processes and Survival Analysis, 1991
    ("pbc", "age"): (50.0, 1.5),
    ("pbc", "female"): (0.88, 0.02),
    ("pbc", "albumin"): (3.50, 0.05),
    ("pbc", "prothrombin_time"): (10.7, 0.15),
    ("pbc", "platelets"): (262.0, 10.0),
    ("pbc", "ast"): (122.0, 8.0),
    ("pbc", "ascites"): (0.077, 0.02),
    ("pbc", "hepatomegaly"): (0.51, 0.05),
    ("pbc", "spider_angiomata"): (0.29, 0.04),
    ("pbc", "edema"): (0.155, 0.03),
    # Kyle et al., N Engl J Med 346:564-569, 2002
    ("mgus2", "age"): (70.4, 1.5),
    ("mgus2", "female"): (0.46, 0.03),
    ("mgus2", "hemoglobin"): (13.3, 0.3),
    ("mgus2", "m_spike"): (1.2, 0.1),
    # Allen et al., Hepatology 67:1726-1736, 2018
    ("nafld", "age"): (53.0, 1.5),
    ("nafld", "female"): (0.52, 0.03),
    ("nafld", "bmi"): (33.0, 1.0),
    ("nafld", "hdl_cholesterol"): (46.0, 3.0),
}


def answer(patient: Outpatient, model: str) -> Features | Abstention:
    """Read a patient's bundle as the function reads it from the EHR."""
    contract = CONTRACTS[model]
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in patient.bundle()["entry"]:
        resource = entry["resource"]
        meta = {**resource.get("meta", {}), "versionId": "1", "lastUpdated": "2026-03-01T00:00:00Z"}
        found.setdefault(resource["resourceType"], []).append({**resource, "meta": meta})
    (person,), (visit,) = found["Patient"], found["Encounter"]
    record = Record(person, visit, tuple(found.get("Observation", ())), tuple(found["Condition"]))
    inputs = tuple(input_from(item) for item in contract["inputs"])
    begun = index_time_of(visit)
    assert begun is not None
    return extract(inputs, applies_if_from(contract["applies_if"]), record, begun)


def patient_of(disease: str, values: dict[str, float], **more: Any) -> Outpatient:
    return Outpatient("row", (disease,), values, REFERENCE, **more)


@pytest.mark.parametrize(("disease", "name"), sorted(PUBLISHED))
def test_likeness(disease: str, name: str) -> None:
    source = random.Random(7)
    drawn = [DRAWS[disease](source)[name] for _ in range(3000)]
    mean, tolerance = PUBLISHED[disease, name]
    assert sum(drawn) / len(drawn) == pytest.approx(mean, abs=tolerance)


def test_a_higher_bilirubin_goes_with_a_sicker_liver() -> None:
    source = random.Random(8)
    drawn = sorted((DRAWS["pbc"](source) for _ in range(3000)), key=lambda values: values["bilirubin"])
    lower, higher = drawn[:1000], drawn[-1000:]

    def mean(group: list[dict[str, float]], name: str) -> float:
        return sum(values[name] for values in group) / len(group)

    assert mean(drawn[1400:1600], "bilirubin") == pytest.approx(1.8, abs=0.3)
    for name, more in (("albumin", -1), ("ascites", 1), ("prothrombin_time", 1), ("platelets", -1), ("edema", 1)):
        assert more * (mean(higher, name) - mean(lower, name)) > 0, name


@pytest.mark.parametrize("other_units", [False, True], ids=["units of the models", "other units"])
@pytest.mark.parametrize("disease", sorted(DRAWS))
def test_every_row_is_read_back_as_it_was_written(disease: str, other_units: bool) -> None:
    source = random.Random(9)
    for _ in range(30):
        values = DRAWS[disease](source)
        found = answer(patient_of(disease, values, other_units=other_units), disease)
        assert isinstance(found, Features), found
        read = {value.input.name: value.value for value in found.values}
        assert read == pytest.approx({name: values[name] for name in read}, rel=1e-4)
        assert {item["name"] for item in CONTRACTS[disease]["inputs"]} == set(read)


def test_codes_are_those_of_the_contracts() -> None:
    declared = {(name, item["name"]): item for name, data in CONTRACTS.items() for item in data["inputs"]}
    for disease, (code, _, _) in DIAGNOSES.items():
        assert code in CONTRACTS[disease]["applies_if"]["condition"]["codes"]
    for (_, name), item in declared.items():
        if name in LABS:
            assert {form.code for form in LABS[name]} <= set(item["codes"])
            assert LABS[name][0].unit == item["unit"]
        if name in FINDINGS:
            assert FINDINGS[name][0] in item["codes"]
    assert set(OUTPATIENTS.models) == set(DIAGNOSES)


def test_a_model_of_another_disease_does_not_apply() -> None:
    source = random.Random(10)
    for disease in DRAWS:
        patient = patient_of(disease, DRAWS[disease](source))
        for other in set(DRAWS) - {disease}:
            found = answer(patient, other)
            assert isinstance(found, Abstention)
            assert found.reason.value == "outside-population"


def test_the_cohort_is_the_same_every_time_and_one_has_two_diseases() -> None:
    cohort = draw_outpatients(reference=REFERENCE)
    assert cohort == draw_outpatients(reference=REFERENCE)
    assert len(cohort) == 3 * DEFAULT_SIZE
    assert [patient.diseases for patient in cohort].count(("mgus2", "nafld")) == 1
    assert len({patient.patient_id for patient in cohort}) == len({patient.given for patient in cohort}) == len(cohort)
    assert {patient.other_units for patient in cohort} == {True, False}
    assert draw_outpatients(0, reference=REFERENCE) == []


def test_two_of_the_cohort_lack_what_a_model_cannot_do_without() -> None:
    refused = [
        patient.patient_id
        for patient in draw_outpatients(reference=REFERENCE)
        for disease in patient.diseases
        if isinstance(answer(patient, disease), Abstention)
    ]
    assert refused == ["outpatient-pbc-05", "outpatient-mgus2-04"]


@pytest.mark.parametrize("patient", draw_outpatients(reference=REFERENCE), ids=lambda patient: str(patient.patient_id))
def test_bundles_are_valid_and_the_visit_comes_last(patient: Outpatient) -> None:
    bundle = patient.bundle()
    get_fhir_model_class("Bundle").model_validate(bundle)
    validator.assert_valid(bundle)
    for entry in bundle["entry"]:
        resource = entry["resource"]
        assert entry["request"] == {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}
    last = bundle["entry"][-1]["resource"]
    assert (last["resourceType"], last["class"]["code"], last["id"]) == ("Encounter", "AMB", patient.visit_id)
    assert last["type"][0]["coding"][0]["code"] in OUTPATIENTS.criteria
