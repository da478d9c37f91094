"""How much an image server may send before it is no longer believed."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """Upper bounds of one answer; beyond any of them it is refused.

    Parameters
    ----------
    part : int
        Bytes of one part: an instance, a frame, an item of bulk data.
    header : int
        Bytes of the headers of one part.
    json : int
        Bytes of a JSON answer, decompressed.
    rows : int
        Rows of a whole search, all pages together.
    page : int
        Rows to ask for at once; servers refuse or cut larger pages.
    store : int
        Bytes of instances in one request to store, unless one alone is larger.
    """

    part: int = 512 * MIB
    header: int = 16 * 1024
    json: int = 64 * MIB
    rows: int = 100_000
    page: int = 200
    store: int = 64 * MIB
