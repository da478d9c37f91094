"""NDJSON, one resource a line (FHIR Bulk Data Access 2.0, nd-json), read in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO

import orjson

from fhir_adapter.codes import Json
from fhir_adapter.errors import FhirAdapterError

__all__ = ["EXPORT_FILE", "MOST_LINE", "NdjsonError", "exported_base", "resources_in", "resources_of_lines"]

# A DocumentReference may carry its document; a line longer than this is no resource but an attack or a mistake.
MOST_LINE = 64 * 1024 * 1024
# What :mod:`fhir_adapter.bulk` writes beside the files.
EXPORT_FILE = "export.json"


class NdjsonError(FhirAdapterError):
    """Exported resources cannot be read or put together; names file and line, never what is in it."""


def resources_in(path: Path) -> Iterator[Json]:
    """Yield the resources of a file.

    Raises
    ------
    NdjsonError
        A line is not a FHIR resource, or too long.
    """
    with path.open("rb") as file:
        yield from resources_of_lines(file, path.name)


def resources_of_lines(file: IO[bytes], name: str) -> Iterator[Json]:
    """Yield the resources of an open file; empty lines are passed over."""
    number = 0
    while line := file.readline(MOST_LINE + 1):
        number += 1
        if len(line) > MOST_LINE:
            raise NdjsonError(f"{name}, line {number}: longer than {MOST_LINE // 2**20} MiB")
        if line.isspace():
            continue
        try:
            resource = orjson.loads(line)
        except orjson.JSONDecodeError:
            raise NdjsonError(f"{name}, line {number}: not JSON") from None
        if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
            raise NdjsonError(f"{name}, line {number}: not a FHIR resource")
        yield resource


def exported_base(folder: Path) -> str | None:
    """Return the FHIR base that a folder was exported from, None when nothing there says so.

    Raises
    ------
    NdjsonError
        The export is not finished: what is not there yet would look as if it were not on record.
    """
    try:
        state = orjson.loads((folder / EXPORT_FILE).read_bytes())
        base, finished = state["base"], state.get("finished", True)
    except (OSError, orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
        return None
    if not finished:
        raise NdjsonError("the export in this folder is not finished; resume it first")
    return base if isinstance(base, str) else None
