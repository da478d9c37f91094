"""The three shipped packages between a real EHR and a real archive: what they write, read back by other programs.

FHIR: by a validator of R4 and by the models of fhir.resources, version by version as the server kept it. DICOM: by
highdicom, dciodvfy and dcentvfy (dicom3tools) and dsrdump (DCMTK), as Orthanc returned it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from pydicom import dcmread

from fhir_adapter.client import FhirClient
from fhir_adapter.dicomweb import WebImageStore, read_header
from fhir_adapter.imaging_study import imaging_study
from fhir_adapter.tenants import Tenant
from functions.diagnosis.data.wrapped import as_dicom
from functions.diagnosis.predict import load_models
from functions.serving.events import new_event
from functions.serving.imaging import Images, MemoryStudies
from functions.serving.package import Model
from functions.serving.worker import answer_event
from infra.local.ehr import SekmetEhr
from tests import dicoms, validator
from tests.diagnoses import PACKAGES, child, recorded_patient, tenant_json, thyroid_report, thyroid_values
from tests.orthanc import orthanc
from tests.peering import require_peer
from tests.samples import patient

pytestmark = [pytest.mark.peer("sekmet-fhir"), pytest.mark.peer("Orthanc")]

Json = dict[str, Any]
LOOKING = ("ecg", "cxr-pneumonia-paediatric")
MRN = "urn:oid:1.2.276.0.76.4.17"
CANARY = "CANARY"


@dataclass
class Hospital:
    """An EHR, an archive, and what each model left in them."""

    base: str
    token: str
    client: FhirClient
    store: WebImageStore
    models: dict[str, Model]
    written: dict[str, list[Json]] = field(default_factory=dict)
    studies: dict[str, str] = field(default_factory=dict)
    sources: dict[str, bytes] = field(default_factory=dict)

    def put(self, *resources: Json) -> None:
        entries = [
            {"resource": item, "request": {"method": "PUT", "url": f"{item['resourceType']}/{item['id']}"}}
            for item in resources
        ]
        for item in resources:
            validator.assert_valid(item)
        self.client.transaction({"resourceType": "Bundle", "type": "transaction", "entry": entries})

    def file(self, name: str, data: bytes, whose: Json) -> None:
        """Store an instance, and the ImagingStudy of its study."""
        uid = read_header(data).path.study
        self.store.store([data]).require_all()
        metadata = [one for row in self.store.series(uid) for one in self.store.metadata(uid, row.series)]
        found = imaging_study(metadata, f"Patient/{whose['id']}", resource_id=f"study-{name}")
        self.put(whose, {"started": "2026-01-10T08:15:00+00:00", **found})
        self.studies[name], self.sources[name] = uid, data

    def answer(self, name: str, focus: str, whose: Json) -> str:
        described = tenant_json([name], imaging_results="dicom", patient_id_systems={"": MRN})
        tenant = Tenant.from_dict({**described, "fhir_base": self.base, "allow_private": True})
        event = new_event("general", "studies", "focus", focus, None, f"Patient/{whose['id']}")
        images = Images(lambda _tenant, _root: self.store, MemoryStudies())
        before = set(self.versions())
        outcome = answer_event(event, tenant, self.client, self.models[name], images=images)
        after = self.versions()
        self.written.setdefault(name, []).extend(after[key] for key in after.keys() - before)
        return outcome.outcome

    def versions(self) -> dict[tuple[str, str, str], Json]:
        """Every version of every resource (FHIR R4 http.html#history)."""
        found = {}
        url: str | None = f"{self.base}/_history?_count=500"
        while url:
            bundle = httpx.get(url, headers={"Authorization": f"Bearer {self.token}"}, trust_env=False).json()
            for entry in bundle.get("entry", []):
                item = entry.get("resource")
                if item:
                    found[(item["resourceType"], item["id"], item["meta"]["versionId"])] = item
            url = next((link["url"] for link in bundle.get("link", []) if link["relation"] == "next"), None)
        return found

    def reports(self, name: str) -> list[bytes]:
        """The structured reports and pictures in the archive, beside the source."""
        uid = self.studies[name]
        listed = self.store.instances(uid)
        own = read_header(self.sources[name]).path.instance
        return [self.store.instance(row.path) for row in listed if row.path.instance != own]


def numbered(whose: Json, number: str) -> Json:
    return {**whose, "identifier": [{"system": MRN, "value": number}]}


def film() -> bytes:
    """A child's film of nothing: shades that a model may say anything of."""
    rows, columns = np.mgrid[0:28, 0:28]
    shades = (96 + 80 * np.sin(rows / 5.0) * np.cos(columns / 4.0)).astype(np.uint8)
    return as_dicom(
        shades,
        patient_id="0815",
        study_uid="1.2.826.0.1.3680043.8.498.815",
        birth_date="20220615",
        sex="M",
        name=f"{CANARY}^CHILD",
        study_date="20260110",
    )


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    require_peer("sekmet-fhir", module="sekmet")
    ehr = SekmetEhr(tmp_path_factory.mktemp("ehr"))
    ehr.start()
    try:
        with (
            orthanc(tmp_path_factory.mktemp("pacs")) as pacs,
            WebImageStore(pacs.root, pacs.token) as store,
            FhirClient(ehr.base_url, ehr.token) as client,
        ):
            made = Hospital(ehr.base_url, ehr.token, client, store, load_models(PACKAGES))
            play(made)
            yield made
    finally:
        ehr.stop()


def play(made: Hospital) -> None:
    woman, young = numbered(recorded_patient(id="ecg"), "642341"), numbered(child(id="child"), "0815")
    for name, data, whose in ((LOOKING[0], dicoms.ECG.read_bytes(), woman), (LOOKING[1], film(), young)):
        made.file(name, data, whose)
        assert made.answer(name, f"ImagingStudy/study-{name}", whose) == "predicted"
    made.put(patient(), *thyroid_values(), thyroid_report())
    assert made.answer("thyroid", "DiagnosticReport/r1", patient()) == "predicted"


def of(found: list[Json], kind: str) -> list[Json]:
    return [item for item in found if item["resourceType"] == kind]


@pytest.mark.parametrize("name", [*LOOKING, "thyroid"])
def test_everything_written_is_valid_for_two_validators(hospital: Hospital, name: str) -> None:
    from fhir.resources.R4B import get_fhir_model_class

    found = hospital.written[name]
    kinds = {item["resourceType"] for item in found}
    assert kinds >= {"Observation", "DiagnosticReport", "Provenance", "Device", "DocumentReference"}
    assert ("RiskAssessment" in kinds) == (name != "ecg")
    for item in found:
        validator.assert_valid(item)
        get_fhir_model_class(item["resourceType"]).model_validate(item)
    assert {item["status"] for kind in ("Observation", "DiagnosticReport") for item in of(found, kind)} == {
        "preliminary"
    }


@pytest.mark.conformance("I05")
@pytest.mark.parametrize("name", LOOKING)
def test_measurements_in_the_ehr_say_device_code_unit_and_study(hospital: Hospital, name: str) -> None:
    found = hospital.written[name]
    (device,) = of(found, "Device")
    identity = hospital.models[name].package.identity
    assert device["deviceName"][0]["name"]
    assert device["version"][0]["value"] == identity.version
    (report,) = of(found, "DiagnosticReport")
    study = f"ImagingStudy/study-{name}"
    assert report["imagingStudy"] == [{"reference": study}]
    observations = of(found, "Observation")
    assert {item["reference"] for item in report["result"]} == {f"Observation/{item['id']}" for item in observations}
    for item in observations:
        assert item["device"] == {"reference": f"Device/{device['id']}"}
        assert item["valueQuantity"]["system"] == "http://unitsofmeasure.org"
        assert [source["reference"].partition("/_history")[0] for source in item["derivedFrom"]] == [study]
        assert "bodySite" not in item, "a finding of a whole film or strip has no site of its own"


@pytest.mark.conformance("I01", "I05")
@pytest.mark.parametrize("name", LOOKING)
def test_report_and_ehr_say_the_same(hospital: Hospital, name: str) -> None:
    """The codes and numbers of TID 300 in the archive are those of the Observations."""
    require_peer("highdicom", module="highdicom")
    observations = of(hospital.written[name], "Observation")
    said: dict[str, tuple[float, str]] = {}
    for item in observations:
        found = item.get("component") or [item]
        code = found[0].get("valueCodeableConcept", item["code"])["coding"][0]["code"]
        said[code] = (float(item["valueQuantity"]["value"]), item["valueQuantity"]["code"])
    stored: dict[str, tuple[float, str]] = {}
    for group in read_report(hospital, name).content.get_image_measurement_groups():
        finding = group.finding_type
        # of a finding, the first measurement is the number and the second the operating point
        for one in group.get_measurements()[: 1 if finding else None]:
            stored[(finding or one.name).value] = (float(one.value), one.unit.value)
    assert set(stored) == set(said)
    for code, (value, unit) in said.items():
        assert stored[code][1] == unit
        assert stored[code][0] == pytest.approx(value, abs=0.05), code


def read_report(hospital: Hospital, name: str) -> Any:
    from highdicom.sr import ComprehensiveSR

    made = dcmread(BytesIO(sr_file(hospital, name)))
    if name == "ecg":
        # highdicom has no class for a reference to a waveform (PS3.3, C.18.5): the rest of the tree is read
        (measured,) = [item for item in made.ContentSequence if item.ValueType == "CONTAINER"]
        for group in measured.ContentSequence:
            kept = [item for item in group.ContentSequence if item.ValueType != "WAVEFORM"]
            assert len(kept) == len(group.ContentSequence) - 1
            group.ContentSequence = kept
    return ComprehensiveSR.from_dataset(made)


def sr_file(hospital: Hospital, name: str) -> bytes:
    (data,) = [data for data in hospital.reports(name) if dcmread(BytesIO(data)).Modality == "SR"]
    return data


@pytest.mark.conformance("I01", "I02", "I03")
@pytest.mark.parametrize("name", LOOKING)
def test_highdicom_reads_the_report_back(hospital: Hospital, name: str) -> None:
    require_peer("highdicom", module="highdicom")
    import highdicom as hd

    source = dcmread(BytesIO(hospital.sources[name]), stop_before_pixels=True)
    identity = hospital.models[name].package.identity
    report = read_report(hospital, name)
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate"):
        assert report[keyword].value == source[keyword].value, keyword
    assert report.SeriesInstanceUID != source.SeriesInstanceUID
    assert [item[2] for item in report.get_evidence()] == [source.SOPInstanceUID]
    groups = report.content.get_image_measurement_groups()
    assert len({group.tracking_uid for group in groups}) == len(groups) > 0
    for group in groups:
        assert group.tracking_identifier
        algorithm = {
            item.ConceptNameCodeSequence[0].CodeValue: item.TextValue
            for item in group[0].ContentSequence
            if isinstance(item, hd.sr.TextContentItem)
        }
        assert (algorithm["111001"], algorithm["111003"]) == (identity.name, identity.version)
        assert identity.digest in algorithm["111002"]


@pytest.mark.conformance("I04")
@pytest.mark.peer("dciodvfy")
@pytest.mark.parametrize("name", LOOKING)
def test_dicom3tools_find_no_error(hospital: Hospital, name: str, tmp_path: Path) -> None:
    """dciodvfy looks at each object, dcentvfy at whether all say the same of patient and study."""
    require_peer("dciodvfy (dicom3tools)", command="dciodvfy")
    require_peer("dcentvfy (dicom3tools)", command="dcentvfy")
    made = hospital.reports(name)
    assert len(made) == (2 if name != "ecg" else 1)
    files = []
    for number, data in enumerate([hospital.sources[name], *made]):
        files.append(tmp_path / f"{number}.dcm")
        files[-1].write_bytes(data)
    for file in files[1:]:
        assert errors(["dciodvfy", "-new", str(file)]) == []
    assert errors(["dcentvfy", *map(str, files)]) == []


def errors(command: list[str]) -> list[str]:
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return [line for line in (run.stdout + run.stderr).splitlines() if line.startswith("Error")]


@pytest.mark.conformance("I04")
@pytest.mark.peer("dsrdump")
@pytest.mark.parametrize("name", LOOKING)
def test_dcmtk_prints_the_report(hospital: Hospital, name: str, tmp_path: Path) -> None:
    require_peer("dsrdump (dcmtk)", command="dsrdump")
    file = tmp_path / "report.dcm"
    file.write_bytes(sr_file(hospital, name))
    run = subprocess.run(["dsrdump", str(file)], capture_output=True, text=True, timeout=60, check=True)
    assert not [line for line in run.stderr.splitlines() if line.startswith("E:")]
    assert f'="{hospital.models[name].package.identity.version}"' in run.stdout
    assert ('"Q-T interval")=' if name == "ecg" else '"Probability of the finding by the model")=') in run.stdout


def test_a_second_event_adds_nothing_anywhere(hospital: Hospital) -> None:
    for name, whose in (("ecg", "ecg"), ("cxr-pneumonia-paediatric", "child")):
        before = (len(hospital.versions()), len(hospital.reports(name)))
        assert hospital.answer(name, f"ImagingStudy/study-{name}", {"id": whose}) == "duplicate"
        assert (len(hospital.versions()), len(hospital.reports(name))) == before


def test_no_name_of_the_files_reaches_the_ehr(hospital: Hospital) -> None:
    told = repr([item for name in LOOKING for item in hospital.written[name]])
    assert CANARY not in told
    assert "Anonymous" not in told
