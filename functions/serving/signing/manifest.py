"""What is signed: the digest of every file of a package."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from functions.serving.errors import ModelRefused

__all__ = ["SIGNATURE", "TYPE", "Signed", "digests"]

SIGNATURE = "model.jws"
# RFC 8725, 3.11: a token that a publisher signed for another purpose is not a signature of a package.
TYPE = "bedside-package+jws"


@dataclass(frozen=True)
class Signed:
    """What a publisher signed.

    Parameters
    ----------
    name, version : str
        Of the package.
    kid : str
        The publisher's key.
    files : mapping of str to str
        Hexadecimal SHA-256 by path in the folder, with ``/``.
    """

    name: str
    version: str
    kid: str
    files: Mapping[str, str]


def digests(folder: Path, rule: str = "file") -> dict[str, str]:
    """Return the SHA-256 of every file of a package but its signature, by path, in order.

    Raises
    ------
    ModelRefused
        By `rule`: something in the folder is not a plain file, or cannot be read.
    """
    found: dict[str, str] = {}
    for path in sorted(_walk(folder)):
        name = path.relative_to(folder).as_posix()
        if name == SIGNATURE:
            continue
        if path.is_symlink() or not path.is_file():
            raise ModelRefused(folder.name, rule, f"{name} is not a plain file")
        try:
            with path.open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            raise ModelRefused(folder.name, rule, f"{name} is not readable") from None
    return found


def _walk(folder: Path) -> list[Path]:
    """Return everything below a folder that is not a folder; a link to a folder is not followed."""
    found = []
    for root, folders, files in os.walk(folder):
        here = Path(root)
        found += [here / name for name in files]
        found += [here / name for name in folders if (here / name).is_symlink()]
    return found
