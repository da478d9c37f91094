"""An image store in a folder of DICOM files."""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from fhir_adapter.codes import Json
from fhir_adapter.dicomweb.errors import ImageNotFound, ImageStoreLied, ImageStoreRejected, NotAnInstance
from fhir_adapter.dicomweb.header import (
    BODY_PART,
    FRAMES,
    INSTANCE_NUMBER,
    LATERALITY,
    MODALITY,
    SERIES_NUMBER,
    Header,
    read_header,
)
from fhir_adapter.dicomweb.limits import Limits
from fhir_adapter.dicomweb.outcome import DUPLICATE, StoreFailure, StoreOutcome
from fhir_adapter.dicomweb.rows import (
    Frame,
    InstanceRow,
    SeriesRow,
    StudyRow,
    instance_order,
    series_order,
)
from fhir_adapter.dicomweb.uids import InstancePath, checked_uid

__all__ = ["DirectoryImageStore"]

T = TypeVar("T")

# pydicom is imported with `files`, where a file is parsed: who only asks servers does without.
INDEXED = frozenset({MODALITY, BODY_PART, SERIES_NUMBER, INSTANCE_NUMBER, LATERALITY, FRAMES})


class DirectoryImageStore:
    """A folder of DICOM files; an :class:`~fhir_adapter.dicomweb.ImageStore` that threads may share.

    Every file below the folder is looked at once, when the store is opened; what is no instance is passed over, and
    of two files of the same instance the first by name counts. What is stored goes to
    ``{study}/{series}/{instance}.dcm``, whole or not at all.

    Parameters
    ----------
    folder : Path
        Made when it is not there.
    limits : Limits
        Bounds of one file (`part`).

    Attributes
    ----------
    passed_over : int
        Files that are no instance, or of one that is indexed already.
    """

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self.folder = folder
        self.limits = limits or Limits()
        self.passed_over = 0
        self._lock = threading.Lock()
        self._index: dict[str, dict[str, dict[str, tuple[Header, Path]]]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            self._add(file)

    def close(self) -> None:
        """Do nothing: no file is kept open."""

    def studies(self, study: str) -> list[StudyRow]:
        """Find a study; one row, or none."""
        series = self._index.get(checked_uid(study), {})
        if not series:
            return []
        headers = [header for members in series.values() for header, _ in members.values()]
        modalities = sorted({header.values[MODALITY] for header in headers if header.values.get(MODALITY)})
        return [StudyRow(study, tuple(modalities), len(series), len(headers))]

    def series(self, study: str, series: str | None = None) -> list[SeriesRow]:
        """Find the series of a study, or one of them."""
        wanted = None if series is None else checked_uid(series)
        found = self._index.get(checked_uid(study), {})
        rows = [_series_row(members) for uid, members in found.items() if wanted in (None, uid)]
        return sorted(rows, key=series_order)

    def instances(self, study: str, series: str | None = None, instance: str | None = None) -> list[InstanceRow]:
        """Find the instances of a study or of a series, or one of them."""
        in_series = None if series is None else checked_uid(series)
        wanted = None if instance is None else checked_uid(instance)
        rows = [
            _instance_row(header)
            for uid, members in self._index.get(checked_uid(study), {}).items()
            if in_series in (None, uid)
            for header, _ in members.values()
            if wanted in (None, header.path.instance)
        ]
        return sorted(rows, key=instance_order)

    def metadata(self, study: str, series: str, instance: str | None = None) -> list[Json]:
        """Return the attributes of each instance of a series, or of one, as DICOM JSON.

        Values over a kilobyte, and pixels, are pointed to by a ``BulkDataURI`` relative to the instance.
        """
        rows = self.instances(study, series, instance)
        if not rows:
            raise ImageNotFound(f"series {series}: the folder has no metadata of it")
        from fhir_adapter.dicomweb.files import dicom_json

        return [self._parsed(row.path, dicom_json) for row in rows]

    def instance(self, path: InstancePath) -> bytes:
        """Return a DICOM file as it is."""
        return self._file(path).read_bytes()

    def frames(self, path: InstancePath, numbers: Sequence[int]) -> list[Frame]:
        """Return frames, numbered from 1, as they are stored."""
        if not numbers or min(numbers) < 1:
            raise ImageStoreRejected(f"frames of instance {path.instance}: frames are numbered from 1")
        from fhir_adapter.dicomweb.files import frames_of

        return self._parsed(path, lambda data: frames_of(data, numbers))

    def bulk(self, path: InstancePath, uri: str) -> bytes:
        """Return a value that :meth:`metadata` only points to."""
        from fhir_adapter.dicomweb.files import bulk_of

        return self._parsed(path, lambda data: bulk_of(data, uri))

    def store(self, instances: Iterable[bytes]) -> StoreOutcome:
        """Store DICOM files."""
        return StoreOutcome.together(self._store(number, data) for number, data in enumerate(instances, 1))

    def _store(self, number: int, data: bytes) -> StoreOutcome:
        try:
            header = read_header(data, INDEXED)
        except NotAnInstance as error:
            raise NotAnInstance(f"instance {number} to store: {error}") from None
        path = header.path
        with self._lock:
            there = self._members(path).get(path.instance)
            if there is not None and there[1].read_bytes() != data:
                return StoreOutcome((), (StoreFailure(path, DUPLICATE),))
            if there is None:
                file = self.folder / path.study / path.series / f"{path.instance}.dcm"
                _write(file, data)
                self._keep(header, file)
        return StoreOutcome((path,), ())

    def _members(self, path: InstancePath) -> dict[str, tuple[Header, Path]]:
        return self._index.get(path.study, {}).get(path.series, {})

    def _keep(self, header: Header, file: Path) -> None:
        """Index a file; readers at the same time see the index before or after, never between."""
        path = header.path
        members = {**self._members(path), path.instance: (header, file)}
        self._index[path.study] = {**self._index.get(path.study, {}), path.series: members}

    def _add(self, file: Path) -> None:
        header = _header_of(file)
        if header is None or header.path.instance in self._members(header.path):
            self.passed_over += 1
        else:
            self._keep(header, file)

    def _file(self, path: InstancePath) -> Path:
        there = self._members(path).get(path.instance)
        if there is None or not there[1].is_file():
            raise ImageNotFound(f"instance {path.instance}: not in the folder")
        if there[1].stat().st_size > self.limits.part:
            raise ImageStoreLied(f"instance {path.instance}: the file is over the limit of {self.limits.part} bytes")
        return there[1]

    def _parsed(self, path: InstancePath, parse: Callable[[bytes], T]) -> T:
        try:
            return parse(self.instance(path))
        except NotAnInstance as error:
            raise ImageStoreLied(f"instance {path.instance}: {error}") from None
        except ImageNotFound as error:
            raise ImageNotFound(f"instance {path.instance}: {error}") from None


def _series_row(members: dict[str, tuple[Header, Path]]) -> SeriesRow:
    headers = [header for header, _ in members.values()]
    first = headers[0]
    return SeriesRow(
        first.path.study,
        first.path.series,
        modality=first.values.get(MODALITY) or None,
        number=first.number(SERIES_NUMBER),
        body_part=first.values.get(BODY_PART) or None,
        laterality=first.values.get(LATERALITY) or None,
        instances=len(headers),
    )


def _instance_row(header: Header) -> InstanceRow:
    return InstanceRow(header.path, header.sop_class or None, header.number(INSTANCE_NUMBER), header.number(FRAMES))


def _header_of(file: Path) -> Header | None:
    """Read from a file's mapping, so that of a large one only the beginning leaves the disk."""
    if file.stat().st_size == 0:  # cannot be mapped
        return None
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        try:
            return read_header(memoryview(mapped), INDEXED)
        except NotAnInstance:
            return None


def _write(file: Path, data: bytes) -> None:
    """Write whole or not at all, also when the machine stops in between."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
