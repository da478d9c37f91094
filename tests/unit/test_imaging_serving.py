"""Looking at studies: when, at which image, and what is drawn over it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from moto import mock_aws
from pydicom.dataset import Dataset

from fhir_adapter.dicomfile import DicomDamaged, quietly, read_dicom
from fhir_adapter.dicomweb import DirectoryImageStore
from fhir_adapter.imaging_study import GateState, StudyCounts
from fhir_adapter.pixels import PixelSpec
from fhir_adapter.prediction import Abstention, Saliency
from fhir_adapter.structured_report import SC_SERIES, SR_SERIES
from fhir_adapter.tenants import Tenant
from functions.serving.errors import StudyNotReady
from functions.serving.events import new_event
from functions.serving.imaging.choosing import MOST_CANDIDATES, Chosen, candidates, choose
from functions.serving.imaging.overlay import LONGEST_SIDE, overlay
from functions.serving.imaging.states import TableStudies, key_of_study
from functions.serving.imaging.waiting import Look, look_at
from functions.serving.imaging.whose import Whose
from functions.serving.package import load_package
from tests import dicoms
from tests.diagnoses import SERIES, STUDY, film, package, plain_study, tenant_json
from tests.samples import patient

NOW = datetime(2026, 1, 10, 9, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryImageStore:
    return DirectoryImageStore(tmp_path / "images")


def look(
    store: DirectoryImageStore, study: dict[str, Any] | None = None, state: GateState | None = None, **more: Any
) -> Any:
    at = more.pop("now", NOW)
    received = more.pop("received", NOW)
    tenant = Tenant.from_dict(tenant_json(["brightness"], **more))
    event = new_event("general", "studies", "focus", "ImagingStudy/s1", received=received.isoformat())
    return look_at(event, study or plain_study(), STUDY, store, state, tenant, at)


def added(number: int, modality: str, series_number: int) -> bytes:
    return film(
        1,
        SeriesInstanceUID=f"{SERIES}.{number}9",
        SOPInstanceUID=f"{SERIES}.{number}9.1",
        Modality=modality,
        SeriesNumber=series_number,
    )


def test_a_study_stands_still_for_as_long_as_the_tenant_says(store: DirectoryImageStore) -> None:
    store.store([film(1)])
    waiting, state = look(store, study_stable_seconds=60)
    assert isinstance(waiting, StudyNotReady)
    assert waiting.seconds == 60
    waiting, state = look(store, state=state, study_stable_seconds=60, now=NOW + timedelta(seconds=40))
    assert waiting.seconds == 20
    found = look(store, state=state, study_stable_seconds=60, now=NOW + timedelta(seconds=61))
    assert isinstance(found, Look)
    assert found.refused is None
    store.store([film(2)])
    waiting, _ = look(store, state=state, study_stable_seconds=60, now=NOW + timedelta(seconds=62))
    assert isinstance(waiting, StudyNotReady), "it grew, and is waited for anew"


def test_what_we_added_is_no_growth_and_fills_no_promise(store: DirectoryImageStore) -> None:
    store.store([film(1)])
    before = look(store)
    store.store([added(1, "SR", SR_SERIES), added(2, "OT", SC_SERIES)])
    after = look(store)
    assert before.counts == after.counts == StudyCounts(((SERIES, 1),))
    # a resource that counts our series as well promises no more than there is
    assert isinstance(look(store, {**plain_study(), "numberOfSeries": 3, "numberOfInstances": 3}), Look)
    missing, _ = look(store, {**plain_study(), "numberOfSeries": 4})
    assert isinstance(missing, StudyNotReady)
    listed = {"uid": f"{SERIES}.19", "modality": {"code": "SR"}, "numberOfInstances": 1}
    assert isinstance(look(store, {**plain_study(), "series": [listed]}), Look)


def test_waiting_ends_in_a_reason(store: DirectoryImageStore) -> None:
    waiting, _ = look(store)
    assert "none of its instances" in str(waiting)
    found = look(store, received=NOW - timedelta(seconds=601))
    assert isinstance(found, Look)
    assert found.refused is not None
    assert found.refused.reason == "study-incomplete"


def chosen(store: DirectoryImageStore, tmp_path: Path, **changes: Any) -> Chosen:
    contract = load_package(package(tmp_path / "packages", **changes)).diagnosis
    assert contract is not None
    return choose(candidates(plain_study(), contract, store), contract, store)


def test_of_several_images_the_latest_is_read_whatever_their_numbers(
    store: DirectoryImageStore, tmp_path: Path
) -> None:
    store.store([film(1, AcquisitionTime="235900"), film(2, AcquisitionTime="081500"), film(3, ViewPosition="LL")])
    found = chosen(store, tmp_path)
    assert found.source is not None
    assert found.source.sop_instance == f"{SERIES}.1"
    assert [one.sop_instance for one in found.looked_at] == [f"{SERIES}.{number}" for number in (1, 2, 3)]
    assert found.note == "The latest of 2 images or recordings was read."


def test_a_volume_is_not_read_one_image_at_random(store: DirectoryImageStore, tmp_path: Path) -> None:
    store.store(film(number) for number in range(1, MOST_CANDIDATES + 2))
    found = chosen(store, tmp_path)
    assert getattr(found.seen, "reason", None) == "too-many-images"
    assert found.looked_at == ()


def test_the_refusal_that_is_told_is_that_of_the_image_that_came_nearest(
    store: DirectoryImageStore, tmp_path: Path
) -> None:
    store.store([film(1, ViewPosition="LL", BodyPartExamined="HAND"), film(2, PatientAge="045Y")])
    found = chosen(store, tmp_path)
    assert getattr(found.seen, "reason", None) == "age"
    assert "None of 2" in getattr(found.seen, "detail", "")
    assert dicoms.SECRET not in getattr(found.seen, "detail", "")


@pytest.mark.parametrize(("fit", "shape"), [("stretch", (512, 512)), ("crop", (512, 512)), ("pad", (512, 512))])
def test_a_saliency_map_is_drawn_where_it_belongs(fit: Any, shape: tuple[int, int]) -> None:
    dataset = read_dicom(film(1, 0.5))
    values = np.zeros((4, 4))
    values[0, 0], values[3, 3] = 2.0, -1.0
    picture = overlay(
        dataset, PixelSpec(size=(4, 4), fit=fit, intensity="raw"), Saliency("a", 4, 4, tuple(values.ravel()))
    )
    assert (picture.shape, picture.dtype) == ((*shape, 3), np.uint8)
    assert max(picture.shape) == LONGEST_SIDE
    red, _, blue = (picture[..., plane].astype(int) for plane in range(3))
    assert (red - blue)[:64, :64].min() > 50, "warm where it speaks for the finding"
    assert (blue - red)[-64:, -64:].min() > 25, "cold where against it, and half as strong"
    assert np.abs(red - blue)[:128, -128:].max() == 0


def test_a_map_of_nothing_leaves_the_image_as_it_is() -> None:
    picture = overlay(read_dicom(film()), PixelSpec(size=(4, 4)), Saliency("a", 1, 1, (0.0,)))
    assert (picture[..., 0] == picture[..., 2]).all()


def test_states_in_dynamodb_name_no_study(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        table = boto3.resource("dynamodb").create_table(
            TableName="ledger",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        states, key = TableStudies("ledger"), key_of_study("general", "brightness", STUDY)
        assert states.get(key) is None
        state = GateState(StudyCounts((("1.2.3", 4),)), NOW).after_scoring(StudyCounts((("1.2.3", 3),)))
        states.keep(key, state)
        assert states.get(key) == state
        assert states.get(key_of_study("general", "ecg", STUDY)) is None
        (item,) = table.scan()["Items"]
        assert STUDY not in str(item)
        assert item["expires"] > 0


# -- whose it is --

MRN = "urn:oid:1.2.3.4"


def of(**more: Any) -> Whose:
    systems = more.pop("systems", {})
    return Whose(patient(birthDate="2022-06-15", gender="male", **more), systems)


def said(**attributes: Any) -> Any:
    # pydicom warns of values that files have all the same
    with quietly():
        return read_dicom(film(1, **attributes))


def issued(by: str) -> Any:
    qualifier = Dataset()
    qualifier.UniversalEntityID, qualifier.UniversalEntityIDType = by, "ISO"
    return [qualifier]


def also(identifier: str, issuer: str) -> Any:
    item = Dataset()
    item.PatientID, item.IssuerOfPatientID, item.TypeOfPatientID = identifier, issuer, "TEXT"
    return [item]


@pytest.mark.parametrize(
    ("attributes", "wrong"),
    [
        ({}, ""),
        ({"PatientBirthDate": "20220615"}, ""),
        ({"PatientBirthDate": "2022.06.15"}, ""),
        ({"PatientBirthDate": "", "PatientSex": ""}, ""),
        ({"PatientBirthDate": "00000000", "PatientSex": "O"}, ""),
        ({"PatientBirthDate": "20220616"}, "birth date"),
        ({"PatientSex": "F"}, "sex"),
        ({"PatientBirthDate": "19500615", "PatientSex": "F"}, "birth date and sex"),
    ],
)
def test_birth_date_and_sex_must_not_contradict_where_both_sides_tell_them(
    attributes: dict[str, Any], wrong: str
) -> None:
    assert of().contradicted(said(**attributes)) == wrong
    assert Whose({"resourceType": "Patient", "gender": "unknown"}, {}).contradicted(said(**attributes)) == ""


def test_a_birth_date_known_in_part_is_compared_in_part() -> None:
    for known in ("2022", "2022-06"):
        whose = Whose({"resourceType": "Patient", "birthDate": known}, {})
        assert whose.contradicted(said(PatientBirthDate="20220615")) == ""
        assert whose.contradicted(said(PatientBirthDate="20210615")) == "birth date"


@pytest.mark.parametrize(
    ("systems", "identifiers", "attributes", "wrong"),
    [
        # hospitals number as they like: where nothing says whose number it is, nothing follows from it
        ({}, {MRN: "1"}, {}, ""),
        ({}, {MRN: "1"}, {"IssuerOfPatientID": "Radiology"}, ""),
        # the file names the system itself
        ({}, {MRN: "4711"}, {"IssuerOfPatientID": "1.2.3.4"}, ""),
        ({}, {MRN: "1"}, {"IssuerOfPatientID": "1.2.3.4"}, "Patient ID"),
        ({}, {MRN: "1"}, {"IssuerOfPatientID": MRN}, "Patient ID"),
        ({}, {"http://h.test/mrn": "1"}, {"IssuerOfPatientID": "http://h.test/mrn"}, "Patient ID"),
        ({}, {MRN: "1"}, {"IssuerOfPatientIDQualifiersSequence": issued("1.2.3.4")}, "Patient ID"),
        ({}, {MRN: "1"}, {"IssuerOfPatientID": "1.2.3.5"}, ""),
        # the tenant names it
        ({"": MRN}, {MRN: "4711", "urn:x": "9"}, {}, ""),
        ({"": MRN}, {MRN: "1"}, {}, "Patient ID"),
        ({"": MRN}, {"urn:x": "4711"}, {}, "Patient ID"),
        ({"": MRN}, {}, {}, "Patient ID"),
        ({"": MRN}, {MRN: "4711"}, {"PatientID": ""}, "Patient ID"),
        ({"": MRN}, {MRN: "1"}, {"IssuerOfPatientID": "Elsewhere"}, ""),
        ({"Radiology": MRN}, {MRN: "4711"}, {"IssuerOfPatientID": "Radiology"}, ""),
        ({"Radiology": MRN}, {MRN: "1"}, {"IssuerOfPatientID": "Radiology"}, "Patient ID"),
        ({"Radiology": MRN}, {MRN: "1"}, {}, ""),
        ({"Radiology": MRN}, {MRN: "1"}, {"OtherPatientIDsSequence": also("1", "Radiology")}, ""),
        ({"Radiology": MRN}, {MRN: "1"}, {"OtherPatientIDsSequence": also("2", "Radiology")}, "Patient ID"),
    ],
)
def test_a_patient_id_counts_where_its_system_is_known(
    systems: dict[str, str], identifiers: dict[str, str], attributes: dict[str, Any], wrong: str
) -> None:
    told = [{"system": system, "value": value} for system, value in identifiers.items()]
    assert of(systems=systems, identifier=told).contradicted(said(**attributes)) == wrong


def test_a_study_with_one_file_of_another_patient_is_not_read(store: DirectoryImageStore, tmp_path: Path) -> None:
    store.store([film(1), film(2, PatientBirthDate="19500101")])
    contract = load_package(package(tmp_path / "packages")).diagnosis
    assert contract is not None
    found = choose(candidates(plain_study(), contract, store), contract, store, of())
    assert isinstance(found.seen, Abstention)
    assert found.seen.reason == "patient-mismatch"
    assert found.seen.detail.startswith("1 of 2 images or recordings are not read.")
    assert "birth date" in found.seen.detail
    assert (found.dataset, len(found.looked_at)) == (None, 2)
    assert not any(value in found.seen.detail for value in ("1950", "2022", "4711", dicoms.SECRET))


def test_what_is_no_attribute_of_a_patient_is_damage() -> None:
    dataset = said()
    dataset.add_new("OtherPatientIDsSequence", "LO", "x")
    with pytest.raises(DicomDamaged, match="patient"):
        of().contradicted(dataset)


def test_an_answer_depends_on_the_systems_that_a_tenant_names() -> None:
    assert of().fingerprint == ""
    assert of(systems={"": MRN}).fingerprint != of(systems={"": "urn:x"}).fingerprint
