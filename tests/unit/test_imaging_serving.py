"""Looking at studies: when, at which image, and what is drawn over it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from moto import mock_aws

from fhir_adapter.dicomfile import read_dicom
from fhir_adapter.dicomweb import DirectoryImageStore
from fhir_adapter.imaging_study import GateState, StudyCounts
from fhir_adapter.pixels import PixelSpec
from fhir_adapter.prediction import Saliency
from fhir_adapter.structured_report import SC_SERIES, SR_SERIES
from fhir_adapter.tenants import Tenant
from functions.serving.errors import StudyNotReady
from functions.serving.events import new_event
from functions.serving.imaging.choosing import MOST_CANDIDATES, Chosen, candidates, choose
from functions.serving.imaging.overlay import LONGEST_SIDE, overlay
from functions.serving.imaging.states import TableStudies, key_of_study
from functions.serving.imaging.waiting import Look, look_at
from functions.serving.package import load_package
from tests import dicoms
from tests.diagnoses import SERIES, STUDY, film, package, plain_study, tenant_json

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
