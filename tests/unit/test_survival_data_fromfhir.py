"""Training tables from FHIR: time zero, outcome, competing events, end of follow-up, and who is left out."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from fhir.resources.R4B import get_fhir_model_class

from fhir_adapter.bulk.request import ExportRequest
from fhir_adapter.bulk.state import ExportState, write_state
from fhir_adapter.errors import FhirAdapterError
from fhir_adapter.features.lines import NdjsonError
from functions.survival.data import SurvivalTable
from functions.survival.fromfhir import ExportUnusable, FromExport, as_recorded, outcome_from, table_from_export
from functions.survival.fromfhir.followup import Day
from tests.fhir_export import patient_resources, write_export

SNOMED = "http://snomed.info/sct"
START = datetime(2020, 1, 10, 9, 0, tzinfo=UTC)
CONTRACT: dict[str, Any] = {
    "applies_if": {"age": {"min": 18, "max": 100}},
    "inputs": [
        {"name": "age", "kind": "age", "unit": "a", "plausible": [18, 100], "missing": "refuse"},
        {"name": "female", "kind": "sex", "missing": "impute"},
        {
            "name": "bilirubin",
            "kind": "observation",
            "system": "http://loinc.org",
            "codes": ["1975-2"],
            "unit": "mg/dL",
            "look_back": "P90D",
            "look_ahead": "P1D",
            "aggregation": "latest",
            "plausible": [0.05, 60],
            "missing": "refuse",
        },
        {
            "name": "ascites",
            "kind": "condition",
            "system": SNOMED,
            "codes": ["389026000"],
            "look_back": "P365D",
            "look_ahead": "P1D",
            "missing": "absent",
        },
    ],
    "training": {"outcome": {"death": True, "system": SNOMED, "procedures": ["18027006"]}},
}
COMPETING: dict[str, Any] = {
    **CONTRACT,
    "training": {"outcome": {"system": SNOMED, "conditions": ["109989006"], "competing": {"death": True}}},
}

Resource = dict[str, Any]


def day(days: float) -> str:
    return (START + timedelta(days=days)).isoformat()


def patient(key: str, **more: Any) -> Resource:
    return {"resourceType": "Patient", "id": key, "birthDate": "1960-06-01", "gender": "female", **more}


def encounter(key: str, days: float, number: int = 0, **more: Any) -> Resource:
    return {
        "resourceType": "Encounter",
        "id": f"{key}-{number}",
        "status": "finished",
        "class": {"code": "AMB"},
        "subject": {"reference": f"Patient/{key}"},
        "period": {"start": day(days)},
        **more,
    }


def bilirubin(key: str, days: float, value: float, number: int = 0, **more: Any) -> Resource:
    return {
        "resourceType": "Observation",
        "id": f"{key}-b{number}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "1975-2"}]},
        "subject": {"reference": f"Patient/{key}"},
        "effectiveDateTime": day(days),
        "valueQuantity": {"value": value, "unit": "mg/dL", "system": "http://unitsofmeasure.org", "code": "mg/dL"},
        **more,
    }


def transplantation(key: str, days: float, **more: Any) -> Resource:
    return {
        "resourceType": "Procedure",
        "id": f"{key}-t",
        "status": "completed",
        "code": {"coding": [{"system": SNOMED, "code": "18027006"}]},
        "subject": {"reference": f"Patient/{key}"},
        "performedDateTime": day(days),
        **more,
    }


def myeloma(key: str, days: float, **more: Any) -> Resource:
    return {
        "resourceType": "Condition",
        "id": f"{key}-m",
        "code": {"coding": [{"system": SNOMED, "code": "109989006"}]},
        "subject": {"reference": f"Patient/{key}"},
        "onsetDateTime": day(days),
        **more,
    }


def one(key: str = "p", value: float = 2.0, **more: Any) -> list[Resource]:
    """A patient with an encounter on day 0 and a bilirubin."""
    return [patient(key, **more), encounter(key, 0), bilirubin(key, 0, value)]


Read = Callable[..., FromExport]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write resources as an export and read the table."""

    def reading(*resources: Resource, contract: dict[str, Any] = CONTRACT, **more: Any) -> FromExport:
        for old in tmp_path.glob("*.ndjson"):
            old.unlink()
        kinds: dict[str, list[bytes]] = {}
        for resource in resources:
            kinds.setdefault(resource["resourceType"], []).append(orjson.dumps(resource))
        for kind, lines in kinds.items():
            (tmp_path / f"{kind}.ndjson").write_bytes(b"\n".join(lines))
        return table_from_export(tmp_path, contract, tmp_path, **more)

    return reading


def only(found: FromExport) -> tuple[float, bool, bool]:
    """Time, outcome and competing event of the one row."""
    assert found.left_out == {}
    assert len(found.table) == 1
    return float(found.table.time[0]), bool(found.table.event[0]), bool(found.table.competing[0])


def test_a_death_is_the_outcome_and_does_not_hide_the_inputs(read: Read) -> None:
    found = read(*one(deceasedDateTime=day(400)))
    assert only(found) == (400.0, True, False)
    assert found.table.names == ("age", "female", "bilirubin", "ascites")
    assert found.table.x.tolist() == [[59.0, 1.0, 2.0, 0.0]]


def test_of_two_outcomes_the_first_counts(read: Read) -> None:
    assert only(read(*one(deceasedDateTime=day(400)), transplantation("p", 100))) == (100.0, True, False)
    assert only(read(*one(deceasedDateTime=day(50)), transplantation("p", 100))) == (50.0, True, False)


def test_without_an_event_the_last_contact_ends_follow_up(read: Read) -> None:
    later = encounter("p", 30, 1, period={"start": day(30), "end": day(33)})
    assert only(read(*one(), later)) == (33.0, False, False)
    assert only(read(*one(), later, bilirubin("p", 77.5, 3.0, 1))) == (77.5, False, False)


@pytest.mark.parametrize(
    "void",
    [
        encounter("p", 500, 1, status="planned"),
        encounter("p", 500, 1, status="cancelled"),
        bilirubin("p", 500, 3.0, 1, status="entered-in-error"),
        myeloma("p", 500, verificationStatus={"coding": [{"code": "refuted"}]}),
        transplantation("p", 500, status="not-done"),
    ],
)
def test_what_did_not_take_place_is_neither_contact_nor_event(read: Read, void: Resource) -> None:
    assert only(read(*one(), encounter("p", 30, 1), void)) == (30.0, False, False)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ([], (30.0, False, False)),
        ([myeloma("p", 10)], (10.0, True, False)),
        ([myeloma("p", 90)], (60.0, False, True)),
        ([myeloma("p", 60)], (60.0, True, False)),
    ],
)
def test_competing_events(read: Read, more: list[Resource], expected: tuple[float, bool, bool]) -> None:
    """Death at day 60 competes with myeloma; on one day the outcome counts; nobody dies in the first case."""
    people = one(deceasedDateTime=day(60)) if more else one()
    assert only(read(*people, encounter("p", 30, 1), *more, contract=COMPETING)) == expected


def test_a_death_that_is_declared_nowhere_ends_follow_up(read: Read) -> None:
    contract = {**COMPETING, "training": {"outcome": {"system": SNOMED, "conditions": ["109989006"]}}}
    assert only(read(*one(deceasedDateTime=day(60)), contract=contract)) == (60.0, False, False)


def test_dates_without_a_time_count_as_whole_days(read: Read) -> None:
    assert only(read(*one(deceasedDateTime="2020-01-12"))) == (2.0, True, False)
    assert only(read(*one(deceasedDateTime="2020-01-10"))) == (0.5, True, False), "on the day of time zero"


def test_a_whole_day_is_one_of_the_hospital() -> None:
    east = timezone(timedelta(hours=10))
    start = datetime(2020, 1, 10, 20, 0, tzinfo=UTC)  # already the 11th in the east
    assert Day(datetime(2020, 1, 12, tzinfo=east), True).since(start, east) == 1.0
    assert Day(datetime(2020, 1, 12, tzinfo=UTC), True).since(start, UTC) == 2.0
    assert Day(datetime(2020, 1, 12, 8, 0, tzinfo=UTC), False).since(start, east) == 1.5


def test_time_zero_is_the_first_encounter_that_could_be_answered(read: Read) -> None:
    """No bilirubin within 90 days before the first; the second is asked, the third is only a contact."""
    found = read(
        patient("p"),
        encounter("p", 400, 2),
        encounter("p", 0, 0),
        encounter("p", 200, 1),
        bilirubin("p", 199, 4.0),
        bilirubin("p", 399, 9.0, 1),
    )
    assert only(found) == (200.0, False, False)
    assert found.table.x[0, 2] == 4.0


def test_only_the_declared_kinds_of_encounter_start(read: Read) -> None:
    outcome = {**CONTRACT["training"]["outcome"], "encounters": ["IMP"]}
    contract = {**CONTRACT, "training": {"outcome": outcome}}
    stay = encounter("p", 20, 1, **{"class": {"code": "IMP"}})
    found = read(*one(deceasedDateTime=day(400)), stay, contract=contract)
    assert only(found) == (380.0, True, False)


def test_rows_are_ordered_by_patient_whatever_the_files_order(read: Read) -> None:
    people = [one(key, value, deceasedDateTime=day(10)) for key, value in (("c", 3.0), ("a", 1.0), ("b", 2.0))]
    found = read(*(resource for person in people for resource in person))
    assert found.table.x[:, 2].tolist() == [1.0, 2.0, 3.0]
    again = read(*(resource for person in reversed(people) for resource in reversed(person)))
    np.testing.assert_array_equal(found.table.x, again.table.x)


@pytest.mark.parametrize(
    ("people", "reason"),
    [
        (one("q", deceasedDateTime=day(-1)), "died before time zero"),
        (one("q", deceasedBoolean=True), "an event without a date"),
        (one("q", deceasedDateTime="2020-03"), "an event without a date"),
        ([*one("q"), transplantation("q", -5)], "the outcome, or what competes with it, was before time zero"),
        ([*one("q"), transplantation("q", 5, performedDateTime="2020")], "an event without a date"),
        (one("q"), "no contact after time zero"),
        ([patient("q"), encounter("q", 0)], "missing-input"),
        ([patient("q", birthDate="2015-01-01"), encounter("q", 0)], "outside-population"),
        ([patient("q"), encounter("q", 0, period={})], "no-index-time"),
        (one("q", value=900.0), "implausible-input"),
        ([patient("q"), bilirubin("q", 0, 1.0)], "no encounter"),
    ],
)
def test_who_cannot_be_trained_on_is_counted_by_the_reason(read: Read, people: list[Resource], reason: str) -> None:
    found = read(*one(deceasedDateTime=day(10)), *people)
    assert (len(found.table), found.left_out) == (1, {reason: 1})
    with pytest.raises(ExportUnusable, match=f"nobody in this export can be trained on: 1 {reason}"):
        read(*people)


def test_a_newer_version_of_a_resource_counts(read: Read) -> None:
    def version(resource: Resource, number: int) -> Resource:
        return {**resource, "meta": {"versionId": str(number), "lastUpdated": f"2021-01-0{number}T00:00:00Z"}}

    withdrawn = [version(transplantation("p", 5), 1), version(transplantation("p", 5, status="entered-in-error"), 2)]
    for order in (withdrawn, withdrawn[::-1]):
        assert only(read(*one(), encounter("p", 30, 1), *order)) == (30.0, False, False)
    moved = [version(transplantation("p", 5), 1), version(transplantation("p", 8), 2)]
    for order in (moved, moved[::-1]):
        assert only(read(*one(), encounter("p", 30, 1), *order)) == (8.0, True, False)


def test_what_the_server_deleted_did_not_happen(read: Read) -> None:
    deleted = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"request": {"method": "DELETE", "url": f"{kind}"}} for kind in ("Procedure/p-t", "Encounter/p-9")],
    }
    resources = [*one(), encounter("p", 30, 1), encounter("p", 90, 9), transplantation("p", 5)]
    assert only(read(*resources)) == (5.0, True, False)
    assert only(read(*resources, deleted)) == (30.0, False, False)


def test_follow_up_may_end_with_the_export(read: Read, tmp_path: Path) -> None:
    contract = copy.deepcopy(CONTRACT)
    contract["training"]["outcome"]["censoring"] = "export"
    with pytest.raises(ExportUnusable, match=r"no export\.json"):
        read(*one(), contract=contract)
    begun = ExportState("https://ehr.example/fhir", ExportRequest(), "https://ehr.example/status")
    write_state(tmp_path, replace(begun, manifest={"transactionTime": day(365)}, finished=True))
    assert only(read(*one(), encounter("p", 30, 1), contract=contract)) == (365.0, False, False)
    assert only(read(*one(deceasedDateTime=day(364)), contract=contract)) == (364.0, True, False)
    assert only(read(*one(deceasedDateTime=day(366)), contract=contract)) == (365.0, False, False)


def test_absolute_references_need_the_base(read: Read) -> None:
    base = "https://ehr.example/fhir"
    people = one(deceasedDateTime=day(40))
    for resource in people[1:]:
        resource["subject"] = {"reference": f"{base}/Patient/p"}
    with pytest.raises(NdjsonError, match="say which FHIR base"):
        read(*people)
    assert only(read(*people, base=base)) == (40.0, True, False)


def test_an_empty_or_unfinished_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NdjsonError, match=r"no \*\.ndjson"):
        table_from_export(tmp_path, CONTRACT, tmp_path)
    (tmp_path / "export.json").write_bytes(orjson.dumps({"base": "https://ehr.example/fhir", "finished": False}))
    with pytest.raises(FhirAdapterError, match="not finished"):
        table_from_export(tmp_path, CONTRACT, tmp_path)


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (None, "has no training: outcome"),
        ({}, "names no event"),
        ({"death": False, "competing": {"death": True}}, "names no event"),
        ({"death": True, "competing": {"death": True}}, "name the same event"),
        ({"death": True, "procedure": ["1"]}, "procedure is none of"),
        ({"procedures": ["18027006"]}, "procedures need the system"),
        ({"system": SNOMED, "conditions": "109989006"}, "conditions must be a list"),
        ({"death": True, "competing": ["1"]}, "competing may hold"),
        ({"death": True, "censoring": "never"}, "not 'never'"),
    ],
)
def test_a_contract_must_say_what_the_outcome_is(outcome: object, told: str) -> None:
    with pytest.raises(ExportUnusable, match=told):
        outcome_from({"training": {"outcome": outcome}})


def test_an_outcome_is_read_as_declared() -> None:
    found = outcome_from(COMPETING)
    assert found.events.conditions.tokens == {(SNOMED, "109989006")}
    assert (found.events.death, found.competing.death) == (False, True)
    assert (found.encounters, found.censoring) == (frozenset(), "last contact")


def synthetic(rows: int = 40) -> SurvivalTable:
    """Invented people with gaps."""
    draw = np.random.default_rng(4)
    x = np.column_stack(
        [
            draw.integers(20, 90, rows).astype(float),
            draw.integers(0, 2, rows).astype(float),
            np.round(draw.uniform(0.3, 20, rows), 1),
            draw.integers(0, 2, rows).astype(float),
        ]
    )
    x[draw.random(x.shape) < 0.2] = np.nan
    x[:, [0, 2]] = np.where(np.isnan(x[:, [0, 2]]), [50.0, 1.4], x[:, [0, 2]])
    event = draw.random(rows) < 0.4
    return SurvivalTable(
        ("age", "female", "bilirubin", "ascites"), x, event, draw.integers(1, 4000, rows).astype(float)
    )


def test_what_is_written_from_a_table_is_read_back(tmp_path: Path) -> None:
    table = synthetic()
    write_export(tmp_path, table, CONTRACT)
    assert (tmp_path / "Procedure.ndjson").read_bytes().count(b"\n") > 0, "some had a transplantation"
    found = table_from_export(tmp_path, CONTRACT, tmp_path)
    expected = as_recorded(table, CONTRACT)
    np.testing.assert_array_equal(found.table.x, expected.x)
    np.testing.assert_array_equal(found.table.time, expected.time)
    np.testing.assert_array_equal(found.table.event, expected.event)
    assert found.left_out == {}


def test_what_is_written_is_valid_fhir() -> None:
    table = synthetic()
    kinds = set()
    for row in range(len(table)):
        for resource in patient_resources(table, row, CONTRACT):
            get_fhir_model_class(resource["resourceType"]).model_validate(resource)
            kinds.add(resource["resourceType"])
    assert kinds == {"Patient", "Encounter", "Observation", "Condition", "Procedure"}


def test_an_unknown_finding_is_absent_where_the_contract_reads_it_so() -> None:
    table = synthetic()
    recorded = as_recorded(table, CONTRACT)
    unknown = np.isnan(table.x)
    assert unknown[:, 3].any()
    assert unknown[:, 1].any()
    assert np.all(recorded.x[unknown[:, 3], 3] == 0.0)
    np.testing.assert_array_equal(recorded.x[:, :3], table.x[:, :3])
