"""What an archive of images in the twin is."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Protocol

__all__ = ["Pacs", "kept_token"]


class Pacs(Protocol):
    """A DICOMweb server on the loopback interface that the twin starts and stops."""

    name: str

    @property
    def root(self) -> str:
        """DICOMweb root URL, without a trailing slash."""

    @property
    def token(self) -> str:
        """Bearer token that the server accepts."""

    def start(self) -> None:
        """Start it; returns when it answers."""

    def stop(self) -> None:
        """Stop it; what it stored stays."""


def kept_token(path: Path, token: str | None = None) -> str:
    """Return the token in a file that only its owner can read; made when it is not there.

    Parameters
    ----------
    token : str, optional
        Put into the file instead of the one that is there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if token or not path.exists():
        path.touch(mode=0o600)
        path.write_text(token or secrets.token_urlsafe(32))
    return path.read_text().strip()
