"""Where an R package is on this machine; packages carry many of the field's classic data sets.

Looked for in this order: the path in ``BEDSIDE_R_{PACKAGE}`` (a ``.deb`` of Debian's package, an installed or unpacked
package, or its sources), an installed R, the cache ``$XDG_CACHE_HOME/bedside/r-{package}`` (``~/.cache`` where that is
not set). Where there is none and the machine has apt, ``apt-get download`` puts it into the cache: apt checks its
signature, and neither root nor R is needed. Nothing of the package is run; only its data files are read.
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

from functions.offline.errors import DataAbsent

__all__ = ["cache_folder", "data_files", "variable_of"]

# Debian and Ubuntu, R from source, R for macOS.
LIBRARIES = (
    "/usr/lib/R/library",
    "/usr/lib/R/site-library",
    "/usr/local/lib/R/library",
    "/usr/local/lib/R/site-library",
    "/Library/Frameworks/R.framework/Resources/library",
)
DOWNLOAD_SECONDS = 300
# The unpacked package has 9 MB.
MOST_BYTES = 256 * 1024 * 1024


def data_files(package: str) -> Mapping[str, bytes]:
    """Return a package's data files by name: ``Rdata.rdb`` and ``Rdata.rdx``, or ``*.rda``.

    Parameters
    ----------
    package : str
        As in R, such as ``survival``.

    Raises
    ------
    DataAbsent
        It is nowhere, or what is there is not it.
    """
    named = os.environ.get(variable_of(package))
    if named:
        return _read(package, Path(named).expanduser())
    r_home = os.environ.get("R_HOME")
    for library in (*([f"{r_home}/library"] if r_home else []), *LIBRARIES):
        if (Path(library) / package / "data").is_dir():
            return _read(package, Path(library) / package)
    cached = sorted(cache_folder(package).glob(f"{_debian(package)}_*.deb"))
    return _read(package, cached[-1] if cached else _download(package))


def variable_of(package: str) -> str:
    """Return the environment variable that may say where a package is."""
    return f"BEDSIDE_R_{package.upper()}"


def cache_folder(package: str) -> Path:
    """Return the folder a downloaded package stays in."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "bedside" / f"r-{package}"


def _debian(package: str) -> str:
    return f"r-cran-{package}"


def _download(package: str) -> Path:
    debian, variable = _debian(package), variable_of(package)
    if not shutil.which("apt-get"):
        raise DataAbsent(
            f"the data of the R package {package} are not here, and this machine has no apt: install R with the "
            f"package, or set {variable} to the package's folder or to a {debian} .deb from Debian"
        )
    folder = cache_folder(package)
    waiting = folder / "download"
    waiting.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(  # noqa: S603 - no shell, and the name is a constant of ours
            ["apt-get", "download", debian],  # noqa: S607 - the machine's own apt
            cwd=waiting,
            check=True,
            capture_output=True,
            timeout=DOWNLOAD_SECONDS,
        )
    except (subprocess.SubprocessError, OSError) as error:
        told = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip().splitlines()
        raise DataAbsent(
            f"apt-get download {debian} failed{f' ({told[-1]})' if told else ''}: run `apt-get update`, or set "
            f"{variable} to a {debian} .deb or to an installed copy of the R package {package}"
        ) from None
    # moved when complete, so that a broken download is never taken for the package
    for found in waiting.glob(f"{debian}_*.deb"):
        found.replace(folder / found.name)
    shutil.rmtree(waiting)
    complete = sorted(folder.glob(f"{debian}_*.deb"))
    if not complete:
        raise DataAbsent(f"apt-get download {debian} left no file; set {variable} to a copy of the package")
    return complete[-1]


@lru_cache(maxsize=2)
def _read(package: str, place: Path) -> Mapping[str, bytes]:
    if place.is_file():
        files = dict(_of_deb(package, place))
    else:
        debian = (place / f"usr/lib/R/{library}/{package}/data" for library in ("library", "site-library"))
        within = (place / "data", place / package / "data", *debian, place)
        folder = next((path for path in within if any(map(_wanted, _names(path)))), None)
        files = {name: (folder / name).read_bytes() for name in _names(folder) if _wanted(name)} if folder else {}
    if not files:
        raise DataAbsent(
            f"{place} holds no data of the R package {package} (Rdata.rdb or *.rda); set {variable_of(package)} to its "
            f"folder or to a {_debian(package)} .deb"
        )
    return files


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def _wanted(name: str) -> bool:
    return name in ("Rdata.rdb", "Rdata.rdx") or name.lower().endswith((".rda", ".rdata"))


def _of_deb(package: str, path: Path) -> Iterator[tuple[str, bytes]]:
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
        raise DataAbsent(
            f"{path} is not a Debian package that can be read ({type(error).__name__}); set {variable_of(package)} to "
            f"a {_debian(package)} .deb or to the R package's folder"
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
