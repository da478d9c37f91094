"""Reading DICOM files that anyone may have written: a checked data set, or one named error, within limits."""

from __future__ import annotations

import logging
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from fhir_adapter.dicomfile import (
    DicomDamaged,
    DicomError,
    DicomTooLarge,
    DicomUnsupported,
    Limits,
    NotDicom,
    PixelLayout,
    age_at_study,
    read_dicom,
)
from fhir_adapter.errors import ConfigurationError
from tests.dicoms import DX, SECRET, file_of, image

ROOT = Path(__file__).parents[2]
UNDEFINED = 0xFFFFFFFF


def element(group: int, number: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    """One explicit little-endian element; the long form for the representations that have it."""
    stated = len(value) if length is None else length
    if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT"):
        return struct.pack("<HH2sHI", group, number, vr, 0, stated) + value
    return struct.pack("<HH2sH", group, number, vr, stated) + value


def with_meta(body: bytes, transfer_syntax: str = "1.2.840.10008.1.2.1") -> bytes:
    uid = transfer_syntax.encode() + b"\0" * (len(transfer_syntax) % 2)
    return bytes(128) + b"DICM" + element(2, 0x10, b"UI", uid) + body


def item(body: bytes, length: int | None = None) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(body) if length is None else length) + body


END_OF_ITEM = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
END_OF_SEQUENCE = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_every_native_encoding_says_the_same(syntax: str) -> None:
    pixels = np.arange(48, dtype=">u2" if syntax == ExplicitVRBigEndian else "<u2").reshape(6, 8)
    found = read_dicom(file_of(image(pixels, transfer_syntax=syntax)))
    layout = PixelLayout.of(found, Limits())
    assert (layout.rows, layout.columns, layout.bits_stored) == (6, 8, 12)
    assert np.array_equal(np.frombuffer(found.PixelData, layout.dtype), np.arange(48))
    assert found.file_meta.TransferSyntaxUID == syntax


def test_from_a_path_as_from_bytes(tmp_path: Path) -> None:
    data = file_of(image())
    path = tmp_path / "image.dcm"
    path.write_bytes(data)
    assert read_dicom(path) == read_dicom(data)
    with pytest.raises(DicomTooLarge):
        read_dicom(path, Limits(file_bytes=len(data) - 1))


def test_pixels_are_a_view_of_the_file() -> None:
    data = file_of(image(np.zeros((512, 512), np.uint16)))
    found = read_dicom(data)
    assert isinstance(found.PixelData, memoryview)
    assert found.PixelData.readonly
    assert found.PixelData.obj is data


@pytest.mark.conformance("I06")
def test_the_preamble_may_be_anything() -> None:
    data = file_of(image())
    assert read_dicom(b"MZ" + bytes(range(126)) + data[128:]) == read_dicom(data)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", NotDicom),
        (b"%PDF-1.7" + bytes(300), NotDicom),
        (bytes(128) + b"DICM", NotDicom),
        (bytes(128) + b"DICM" + element(8, 0x16, b"UI", b"1.2.3\0"), NotDicom),
        (bytes(128) + b"DICM" + element(2, 0x12, b"UI", b"1.2.3\0"), NotDicom),
        (with_meta(b"", "1.2.840.113619.5.2"), DicomUnsupported),
        (with_meta(b"", "1.2.840.10008.5.1.4.1.1.1.1"), DicomUnsupported),
        (with_meta(element(8, 0x60, b"CS", b"DX"), "1.2.840.10008.1.2.1.99"), DicomDamaged),
    ],
)
def test_what_is_no_dicom_file(data: bytes, error: type[DicomError]) -> None:
    with pytest.raises(error) as raised:
        read_dicom(data)
    assert raised.value.reason in {"not-dicom", "unsupported", "damaged"}


def test_the_whole_file_must_be_there() -> None:
    data = file_of(image())
    for length in range(len(data)):
        try:
            found = read_dicom(data[:length])
        except DicomError:
            continue
        # between two elements, nothing tells that more were meant to come
        assert "PixelData" not in found


def test_a_class_that_the_meta_information_does_not_name() -> None:
    meta, _, rest = file_of(image()).partition(DX.encode())
    with pytest.raises(DicomDamaged, match="another SOP class"):
        read_dicom(meta + DX.encode()[:-1] + b"2" + rest)


@pytest.mark.conformance("I06")
@pytest.mark.parametrize(
    ("attributes", "error", "words"),
    [
        ({"Rows": 0}, DicomDamaged, "rows"),
        ({"Rows": 7}, DicomDamaged, "bytes"),
        ({"Columns": 7}, DicomDamaged, "bytes"),
        ({"Rows": 65535, "Columns": 65535}, DicomTooLarge, "frame"),
        ({"NumberOfFrames": 2_000_000_000}, DicomTooLarge, "frames"),
        ({"NumberOfFrames": -1}, DicomDamaged, "frames"),
        ({"NumberOfFrames": 2}, DicomDamaged, "bytes"),
        ({"SamplesPerPixel": 2}, DicomDamaged, "samples"),
        ({"SamplesPerPixel": 0}, DicomDamaged, "samples"),
        ({"BitsAllocated": 12}, DicomUnsupported, "12 bits"),
        ({"BitsStored": 17}, DicomDamaged, "bits"),
        ({"HighBit": 10}, DicomDamaged, "bits"),
        ({"PixelRepresentation": 2}, DicomDamaged, "PixelRepresentation"),
        ({"PhotometricInterpretation": "HSV"}, DicomUnsupported, "photometric"),
        ({"Rows": None}, DicomDamaged, "Rows"),
    ],
)
def test_a_description_that_lies(attributes: dict[str, Any], error: type[DicomError], words: str) -> None:
    with pytest.raises(error, match=words):
        read_dicom(file_of(image(**attributes)))


def test_padding_after_the_pixels_is_zero() -> None:
    dataset = image()
    pixels = dataset.PixelData
    dataset.PixelData = pixels + bytes(10)
    assert len(read_dicom(file_of(dataset)).PixelData) == len(pixels) + 10
    dataset.PixelData = pixels + b"\1" * 10
    with pytest.raises(DicomDamaged):
        read_dicom(file_of(dataset))


def test_limits_are_positive() -> None:
    with pytest.raises(ConfigurationError, match="depth"):
        Limits(depth=0)


def nested(depth: int, stated: bool) -> bytes:
    body = element(8, 0x100, b"SH", b"X ")
    for _ in range(depth):
        if stated:
            body = element(8, 0x1140, b"SQ", item(body))
        else:
            inside = item(body, UNDEFINED) + END_OF_ITEM
            body = element(8, 0x1140, b"SQ", inside + END_OF_SEQUENCE, UNDEFINED)
    return with_meta(body)


@pytest.mark.parametrize("stated", [True, False])
def test_sequences_within_sequences(stated: bool) -> None:
    limits = Limits(depth=5)
    assert read_dicom(nested(5, stated), limits).ReferencedImageSequence
    with pytest.raises(DicomTooLarge, match="deep"):
        read_dicom(nested(6, stated), limits)
    with pytest.raises(DicomTooLarge):
        read_dicom(nested(3000, stated), limits)


@pytest.mark.parametrize("stated", [True, False])
def test_a_sequence_of_more_items_than_memory_has_room_for(stated: bool) -> None:
    items = item(b"") * 200_000
    body = element(8, 0x1140, b"SQ", items if stated else items + END_OF_SEQUENCE, None if stated else UNDEFINED)
    with pytest.raises(DicomTooLarge, match="elements"):
        read_dicom(with_meta(body), Limits(elements=1000))


@pytest.mark.conformance("I06")
def test_more_elements_than_there_may_be() -> None:
    body = b"".join(element(0x0009 + 2 * (n >> 16), n & 0xFFFF, b"US", b"\0\0") for n in range(0x1000, 0x6000))
    assert read_dicom(with_meta(body))
    with pytest.raises(DicomTooLarge, match="elements"):
        read_dicom(with_meta(body), Limits(elements=2000))


def deflated(body: bytes) -> bytes:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return with_meta(squeeze.compress(body) + squeeze.flush(), DeflatedExplicitVRLittleEndian)


@pytest.mark.conformance("I06")
def test_a_deflated_file_does_not_explode() -> None:
    """204 kB that would become 200 MB, in a process of its own: neither Python nor zlib may take the memory."""
    bomb = deflated(element(0x7FE0, 0x10, b"OW", bytes(200 * 1024 * 1024)))
    assert len(bomb) < 210_000
    code = """if True:
        import resource, sys
        from fhir_adapter.dicomfile import DicomTooLarge, read_dicom
        data = sys.stdin.buffer.read()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            read_dicom(data)
        except DicomTooLarge as error:
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            print(grown * (1 if sys.platform == "darwin" else 1024))
    """
    run = subprocess.run([sys.executable, "-c", code], input=bomb, capture_output=True, check=True, cwd=ROOT)
    assert int(run.stdout) < 64 * 1024 * 1024


def test_a_deflated_file_that_ends_early_or_is_none() -> None:
    whole = deflated(element(8, 0x60, b"CS", b"DX" * 4000))
    assert read_dicom(whole)
    with pytest.raises(DicomDamaged, match="ends early"):
        read_dicom(whole[:-4])
    with pytest.raises(DicomDamaged, match="inflated"):
        read_dicom(with_meta(b"\xff" * 100, DeflatedExplicitVRLittleEndian))


def test_reading_takes_little_more_than_the_file() -> None:
    data = file_of(image(np.zeros((2048, 2048), np.uint16)))
    read_dicom(data)
    tracemalloc.start()
    found = read_dicom(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.Rows == 2048
    assert peak < len(data) / 8


def test_values_are_not_repeated_in_errors_warnings_or_logs(
    caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = SECRET.encode() + b"\0\0"
    for body in (
        element(0x18, 0x50, b"DS", secret),
        element(8, 0x20, b"DA", secret),
        element(8, 0x18, b"UI", secret),
        element(0x28, 0x10, b"US", secret),
        element(8, 0x60, b"ZZ", secret),
        element(8, 0x1140, b"SQ", secret),
        element(8, 5, b"CS", secret) + element(0x10, 0x10, b"PN", secret),
    ):
        try:
            read_dicom(with_meta(body))
        except DicomError as error:
            assert "SECRET" not in str(error)
            assert error.__suppress_context__ or error.__context__ is None
    assert "SECRET" not in caplog.text
    assert not list(recwarn)


def test_a_private_element_that_cannot_be_read_does_no_harm() -> None:
    dataset = image()
    block = dataset.private_block(0x0011, "MAKER", create=True)
    block.add_new(1, "LO", "kept")
    data = file_of(dataset)
    assert read_dicom(data)[0x00111001].value == "kept"
    assert 0x00111001 not in read_dicom(data.replace(b"\x11\x00\x01\x10LO", b"\x11\x00\x01\x10QQ"))


@pytest.mark.parametrize(
    ("attributes", "years"),
    [
        ({"PatientAge": "042Y"}, 42),
        ({"PatientAge": "018M"}, 1),
        ({"PatientAge": "051W"}, 0),
        ({"PatientAge": "800D"}, 2),
        ({"PatientBirthDate": "20200229", "StudyDate": "20250228"}, 4),
        ({"PatientBirthDate": "20200229", "StudyDate": "20250301"}, 5),
        ({"PatientBirthDate": "2020.02.29", "ContentDate": "20250301"}, 5),
        ({"PatientAge": "old", "PatientBirthDate": "20200101", "StudyDate": "20210101"}, 1),
        ({"PatientBirthDate": "20200101", "StudyDate": "20190101"}, None),
        ({"PatientBirthDate": "20201301", "StudyDate": "20230101"}, None),
        ({"PatientBirthDate": "20200101"}, None),
        ({}, None),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value")
def test_age_in_completed_years(attributes: dict[str, str], years: int | None) -> None:
    assert age_at_study(image(**attributes)) == years
