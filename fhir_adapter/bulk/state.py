"""How far an export has come, kept beside its files so that a new process can go on."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from fhir_adapter.bulk.request import ExportRequest
from fhir_adapter.errors import ConfigurationError
from fhir_adapter.features.lines import EXPORT_FILE

__all__ = ["ExportState", "read_state", "write_state"]

VERSION = 1


@dataclass(frozen=True)
class ExportState:
    """What is known of an export.

    Parameters
    ----------
    base : str
        FHIR base it runs at.
    request : ExportRequest
        What was asked for.
    status_url : str
        Where the server tells how it goes.
    manifest : dict or None
        As the server gave it, once complete.
    done : tuple of (str, int)
        Name of each file that is here and checked, and the resources in it.
    finished : bool
        Whether all files are.
    """

    base: str
    request: ExportRequest
    status_url: str
    manifest: dict[str, Any] | None = None
    done: tuple[tuple[str, int], ...] = ()
    finished: bool = False

    def with_file(self, name: str, count: int) -> ExportState:
        """Return the state with one more file."""
        return replace(self, done=(*self.done, (name, count)))


def write_state(folder: Path, state: ExportState) -> None:
    """Write it so that a crash leaves the old or the new state; its URLs may be keys to the files, so mode 0600."""
    temporary = folder / f"{EXPORT_FILE}.part"
    content = orjson.dumps({"version": VERSION, **asdict(state)}, option=orjson.OPT_INDENT_2)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / EXPORT_FILE)


def read_state(folder: Path) -> ExportState | None:
    """Return the state of the export in a folder, None when there is none.

    Raises
    ------
    ConfigurationError
        When the file is not one of ours.
    """
    try:
        data = orjson.loads((folder / EXPORT_FILE).read_bytes())
        if data.pop("version") != VERSION:
            raise ConfigurationError(f"{EXPORT_FILE} was written by another version of Bedside")
        request = data.pop("request")
        request |= {"types": tuple(request["types"]), "type_filters": tuple(request["type_filters"])}
        done = tuple((str(name), int(count)) for name, count in data.pop("done"))
        return ExportState(request=ExportRequest(**request), done=done, **data)
    except FileNotFoundError:
        return None
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError):
        raise ConfigurationError(f"{EXPORT_FILE} is not the state of an export") from None
