"""Primitive values (FHIR R4 datatypes.html#primitive, json.html#primitive)."""

from __future__ import annotations

import base64
import binascii
import math
import re
from calendar import monthrange
from decimal import Decimal
from functools import cache

from tests.validator.definitions import Definitions

LONGEST_STRING = 1024 * 1024
WHOLE = frozenset({"integer", "positiveInt", "unsignedInt"})
LARGEST_INTEGER = 2**31 - 1
TEXT = frozenset({"string", "markdown"})
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
DATED = frozenset({"date", "dateTime", "instant"})


def wrong_with(value: object, kind: str, definitions: Definitions) -> str | None:
    """Say what is wrong with a primitive value.

    Parameters
    ----------
    value : object
        From JSON.
    kind : str
        ``decimal``, ``code``, ...
    definitions : Definitions

    Returns
    -------
    str or None
        None when nothing is.
    """
    if kind == "boolean":
        return None if isinstance(value, bool) else f"not a {kind}"
    if kind == "decimal" or kind in WHOLE:
        return _number(value, kind)
    if not isinstance(value, str) or not value:
        return f"a {kind} is a JSON string that is not empty"
    return _text(value, kind, definitions)


def _text(value: str, kind: str, definitions: Definitions) -> str | None:
    if kind == "base64Binary":
        return _base64(value)
    pattern = definitions.primitives[kind]
    if pattern and not _compiled(pattern).fullmatch(value):
        return f"not a {kind}"
    if kind in TEXT and (CONTROL.search(value) or len(value) > LONGEST_STRING):
        return "a control character, or longer than 1 MB"
    if kind in DATED and not _on_the_calendar(value):
        return "a day that the calendar does not have"
    return None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    # \s of HL7's patterns is white space of ASCII: a no-break space is a letter to them
    return re.compile(pattern, re.ASCII)


def _number(value: object, kind: str) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return f"a {kind} is a JSON number"
    if kind == "decimal":
        return None if math.isfinite(value) else "not a finite number"
    if not isinstance(value, int):
        return f"a {kind} has no decimal point"
    lowest = {"integer": -LARGEST_INTEGER - 1, "unsignedInt": 0, "positiveInt": 1}[kind]
    return None if lowest <= value <= LARGEST_INTEGER else f"out of range for {kind}"


def _base64(value: str) -> str | None:
    try:
        base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        return "not base64"
    return None


def _on_the_calendar(value: str) -> bool:
    year, month, day = int(value[:4]), value[5:7], value[8:10]
    return not day or int(day) <= monthrange(year, int(month))[1]
