"""Two forms of one store: a folder, and a DICOMweb server over a folder, behind a real socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fhir_adapter.dicomweb import (
    DirectoryImageStore,
    ImageNotFound,
    ImageStoreLied,
    ImageStoreRejected,
    InstancePath,
    Limits,
    StoreFailure,
    WebImageStore,
    read_header,
)
from infra.local.pacs import FolderPacs
from tests.imagestores import SERIES, STUDY, StoreSuite, ct_path, ct_slice, sample


class TestDirectory(StoreSuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> DirectoryImageStore:
        return DirectoryImageStore(tmp_path / "images")


class TestWeb(StoreSuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[WebImageStore]:
        pacs = FolderPacs(tmp_path)
        pacs.start()
        try:
            with WebImageStore(pacs.root, pacs.token) as store:
                yield store
        finally:
            pacs.stop()

    def test_the_server_wants_its_token(self, tmp_path: Path, store: WebImageStore) -> None:
        with WebImageStore(store.root, "another") as stranger:
            for ask in (lambda: stranger.studies(STUDY), lambda: stranger.store([ct_slice(1)])):
                with pytest.raises(ImageStoreRejected) as caught:
                    ask()
                assert caught.value.status == 401

    def test_pages_are_put_together(self, store: WebImageStore) -> None:
        store.store([ct_slice(number) for number in range(1, 8)]).require_all()
        with WebImageStore(store.root, store._http._tokens, limits=Limits(page=3)) as small:
            assert [row.number for row in small.instances(STUDY, SERIES)] == list(range(1, 8))

    def test_large_sets_are_stored_in_several_requests(self, store: WebImageStore) -> None:
        with WebImageStore(store.root, store._http._tokens, limits=Limits(store=1500)) as small:
            assert len(small.store([ct_slice(number) for number in range(1, 6)]).require_all().stored) == 5
        assert len(store.instances(STUDY)) == 5

    def test_another_file_of_a_uid_that_is_there_is_refused(self, store: WebImageStore) -> None:
        store.store([ct_slice(1)]).require_all()
        outcome = store.store([ct_slice(1, BodyPartExamined="HEAD"), ct_slice(2)])
        assert outcome.stored == (ct_path(2),)
        assert outcome.failed == (StoreFailure(ct_path(1), 0x0111),)
        assert store.instance(ct_path(1)) == ct_slice(1)


def test_a_folder_is_indexed_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "a.dcm").write_bytes(ct_slice(1))
    (tmp_path / "deep" / "er" / "no-suffix").write_bytes(ct_slice(2))
    (tmp_path / "twice.dcm").write_bytes(ct_slice(1, BodyPartExamined="HEAD"))
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "empty").touch()
    store = DirectoryImageStore(tmp_path)
    assert [row.number for row in store.instances(STUDY)] == [1, 2]
    assert store.passed_over == 3
    assert store.instance(ct_path(1)) == ct_slice(1)


def test_what_was_stored_is_there_for_the_next(tmp_path: Path) -> None:
    DirectoryImageStore(tmp_path).store([ct_slice(1)]).require_all()
    assert (tmp_path / STUDY / SERIES / f"{SERIES}.1.dcm").read_bytes() == ct_slice(1)
    assert DirectoryImageStore(tmp_path).instances(STUDY)[0].path == ct_path(1)
    assert [path.name for path in tmp_path.rglob("*.part")] == []


def test_a_file_that_went_away_is_not_found(tmp_path: Path) -> None:
    store = DirectoryImageStore(tmp_path)
    store.store([ct_slice(1)]).require_all()
    (tmp_path / STUDY / SERIES / f"{SERIES}.1.dcm").unlink()
    with pytest.raises(ImageNotFound):
        store.instance(ct_path(1))


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    DirectoryImageStore(tmp_path).store([ct_slice(1)])
    with pytest.raises(ImageStoreLied, match="over the limit of 100 bytes"):
        DirectoryImageStore(tmp_path, Limits(part=100)).instance(ct_path(1))


def test_a_file_with_pixels_missing_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "cut.dcm").write_bytes(ct_slice(1)[:-10])
    store = DirectoryImageStore(tmp_path)
    for ask in (lambda: store.frames(ct_path(1), [1]), lambda: store.metadata(STUDY, SERIES)):
        with pytest.raises(ImageStoreLied, match="cannot be read"):
            ask()


@pytest.mark.parametrize("numbers", [[], [0], [-1]])
def test_frames_are_numbered_from_one(tmp_path: Path, numbers: list[int]) -> None:
    store = DirectoryImageStore(tmp_path)
    store.store([ct_slice(1)])
    with pytest.raises(ImageStoreRejected, match="numbered from 1"):
        store.frames(ct_path(1), numbers)


@pytest.mark.parametrize(
    "uri", ["", "bulk/", "bulk/00080018", "bulk/7FE00011", "bulk/54000100/9/54001010", "bulk/../x"]
)
def test_no_other_value_is_bulk_data(tmp_path: Path, uri: str) -> None:
    store = DirectoryImageStore(tmp_path)
    data = sample("waveform_ecg.dcm")
    store.store([data])
    with pytest.raises(ImageNotFound):
        store.bulk(read_header(data).path, uri)


def test_paths_are_checked_when_they_are_made() -> None:
    path = InstancePath("1.2", "1.3", "1.4")
    assert path.resource == "studies/1.2/series/1.3/instances/1.4"
