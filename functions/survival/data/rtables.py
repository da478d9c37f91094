"""Tables of the R package ``survival``, read without R.

A package's data are kept in a lazy-load database: ``Rdata.rdx`` says where in ``Rdata.rdb`` each object lies (R
Internals, section "Lazy loading"). Each object is a serialised R object (R Internals, section "Serialization
formats"), compressed by itself, behind the length it has uncompressed. The library ``rdata`` reads the serialised
objects; this module reads the database around them.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import warnings
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from functions.survival.data.rsurvival import RDataAbsent, data_files
from functions.survival.data.table import FloatArray

__all__ = ["RTable", "r_table"]


class RTable:
    """A data frame of R.

    Parameters
    ----------
    name : str
        The R object's.
    frame : pandas.DataFrame
        As :mod:`rdata` converts it.
    """

    def __init__(self, name: str, frame: Any) -> None:
        self.name = name
        self._frame = frame

    def __len__(self) -> int:
        return len(self._frame)

    def numbers(self, column: str) -> FloatArray:
        """Return a numeric column, NaN where R has NA; shape (n,)."""
        return np.asarray(self._of(column).astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan))

    def texts(self, column: str) -> list[str]:
        """Return a character column or the labels of a factor, empty where R has NA; length n."""
        known = self._of(column)
        return ["" if absent else str(value) for value, absent in zip(known, known.isna(), strict=True)]

    def _of(self, column: str) -> Any:
        if column not in self._frame.columns:
            raise RDataAbsent(f"{self.name} of this version of the R package survival has no column {column!r}")
        return self._frame[column]


def r_table(name: str) -> RTable:
    """Return a table of the R package ``survival``.

    Parameters
    ----------
    name : str
        As in R, e.g. ``pbc``.

    Raises
    ------
    RDataAbsent
        The package is not here, or has no such table.
    ImportError
        The library ``rdata`` is not installed.
    """
    files = data_files()
    found = _lazy(files, name) if "Rdata.rdb" in files and "Rdata.rdx" in files else _plain(files, name)
    if not hasattr(found, "columns"):
        raise RDataAbsent(f"this version of the R package survival has no table {name!r}")
    return RTable(name, found)


def _lazy(files: Mapping[str, bytes], name: str) -> Any:
    index = _object(_gunzipped(files["Rdata.rdx"]))
    place = {str(key): value for key, value in index["variables"].items()}.get(name)
    if place is None:
        return None
    start, length = (int(number) for number in place)
    return _object(_inflated(files["Rdata.rdb"][start : start + length]))


def _plain(files: Mapping[str, bytes], name: str) -> Any:
    """Look through ``*.rda`` files, the one of that name first; a file may hold several objects."""
    ordered = sorted(files, key=lambda file: (file.split(".")[0] != name, file))
    objects = (_object(files[file]) for file in ordered if file.lower().endswith((".rda", ".rdata")))
    return next((found[name] for found in objects if isinstance(found, dict) and name in found), None)


def _object(content: bytes) -> Any:
    try:
        from rdata.conversion import convert
        from rdata.parser import parse_data
    except ImportError:
        raise ImportError("rdata, which reads R's files, is not installed (`make setup-train`)", name="rdata") from None
    with warnings.catch_warnings():
        # it says that it takes a serialised object for one, which is what it is
        warnings.filterwarnings("ignore", "Unknown file type", UserWarning)
        return convert(parse_data(content))


def _gunzipped(content: bytes) -> bytes:
    return zlib.decompress(content, wbits=47) if content[:1] in (b"\x1f", b"\x78") else content


def _inflated(entry: bytes) -> bytes:
    """Return one object of a lazy-load database (R's ``lazyLoadDBfetch``, compression types 1, 2 and 3)."""
    (length,) = struct.unpack(">I", entry[:4])
    kind, body = entry[4:5], entry[5:]
    if kind == b"Z":
        raw = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 27}]
        content = lzma.LZMADecompressor(format=lzma.FORMAT_RAW, filters=raw).decompress(body)
    elif kind == b"2":
        content = bz2.decompress(body)
    elif kind == b"0":
        content = body
    else:
        content = zlib.decompress(entry[4:])
    if len(content) != length:
        raise RDataAbsent("the data of the R package survival are damaged: an object has not the length it says")
    return content
