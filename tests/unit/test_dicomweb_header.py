"""The first elements of a file, against pydicom."""

from __future__ import annotations

import struct
import tracemalloc
import warnings
import zlib
from pathlib import Path
from random import Random

import pydicom
import pytest
from pydicom import dcmread

from fhir_adapter.dicomweb import InvalidUid, NotAnInstance, checked_uid, read_header
from fhir_adapter.dicomweb.header import BODY_PART, INSTANCE_NUMBER, MODALITY
from tests.imagestores import SERIES, STUDY, ct_path, ct_slice, sample

BUNDLED = sorted((Path(pydicom.__file__).parent / "data" / "test_files").rglob("*.dcm"))


def by_pydicom(data: Path) -> tuple[str, ...] | None:
    """Study, series, instance, class, transfer syntax, modality; None when one of the first three is missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = dcmread(data, stop_before_pixels=True)
            uids = [str(dataset[name].value) for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
            rest = [str(dataset.get(name) or "") for name in ("SOPClassUID", "Modality")]
            return (*uids, *rest, str(dataset.file_meta.TransferSyntaxUID))
        except Exception:  # noqa: BLE001 - pydicom raises many kinds
            return None


def test_every_file_of_pydicom_is_read_as_pydicom_reads_it() -> None:
    agreed = refused = 0
    for file in BUNDLED:
        expected = by_pydicom(file)
        try:
            header = read_header(file.read_bytes(), {MODALITY})
        except NotAnInstance:
            refused += 1
            assert expected is None or not all(_is_uid(uid) for uid in expected[:3]), file.name
            continue
        path = header.path
        found = (path.study, path.series, path.instance, header.sop_class, header.values.get(MODALITY, ""))
        assert (*found, header.transfer_syntax) == expected, file.name
        agreed += 1
    assert (agreed, refused) >= (60, 3)


def _is_uid(text: str) -> bool:
    try:
        return bool(checked_uid(text))
    except InvalidUid:
        return False


def test_more_is_read_on_demand() -> None:
    header = read_header(ct_slice(7), {INSTANCE_NUMBER, BODY_PART})
    assert header.path == ct_path(7)
    assert header.values[BODY_PART] == "CHEST"
    assert header.number(INSTANCE_NUMBER) == 7
    assert header.number(MODALITY) is None


@pytest.mark.parametrize("length", [0, 100, 131, 132, 140, 300, 340, 380])
def test_a_file_that_ends_too_early_is_none(length: int) -> None:
    with pytest.raises(NotAnInstance):
        read_header(ct_slice(1)[:length])


def test_the_preamble_may_be_anything() -> None:
    assert read_header(b"MZ" + b"\x90" * 126 + ct_slice(1)[128:]).path == ct_path(1)


def test_the_uid_must_be_one() -> None:
    data = ct_slice(1)
    with pytest.raises(NotAnInstance, match="Study Instance UID is not a UID"):
        read_header(data.replace(STUDY.encode() + b"\0", b"../" + STUDY.encode()[3:] + b"\0"))


def test_no_value_is_in_the_error() -> None:
    data = ct_slice(1).replace(f"{SERIES}.1".encode(), b"Doe^John" + b" " * (len(SERIES) - 6))
    with pytest.raises(NotAnInstance) as caught:
        read_header(data)
    assert "Doe" not in str(caught.value)


def test_a_deflated_bomb_is_not_inflated() -> None:
    meta = sample("image_dfl.dcm")
    meta_length = struct.unpack("<L", meta[140:144])[0]
    zeros = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = meta[: 144 + meta_length] + b"".join(zeros.compress(bytes(1 << 20)) for _ in range(64)) + zeros.flush()
    with pytest.raises(NotAnInstance):
        read_header(bomb)


def test_sequences_in_sequences_end() -> None:
    start = b"\x08\x00\x05\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    data = ct_slice(1)
    with pytest.raises(NotAnInstance):
        read_header(data[: 144 + struct.unpack("<L", data[140:144])[0]] + start * 10_000)


def test_pixels_are_never_touched() -> None:
    data = ct_slice(1, size=1024)
    tracemalloc.start()
    try:
        read_header(data)
        assert tracemalloc.get_traced_memory()[1] < 20_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("uid", ["1.2", "0.0", "2.25.329800735698586629295641978511506172918", "1." + "2" * 62])
def test_uids(uid: str) -> None:
    assert checked_uid(uid) == uid


@pytest.mark.parametrize("wrong", [None, 5, "", "1", "1.", ".1", "1.02", "1.2 ", "١.٢", "1." + "2" * 63, "1.2/../3"])
def test_no_uids(wrong: object) -> None:
    with pytest.raises(InvalidUid, match="Study Instance UID is not a UID"):
        checked_uid(wrong, "Study Instance UID")


def test_damaged_files_end_in_the_named_error() -> None:
    random = Random(20260110)
    read = 0
    for name in ("CT_small.dcm", "emri_small.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm", "nested_priv_SQ.dcm"):
        whole = sample(name)
        for _ in range(300):
            data = bytearray(whole[: random.choice((len(whole), random.randrange(len(whole))))])
            for _ in range(random.randrange(1, 8)):
                if data:
                    data[random.randrange(min(len(data), 2000))] = random.randrange(256)
            try:
                read_header(bytes(data), {MODALITY})
                read += 1
            except NotAnInstance:
                pass
    assert 100 < read < 1500
