"""Training data: what is left out, what is refused, and an R package read without R."""

from __future__ import annotations

import io
import lzma
import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from functions.diagnosis.data import DATASETS, DataAbsent, Labelled
from functions.diagnosis.data import rpackage as reader
from functions.diagnosis.data.pneumonia import VARIABLE, load_pneumonia, splits_of


def images(count: int, seed: int) -> Labelled:
    random = np.random.default_rng(seed)
    return Labelled(random.random((count, 1, 28, 28), dtype=np.float32), random.integers(0, 2, count))


def test_validation_loses_what_train_has() -> None:
    train, validation, test = images(6, 1), images(4, 2), images(3, 3)
    validation.pixels[2] = train.pixels[5]
    splits = splits_of(train, validation, test)
    assert (splits.left_out, len(splits.validation)) == (1, 3)
    assert not {image.tobytes() for image in splits.validation.pixels} & {image.tobytes() for image in train.pixels}


def test_a_test_image_among_those_for_training_is_refused() -> None:
    train, validation, test = images(6, 1), images(4, 2), images(3, 3)
    test.pixels[0] = validation.pixels[1]
    with pytest.raises(DataAbsent, match="not the official split"):
        splits_of(train, validation, test)


def npz(path: Path, **changed: np.ndarray) -> Path:
    random = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}
    for name, count in (("train", 6), ("val", 4), ("test", 3)):
        arrays[f"{name}_images"] = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"{name}_labels"] = random.integers(0, 2, (count, 1))
    np.savez(path, **(arrays | changed))
    return path


def test_pixels_are_scaled_and_found_by_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npz(tmp_path / "pneumoniamnist.npz")
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    splits = load_pneumonia()
    assert splits.train.pixels.shape == (6, 1, 28, 28)
    assert splits.train.pixels.dtype == np.float32
    low, high = splits.train.pixels.min(), splits.train.pixels.max()
    assert 0 <= low < 0.05
    assert 0.95 < high <= 1


def test_absent_data_say_where_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(DataAbsent, match="MedMNIST"):
        load_pneumonia()


@pytest.mark.parametrize(
    "changed",
    [
        {"val_images": np.zeros((4, 64, 64), dtype=np.uint8)},
        {"val_images": np.zeros((4, 28, 28))},
        {"test_labels": np.full((3, 1), 7)},
    ],
)
def test_another_file_is_refused(tmp_path: Path, changed: dict[str, np.ndarray]) -> None:
    with pytest.raises(DataAbsent, match="is not"):
        load_pneumonia(npz(tmp_path / "other.npz", **changed))


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.npz"
    path.write_bytes(b"PK\x03\x04 and nothing else")
    with pytest.raises(DataAbsent, match="is not"):
        load_pneumonia(path)


def test_every_data_set_says_what_it_cannot_speak_for() -> None:
    for name, dataset in DATASETS.items():
        assert dataset.name == name
        assert dataset.limits
        assert dataset.caveats
        assert dataset.licence


def deb(path: Path, files: dict[str, bytes], compression: str = "xz") -> Path:
    """A Debian package of these files (deb(5))."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    packed = lzma.compress(buffer.getvalue()) if compression == "xz" else zlib.compress(buffer.getvalue(), wbits=31)
    out = b"!<arch>\n"
    for name, body in (("debian-binary", b"2.0\n"), (f"data.tar.{compression}", packed)):
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(body):<10}`\n".encode() + body + b"\n" * (len(body) % 2)
    path.write_bytes(out)
    return path


DATA = "./usr/lib/R/site-library/mclust/data/"


@pytest.mark.parametrize("compression", ["xz", "gz"])
def test_data_of_a_package_are_read_without_unpacking_it(tmp_path: Path, compression: str) -> None:
    files = {f"{DATA}Rdata.rdb": b"values", f"{DATA}Rdata.rdx": b"index", "./usr/bin/Rdata.rdb": b"another"}
    found = reader._read("mclust", deb(tmp_path / "p.deb", files, compression))
    assert dict(found) == {"Rdata.rdb": b"values", "Rdata.rdx": b"index"}


def test_an_installed_package_is_read(tmp_path: Path) -> None:
    (tmp_path / "mclust" / "data").mkdir(parents=True)
    for name in ("Rdata.rdb", "Rdata.rdx"):
        (tmp_path / "mclust" / "data" / name).write_bytes(name.encode())
    for place in (tmp_path, tmp_path / "mclust", tmp_path / "mclust" / "data"):
        assert reader._read("mclust", place)["Rdata.rdx"] == b"Rdata.rdx"


def test_what_is_no_package_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for content in (b"text", b"!<arch>\n" + b"data.tar.xz".ljust(48) + b"4         `\n" + b"abcd"):
        path = tmp_path / "p.deb"
        path.write_bytes(content)
        with pytest.raises(DataAbsent, match="Debian package"):
            reader._read("mclust", path)
    with pytest.raises(DataAbsent, match="does not hold"):
        reader._read("mclust", deb(tmp_path / "q.deb", {f"{DATA}Rdata.rdb": b"values"}))
    monkeypatch.setenv(reader.variable_of("mclust"), str(tmp_path))
    with pytest.raises(DataAbsent, match="does not hold"):
        reader.r_table("mclust", "thyroid")


def test_without_apt_it_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "LIBRARIES", ())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("BEDSIDE_R_MCLUST", raising=False)
    with pytest.raises(DataAbsent, match="BEDSIDE_R_MCLUST"):
        reader.r_table("mclust", "thyroid")


@pytest.mark.parametrize("kind", [b"", b"Z", b"2", b"0"])
def test_an_object_of_a_lazy_load_database_is_inflated(kind: bytes) -> None:
    import bz2

    raw = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}]
    packed = {
        b"": zlib.compress(b"object"),
        b"Z": lzma.compress(b"object", format=lzma.FORMAT_RAW, filters=raw),
        b"2": bz2.compress(b"object"),
        b"0": b"object",
    }[kind]
    assert reader._inflated(struct.pack(">I", 6) + kind + packed) == b"object"
    with pytest.raises(DataAbsent, match="damaged"):
        reader._inflated(struct.pack(">I", 7) + kind + packed)
