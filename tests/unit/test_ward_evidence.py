"""A plan as FHIR: valid, once, superseding, and answered by people."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from fhir_adapter.codes import AI_ASSERTED
from fhir_adapter.errors import InvalidResourceError
from fhir_adapter.evidence import check
from fhir_adapter.evidence.allocation import accepted, rejected
from functions.allocation.fromfhir import Reading, read_house
from functions.allocation.identity import identity
from functions.allocation.tofhir import evidence
from functions.allocation.ward import Policy, plan_house
from functions.allocation.ward.shortage import shortages
from tests import validator
from tests.wards import NOW, encounter, patient, small_house

Json = dict[str, Any]


def proposed(reading: Reading, **more: Any) -> Json | None:
    plan = plan_house(reading.house, seed=1)
    risks = shortages(plan.house, seed=1, runs=50)
    return evidence(plan, reading, risks, tenant="general", organization="General Hospital", **more)


def stored(bundle: Json, before: list[Json]) -> list[Json]:
    """What an EHR holds after a transaction."""
    known = {f"{item['resourceType']}/{item['id']}": item for item in before}
    for entry in bundle["entry"]:
        item = entry["resource"]
        name = f"{item['resourceType']}/{item['id']}"
        version = int(known.get(name, {}).get("meta", {}).get("versionId", 0)) + 1
        known[name] = {**item, "meta": {**item.get("meta", {}), "versionId": str(version)}}
    return list(known.values())


def of(bundle: Json, kind: str) -> list[Json]:
    return [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == kind]


def test_a_plan_is_one_valid_transaction_with_its_evidence() -> None:
    bundle = proposed(read_house(small_house(), NOW))
    assert bundle is not None
    validator.assert_valid(bundle)
    kinds = Counter(entry["resource"]["resourceType"] for entry in bundle["entry"])
    assert kinds == {
        "Observation": 3,
        "RiskAssessment": 1,
        "Task": 1,
        "Device": 1,
        "DocumentReference": 1,
        "Provenance": 1,
    }
    (task,) = of(bundle, "Task")
    assert (task["status"], task["intent"]) == ("requested", "proposal")
    assert task["for"] == {"reference": "Patient/p2"}
    assert task["location"]["reference"] in ("Location/a", "Location/b")
    assert AI_ASSERTED in task["meta"]["security"]
    (provenance,) = of(bundle, "Provenance")
    results = {
        f"{item['resourceType']}/{item['id']}"
        for kind in ("Observation", "RiskAssessment", "Task")
        for item in of(bundle, kind)
    }
    assert {target["reference"] for target in provenance["target"]} == results
    sources = {entity["what"]["reference"] for entity in provenance["entity"] if entity["role"] == "source"}
    assert sources >= {"Encounter/p1", "Encounter/p2", "Patient/p1", "Patient/p2"}


def test_who_stays_gets_a_placement_and_no_task() -> None:
    bundle = proposed(read_house(small_house(), NOW))
    assert bundle is not None
    told = {item["subject"]["reference"]: item.get("valueString") for item in of(bundle, "Observation")}
    assert told["Patient/p1"] == "Stays in a, w"
    assert told["Patient/p2"].startswith("Placed in ")
    assert told["Location/w"] is None


def test_the_summary_of_a_ward_states_occupancy_gap_moves_and_seed() -> None:
    bundle = proposed(read_house(small_house(), NOW))
    assert bundle is not None
    summary = next(item for item in of(bundle, "Observation") if item["subject"]["reference"] == "Location/w")
    numbers = {part["code"]["coding"][0]["code"]: part["valueQuantity"]["value"] for part in summary["component"]}
    assert (numbers["beds"], numbers["occupied"], numbers["expected-24h"]) == (3, 1, 2)
    assert (numbers["moves"], numbers["without-bed"], numbers["gap"], numbers["seed"]) == (0, 0, 0, 1)
    assert any(note["text"].startswith("moved: gender female") for note in summary["note"]) is False, "too few to tell"


def test_the_same_plan_is_written_once() -> None:
    before = small_house()
    bundle = proposed(read_house(before, NOW))
    assert bundle is not None
    assert proposed(read_house(stored(bundle, before), NOW)) is None


def test_a_replan_leaves_what_holds_and_takes_back_what_does_not() -> None:
    before = small_house()
    first = proposed(read_house(before, NOW))
    assert first is not None
    after = stored(first, before)
    more = [*after, patient("p3", "male"), encounter("p3")]
    second = proposed(read_house(more, NOW), device_known=True)
    assert second is not None
    validator.assert_valid(second)
    assert not of(second, "Device")
    tasks = of(second, "Task")
    kept = next(item for item in after if item["resourceType"] == "Task")
    plan = plan_house(read_house(more, NOW).house, seed=1)
    same = plan.rooms["Encounter/p2"] == kept["location"]["reference"]
    assert same == (kept["id"] not in {task["id"] for task in tasks})
    gone = [item for item in of(second, "Observation") if item["status"] == "entered-in-error"]
    assert any(item["subject"]["reference"] == "Location/w" for item in gone), "the ward's old summary"
    assert not any(item["subject"]["reference"] == "Patient/p1" for item in gone), "who still stays is told so already"
    marks = [entry for entry in second["entry"] if entry["resource"].get("status") == "entered-in-error"]
    assert all(entry["request"]["ifMatch"] == 'W/"1"' for entry in marks)


def test_a_proposal_for_a_patient_who_left_is_cancelled() -> None:
    before = small_house()
    first = proposed(read_house(before, NOW))
    assert first is not None
    left = [item for item in stored(first, before) if item["id"] != "p2"]
    second = proposed(read_house(left, NOW), device_known=True)
    assert second is not None
    (task,) = of(second, "Task")
    assert task["status"] == "cancelled"
    entry = next(item for item in second["entry"] if item["resource"]["resourceType"] == "Task")
    assert entry["request"]["ifMatch"] == 'W/"1"'


def test_a_clinician_accepts_and_the_provenance_says_who() -> None:
    bundle = proposed(read_house(small_house(), NOW))
    assert bundle is not None
    after = stored(bundle, [])
    task = next(item for item in after if item["resourceType"] == "Task")
    provenance = next(item for item in after if item["resourceType"] == "Provenance")
    answer = accepted(task, "Practitioner/d1", NOW, organization="General Hospital", provenance_known=provenance)
    validator.assert_valid(answer)
    changed, known = (entry["resource"] for entry in answer["entry"])
    assert (changed["status"], changed["owner"]) == ("accepted", {"reference": "Practitioner/d1"})
    assert answer["entry"][0]["request"]["ifMatch"] == 'W/"1"'
    assert known["agent"][-1]["who"] == {"reference": "Practitioner/d1"}
    with pytest.raises(ValueError, match="open proposal"):
        accepted(changed, "Practitioner/d1", NOW, organization="General Hospital")
    with pytest.raises(ValueError, match="Practitioner"):
        accepted(task, "Device/d1", NOW, organization="General Hospital")


def test_an_accepted_or_rejected_proposal_is_not_made_again() -> None:
    before = small_house()
    first = proposed(read_house(before, NOW))
    assert first is not None
    after = stored(first, before)
    task = next(item for item in after if item["resourceType"] == "Task")
    for answer in (
        accepted(task, "Practitioner/d1", NOW, organization="General Hospital"),
        rejected(task, "Practitioner/d1", NOW, "The family asks for another.", organization="General Hospital"),
    ):
        settled = stored(answer, after)
        reading = read_house([*settled, patient("p3", "male"), encounter("p3", "b1")], NOW)
        plan = plan_house(reading.house, seed=1)
        if plan.rooms["Encounter/p2"] != task["location"]["reference"]:
            continue
        second = proposed(reading, device_known=True)
        assert second is not None
        assert not [item for item in of(second, "Task") if item["for"]["reference"] == "Patient/p2"]
    with pytest.raises(ValueError, match="why"):
        rejected(task, "Practitioner/d1", NOW, "", organization="General Hospital")


def test_another_policy_is_another_model() -> None:
    assert identity().digest == identity(Policy()).digest != identity(Policy(move=5)).digest
    assert len(identity().digest) == 64


def test_a_task_with_a_status_of_its_own_is_refused() -> None:
    with pytest.raises(InvalidResourceError, match=r"Task\.status"):
        check({"resourceType": "Task", "status": "proposed", "intent": "proposal"})
