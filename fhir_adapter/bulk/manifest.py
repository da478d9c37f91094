"""What the server made (FHIR Bulk Data Access 2.0, Bulk Data Status Request, Response - Complete Status)."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from fhir_adapter.bulk.errors import BulkExportFailed

__all__ = ["ExportedFile", "Manifest"]

_TYPE = re.compile(r"[A-Z][A-Za-z]{1,63}\Z")


@dataclass(frozen=True)
class ExportedFile:
    """One file of an export.

    Parameters
    ----------
    type : str
        Type of every resource in it; ``Bundle`` for deletions, ``OperationOutcome`` for problems.
    url : str
        Where it is.
    count : int or None
        Resources in it, when the server counts.
    name : str
        Name on our disk; never made from the URL.
    """

    type: str
    url: str
    count: int | None
    name: str


@dataclass(frozen=True)
class Manifest:
    """The files of a complete export.

    Parameters
    ----------
    transaction_time : str
        Nothing newer is in it; the ``since`` of the next export.
    requires_access_token : bool
        Whether the files are behind the FHIR server's own authorisation.
    output, deleted, error : tuple of ExportedFile
        Resources, deletions since `since`, and problems.
    """

    transaction_time: str
    requires_access_token: bool
    output: tuple[ExportedFile, ...]
    deleted: tuple[ExportedFile, ...]
    error: tuple[ExportedFile, ...]

    @property
    def files(self) -> tuple[ExportedFile, ...]:
        """Every file."""
        return self.output + self.deleted + self.error

    @classmethod
    def from_json(cls, data: Any) -> Manifest:
        """Read a manifest.

        Raises
        ------
        BulkExportFailed
            When it is not one.
        """
        try:
            return cls(
                transaction_time=str(data["transactionTime"]),
                requires_access_token=data["requiresAccessToken"] is not False,
                output=_files(data["output"]),
                deleted=_files(data.get("deleted") or [], "Bundle", "deleted"),
                error=_files(data.get("error") or [], "OperationOutcome", "errors"),
            )
        except (AttributeError, KeyError, TypeError, ValueError):
            raise BulkExportFailed("the server's manifest is not one of Bulk Data Access 2.0") from None


def _files(entries: list[dict[str, Any]], only: str | None = None, stem: str | None = None) -> tuple[ExportedFile, ...]:
    files, numbers = [], Counter[str]()
    for entry in entries:
        kind, count = str(entry["type"]), entry.get("count")
        if not _TYPE.match(kind) or (only is not None and kind != only):
            raise ValueError("type")
        url = entry["url"]
        if not isinstance(url, str):
            raise TypeError("url")
        name = f"{stem or kind}.{numbers[kind]:04d}.ndjson"
        numbers[kind] += 1
        files.append(ExportedFile(kind, url, None if count is None else int(count), name))
    return tuple(files)
