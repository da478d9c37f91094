"""One file of an export: streamed to disk, taken up again where it broke off, checked line by line."""

from __future__ import annotations

import os
import re
from pathlib import Path

import httpx

from fhir_adapter.bulk.errors import BulkExportFailed, BulkExportUnfinished
from fhir_adapter.bulk.manifest import ExportedFile
from fhir_adapter.client import FhirClient
from fhir_adapter.errors import FhirRejected
from fhir_adapter.features.lines import NdjsonError, resources_in

__all__ = ["download"]

TRIES = 5
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)\Z")


def download(client: FhirClient, file: ExportedFile, folder: Path) -> int:
    """Bring one file to disk; only a whole and checked one gets its final name.

    A part that is there already is completed by a range request (RFC 9110, 14.2), or fetched anew where the server
    does not serve ranges or compresses what it sends.

    Returns
    -------
    int
        Resources in the file.

    Raises
    ------
    BulkExportUnfinished
        The connection broke `TRIES` times in a row without progress.
    BulkExportFailed
        It is not what the manifest says.
    """
    part = folder / f"{file.name}.part"
    without_progress = 0
    while without_progress < TRIES:
        before = _size(part)
        try:
            _fetch(client, file, part)
            break
        except httpx.TransportError:
            without_progress = 0 if _size(part) > before else without_progress + 1
        except httpx.DecodingError:
            part.unlink(missing_ok=True)
            raise BulkExportFailed(f"{file.name}: what the server sent cannot be decompressed") from None
    else:
        raise BulkExportUnfinished(f"{file.name}: the connection broke {TRIES} times; resume the export later")
    count = _checked(file, part)
    part.replace(folder / file.name)
    return count


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _fetch(client: FhirClient, file: ExportedFile, part: Path) -> None:
    offset = _size(part)
    # Offsets count the bytes that are sent; compressed ones are not what is on disk.
    headers = {"Accept": "application/fhir+ndjson", "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    try:
        with client.stream(file.url, headers) as response:
            _append(response, part, offset)
    except FhirRejected as error:
        if error.status != httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        # nothing lies beyond what is here, or the file became another one: only the whole of it tells
        part.unlink()
        del headers["Range"]
        with client.stream(file.url, headers) as response:
            _append(response, part, 0)


def _append(response: httpx.Response, part: Path, offset: int) -> None:
    resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
    if resumed:
        given = _RANGE.match(response.headers.get("content-range", ""))
        if given is None or int(given[1]) != offset or "content-encoding" in response.headers:
            raise BulkExportFailed(f"{part.stem}: the server answered another range than was asked for")
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if resumed else os.O_TRUNC)
    with os.fdopen(os.open(part, flags, 0o600), "ab" if resumed else "wb") as file:
        # as it comes: what waits to fill a piece would be lost with the connection
        for piece in response.iter_bytes():
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


def _checked(file: ExportedFile, part: Path) -> int:
    """Count the resources; a part that is not what was promised is removed, so that a resumed export asks again."""
    count = 0
    try:
        for resource in resources_in(part):
            if resource["resourceType"] != file.type:
                raise BulkExportFailed(f"{file.name}, resource {count + 1}: not of type {file.type}")
            count += 1
        if file.count is not None and count != file.count:
            raise BulkExportFailed(f"{file.name}: {count} resources, where the manifest promises {file.count}")
    except (NdjsonError, BulkExportFailed) as error:
        part.unlink()
        raise BulkExportFailed(str(error)) from None
    return count
