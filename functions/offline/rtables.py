"""Tables of R packages, read without R.

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
from numpy.typing import NDArray

from functions.offline.errors import DataAbsent
from functions.offline.rpackage import data_files

__all__ = ["RTable", "r_table"]


class RTable:
    """A data frame of R.

    Parameters
    ----------
    package, name : str
        The R object's.
    frame : pandas.DataFrame
        As :mod:`rdata` converts it.
    """

    def __init__(self, package: str, name: str, frame: Any) -> None:
        self.package = package
        self.name = name
        self._frame = frame

    def __len__(self) -> int:
        return len(self._frame)

    def numbers(self, column: str) -> NDArray[np.float64]:
        """Return a numeric column, NaN where R has NA; shape (n,)."""
        return np.asarray(self._of(column).astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan))

    def texts(self, column: str) -> list[str]:
        """Return a character column or the labels of a factor, empty where R has NA; length n."""
        known = self._of(column)
        return ["" if absent else str(value) for value, absent in zip(known, known.isna(), strict=True)]

    def _of(self, column: str) -> Any:
        if column not in self._frame.columns:
            raise DataAbsent(f"{self.name} of this version of the R package {self.package} has no column {column!r}")
        return self._frame[column]


def r_table(package: str, name: str) -> RTable:
    """Return a table of an R package.

    Parameters
    ----------
    package, name : str
        As in R, such as ``survival`` and ``pbc``.

    Raises
    ------
    DataAbsent
        The package is not here, or has no such table.
    ImportError
        The library ``rdata`` is not installed.
    """
    files = data_files(package)
    found = _lazy(files, name) if "Rdata.rdb" in files and "Rdata.rdx" in files else _plain(files, name)
    if not hasattr(found, "columns"):
        raise DataAbsent(f"this version of the R package {package} has no table {name!r}")
    return RTable(package, name, found)


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
        raise DataAbsent("the data of the R package are damaged: an object has not the length it says")
    return content
