"""Reading R's files without R: a lazy-load database and ``.rda`` files made here, of synthetic numbers."""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from functions.offline.errors import DataAbsent
from functions.offline.rpackage import variable_of
from functions.offline.rtables import RTable, r_table
from tests.peering import require_peer

pytestmark = pytest.mark.peer("rdata")


def lzma_raw(content: bytes) -> bytes:
    compressor = lzma.LZMACompressor(format=lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": 6}])
    return compressor.compress(content) + compressor.flush()


# R's lazyLoadDBinsertValue: zlib has no mark of its own, the others are told by a letter.
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "zlib": zlib.compress,
    "bzip2": lambda content: b"2" + bz2.compress(content),
    "xz": lambda content: b"Z" + lzma_raw(content),
    "none": lambda content: b"0" + content,
}


@pytest.fixture
def frame() -> Any:
    require_peer("rdata", "rdata")
    import pandas as pd

    return pd.DataFrame(
        {
            "count": pd.array([1, None, 3], dtype="Int32"),
            "level": [0.25, float("nan"), -1.5],
            "kind": pd.Categorical(["f", "m", "m"]),
        }
    )


def serialised(value: Any) -> bytes:
    from rdata.conversion import convert_python_to_r_data
    from rdata.unparser import unparse_data

    return unparse_data(convert_python_to_r_data(value))


def write_lazy(folder: Path, packed: bytes, length: int) -> None:
    entry = struct.pack(">I", length) + packed
    index = {
        "variables": {"other": np.array([0, 7], dtype=np.int32), "toy": np.array([7, len(entry)], dtype=np.int32)},
        "references": {},
        "compressed": np.array([3], dtype=np.int32),
    }
    folder.mkdir()
    (folder / "Rdata.rdb").write_bytes(b"\0" * 7 + entry)
    (folder / "Rdata.rdx").write_bytes(zlib.compress(serialised(index)))


def check(table: Any) -> None:
    assert len(table) == 3
    np.testing.assert_array_equal(table.numbers("count"), [1.0, np.nan, 3.0])
    np.testing.assert_array_equal(table.numbers("level"), [0.25, np.nan, -1.5])
    assert table.texts("kind") == ["f", "m", "m"]
    with pytest.raises(DataAbsent, match="no column 'other'"):
        table.numbers("other")


@pytest.mark.parametrize("packing", PACKED)
def test_a_lazy_load_database(packing: str, frame: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = serialised(frame)
    write_lazy(tmp_path / "data", PACKED[packing](content), len(content))
    monkeypatch.setenv(variable_of("survival"), str(tmp_path))
    check(r_table("survival", "toy"))
    with pytest.raises(DataAbsent, match="no table 'pbc'"):
        r_table("survival", "pbc")


def test_an_object_of_another_length_is_refused(frame: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = serialised(frame)
    write_lazy(tmp_path / "data", zlib.compress(content), len(content) + 1)
    monkeypatch.setenv(variable_of("survival"), str(tmp_path))
    with pytest.raises(DataAbsent, match="damaged"):
        r_table("survival", "toy")


def test_files_of_the_package_sources(frame: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the sources, data are ``*.rda`` files, which may hold several objects under another name."""
    from rdata import write_rda

    (tmp_path / "data").mkdir()
    write_rda(tmp_path / "data" / "first.rda", {"unrelated": frame})
    write_rda(tmp_path / "data" / "several.rda", {"unrelated": frame, "toy": frame}, compression="xz")
    monkeypatch.setenv(variable_of("survival"), str(tmp_path))
    check(r_table("survival", "toy"))


def test_an_unknown_label_is_empty() -> None:
    require_peer("rdata", "rdata")
    import pandas as pd

    labels = {"factor": pd.Categorical(["f", None, "m"]), "text": pd.array(["f", None, "m"], dtype="string")}
    table = RTable("toys", "toy", pd.DataFrame(labels))
    assert table.texts("factor") == table.texts("text") == ["f", "", "m"]
