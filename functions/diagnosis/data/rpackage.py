"""Tables of R packages, read without R.

A package is looked for in this order: the path in its environment variable (a ``.deb``, or an installed or unpacked
package), an installed R, the cache ``$XDG_CACHE_HOME/bedside/r`` (``~/.cache`` where that is not set). Where there is
none and the machine has apt, ``apt-get download`` puts Debian's package into the cache: apt checks its signature, and
neither root nor R is needed. Nothing of the package is run; only its data are read.

Its data are a lazy-load database: ``Rdata.rdx`` says where in ``Rdata.rdb`` each object lies (R Internals, section
"Lazy loading"); each object is serialised and compressed by itself, behind the length it has uncompressed.
"""

from __future__ import annotations

import bz2
import io
import lzma
import os
import shutil
import struct
import subprocess
import tarfile
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from functions.diagnosis.data.errors import DataAbsent

__all__ = ["cache_folder", "r_table", "variable_of"]

LIBRARIES = (
    *("/usr/lib/R/library", "/usr/lib/R/site-library", "/usr/local/lib/R/library", "/usr/local/lib/R/site-library"),
    "/Library/Frameworks/R.framework/Resources/library",
)
WANTED = ("Rdata.rdb", "Rdata.rdx")
SECONDS = 300
MOST_BYTES = 256 * 1024 * 1024


def r_table(package: str, name: str) -> Any:
    """Return a data frame of an R package.

    Parameters
    ----------
    package, name : str
        As in R, such as ``mclust`` and ``thyroid``.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    DataAbsent
        The package is not here, or has no such table.
    ImportError
        The library ``rdata`` is not installed.
    """
    files = _files(package)
    index = _object(_gunzipped(files["Rdata.rdx"]))
    place = {str(key): value for key, value in index["variables"].items()}.get(name)
    if place is None:
        raise DataAbsent(f"this version of the R package {package} has no table {name!r}")
    start, length = (int(number) for number in place)
    found = _object(_inflated(files["Rdata.rdb"][start : start + length]))
    if not hasattr(found, "columns"):
        raise DataAbsent(f"{name!r} of the R package {package} is no table")
    return found


def variable_of(package: str) -> str:
    """Return the environment variable that may say where a package is."""
    return f"BEDSIDE_R_{package.upper()}"


def cache_folder() -> Path:
    """Return the folder that downloaded packages stay in."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "bedside" / "r"


def _files(package: str) -> Mapping[str, bytes]:
    named = os.environ.get(variable_of(package))
    if named:
        return _read(package, Path(named).expanduser())
    for library in LIBRARIES:
        if (Path(library) / package / "data").is_dir():
            return _read(package, Path(library) / package)
    cached = sorted(cache_folder().glob(f"r-cran-{package}_*.deb"))
    return _read(package, cached[-1] if cached else _download(package))


def _download(package: str) -> Path:
    told = f"set {variable_of(package)} to the package's folder or to an r-cran-{package} .deb from Debian"
    if not shutil.which("apt-get"):
        raise DataAbsent(f"the data of the R package {package} are not here, and this machine has no apt: {told}")
    folder = cache_folder()
    waiting = folder / f"download-{package}"
    waiting.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(  # noqa: S603 - no shell, and the name is a constant of ours
            ["apt-get", "download", f"r-cran-{package}"],  # noqa: S607 - the machine's own apt
            cwd=waiting,
            check=True,
            capture_output=True,
            timeout=SECONDS,
        )
    except (subprocess.SubprocessError, OSError) as error:
        raise DataAbsent(f"apt-get download r-cran-{package} failed ({type(error).__name__}): {told}") from None
    # moved when complete, so that a broken download is never taken for the package
    for found in waiting.glob("*.deb"):
        found.replace(folder / found.name)
    shutil.rmtree(waiting)
    complete = sorted(folder.glob(f"r-cran-{package}_*.deb"))
    if not complete:
        raise DataAbsent(f"apt-get download r-cran-{package} left no file: {told}")
    return complete[-1]


def _read(package: str, place: Path) -> Mapping[str, bytes]:
    if place.is_file():
        found = _of_deb(place)
    else:
        within = (place / "data", place / package / "data", place)
        folder = next((path for path in within if (path / WANTED[0]).is_file()), None)
        found = {name: (folder / name).read_bytes() for name in WANTED} if folder else {}
    if set(found) != set(WANTED):
        raise DataAbsent(f"{place} does not hold the data of the R package {package} ({' and '.join(WANTED)})")
    return found


def _of_deb(path: Path) -> dict[str, bytes]:
    """Return the data files of a binary package (deb(5)); nothing is written to disk."""
    found = {}
    try:
        with tarfile.open(fileobj=_data_tar(path.read_bytes()), mode="r:") as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                if member.isfile() and name.parent.name == "data" and name.name in WANTED and member.size < MOST_BYTES:
                    content = archive.extractfile(member)
                    if content is not None:
                        found[name.name] = content.read()
    except (tarfile.TarError, lzma.LZMAError, zlib.error, ValueError, OSError) as error:
        raise DataAbsent(f"{path} is not a Debian package that can be read ({type(error).__name__})") from None
    return found


def _data_tar(content: bytes) -> io.BytesIO:
    """Return the uncompressed ``data.tar``: a member of an ar archive, whose headers have 60 bytes."""
    if not content.startswith(b"!<arch>\n"):
        raise ValueError("not an ar archive")
    at = 8
    while at + 60 <= len(content):
        name, size = content[at : at + 16].decode("ascii").strip(), int(content[at + 48 : at + 58])
        body = content[at + 60 : at + 60 + size]
        if name.startswith("data.tar.xz"):
            return io.BytesIO(lzma.decompress(body))
        if name.startswith("data.tar.gz"):
            return io.BytesIO(zlib.decompress(body, wbits=31))
        at += 60 + size + size % 2
    raise ValueError("no data.tar of a kind that is known")


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
    else:
        content = body if kind == b"0" else zlib.decompress(entry[4:])
    if len(content) != length:
        raise DataAbsent("the data of the R package are damaged: an object has not the length it says")
    return content
