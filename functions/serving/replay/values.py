"""Values out of resources, in a form that is compared."""

from __future__ import annotations

from collections.abc import Iterator

from fhir_adapter.codes import Json
from functions.serving.replay.verdict import Pair

__all__ = ["bits", "code_of", "leaves"]


def code_of(part: Json) -> str:
    """Return the first code of a resource or a component."""
    codings = (part.get("code") or {}).get("coding") or [{}]
    return str(codings[0].get("code"))


def bits(number: object) -> str | None:
    """Return a number as hexadecimal floating point: two are equal if and only if every bit is."""
    return float(number).hex() if isinstance(number, int | float) and not isinstance(number, bool) else None


def leaves(place: str, written: object, expected: object) -> Iterator[Pair]:
    """Yield every value that is expected beside the one that is written; what is written besides is no matter."""
    if isinstance(expected, dict):
        known = written if isinstance(written, dict) else {}
        for key, value in expected.items():
            yield from leaves(f"{place}.{key}", known.get(key), value)
    elif isinstance(expected, list):
        there = written if isinstance(written, list) else []
        for number, value in enumerate(expected):
            yield from leaves(f"{place}[{number}]", there[number] if number < len(there) else None, value)
    elif bits(expected) is not None:
        yield place, bits(written), bits(expected)
    else:
        yield place, written, expected
