"""Image stores under test: synthetic instances, and what every store must do, whatever its form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from fhir_adapter.dicomweb import (
    ImageNotFound,
    ImageStore,
    ImageStoreRejected,
    InstancePath,
    InvalidUid,
    NotAnInstance,
    fetch,
    read_header,
)

STUDY, SERIES = "1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.2"
# Files that pydicom brings, in many forms: native, encapsulated, multi-frame, deflated, with waveforms.
SAMPLES = ("CT_small.dcm", "emri_small.dcm", "JPEG2000.dcm", "waveform_ecg.dcm", "image_dfl.dcm")


def sample(name: str) -> bytes:
    """Return a file that pydicom brings."""
    path = get_testdata_file(name)
    assert isinstance(path, str)
    with open(path, "rb") as file:  # noqa: PTH123 - a plain name, as pydicom gives it
        return file.read()


def ct_slice(number: int, *, series: str = SERIES, study: str = STUDY, size: int = 16, **more: Any) -> bytes:
    """Return a synthetic CT image; nobody was in the scanner."""
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = f"{series}.{number}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "CT", 1, number
    dataset.StudyDate, dataset.StudyTime, dataset.TimezoneOffsetFromUTC = "20260110", "081500", "+0100"
    dataset.BodyPartExamined = "CHEST"
    dataset.Rows = dataset.Columns = size
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    for keyword, value in more.items():
        setattr(dataset, keyword, value)
    pixels = np.random.default_rng(number).integers(-1000, 1000, (size, size), dtype=np.int16)
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    return written(dataset)


def written(dataset: Dataset) -> bytes:
    """Return a data set as a DICOM file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def ct_path(number: int, series: str = SERIES, study: str = STUDY) -> InstancePath:
    """Where :func:`ct_slice` is."""
    return InstancePath(study, series, f"{series}.{number}")


@dataclass(frozen=True)
class OwnStudy:
    """A study that no other test has, so that a server may be shared."""

    study: str
    series: str

    @classmethod
    def fresh(cls) -> OwnStudy:
        root = f"{STUDY}.{uuid4().int % 10**20}"
        return cls(f"{root}.1", f"{root}.2")

    def slice(self, number: int, **more: Any) -> bytes:
        return ct_slice(number, **{"series": self.series, "study": self.study, **more})

    def path(self, number: int) -> InstancePath:
        return ct_path(number, self.series, self.study)


def bulk_uris(dataset: Any) -> Iterator[str]:
    """Yield every BulkDataURI in DICOM JSON."""
    if isinstance(dataset, dict):
        if "BulkDataURI" in dataset:
            yield dataset["BulkDataURI"]
        for value in dataset.values():
            yield from bulk_uris(value)
    elif isinstance(dataset, list):
        for value in dataset:
            yield from bulk_uris(value)


class StoreSuite:
    """What holds for every store. Classes that inherit it have a fixture ``store``."""

    @pytest.fixture
    def own(self) -> OwnStudy:
        return OwnStudy.fresh()

    def test_what_was_stored_is_found(self, store: ImageStore, own: OwnStudy) -> None:
        outcome = store.store([own.slice(number) for number in (3, 1, 2)])
        assert set(outcome.require_all().stored) == {own.path(number) for number in (1, 2, 3)}
        (study,) = store.studies(own.study)
        assert (study.study, study.modalities, study.series, study.instances) == (own.study, ("CT",), 1, 3)
        (series,) = store.series(own.study)
        assert (series.series, series.modality, series.number, series.instances) == (own.series, "CT", 1, 3)
        assert series.body_part == "CHEST"
        rows = store.instances(own.study, own.series)
        assert [row.number for row in rows] == [1, 2, 3]
        assert {row.sop_class for row in rows} == {CTImageStorage}
        assert store.instances(own.study) == rows
        assert store.instances(own.study, own.series, f"{own.series}.2") == rows[1:2]
        assert store.series(own.study, own.series) == [series]

    def test_what_is_not_there_is_not_found(self, store: ImageStore, own: OwnStudy) -> None:
        store.store([own.slice(1)])
        assert store.studies("1.2.3") == store.series("1.2.3") == store.instances("1.2.3", "1.2.4") == []
        assert store.series(own.study, "1.2.4") == store.instances(own.study, own.series, "1.2.5") == []
        with pytest.raises(ImageNotFound):
            store.metadata("1.2.3", "1.2.4")
        with pytest.raises(ImageNotFound):
            store.metadata(own.study, own.series, "1.2.5")
        with pytest.raises(ImageNotFound, match=r"1\.2\.5"):
            store.instance(InstancePath("1.2.3", "1.2.4", "1.2.5"))
        with pytest.raises(ImageStoreRejected):
            store.frames(own.path(1), [2])

    @pytest.mark.parametrize("name", SAMPLES)
    def test_instances_come_as_they_are_stored(self, store: ImageStore, name: str) -> None:
        data = sample(name)
        store.store([data]).require_all()
        assert store.instance(read_header(data).path) == data

    def test_the_same_once_more_changes_nothing(self, store: ImageStore, own: OwnStudy) -> None:
        for _ in range(2):
            assert store.store([own.slice(1)]).require_all().stored == (own.path(1),)
        assert len(store.instances(own.study)) == 1

    def test_what_is_no_instance_is_not_sent(self, store: ImageStore, own: OwnStudy) -> None:
        with pytest.raises(NotAnInstance, match="instance 1 to store"):
            store.store([b"rubbish" * 100])

    def test_metadata_of_a_series_and_of_an_instance(self, store: ImageStore, own: OwnStudy) -> None:
        store.store([own.slice(number) for number in (1, 2)]).require_all()
        both = store.metadata(own.study, own.series)
        assert {one["00080018"]["Value"][0] for one in both} == {f"{own.series}.1", f"{own.series}.2"}
        (one,) = store.metadata(own.study, own.series, f"{own.series}.2")
        assert one["00200013"]["Value"] == [2]
        assert one["00080060"] == {"vr": "CS", "Value": ["CT"]}
        assert "Value" not in one["7FE00010"]

    def test_bulk_data_is_fetched_by_its_uri(self, store: ImageStore, own: OwnStudy) -> None:
        data = sample("waveform_ecg.dcm")
        store.store([data]).require_all()
        path = read_header(data).path
        uris = list(bulk_uris(store.metadata(path.study, path.series, path.instance)[0]["54000100"]))
        samples = [group.WaveformData for group in dcmread(BytesIO(data)).WaveformSequence]
        assert [store.bulk(path, uri) for uri in uris] == samples
        with pytest.raises(ImageStoreRejected):
            store.bulk(path, "https://elsewhere.test/bulk/7FE00010")

    def test_frames_come_as_they_are_stored(self, store: ImageStore, own: OwnStudy) -> None:
        data = sample("emri_small.dcm")
        store.store([data, sample("JPEG2000.dcm")]).require_all()
        pixels = dcmread(BytesIO(data)).PixelData
        size = len(pixels) // 10
        frames = store.frames(read_header(data).path, [10, 1])
        assert [frame.number for frame in frames] == [10, 1]
        assert [frame.data for frame in frames] == [pixels[-size:], pixels[:size]]
        assert frames[0].transfer_syntax == ExplicitVRLittleEndian
        (frame,) = store.frames(read_header(sample("JPEG2000.dcm")).path, [1])
        assert frame.transfer_syntax == "1.2.840.10008.1.2.4.91"
        assert frame.data.startswith(b"\xff\x4f\xff\x51")  # SOC and SIZ of ISO/IEC 15444-1

    def test_a_series_is_fetched_in_order(self, store: ImageStore, own: OwnStudy) -> None:
        slices = {number: own.slice(number) for number in range(1, 13)}
        store.store(slices.values()).require_all()
        paths = [row.path for row in store.instances(own.study, own.series)]
        fetched = list(fetch(store, paths, workers=4))
        assert [path for path, _ in fetched] == [own.path(number) for number in slices]
        assert [data for _, data in fetched] == list(slices.values())

    def test_no_uid_no_question(self, store: ImageStore, own: OwnStudy) -> None:
        for wrong in ("", "1", "1..2", "1.02", "../1.2", "1.2/3", "1.2\n", "1.2?x", "*", "1." + "2" * 63):
            with pytest.raises(InvalidUid):
                store.studies(wrong)
            with pytest.raises(InvalidUid):
                store.instances("1.2.3", wrong)
            with pytest.raises(InvalidUid):
                store.instances("1.2.3", "1.2.4", wrong)
            with pytest.raises(InvalidUid):
                store.series("1.2.3", wrong)
            with pytest.raises(InvalidUid):
                store.metadata("1.2.3", "1.2.4", wrong)
