"""The diagnosis function's handler on its whole road: a study, a recording or values in, findings in the EHR."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from aws_lambda_powertools.utilities import parameters
from pydicom import dcmread

from fhir_adapter.client import FhirClient, RetryPolicy
from fhir_adapter.codes import ABOUT_TAG
from fhir_adapter.dicomfile import DicomError, RefusalReason
from fhir_adapter.dicomweb import (
    DirectoryImageStore,
    ImageStore,
    ImageStoreRejected,
    ImageStoreUnavailable,
    read_header,
)
from fhir_adapter.prediction import AbstentionReason
from fhir_adapter.tenants import Tenant
from functions.diagnosis.predict import load_models
from functions.serving.events import Event, for_models, new_event
from functions.serving.handler import ModelFunction
from functions.serving.package import Model
from tests import dicoms
from tests.diagnoses import (
    PACKAGES,
    ROOT,
    SERIES,
    STUDY,
    child,
    film,
    package,
    plain_study,
    recorded_patient,
    study,
    tenant_json,
    thyroid_report,
    thyroid_values,
)
from tests.fakes import FakeEhr
from tests.functional.conftest import Cloud
from tests.samples import encounter, observation, patient

Json = dict[str, Any]
ECG_UID = read_header(dicoms.ECG.read_bytes()).path.study


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    """The shipped packages, and one that only a folder brings in."""
    folder = tmp_path_factory.mktemp("packages")
    package(folder)
    return {**load_models(PACKAGES), **load_models(folder)}


class Hospital:
    """An EHR, an image store, and the function between them."""

    def __init__(self, models: dict[str, Model], folder: Path, cloud: Cloud, context: Any) -> None:
        self.ehr = FakeEhr()
        self.store = DirectoryImageStore(folder)
        self.cloud = cloud
        self.opened: list[str] = []
        self.failing: Exception | None = None
        self._context = context
        self._function = ModelFunction(models, self._connect, connect_images=self._open)

    def _connect(self, tenant: Tenant) -> FhirClient:
        return FhirClient(
            tenant.fhir_base,
            tenant.token,
            transport=self.ehr.transport,
            retry=RetryPolicy(attempts=2),
            sleep=lambda _seconds: None,
        )

    def _open(self, _tenant: Tenant, root: str) -> ImageStore:
        self.opened.append(root)
        if self.failing is not None:
            raise self.failing
        return self.store

    def subscribe(self, *models: str, **more: Any) -> None:
        text = json.dumps(tenant_json(list(models), **more))
        boto3.client("secretsmanager").put_secret_value(SecretId="bedside/tenants/general", SecretString=text)
        parameters.clear_caches()

    def run(self, *events: Event, receives: int = 1) -> list[str]:
        records = [
            {
                "messageId": f"m{index}",
                "receiptHandle": "r",
                "body": event.to_json(),
                "attributes": {"ApproximateReceiveCount": str(receives)},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:events",
                "awsRegion": "eu-central-1",
            }
            for index, event in enumerate(events)
        ]
        answer = self._function({"Records": records}, self._context)
        return [item["itemIdentifier"] for item in answer["batchItemFailures"]]

    def outcomes(self) -> list[str]:
        return sorted(entry["outcome"] for entry in self.cloud.entries())

    def live(self, kind: str) -> list[Json]:
        found = [item for item in self.ehr.of_type(kind) if item["meta"].get("tag")]
        return [item for item in found if item["status"] == "preliminary"]

    def reason(self) -> str:
        (written,) = self.live("Observation")
        return str(written["dataAbsentReason"]["coding"][1]["code"])

    def dead(self) -> list[str]:
        found = self.cloud.messages(self.cloud.dead_letter_url)
        return [message["MessageAttributes"]["cause"]["StringValue"] for message in found]


@pytest.fixture
def hospital(
    models: dict[str, Model], tmp_path: Path, cloud: Cloud, lambda_context: Any, monkeypatch: pytest.MonkeyPatch
) -> Hospital:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", f"test-{uuid4()}")
    made = Hospital(models, tmp_path / "images", cloud, lambda_context)
    made.subscribe("brightness")
    made.ehr.put(child())
    return made


def about(focus: str = "ImagingStudy/s1", version: str | None = "1", **more: Any) -> Event:
    return new_event("general", "studies", "focus", focus, version, "Patient/p1", **more)


def component(found: Json, code: str) -> Json:
    return next(part for part in found["component"] if part["code"]["coding"][0]["code"] == code)


# -- images --


@pytest.mark.conformance("G21")
def test_a_film_becomes_a_finding_a_risk_and_a_draft_of_a_report(hospital: Hospital) -> None:
    hospital.store.store([film()])
    hospital.ehr.put(study(hospital.store))
    assert hospital.run(about()) == []
    assert [request.method for request in hospital.ehr.requests] == ["POST", "POST"]
    (found,) = hospital.live("Observation")
    assert found["valueQuantity"]["value"] == pytest.approx(80.0, abs=0.1)
    assert found["interpretation"] == [{"text": "At or above the operating point of 50%"}]
    assert component(found, "finding")["valueCodeableConcept"]["coding"][0]["code"] == "233604007"
    assert component(found, "operating-point")["valueQuantity"]["value"] == 50
    assert found["category"][0]["coding"][0]["code"] == "imaging"
    assert found["derivedFrom"] == [{"reference": "ImagingStudy/s1/_history/1"}]
    (report,) = hospital.live("DiagnosticReport")
    assert report["result"] == [{"reference": f"Observation/{found['id']}"}]
    assert report["imagingStudy"] == [{"reference": "ImagingStudy/s1"}]
    assert "not verified" in report["conclusion"]
    assert "conclusionCode" not in report
    (risk,) = hospital.live("RiskAssessment")
    assert risk["prediction"][0]["probabilityDecimal"] == found["valueQuantity"]["value"]
    (provenance,) = hospital.ehr.of_type("Provenance")
    assert {target["reference"] for target in provenance["target"]} == {
        f"{item['resourceType']}/{item['id']}" for item in (found, report, risk)
    }
    files = [entity["what"] for entity in provenance["entity"] if "identifier" in entity["what"]]
    assert [item["identifier"]["value"] for item in files] == [f"urn:oid:{SERIES}.1"]
    (entry,) = hospital.cloud.entries()
    assert (entry["outcome"], entry["result"]) == ("predicted", f"DiagnosticReport/{report['id']}")
    assert hospital.opened == [ROOT]


def test_the_same_study_twice_is_one_result_even_when_nothing_is_remembered(hospital: Hospital) -> None:
    hospital.store.store([film()])
    hospital.ehr.put(study(hospital.store))
    hospital.run(about(version=None))
    hospital.run(about(version=None))
    # the archive has counted again: the resource has another version, the images are the same
    hospital.ehr.put(study(hospital.store, description="Chest"))
    hospital.run(about(version="2"))
    written = [*hospital.ehr.of_type("DiagnosticReport"), *hospital.ehr.of_type("Provenance")]
    assert [item["meta"]["versionId"] for item in written] == ["1", "1"]
    assert hospital.outcomes() == ["duplicate", "duplicate", "predicted"]


def test_a_study_that_grew_is_read_again_and_the_newer_result_takes_the_older_ones_place(hospital: Hospital) -> None:
    hospital.store.store([film(1, 0.8)])
    hospital.ehr.put(study(hospital.store))
    hospital.run(about())
    hospital.store.store([film(2, 0.2)])
    hospital.ehr.put(study(hospital.store))
    assert hospital.run(about(version="2")) == []
    (found,) = hospital.live("Observation")
    assert found["valueQuantity"]["value"] == pytest.approx(20.0, abs=0.1)
    assert found["interpretation"] == [{"text": "Below the operating point of 50%"}]
    assert "latest of 2" in hospital.live("DiagnosticReport")[0]["conclusion"]
    for kind in ("Observation", "RiskAssessment", "DiagnosticReport"):
        states = sorted(item["status"] for item in hospital.ehr.of_type(kind) if item["meta"].get("tag"))
        assert states == ["entered-in-error", "preliminary"]
    (newest,) = [
        item for item in hospital.ehr.of_type("Provenance") if any(e["role"] == "revision" for e in item["entity"])
    ]
    assert len([entity for entity in newest["entity"] if entity["role"] == "revision"]) == 3


def test_a_study_is_waited_for_until_it_is_whole(hospital: Hospital) -> None:
    hospital.store.store([film(1)])
    hospital.ehr.put(study(hospital.store, numberOfInstances=2))
    event = about()
    assert hospital.run(event) == [], "to wait is no failure"
    assert hospital.live("Observation") == []
    assert hospital.outcomes() == ["waiting"]
    hospital.store.store([film(2)])
    assert hospital.run(event) == []
    assert hospital.outcomes() == ["predicted"]
    assert len(hospital.live("Observation")) == 1
    assert hospital.dead() == []


def test_a_study_that_waits_comes_again_as_a_delayed_message(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, float]] = []
    hospital.subscribe("brightness", study_stable_seconds=90)
    hospital.store.store([film(1)])
    hospital.ehr.put(study(hospital.store))
    queue = hospital._function._queue
    monkeypatch.setattr(
        queue, "send_later", lambda events, seconds, _models=(): sent.extend((one.id, seconds) for one in events)
    )
    event = about()
    hospital.run(event)
    assert sent == [(event.id, 90.0)]


def test_what_never_comes_is_an_abstention_in_the_end(hospital: Hospital) -> None:
    hospital.store.store([film(1)])
    hospital.ehr.put(study(hospital.store, numberOfInstances=2))
    assert hospital.run(about(received="2026-01-10T08:20:00+00:00")) == []
    assert hospital.reason() == "study-incomplete"
    hospital.store.store([film(2)])
    hospital.run(about(version=None))
    (found,) = hospital.live("Observation")
    assert "dataAbsentReason" not in found


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"PatientAge": "045Y"}, "age"),
        ({"ViewPosition": "LL"}, "view"),
        ({"BodyPartExamined": "HAND"}, "body-part"),
        ({"BurnedInAnnotation": "YES"}, "burned-in-annotation"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "for-processing"),
        ({"Modality": "CT"}, "no-suitable-image"),
        ({"SOPClassUID": dicoms.CT}, "no-suitable-image"),
        ({"PhotometricInterpretation": "YBR_ICT"}, "damaged"),
    ],
)
def test_what_the_contract_does_not_cover_is_refused_by_name(
    hospital: Hospital, change: dict[str, Any], reason: str
) -> None:
    hospital.store.store([film(**change)])
    hospital.ehr.put(plain_study())
    assert hospital.run(about()) == []
    assert hospital.reason() == reason
    assert hospital.live("DiagnosticReport") == hospital.live("RiskAssessment") == []
    (entry,) = hospital.cloud.entries()
    assert (entry["outcome"], entry["reason"]) == ("abstained", reason)


def test_a_damaged_file_is_refused_and_a_sound_one_beside_it_is_read(hospital: Hospital) -> None:
    hospital.store.store([film(1), film(2)[:-40]])
    hospital.ehr.put(plain_study())
    assert hospital.run(about()) == []
    (found,) = hospital.live("Observation")
    assert found["valueQuantity"]["value"] == pytest.approx(80.0, abs=0.1)


def test_a_lateral_film_beside_the_frontal_one_is_passed_over(hospital: Hospital) -> None:
    hospital.store.store([film(1, 0.3), film(2, 0.9, ViewPosition="LL")])
    hospital.ehr.put(study(hospital.store))
    hospital.run(about())
    (found,) = hospital.live("Observation")
    assert found["valueQuantity"]["value"] == pytest.approx(30.0, abs=0.1)


@pytest.mark.parametrize(
    ("resource", "reason"),
    [(patient(), "outside-population"), (child(deceasedBoolean=True), "outside-population")],
)
def test_a_patient_outside_the_population_is_not_looked_at(
    hospital: Hospital, resource: Json, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hospital.store.store([film()])
    hospital.ehr.put(study(hospital.store))
    hospital.ehr.put(resource)
    asked: list[Any] = []
    monkeypatch.setattr(hospital.store, "instance", asked.append)
    hospital.run(about())
    assert hospital.reason() == reason
    assert asked == [], "no image was asked for"


def test_a_study_without_a_time_takes_that_of_its_images(hospital: Hospital) -> None:
    hospital.store.store([film()])
    described = study(hospital.store)
    del described["started"]
    hospital.ehr.put(described)
    hospital.run(about())
    (found,) = hospital.live("Observation")
    assert found["effectiveDateTime"] == "2026-01-10T08:15:00+00:00"


def test_a_report_that_names_the_study_leads_to_it(hospital: Hospital) -> None:
    hospital.store.store([film()])
    hospital.ehr.put(study(hospital.store, encounter={"reference": "Encounter/e1"}))
    hospital.ehr.put(encounter())
    report = thyroid_report(result=[], code={"text": "Chest film"}, imagingStudy=[{"reference": "ImagingStudy/s1"}])
    del report["result"]
    hospital.ehr.put(report)
    assert hospital.run(about("DiagnosticReport/r1"), about()) == []
    (found,) = hospital.live("DiagnosticReport")
    assert found["encounter"] == {"reference": "Encounter/e1"}
    assert {"system": ABOUT_TAG, "code": "ImagingStudy/s1"} in found["meta"]["tag"]
    assert hospital.outcomes() == ["duplicate", "predicted"], "told by the report and by the study, it is one result"


def test_our_own_report_does_not_trigger_us(hospital: Hospital) -> None:
    hospital.store.store([film()])
    hospital.ehr.put(study(hospital.store))
    hospital.run(about())
    (report,) = hospital.live("DiagnosticReport")
    before = dict(hospital.ehr.resources)
    assert hospital.run(about(f"DiagnosticReport/{report['id']}")) == []
    assert hospital.ehr.resources == before
    assert hospital.outcomes() == ["ignored", "predicted"]


def test_a_deleted_study_withdraws_its_results(hospital: Hospital) -> None:
    hospital.store.store([film()])
    hospital.ehr.put(study(hospital.store))
    hospital.run(about())
    del hospital.ehr.resources["ImagingStudy/s1"]
    assert hospital.run(about(version=None, deleted=True)) == []
    assert hospital.live("Observation") == hospital.live("DiagnosticReport") == []
    assert "withdrawn" in hospital.outcomes()


def test_a_store_that_is_down_is_tried_again_and_one_that_refuses_is_not(hospital: Hospital) -> None:
    hospital.store.store([film()])
    hospital.ehr.put(study(hospital.store))
    hospital.failing = ImageStoreUnavailable("the image store answered 503", 503)
    assert hospital.run(about(version=None)) == ["m0"]
    hospital.failing = ImageStoreRejected("the image store answered 403", 403)
    assert hospital.run(about(version=None)) == []
    assert hospital.dead() == ["ImageStoreRejected: the image store answered 403"]
    hospital.failing = None
    assert hospital.run(about(version=None), receives=2) == []
    assert len(hospital.live("Observation")) == 1


def test_where_the_images_are_may_be_said_by_an_endpoint_of_the_tenants(hospital: Hospital) -> None:
    hospital.subscribe("brightness", dicomweb_root=None, allowed_hosts=["pacs.test"])
    hospital.store.store([film()])
    hospital.ehr.put(
        {
            "resourceType": "Endpoint",
            "id": "w1",
            "status": "active",
            "connectionType": {
                "system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type",
                "code": "dicom-wado-rs",
            },
            "payloadType": [{"text": "DICOM"}],
            "address": ROOT,
        }
    )
    hospital.ehr.put(study(hospital.store, endpoint=[{"reference": "Endpoint/w1"}]))
    assert hospital.run(about()) == []
    assert hospital.opened == [ROOT]
    assert len(hospital.live("Observation")) == 1


def test_nowhere_to_look_is_a_dead_letter_that_says_so(hospital: Hospital) -> None:
    hospital.subscribe("brightness", dicomweb_root=None)
    hospital.store.store([film()])
    hospital.ehr.put(study(hospital.store))
    assert hospital.run(about()) == []
    (cause,) = hospital.dead()
    assert cause.startswith("NoImageStore: tenant 'general': no dicomweb_root")


# -- results in the image store --


def test_report_and_picture_are_stored_once_and_make_no_study_grow(hospital: Hospital) -> None:
    hospital.subscribe("brightness", imaging_results="dicom")
    hospital.store.store([film()])
    hospital.ehr.put(study(hospital.store))
    hospital.run(about(version=None))
    added = {row.modality: row for row in hospital.store.series(STUDY) if row.series != SERIES}
    assert set(added) == {"SR", "OT"}
    (report,) = hospital.store.instances(STUDY, added["SR"].series)
    document = dcmread(BytesIO(hospital.store.instance(report.path)))
    assert (document.VerificationFlag, document.PatientID) == ("UNVERIFIED", "4711")
    (picture,) = hospital.store.instances(STUDY, added["OT"].series)
    shown = dcmread(BytesIO(hospital.store.instance(picture.path)))
    assert (shown.Rows, shown.Columns, shown.PhotometricInterpretation) == (512, 512, "RGB")
    # the archive counts the new series, the EHR tells of it, and nothing is to be done
    hospital.ehr.put(study(hospital.store))
    hospital.run(about(version=None))
    assert hospital.outcomes() == ["duplicate", "predicted"]
    assert len(hospital.store.instances(STUDY)) == 3
    assert [item["meta"]["versionId"] for item in hospital.live("DiagnosticReport")] == ["1"]


def test_a_report_that_was_not_stored_is_stored_by_the_next_try(hospital: Hospital) -> None:
    class Full(DirectoryImageStore):
        def store(self, instances: Any) -> Any:
            raise ImageStoreUnavailable("the image store answered 507", 507)

    hospital.subscribe("brightness", imaging_results="dicom")
    hospital.store.store([film()])
    hospital.ehr.put(study(hospital.store))
    whole, hospital.store = hospital.store, Full(hospital.store.folder)
    event = about()
    assert hospital.run(event) == ["m0"]
    assert len(hospital.live("DiagnosticReport")) == 1
    hospital._function.close()
    hospital.store = whole
    assert hospital.run(event, receives=2) == []
    assert {row.modality for row in whole.series(STUDY)} == {"DX", "SR", "OT"}
    assert [item["meta"]["versionId"] for item in hospital.live("DiagnosticReport")] == ["1"]


def test_a_film_of_another_patient_is_not_scored(hospital: Hospital) -> None:
    hospital.subscribe("brightness", patient_id_systems={"": "urn:oid:1.2.3"})
    hospital.ehr.put(child(identifier=[{"system": "urn:oid:1.2.3", "value": "0815"}]))
    hospital.store.store([film()])
    hospital.ehr.put(study(hospital.store))
    assert hospital.run(about()) == []
    assert (hospital.outcomes(), hospital.reason()) == (["abstained"], "patient-mismatch")
    assert "4711" not in json.dumps(hospital.live("Observation"))
    hospital.ehr.put(child(identifier=[{"system": "urn:oid:1.2.3", "value": "4711"}]))
    assert hospital.run(about(version=None)) == []
    assert "predicted" in hospital.outcomes()


# -- recordings --


@pytest.fixture
def recorded(hospital: Hospital) -> Hospital:
    hospital.subscribe("ecg")
    hospital.ehr.put(recorded_patient())
    hospital.store.store([dicoms.ECG.read_bytes()])
    hospital.ehr.put(study(hospital.store, ECG_UID))
    return hospital


def test_an_electrocardiogram_becomes_intervals_and_a_rhythm(recorded: Hospital) -> None:
    assert recorded.run(about()) == []
    found = {item["code"]["coding"][0]["code"]: item for item in recorded.live("Observation")}
    measured = {code: found[code]["valueQuantity"] for code in ("8867-4", "8637-1", "8634-8")}
    assert measured["8637-1"]["value"] == pytest.approx(982, abs=30)
    assert measured["8634-8"]["value"] == pytest.approx(368, abs=30)
    assert measured["8867-4"]["code"] == "/min"
    assert [item["coding"][0]["code"] for item in found["8867-4"]["category"]] == ["procedure", "vital-signs"]
    assert found["ecg.sinus_rhythm"]["code"]["text"].startswith("Share of the recording")
    assert recorded.live("RiskAssessment") == [], "a share of a strip is no risk"
    (report,) = recorded.live("DiagnosticReport")
    assert report["category"][0]["coding"][0]["code"] == "EC"
    assert len(report["result"]) == len(found) == 10


def test_the_recordings_report_is_stored_without_a_picture(recorded: Hospital) -> None:
    recorded.subscribe("ecg", imaging_results="dicom")
    assert recorded.run(about()) == []
    (row,) = [row for row in recorded.store.series(ECG_UID) if row.modality == "SR"]
    (found,) = recorded.store.instances(ECG_UID, row.series)
    text = str(dcmread(BytesIO(recorded.store.instance(found.path))))
    assert "8634-8" in text
    assert "Q-T interval" in text


def test_a_film_that_one_of_several_models_refuses_is_told_all_the_same(recorded: Hospital) -> None:
    """An adult's film: the other model has nothing to say to it, and the one it is for says why it does not answer."""
    recorded.subscribe("ecg", "brightness")
    recorded.store.store([film(PatientAge="045Y")])
    recorded.ehr.put(study(recorded.store))
    assert recorded.run(*for_models(about(), ["ecg", "brightness"])) == []
    assert recorded.reason() == "outside-population"
    outcomes = {entry["model"]: entry["outcome"] for entry in recorded.cloud.entries()}
    assert outcomes == {"ecg": "not-applicable", "brightness": "abstained"}


def test_of_several_models_only_the_one_that_the_study_is_for_answers(recorded: Hospital) -> None:
    recorded.subscribe("ecg", "brightness")
    assert recorded.run(*for_models(about(), ["ecg", "brightness"])) == []
    outcomes = {entry["model"]: entry["outcome"] for entry in recorded.cloud.entries()}
    assert outcomes == {"ecg": "predicted", "brightness": "not-applicable"}


# -- laboratory values --


@pytest.fixture
def tested(hospital: Hospital) -> Hospital:
    hospital.subscribe("thyroid", criteria="DiagnosticReport?category=LAB")
    hospital.ehr.put(patient())
    for value in thyroid_values():
        hospital.ehr.put(value)
    hospital.ehr.put(thyroid_report())
    return hospital


def test_five_values_become_the_state_of_a_thyroid(tested: Hospital) -> None:
    assert tested.run(about("DiagnosticReport/r1")) == []
    found = {item["code"]["coding"][0]["code"]: item for item in tested.live("Observation")}
    assert set(found) == {"thyroid.normal", "thyroid.hypothyroidism", "thyroid.hyperthyroidism"}
    values = {name: item["valueQuantity"]["value"] for name, item in found.items()}
    assert values["thyroid.hypothyroidism"] > 90
    assert sum(values.values()) == pytest.approx(100, abs=1e-3)
    assert len(found["thyroid.hypothyroidism"]["derivedFrom"]) == 5
    assert "Thyrotropin" in found["thyroid.hypothyroidism"]["note"][0]["text"]
    (risk,) = tested.live("RiskAssessment")
    assert [item["outcome"]["text"] for item in risk["prediction"]] == ["Hypothyroidism", "Hyperthyroidism"]
    (report,) = tested.live("DiagnosticReport")
    assert report["category"][0]["coding"][0]["code"] == "LAB"
    assert "imagingStudy" not in report
    assert tested.opened == []


def test_values_told_of_one_by_one_are_one_result(tested: Hospital) -> None:
    tested.subscribe("thyroid", criteria="Observation?category=laboratory")
    assert tested.run(*(about(f"Observation/{name}") for name in ("t3", "t4", "t3t", "tsh", "trh"))) == []
    assert tested.outcomes() == ["duplicate"] * 4 + ["predicted"]
    assert len(tested.live("DiagnosticReport")) == 1


def test_a_value_that_comes_late_turns_an_abstention_into_a_result(tested: Hospital) -> None:
    late = tested.ehr.resources.pop("Observation/tsh")
    tested.run(about("Observation/t4"))
    assert tested.reason() == "missing-input"
    tested.ehr.put(late)
    tested.run(about("Observation/tsh"))
    assert len(tested.live("Observation")) == 3
    assert len(tested.live("DiagnosticReport")) == 1


def test_a_corrected_value_supersedes(tested: Hospital) -> None:
    tested.run(about("DiagnosticReport/r1"))
    tested.ehr.put(observation("tsh", "3016-3", 1.5, "m[IU]/L"))
    tested.ehr.put(thyroid_report(status="corrected"))
    tested.run(about("DiagnosticReport/r1", version="2"))
    assert len(tested.live("Observation")) == 3
    assert sorted(item["status"] for item in tested.ehr.of_type("RiskAssessment")) == [
        "entered-in-error",
        "preliminary",
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda ehr: ehr.put(observation("tsh", "3016-3", 20, "mg")), "unit-not-convertible"),
        (lambda ehr: ehr.put(observation("tsh", "3016-3", 2000, "m[IU]/L")), "implausible-input"),
        (lambda ehr: ehr.put(thyroid_report(status="cancelled")), "outside-population"),
    ],
)
def test_values_that_cannot_be_used_are_refused_by_name(
    tested: Hospital, change: Callable[[FakeEhr], Any], reason: str
) -> None:
    change(tested.ehr)
    assert tested.run(about("DiagnosticReport/r1")) == []
    assert tested.reason() == reason


# -- throughout --


def test_every_refusal_has_its_reason() -> None:
    codes = {reason.value for reason in AbstentionReason}
    assert {reason.value for reason in RefusalReason} <= codes
    assert {kind.reason for kind in DicomError.__subclasses__()} <= codes


def test_logs_hold_no_patient_data(
    hospital: Hospital, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    hospital.store.store([film()])
    hospital.ehr.put(study(hospital.store))
    hospital.run(about(), about("ImagingStudy/none"))
    printed = "".join([*capsys.readouterr(), *(str(record.__dict__) for record in caplog.records)])
    assert "event answered" in printed
    # on its own: the digits of the patient's id may well occur within a UUID
    assert not {text for text in (dicoms.SECRET, "4711", STUDY) if re.search(rf"\b{re.escape(text)}\b", printed)}
