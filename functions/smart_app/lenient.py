"""Reading JSON that somebody else wrote: what is not of the shape that it should be is as if it were not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["Json", "array", "number_of", "object_of", "objects"]

Json = Mapping[str, Any]
LARGEST = 1e12


def objects(found: object) -> Iterator[Json]:
    """Yield the objects of an array."""
    return (item for item in array(found) if isinstance(item, Mapping))


def array(found: object) -> Sequence[Any]:
    """Return an array."""
    return found if isinstance(found, list) else ()


def object_of(found: object) -> Json:
    """Return an object."""
    return found if isinstance(found, Mapping) else {}


def number_of(found: object) -> float | None:
    """Return a number of a size that a chart may hold."""
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return float(found) if abs(found) < LARGEST else None
