"""The same store against a real Orthanc."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fhir_adapter.dicomweb import ImageStoreRejected, Limits, WebImageStore, fetch, read_header
from fhir_adapter.imaging_study import ImageSelection, StudyCounts, count_study, imaging_study, select
from fhir_adapter.tenants import Tenant
from infra.local.pacs import OrthancPacs
from tests import validator
from tests.imagestores import SAMPLES, STUDY, OwnStudy, StoreSuite, sample
from tests.orthanc import orthanc

pytestmark = pytest.mark.peer("orthanc")


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancPacs]:
    with orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        yield running


class TestOrthanc(StoreSuite):
    @pytest.fixture
    def store(self, pacs: OrthancPacs) -> Iterator[WebImageStore]:
        with WebImageStore(pacs.root, pacs.token) as store:
            yield store

    def test_only_the_token_and_dicomweb_lead_in(self, pacs: OrthancPacs, store: WebImageStore) -> None:
        with WebImageStore(pacs.root, "another") as stranger, pytest.raises(ImageStoreRejected) as caught:
            stranger.studies(STUDY)
        assert caught.value.status == 403
        headers = {"Authorization": f"Bearer {pacs.token}"}
        base = pacs.root.removesuffix("/dicom-web")
        for path in ("/system", "/tools/reset", "/instances", "/app/explorer.html"):
            assert httpx.get(base + path, headers=headers, trust_env=False).status_code == 403

    def test_it_listens_on_the_loopback_interface_only(self, pacs: OrthancPacs) -> None:
        port = httpx.URL(pacs.root).port
        listening = Path("/proc/net/tcp").read_text().splitlines()[1:]
        ours = [line.split()[1] for line in listening if line.split()[1].endswith(f":{port:04X}")]
        assert "0100007F" in {address.split(":")[0] for address in ours}
        assert "00000000" not in {address.split(":")[0] for address in ours}
        with socket.socket() as outside, pytest.raises(OSError):
            outside.connect(("127.0.0.1", 8042))

    def test_pages_are_put_together(self, pacs: OrthancPacs, store: WebImageStore, own: OwnStudy) -> None:
        store.store([own.slice(number) for number in range(1, 8)]).require_all()
        with WebImageStore(pacs.root, pacs.token, limits=Limits(page=3)) as small:
            assert [row.number for row in small.instances(own.study, own.series)] == list(range(1, 8))

    def test_a_study_on_its_way_from_image_to_resource_and_back(self, store: WebImageStore, own: OwnStudy) -> None:
        slices = [own.slice(number) for number in range(1, 6)]
        other = own.slice(1, series=f"{own.series}.9", Modality="SR", SeriesNumber=2)
        store.store([*slices, other]).require_all()
        metadata = [one for row in store.series(own.study) for one in store.metadata(own.study, row.series)]
        study = imaging_study(metadata, "Patient/p1")
        validator.assert_valid(study)
        assert (study["numberOfSeries"], study["numberOfInstances"]) == (2, 6)
        (selected,) = select(study, ImageSelection(modalities=frozenset({"CT"})), store)
        assert [data for _, data in fetch(store, selected.paths)] == slices
        assert count_study(store, own.study) == StudyCounts(((own.series, 5), (f"{own.series}.9", 1)))

    def test_a_tenant_reaches_it_through_the_guard(self, pacs: OrthancPacs, own: OwnStudy) -> None:
        described = {
            "name": "t",
            "fhir_base": "https://ehr.test/fhir",
            "auth": {"type": "bearer", "token": pacs.token},
            "dicomweb_root": pacs.root,
            "allow_private": True,
            "subscriptions": {},
        }
        with WebImageStore.for_tenant(Tenant.from_dict(described)) as store:
            assert store.store([own.slice(1)]).require_all().stored == (own.path(1),)
            assert store.instance(own.path(1)) == own.slice(1)


def test_what_was_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    files = [sample(name) for name in SAMPLES]
    for first in (True, False):
        with orthanc(tmp_path) as pacs, WebImageStore(pacs.root, pacs.token) as store:
            if first:
                store.store(files).require_all()
            assert [store.instance(read_header(data).path) for data in files] == files


def test_its_folder_may_be_named_from_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with orthanc(Path("kept")) as running, WebImageStore(running.root, running.token) as store:
        data = sample("CT_small.dcm")
        store.store([data]).require_all()
        assert store.instance(read_header(data).path) == data
    assert (tmp_path / "kept" / "images").is_dir()
    assert not (tmp_path / "kept" / "kept").exists()
