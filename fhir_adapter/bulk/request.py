"""What to export (FHIR Bulk Data Access 2.0, Bulk Data Kick-off Request)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode

from fhir_adapter.errors import ConfigurationError

__all__ = ["ExportRequest"]

_TYPE = re.compile(r"[A-Z][A-Za-z]{1,63}\Z")
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}\Z")
# FHIR R4 datatypes.html#instant: the time zone is required.
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})\Z")


@dataclass(frozen=True)
class ExportRequest:
    """An export of a whole server, of all its patients, or of a group.

    Parameters
    ----------
    level : {"system", "patient", "group"}
        ``[base]/$export``, ``[base]/Patient/$export`` or ``[base]/Group/[id]/$export``.
    group : str or None
        Id of the Group, at level ``group`` only.
    types : tuple of str
        Resource types (``_type``); empty asks for all.
    since : str or None
        Instant; only what changed after it (``_since``).
    type_filters : tuple of str
        ``Type?parameters`` each (``_typeFilter``, which servers need not support).
    """

    level: Literal["system", "patient", "group"] = "patient"
    group: str | None = None
    types: tuple[str, ...] = ()
    since: str | None = None
    type_filters: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.level == "group") != (self.group is not None):
            raise ConfigurationError("an export of level group names a group, and no other level does")
        if self.group is not None and not _ID.match(self.group):
            raise ConfigurationError("the group must be the id of a Group")
        for name in (*self.types, *(item.partition("?")[0] for item in self.type_filters)):
            if not _TYPE.match(name):
                raise ConfigurationError(f"{name!r} is not a resource type")
        if self.since is not None and not _INSTANT.match(self.since):
            raise ConfigurationError("since must be an instant such as 2026-01-31T00:00:00Z")

    def url(self, base: str) -> str:
        """Return the kick-off URL at a FHIR base."""
        path = {"system": "$export", "patient": "Patient/$export", "group": f"Group/{self.group}/$export"}[self.level]
        parameters = [("_outputFormat", "application/fhir+ndjson")]
        if self.types:
            parameters.append(("_type", ",".join(self.types)))
        if self.since:
            parameters.append(("_since", self.since))
        parameters += [("_typeFilter", item) for item in self.type_filters]
        return f"{base}/{path}?{urlencode(parameters)}"
