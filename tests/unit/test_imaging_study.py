"""From DICOM to ImagingStudy, and from ImagingStudy to images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fhir.resources.R4B.imagingstudy import ImagingStudy
from pydicom.sr.codedict import codes

from fhir_adapter.dicomweb import DirectoryImageStore, fetch
from fhir_adapter.imaging_study import (
    ImageSelection,
    ImagingStudyError,
    NoImageStore,
    dicomweb_root,
    endpoint_references,
    endpoints_within,
    imaging_study,
    select,
    study_uid,
)
from fhir_adapter.imaging_study.codes import BODY_PARTS, body_site, body_site_key, laterality
from fhir_adapter.imaging_study.times import date_time
from fhir_adapter.tenants import Tenant
from tests import validator
from tests.imagestores import SERIES, STUDY, ct_slice, sample

CT = "1.2.840.10008.5.1.4.1.1.2"
SR_CLASS = "1.2.840.10008.5.1.4.1.1.88.33"
SCOUT, REPORT = f"{SERIES}.8", f"{SERIES}.9"


@pytest.fixture
def store(tmp_path: Path) -> DirectoryImageStore:
    """A CT of five slices of the chest, a scout of the pelvis, a report."""
    found = DirectoryImageStore(tmp_path)
    slices = [ct_slice(number) for number in (5, 3, 1, 2, 4)]
    scout = ct_slice(1, series=SCOUT, SeriesNumber=2, BodyPartExamined="PELVIS", Laterality="L")
    report = ct_slice(1, series=REPORT, SeriesNumber=3, Modality="SR", SOPClassUID=SR_CLASS, BodyPartExamined="")
    found.store([*slices, scout, report]).require_all()
    return found


def metadata(store: DirectoryImageStore, study: str = STUDY) -> list[dict[str, Any]]:
    return [one for row in store.series(study) for one in store.metadata(study, row.series)]


def described(store: DirectoryImageStore, **more: Any) -> dict[str, Any]:
    study = imaging_study(metadata(store), "Patient/p1", **more)
    validator.assert_valid(study)
    ImagingStudy.model_validate(study)
    return study


# --- to a resource -------------------------------------------------------------------------------------------------


def test_a_study_as_a_resource(store: DirectoryImageStore) -> None:
    study = described(store, endpoints=["Endpoint/pacs"], resource_id="s1")
    assert study["identifier"] == [{"use": "official", "system": "urn:dicom:uid", "value": f"urn:oid:{STUDY}"}]
    assert study["id"] == "s1"
    assert study["status"] == "available"
    assert study["subject"] == {"reference": "Patient/p1"}
    assert study["endpoint"] == [{"reference": "Endpoint/pacs"}]
    assert study["started"] == "2026-01-10T08:15:00+01:00"
    assert [code["code"] for code in study["modality"]] == ["CT", "SR"]
    assert {code["system"] for code in study["modality"]} == {"http://dicom.nema.org/resources/ontology/DCM"}
    assert (study["numberOfSeries"], study["numberOfInstances"]) == (3, 7)
    chest, scout, report = study["series"]
    assert (chest["uid"], chest["number"], chest["numberOfInstances"]) == (SERIES, 1, 5)
    assert chest["bodySite"] == {"system": "http://snomed.info/sct", "code": "816094009", "display": "Chest"}
    assert "laterality" not in chest
    assert [one["number"] for one in chest["instance"]] == [1, 2, 3, 4, 5]
    sop_class = {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{CT}"}
    assert chest["instance"][0] == {"uid": f"{SERIES}.1", "sopClass": sop_class, "number": 1}
    assert scout["laterality"]["code"] == "7771000"
    assert report["modality"]["code"] == "SR"
    assert "bodySite" not in report


def test_nothing_of_the_patient_is_copied(tmp_path: Path) -> None:
    store = DirectoryImageStore(tmp_path)
    store.store([ct_slice(1, PatientName="Canary^Carla", PatientID="CANARY-7", PatientBirthDate="19500615")])
    assert "canary" not in json.dumps(described(store)).lower()


@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "emri_small.dcm", "JPEG2000.dcm", "waveform_ecg.dcm", "image_dfl.dcm"]
)
def test_real_files_become_valid_resources(tmp_path: Path, name: str) -> None:
    store = DirectoryImageStore(tmp_path)
    (path,) = store.store([sample(name)]).require_all().stored
    study = imaging_study(store.metadata(path.study, path.series), "Patient/p1", zone=ZoneInfo("Europe/Vienna"))
    validator.assert_valid(study)
    ImagingStudy.model_validate(study)
    assert study_uid(study) == path.study


def test_accession_numbers_need_a_system(tmp_path: Path) -> None:
    store = DirectoryImageStore(tmp_path)
    store.store([ct_slice(1, AccessionNumber="A-17")])
    assert len(described(store)["identifier"]) == 1
    accession = described(store, accession_system="https://hospital.test/accession")["identifier"][1]
    assert (accession["system"], accession["value"]) == ("https://hospital.test/accession", "A-17")
    assert accession["type"]["coding"][0]["code"] == "ACSN"


def test_numbers_that_fhir_cannot_hold_are_left_out(tmp_path: Path) -> None:
    store = DirectoryImageStore(tmp_path)
    store.store([ct_slice(1, InstanceNumber=-1, SeriesNumber=-2)])
    (series,) = described(store)["series"]
    assert "number" not in series
    assert "number" not in series["instance"][0]


def test_a_series_without_a_modality_is_of_another(tmp_path: Path) -> None:
    store = DirectoryImageStore(tmp_path)
    store.store([ct_slice(1, Modality="")])
    assert described(store)["series"][0]["modality"]["code"] == "OT"


def test_what_is_no_study_is_refused(store: DirectoryImageStore) -> None:
    (one, *_) = metadata(store)
    for wrong, words in (
        ([], "no instance"),
        ([one, {**one, "0020000D": {"vr": "UI", "Value": ["1.2.3"]}}], "several studies"),
        ([one, {**one, "0020000E": {"vr": "UI", "Value": ["1.2.3"]}}], "in two series"),
        ([{**one, "00080018": {"vr": "UI"}}], "SOP Instance UID is not a UID"),
        ([{**one, "00080016": {"vr": "UI", "Value": ["x"]}}], "SOP Class UID is not a UID"),
    ):
        with pytest.raises(ImagingStudyError, match=words):
            imaging_study(wrong, "Patient/p1")


@pytest.mark.parametrize(
    ("date", "time", "offset", "zone", "expected"),
    [
        ("20260110", "081500", "+0100", None, "2026-01-10T08:15:00+01:00"),
        ("20260110", "0815", "-0330", None, "2026-01-10T08:15:00-03:30"),
        ("20260110", "08", "+0000", None, "2026-01-10T08:00:00+00:00"),
        ("20260110", "081500.123456", "+0100", None, "2026-01-10T08:15:00+01:00"),
        ("20261231", "235960", "+0000", None, "2026-12-31T23:59:59+00:00"),
        ("20260710", "081500", None, "Europe/Vienna", "2026-07-10T08:15:00+02:00"),
        ("20260710", "081500", "+0900", "Europe/Vienna", "2026-07-10T08:15:00+09:00"),
        ("20260110", "081500", None, None, "2026-01-10"),
        ("20260110", "081500", "+2500", None, "2026-01-10"),
        ("20260110", "", "+0100", None, "2026-01-10"),
        ("2026.01.10", "08:15:00", "+0100", None, "2026-01-10T08:15:00+01:00"),
        ("20260230", "081500", "+0100", None, None),
        ("20260110", "991500", "+0100", None, None),
        ("January", "", None, None, None),
        ("", "081500", None, None, None),
    ],
)
def test_dates(date: str, time: str, offset: str | None, zone: str | None, expected: str | None) -> None:
    given = {"00080020": date, "00080030": time, "00080201": offset}
    dataset = {tag: {"vr": "XX", "Value": [value]} for tag, value in given.items() if value}
    assert date_time(dataset, "00080020", "00080030", ZoneInfo(zone) if zone else None) == expected


def test_body_parts_are_those_of_dicom() -> None:
    regions = [getattr(group, name) for group in (codes.cid4, codes.cid4031) for name in group.dir()]
    known = {region.value for region in regions}
    assert {code for code, _ in BODY_PARTS.values()} <= known
    meanings = {(region.value, region.meaning) for region in regions}
    assert {pair for pair in BODY_PARTS.values() if pair not in meanings} <= {("816094009", "Chest")}


def test_body_sites_and_sides() -> None:
    region = {"00080100": {"Value": ["39607008"]}, "00080102": {"Value": ["SCT"]}, "00080104": {"Value": ["Lung"]}}
    coded = {"00082218": {"vr": "SQ", "Value": [region]}, "00180015": {"Value": ["CHEST"]}}
    assert body_site(coded) == {"system": "http://snomed.info/sct", "code": "39607008", "display": "Lung"}
    for words in ("C SPINE", "cspine", "C-Spine"):
        found = body_site({"00180015": {"vr": "CS", "Value": [words]}})
        assert found is not None
        assert found["code"] == "122494005"
    assert body_site({"00180015": {"vr": "CS", "Value": ["PHLOGISTON"]}}) is None
    assert body_site_key("51185008") == body_site_key("chest") == body_site_key({"code": "816094009"}) == "816094009"
    assert body_site_key({"display": "Chest"}) is None
    assert [laterality({"00200060": {"Value": [side]}}) is None for side in ("R", "L", "B", "U", "")] == [0, 0, 0, 1, 1]
    image = laterality({"00200062": {"vr": "CS", "Value": ["R"]}})
    assert image is not None
    assert image["code"] == "24028007"


# --- to images -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, [SERIES, SCOUT, REPORT]),
        ({"modalities": frozenset({"CT"})}, [SERIES, SCOUT]),
        ({"modalities": frozenset({"MR"})}, []),
        ({"sop_classes": frozenset({SR_CLASS})}, [REPORT]),
        # the report does not tell its body site
        ({"body_sites": frozenset({"CHEST"})}, [SERIES, REPORT]),
        ({"body_sites": frozenset({"51185008"}), "modalities": frozenset({"CT"})}, [SERIES]),
        ({"body_sites": frozenset({"HEAD"})}, [REPORT]),
        ({"min_instances": 2}, [SERIES]),
        ({"max_instances": 1}, [SCOUT, REPORT]),
        ({"min_instances": 2, "max_instances": 4}, []),
    ],
)
def test_selection(store: DirectoryImageStore, wanted: dict[str, Any], found: list[str]) -> None:
    for study in (described(store), {"resourceType": "ImagingStudy", "identifier": described(store)["identifier"]}):
        selected = select(study, ImageSelection(**wanted), store)
        assert [one.series.series for one in selected] == found


def test_selected_instances_are_fetched_by_number(store: DirectoryImageStore) -> None:
    (chest,) = select(described(store), ImageSelection(min_instances=2), store)
    assert [data for _, data in fetch(store, chest.paths)] == [ct_slice(number) for number in range(1, 6)]


def test_what_the_store_does_not_tell_the_resource_may(store: DirectoryImageStore) -> None:
    study = described(store)
    study["series"][2]["bodySite"] = {"system": "http://snomed.info/sct", "code": "69536005"}
    wanted = ImageSelection(body_sites=frozenset({"CHEST"}))
    assert [one.series.series for one in select(study, wanted, store)] == [SERIES]


def test_a_study_that_is_not_there_has_no_images(store: DirectoryImageStore) -> None:
    study = {"identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}]}
    assert select(study, ImageSelection(), store) == []


@pytest.mark.parametrize(
    ("identifiers", "words"),
    [
        (None, "0 of system"),
        ([{"system": "https://hospital.test", "value": "urn:oid:1.2"}], "0 of system"),
        (
            [{"system": "urn:dicom:uid", "value": "urn:oid:1.2"}, {"system": "urn:dicom:uid", "value": "1.3"}],
            "2 of system",
        ),
        ([{"system": "urn:dicom:uid", "value": "urn:oid:../x"}], "not a UID"),
        ([{"system": "urn:dicom:uid"}], "not a UID"),
    ],
)
def test_the_study_must_be_one(identifiers: Any, words: str) -> None:
    with pytest.raises(ImagingStudyError, match=words):
        study_uid({"identifier": identifiers})


def test_a_bare_uid_will_do_and_a_wrong_series_will_not(store: DirectoryImageStore) -> None:
    study = {"identifier": [{"system": "urn:dicom:uid", "value": STUDY}], "series": [{"uid": "urn:oid:x"}]}
    assert study_uid(study) == STUDY
    with pytest.raises(ImagingStudyError, match=r"series\.uid"):
        select(study, ImageSelection(), store)


# --- where the images are ------------------------------------------------------------------------------------------


def tenant(**more: Any) -> Tenant:
    data = {
        "name": "general",
        "fhir_base": "https://ehr.test/fhir",
        "allowed_hosts": ["pacs.test"],
        "subscriptions": {},
    }
    return Tenant.from_dict({**data, **more})


def endpoint(address: Any = "https://pacs.test/dicom-web", code: str = "dicom-wado-rs", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Endpoint",
        "status": "active",
        "connectionType": {"system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type", "code": code},
        "payloadType": [{"text": "DICOM"}],
        "address": address,
        **more,
    }


@pytest.mark.parametrize(
    "address",
    [
        "https://pacs.test/dicom-web",
        "https://pacs.test/dicom-web/",
        "https://pacs.test/dicom-web/studies",
        "https://pacs.test/dicom-web/studies/1.2.3",
        "https://pacs.test/dicom-web/studies/1.2.3/series/1.2.4/",
    ],
)
def test_the_root_of_an_endpoint(address: str) -> None:
    assert dicomweb_root(tenant(), [endpoint(address)]) == "https://pacs.test/dicom-web"


def test_what_the_tenant_says_comes_first() -> None:
    ours = tenant(dicomweb_root="https://vna.test/rs")
    assert dicomweb_root(ours, [endpoint()]) == "https://vna.test/rs"
    assert dicomweb_root(ours) == "https://vna.test/rs"


def test_the_first_endpoint_of_use_counts() -> None:
    useless = [endpoint(code="hl7-fhir-rest"), endpoint(status="off"), endpoint("https://elsewhere.test/x"), {}]
    assert dicomweb_root(tenant(), [*useless, endpoint("https://pacs.test/rs"), endpoint()]) == "https://pacs.test/rs"


@pytest.mark.parametrize(
    "address",
    [
        "https://elsewhere.test/dicom-web",
        "http://pacs.test/dicom-web",
        "https://pacs.test:8443/dicom-web",
        "https://pacs.test@elsewhere.test/",
        "https://user@pacs.test/",
        "https://pacs.test/../x",
        "https://pacs.test/x?y",
        "https://169.254.169.254/latest",
        "file:///etc/passwd",
        "https://[",
    ],
)
def test_an_endpoint_elsewhere_is_refused(address: str) -> None:
    with pytest.raises(NoImageStore, match="1 endpoints, none on a host of the tenant's") as caught:
        dicomweb_root(tenant(), [endpoint(address)])
    assert address not in str(caught.value)


@pytest.mark.parametrize(
    "endpoints", [[], [endpoint(None)], [endpoint(code="dicom-qido-rs")], [{"connectionType": "x"}]]
)
def test_no_endpoint_of_use(endpoints: list[dict[str, Any]]) -> None:
    with pytest.raises(NoImageStore, match="no active endpoint of type dicom-wado-rs"):
        dicomweb_root(tenant(), endpoints)


def test_endpoints_of_a_study() -> None:
    study = {
        "contained": [endpoint(id="here"), {"resourceType": "Practitioner"}],
        "endpoint": [{"reference": "#here"}, {"reference": "Endpoint/a"}],
        "series": [{"endpoint": [{"reference": "Endpoint/b"}, {"reference": "Endpoint/a"}]}, {"uid": "1.2"}],
    }
    assert endpoint_references(study) == ["#here", "Endpoint/a", "Endpoint/b"]
    assert [one["id"] for one in endpoints_within(study)] == ["here"]
    assert endpoint_references({}) == endpoints_within({}) == []
