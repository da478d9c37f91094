"""One definition of features: the same 200 patients through a live server, a Bundle and $export's NDJSON."""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fhir_adapter.client import FhirClient
from fhir_adapter.errors import ConfigurationError
from fhir_adapter.features import (
    Features,
    Record,
    Row,
    Selection,
    feature_rows,
    index_time_of,
    input_from,
    localised,
    queries,
    records_from_bundle,
    records_from_ndjson,
)
from fhir_adapter.features.lines import NdjsonError
from fhir_adapter.prediction import Abstention, Prediction
from fhir_adapter.tenants import Tenant
from fhir_adapter.terminology import Terminology
from functions.serving.errors import ModelRefused
from functions.serving.events import new_event
from functions.serving.package import Model, load_package
from functions.serving.worker import answer_event
from infra.cli import features as command
from infra.local.cohort import draw_cohort
from tests.fakes import BASE, FakeEhr
from tests.samples import admission, encounter, tenant, tenant_json

Json = dict[str, Any]
PACKAGE = load_package(Path("functions/survival/packages/whas500"))
REFERENCE = datetime(2026, 1, 31, 12, tzinfo=UTC)
LOCAL = "https://hospital.test/codes"
PULSE_MAP = {
    "resourceType": "ConceptMap",
    "status": "active",
    "group": [
        {
            "source": LOCAL,
            "target": "http://loinc.org",
            "element": [{"code": "PULSE", "target": [{"code": "8867-4", "equivalence": "equivalent"}]}],
        }
    ],
}
TENANT = Terminology.from_resources([PULSE_MAP])
# What codes cannot say, over each type a record has.
EXTRA = [
    input_from(declared)
    for declared in (
        {"name": "started", "kind": "fhirpath", "missing": "refuse", "expression": "Encounter.period.start.exists()"},
        {"name": "names", "kind": "fhirpath", "missing": "refuse", "expression": "Patient.name.given.count()"},
        {
            "name": "last_rate",
            "kind": "fhirpath",
            "expression": "Observation.value.ofType(Quantity).last()",
            "reads": [{"type": "Observation", "system": "http://loinc.org", "codes": ["8867-4"]}],
            "unit": "/min",
            "plausible": [1, 400],
            "missing": "impute",
        },
        {
            "name": "creatinine",
            "kind": "observation",
            "system": "http://loinc.org",
            "codes": ["2160-0"],
            "unit": "umol/L",
            "molar_mass": 113.12,
            "look_back": "P7D",
            "look_ahead": "P1D",
            "aggregation": "mean",
            "plausible": [1, 5000],
            "missing": "impute",
        },
    )
]
INPUTS, APPLIES_IF = localised([*PACKAGE.inputs, *EXTRA], PACKAGE.applies_if, TENANT)


def cohort_resources(size: int = 200) -> list[Json]:
    """The cohort, each fifth with a local code for the pulse, each third with creatinine in either unit."""
    resources: list[Json] = []
    for number, patient in enumerate(draw_cohort(size, reference=REFERENCE)):
        bundle: Json = patient.bundle()
        for entry in bundle["entry"]:
            resource = entry["resource"]
            if number % 5 == 0 and resource["id"].endswith("heart-rate"):
                resource["code"] = {"coding": [{"system": LOCAL, "code": "PULSE"}]}
            resources.append(resource)
        if number % 3 == 0:
            resources += [
                creatinine(patient.patient_id, patient.admitted, number, unit) for unit in ("mg/dL", "mmol/L")
            ]
        resources += [noise(patient.patient_id, patient.admitted, item) for item in range(3)]
    return resources


def creatinine(patient: str, at: datetime, number: int, unit: str) -> Json:
    amount = round(0.6 + number / 100, 2) if unit == "mg/dL" else round(0.05 + number / 1000, 3)
    quantity = {"value": amount, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}
    return lab(f"{patient}-crea-{unit[:2]}", "2160-0", patient, at, quantity)


def noise(patient: str, at: datetime, number: int) -> Json:
    return lab(f"{patient}-noise-{number}", f"noise-{number}", patient, at, {"value": 1.0, "unit": "1"})


def lab(identifier: str, code: str, patient: str, at: datetime, quantity: Json) -> Json:
    return {
        "resourceType": "Observation",
        "id": identifier,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": at.isoformat(),
        "valueQuantity": quantity,
    }


def comparable(rows: Iterable[Row]) -> dict[str, Any]:
    """Rows by admission; NaN as text, because it equals nothing."""
    return {row.encounter or "": told(row) for row in rows}


def told(row: Row) -> Any:
    if not isinstance(row.answer, Features):
        return row.patient, row.index_time, row.answer
    values = [
        ("NaN" if math.isnan(value.value) else value.value, sorted(source.reference for source in value.sources))
        for value in row.answer.values
    ]
    return row.patient, row.index_time, values, sorted(source.fingerprint for source in row.answer.sources)


def live_records(client: FhirClient, encounters: Iterable[Json]) -> Iterator[Record]:
    """Read as the worker does: one batch for each admission, and further pages."""
    selection = Selection.of(INPUTS, APPLIES_IF)
    for stay in encounters:
        subject = stay["subject"]["reference"]
        asked = [f"Encounter/{stay['id']}", subject, *queries(subject, INPUTS, APPLIES_IF)]
        focus, patient, observed, diagnosed = (answer.resource or {} for answer in client.batch(asked))
        yield selection.record(patient, focus, [*client.complete(observed), *client.complete(diagnosed)])


@pytest.fixture(scope="module")
def ehr() -> FakeEhr:
    return FakeEhr(*cohort_resources())


@pytest.fixture(scope="module")
def live(ehr: FakeEhr) -> dict[str, Any]:
    with FhirClient(BASE, transport=ehr.transport) as client:
        return comparable(feature_rows(live_records(client, ehr.of_type("Encounter")), INPUTS, APPLIES_IF))


def write_ndjson(folder: Path, resources: Iterable[Json]) -> Path:
    """Write as $export does: a file for each type."""
    folder.mkdir(exist_ok=True)
    by_type: dict[str, list[Json]] = {}
    for resource in resources:
        by_type.setdefault(resource["resourceType"], []).append(resource)
    for kind, found in by_type.items():
        text = "".join(json.dumps(resource) + "\n" for resource in found)
        (folder / f"{kind}.0000.ndjson").write_text(text, encoding="utf-8")
    return folder


def test_the_cohort_has_answers_and_refusals(live: dict[str, Any]) -> None:
    assert len(live) == 200
    refused = sum(len(row) == 3 for row in live.values())
    assert 0 < refused < 40
    assert sum("NaN" in [value for value, _ in row[2]] for row in live.values() if len(row) == 4) > 20


def test_a_bundle_gives_the_rows_of_the_live_server(ehr: FakeEhr, live: dict[str, Any]) -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": r} for r in ehr.resources.values()],
    }
    assert comparable(feature_rows(records_from_bundle(bundle, INPUTS, APPLIES_IF), INPUTS, APPLIES_IF)) == live


@pytest.mark.parametrize("style", ["absolute", "urn:uuid"])
def test_references_within_a_bundle_are_resolved(ehr: FakeEhr, live: dict[str, Any], style: str) -> None:
    names = {
        reference: f"https://ehr.test/fhir/{reference}" if style == "absolute" else f"urn:uuid:{reference}"
        for reference in ehr.resources
    }
    entries = []
    for reference, resource in ehr.resources.items():
        moved = json.loads(json.dumps(resource))
        if "subject" in moved:
            moved["subject"]["reference"] = names[moved["subject"]["reference"]]
        entries.append({"fullUrl": names[reference], "resource": moved})
    bundle = {"resourceType": "Bundle", "type": "searchset", "entry": entries}
    assert comparable(feature_rows(records_from_bundle(bundle, INPUTS, APPLIES_IF), INPUTS, APPLIES_IF)) == live


def test_ndjson_gives_the_rows_of_the_live_server(ehr: FakeEhr, live: dict[str, Any], tmp_path: Path) -> None:
    folder = write_ndjson(tmp_path / "export", ehr.resources.values())
    assert comparable(feature_rows(records_from_ndjson(folder, INPUTS, APPLIES_IF), INPUTS, APPLIES_IF)) == live


class Captured(Exception):
    """What the worker was about to give to the model."""

    def __init__(self, features: Features) -> None:
        super().__init__()
        self.features = features


def capture(features: Features) -> Prediction:
    raise Captured(features)


def test_the_worker_gives_the_model_these_very_rows(ehr: FakeEhr, live: dict[str, Any]) -> None:
    package = replace(PACKAGE, inputs=INPUTS, applies_if=APPLIES_IF)
    answered: dict[str, Any] = {}
    own = FakeEhr(*ehr.resources.values())
    with FhirClient(BASE, transport=own.transport) as client:
        for stay in list(own.of_type("Encounter")):
            focus, subject = f"Encounter/{stay['id']}", stay["subject"]["reference"]
            event = new_event("general", "admissions", "focus", focus, "1", subject)
            try:
                answered[focus] = answer_event(event, tenant(), client, Model(package, capture)).reason
            except Captured as caught:
                row = Row(subject, focus, index_time_of(stay), caught.features)
                answered[focus] = told(row)
    assert {focus: row if len(row) == 4 else row[2].reason.value for focus, row in live.items()} == answered


def test_local_codes_are_asked_for(ehr: FakeEhr) -> None:
    observations, _ = queries("Patient/synthetic-001", INPUTS, APPLIES_IF)
    assert "hospital.test%2Fcodes%7CPULSE" in observations


def test_nothing_of_a_patient_stays_behind(ehr: FakeEhr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_ndjson(tmp_path / "export", ehr.resources.values())
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    records = records_from_ndjson(folder, INPUTS, APPLIES_IF)
    next(records)
    (made,) = scratch.iterdir()
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    records.close()  # type: ignore[attr-defined]
    assert list(scratch.iterdir()) == []


def rows_of(bundle: Any) -> list[Row]:
    records = records_from_bundle(bundle, PACKAGE.inputs, PACKAGE.applies_if)
    return list(feature_rows(records, PACKAGE.inputs, PACKAGE.applies_if))


def read_rows(folder: Path, **options: Any) -> list[Row]:
    records = records_from_ndjson(folder, PACKAGE.inputs, PACKAGE.applies_if, **options)
    return list(feature_rows(records, PACKAGE.inputs, PACKAGE.applies_if))


def collection(*resources: Json) -> Json:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": found} for found in resources]}


def value_of(row: Row, name: str) -> float:
    assert isinstance(row.answer, Features), row.answer
    return next(value.value for value in row.answer.values if value.input.name == name)


def test_a_transaction_of_what_has_no_id_yet() -> None:
    entries = []
    for number, resource in enumerate(admission()):
        fresh = {key: value for key, value in resource.items() if key != "id"}
        if "subject" in fresh:
            fresh["subject"] = {"reference": "urn:uuid:0"}
        request = {"method": "POST", "url": resource["resourceType"]}
        entries.append({"fullUrl": f"urn:uuid:{number}", "resource": fresh, "request": request})
    (row,) = rows_of({"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert value_of(row, "heart_rate") == 96
    assert (row.patient, row.encounter) == ("Patient/0", "Encounter/1")


def test_patients_of_two_servers_with_one_id_are_two() -> None:
    entries = []
    for base, rate in (("https://a.test/fhir", 60), ("https://b.test/fhir", 120)):
        for resource in admission():
            changed = json.loads(json.dumps(resource))
            if changed["id"] == "hr":
                changed["valueQuantity"]["value"] = rate
            entries.append({"fullUrl": f"{base}/{changed['resourceType']}/{changed['id']}", "resource": changed})
    rows = rows_of({"resourceType": "Bundle", "type": "collection", "entry": entries})
    assert sorted(value_of(row, "heart_rate") for row in rows) == [60, 120]


def test_pages_of_one_result_belong_together() -> None:
    pages = [collection(resource) for resource in admission()]
    (row,) = rows_of(pages)
    assert value_of(row, "bmi") == 26.5


def test_an_admission_without_its_patient_is_seen_and_not_answered() -> None:
    (row,) = rows_of(collection(*admission()[1:]))
    assert isinstance(row.answer, Abstention)
    assert row.encounter == "Encounter/e1"


@pytest.mark.parametrize(
    ("changed", "count"),
    [
        ({}, 1),
        ({"class": {"code": "ACUTE"}}, 1),
        ({"class": {"code": "AMB"}}, 0),
        ({"class": [{"coding": [{"code": "IMP"}]}]}, 0),  # R5, which is normalised before it gets here
        ({"status": "cancelled"}, 0),
        ({"status": "entered-in-error"}, 0),
        ({"period": {}}, 1),
    ],
)
def test_only_admissions_have_rows(changed: Json, count: int) -> None:
    resources = admission()
    resources[1] = encounter(**changed)
    assert len(rows_of(collection(*resources))) == count


def test_resources_of_odd_shapes_are_passed_over() -> None:
    odd = [None, [], {}, {"resource": None}, {"resource": {"resourceType": "Observation", "subject": "x", "code": []}}]
    bundle = {"resourceType": "Bundle", "entry": [*odd, *collection(*admission())["entry"]]}
    assert len(rows_of(bundle)) == 1


def test_the_newest_version_counts_and_what_was_deleted_does_not(tmp_path: Path) -> None:
    def version(resource: Json, number: int, value: float) -> Json:
        meta = {"versionId": str(number), "lastUpdated": f"2026-01-1{number}T00:00:00.5+0{number}:00"}
        return {**resource, "meta": meta, "valueQuantity": {**resource["valueQuantity"], "value": value}}

    heart, rest = admission()[3], [found for found in admission() if found["id"] != "hr"]
    folder = write_ndjson(tmp_path, [*rest, version(heart, 2, 88), version(heart, 1, 70)])
    (row,) = read_rows(folder)
    assert value_of(row, "heart_rate") == 88
    request = {"method": "DELETE", "url": "Observation/hr"}
    deleted = {"resourceType": "Bundle", "type": "transaction", "entry": [{"request": request}]}
    (tmp_path / "deleted.0000.ndjson").write_text(json.dumps(deleted))
    (row,) = read_rows(folder)
    assert isinstance(row.answer, Abstention) and row.answer.inputs == ("heart_rate",)


def absolute(base: str) -> list[Json]:
    text = json.dumps(admission()).replace('"Patient/p1"', f'"{base}/Patient/p1"')
    found: list[Json] = json.loads(text)
    return found


def test_absolute_references_need_to_be_known_as_the_servers_own(tmp_path: Path) -> None:
    folder = write_ndjson(tmp_path, absolute(BASE))
    with pytest.raises(NdjsonError, match="base"):
        read_rows(folder)
    (row,) = read_rows(folder, base=BASE)
    assert value_of(row, "heart_rate") == 96
    assert read_rows(folder, base="https://other.test/fhir") == []
    (folder / "export.json").write_text(json.dumps({"base": BASE, "finished": True}))
    assert len(read_rows(folder)) == 1


def test_half_an_export_is_not_read(tmp_path: Path) -> None:
    folder = write_ndjson(tmp_path, admission())
    (folder / "export.json").write_text(json.dumps({"base": BASE, "finished": False}))
    with pytest.raises(NdjsonError, match="resume"):
        read_rows(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"resourceType": "Patient"}\n{"resour', "line 2: not JSON"),
        (b"\n\n[]\n", "line 3: not a FHIR resource"),
        (b'{"id": "canary-7f3a"}', "line 1: not a FHIR resource"),
        (b'{"resourceType": "' + b"x" * 200 + b'"}', "line 1: longer"),
    ],
)
def test_a_broken_line_is_named_and_not_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    monkeypatch.setattr("fhir_adapter.features.lines.MOST_LINE", 100)
    (tmp_path / "Patient.ndjson").write_bytes(content)
    with pytest.raises(NdjsonError, match=rf"Patient\.ndjson, {message}") as caught:
        read_rows(tmp_path)
    assert "canary" not in str(caught.value)


def test_a_folder_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(NdjsonError, match=r"no \*\.ndjson"):
        read_rows(tmp_path)


def features(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    parser = argparse.ArgumentParser()
    command.configure(parser)
    status = command.run(parser.parse_args(words))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize("form", ["bundle", "pretty", "ndjson", "folder", "bundles"])
def test_the_command_reads_every_form(tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    resources, path = admission(), tmp_path / "file"
    if form == "folder":
        path = write_ndjson(tmp_path / "folder", resources)
    elif form == "bundles":
        path = tmp_path
        (path / "one.json").write_text(json.dumps(collection(*resources)))
    elif form == "ndjson":
        path.write_text("".join(json.dumps(found) + "\n" for found in resources))
    else:
        path.write_text(json.dumps(collection(*resources), indent=2 if form == "pretty" else None))
    status, out, _ = features(capsys, "whas500", str(path), "--json")
    assert status == 0
    row = json.loads(out)
    assert row["values"]["heart_rate"] == 96
    assert row["sources"]["heart_rate"] == ["Observation/hr"]


def test_the_command_reads_standard_input_and_writes_csv(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = json.loads(json.dumps(admission()).replace("p1", "p2").replace("e1", "e2"))
    both = collection(
        *admission(), *[found for found in refused if found["id"] not in ("bp", "bmi", "mi", "chf", "hr")]
    )
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(json.dumps(both).encode())))
    status, out, _ = features(capsys, "functions/survival/packages/whas500", "-", "--csv")
    first, second = csv.DictReader(io.StringIO(out))
    assert status == 0
    assert (first["age"], first["abstention"]) == ("75.0", "")
    assert (second["age"], second["abstention"]) == ("", "outside-population")


def test_the_command_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "b.json").write_text(json.dumps(collection(*admission())))
    status, out, _ = features(capsys, "whas500", str(tmp_path / "b.json"))
    assert status == 0
    assert "13 of 13 inputs on record" in out and "1 admissions: 1 read" in out


@pytest.mark.parametrize(
    ("words", "status"),
    [(("nothing", "-"), 2), (("whas500", "/nowhere"), 1), (("whas500", "/nowhere", "--terminology", "/nowhere"), 1)],
)
def test_the_command_says_what_is_wrong(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], status: int
) -> None:
    found, out, said = features(capsys, *words)
    assert (found, out) == (status, "")
    assert said.startswith("bedside features: ")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_the_command_refuses_what_is_no_resource(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    (tmp_path / "x").write_text(content)
    assert features(capsys, "whas500", str(tmp_path / "x"))[0] == 1


"""For tests/functional/test_features_everywhere.py, once E_patch.py is applied."""


def test_the_tenants_own_codes_reach_the_worker() -> None:
    resources = admission()
    heart = next(resource for resource in resources if resource["id"] == "hr")
    heart["code"] = {"coding": [{"system": LOCAL, "code": "PULSE"}]}
    event = new_event("general", "admissions", "focus", "Encounter/e1", "1", "Patient/p1")
    with FhirClient(BASE, transport=FakeEhr(*resources).transport) as client:
        assert answer_event(event, tenant(), client, Model(PACKAGE, capture)).reason == "missing-input"
        described = Tenant.from_dict({**tenant_json(), "concept_maps": [PULSE_MAP], "time_zone": "Europe/Vienna"})
        with pytest.raises(Captured) as caught:
            answer_event(event, described, client, Model(PACKAGE, capture))
    rate = next(value for value in caught.value.features.values if value.input.name == "heart_rate")
    assert rate.value == 96


def test_a_concept_map_that_is_wrong_is_refused_with_the_tenant() -> None:
    with pytest.raises(ConfigurationError, match=r"general.*retired"):
        Tenant.from_dict({**tenant_json(), "concept_maps": [{**PULSE_MAP, "status": "retired"}]})


def test_value_sets_of_a_package_are_files_beside_it(tmp_path: Path) -> None:
    folder = shutil.copytree("functions/survival/packages/whas500", tmp_path / "whas500")
    contract = (folder / "model.yaml").read_text(encoding="utf-8")
    url = "https://example.org/ValueSet/pulse"
    (folder / "model.yaml").write_text(contract.replace('codes: ["8867-4"]', f'value_set: "{url}"'), encoding="utf-8")
    with pytest.raises(ModelRefused, match="pulse"):
        load_package(folder)
    (folder / "terminology").mkdir()
    listed = {"include": [{"system": "http://loinc.org", "concept": [{"code": "8867-4"}]}]}
    value_set = {"resourceType": "ValueSet", "url": url, "compose": listed}
    (folder / "terminology" / "pulse.json").write_text(json.dumps(value_set), encoding="utf-8")
    assert load_package(folder).inputs == PACKAGE.inputs
