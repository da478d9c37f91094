"""Where the R package ``survival`` is on this machine; it carries many of the field's classic data sets.

Looked for in this order: the path in ``BEDSIDE_R_SURVIVAL`` (a ``.deb`` of r-cran-survival, an installed or unpacked
package, or its sources), an installed R, the cache ``$XDG_CACHE_HOME/bedside/r-survival`` (``~/.cache`` where that is
not set). Where there is none and the machine has apt, ``apt-get download r-cran-survival`` puts it into the cache: apt
checks its signature, and neither root nor R is needed. Nothing of the package is run; only its data files are read.
"""

from __future__ import annotations

import io
import lzma
import os
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath

__all__ = ["PACKAGE", "VARIABLE", "RDataAbsent", "cache_folder", "data_files"]

VARIABLE = "BEDSIDE_R_SURVIVAL"
PACKAGE = "r-cran-survival"
# Debian and Ubuntu, R from source, R for macOS.
INSTALLED = (
    "/usr/lib/R/library/survival",
    "/usr/lib/R/site-library/survival",
    "/usr/local/lib/R/library/survival",
    "/usr/local/lib/R/site-library/survival",
    "/Library/Frameworks/R.framework/Resources/library/survival",
)
DOWNLOAD_SECONDS = 300
# The unpacked package has 9 MB.
MOST_BYTES = 256 * 1024 * 1024


class RDataAbsent(ValueError):
    """The R package's data cannot be read; says what to do."""


def data_files() -> Mapping[str, bytes]:
    """Return the package's data files by name: ``Rdata.rdb`` and ``Rdata.rdx``, or ``*.rda``.

    Raises
    ------
    RDataAbsent
        It is nowhere, or what is there is not it.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return _read(Path(named).expanduser())
    r_home = os.environ.get("R_HOME")
    for place in (*([f"{r_home}/library/survival"] if r_home else []), *INSTALLED):
        if (Path(place) / "data").is_dir():
            return _read(Path(place))
    cached = sorted(cache_folder().glob(f"{PACKAGE}_*.deb"))
    return _read(cached[-1] if cached else _download())


def cache_folder() -> Path:
    """Return the folder a downloaded package stays in."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "bedside" / "r-survival"


def _download() -> Path:
    if not shutil.which("apt-get"):
        raise RDataAbsent(
            f"the data of the R package survival are not here, and this machine has no apt: install R (it brings the "
            f"package), or set {VARIABLE} to the package's folder or to a {PACKAGE} .deb from Debian"
        )
    folder = cache_folder()
    waiting = folder / "download"
    waiting.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(  # noqa: S603 - constant arguments
            ["apt-get", "download", PACKAGE],  # noqa: S607 - the machine's own apt
            cwd=waiting,
            check=True,
            capture_output=True,
            timeout=DOWNLOAD_SECONDS,
        )
    except (subprocess.SubprocessError, OSError) as error:
        told = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip().splitlines()
        raise RDataAbsent(
            f"apt-get download {PACKAGE} failed{f' ({told[-1]})' if told else ''}: run `apt-get update`, or set "
            f"{VARIABLE} to a {PACKAGE} .deb or to an installed copy of the R package survival"
        ) from None
    # moved when complete, so that a broken download is never taken for the package
    for package in waiting.glob(f"{PACKAGE}_*.deb"):
        package.replace(folder / package.name)
    shutil.rmtree(waiting)
    found = sorted(folder.glob(f"{PACKAGE}_*.deb"))
    if not found:
        raise RDataAbsent(f"apt-get download {PACKAGE} left no file; set {VARIABLE} to a copy of the package")
    return found[-1]


@lru_cache(maxsize=1)
def _read(place: Path) -> Mapping[str, bytes]:
    if place.is_file():
        files = dict(_of_deb(place))
    else:
        within = (place / "data", place / "survival" / "data", place / "usr/lib/R/library/survival/data", place)
        folder = next((path for path in within if any(map(_wanted, _names(path)))), None)
        files = {name: (folder / name).read_bytes() for name in _names(folder) if _wanted(name)} if folder else {}
    if not files:
        raise RDataAbsent(
            f"{place} holds no data of the R package survival (Rdata.rdb or *.rda); set {VARIABLE} to its folder or "
            f"to a {PACKAGE} .deb"
        )
    return files


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def _wanted(name: str) -> bool:
    return name in ("Rdata.rdb", "Rdata.rdx") or name.lower().endswith((".rda", ".rdata"))


def _of_deb(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the data files of a binary package (deb(5)); nothing is written to disk."""
    try:
        with tarfile.open(fileobj=_data_tar(path), mode="r:") as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                if member.isfile() and name.parent.name == "data" and _wanted(name.name) and member.size < MOST_BYTES:
                    content = archive.extractfile(member)
                    if content is not None:
                        yield name.name, content.read()
    except (tarfile.TarError, lzma.LZMAError, zlib.error, subprocess.SubprocessError, ValueError, OSError) as error:
        raise RDataAbsent(
            f"{path} is not a Debian package that can be read ({type(error).__name__}); set {VARIABLE} to a "
            f"{PACKAGE} .deb or to the R package's folder"
        ) from None


def _data_tar(path: Path) -> io.BytesIO:
    """Return the uncompressed archive of a package's files, by dpkg-deb where it is, else by ourselves."""
    if shutil.which("dpkg-deb"):
        done = subprocess.run(  # noqa: S603 - no shell, and the path is an argument
            ["dpkg-deb", "--fsys-tarfile", str(path.absolute())],  # noqa: S607 - the machine's own dpkg
            check=True,
            capture_output=True,
            timeout=DOWNLOAD_SECONDS,
        )
        return io.BytesIO(done.stdout)
    return io.BytesIO(_unpacked(path.read_bytes()))


def _unpacked(content: bytes) -> bytes:
    """Return the ``data.tar`` of a package: a member of an ar archive, whose headers have 60 bytes."""
    if not content.startswith(b"!<arch>\n"):
        raise ValueError("not an ar archive")
    at = 8
    while at + 60 <= len(content):
        name, size = content[at : at + 16].decode("ascii").strip(), int(content[at + 48 : at + 58])
        body = content[at + 60 : at + 60 + size]
        if name.startswith("data.tar.xz"):
            return lzma.decompress(body)
        if name.startswith("data.tar.gz"):
            return zlib.decompress(body, wbits=31)
        if name.startswith("data.tar"):
            raise ValueError(f"{name} needs dpkg-deb")
        at += 60 + size + size % 2
    raise ValueError("no data.tar")
