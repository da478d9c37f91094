"""Dates and times of DICOM (PS3.5, 6.2: DA and TM) as dateTime of FHIR (R4 datatypes.html#dateTime)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo

from fhir_adapter.codes import Json
from fhir_adapter.dicomweb.rows import text_of

__all__ = ["date_time"]

_DATE = re.compile(r"([0-9]{4})[.]?([0-9]{2})[.]?([0-9]{2})\Z")  # with dots: ACR-NEMA, still around
_TIME = re.compile(r"([0-9]{2}):?([0-9]{2})?:?([0-9]{2})?(?:\.[0-9]{1,6})?\Z")
_OFFSET = re.compile(r"([+-])([0-9]{2})([0-9]{2})\Z")


def date_time(dataset: Json, date_tag: str, time_tag: str, zone: tzinfo | None) -> str | None:
    """Return a date, with its time where the offset is known, None where there is no valid date.

    The offset is that of the data set (Timezone Offset From UTC, 0008,0201), else that of `zone`: a dateTime with a
    time must have one.
    """
    date = _DATE.match(text_of(dataset, date_tag) or "")
    if date is None:
        return None
    time = _TIME.match(text_of(dataset, time_tag) or "")
    known = _offset(text_of(dataset, "00080201") or "") or zone
    year, month, day = map(int, date.groups())
    hour, minute, second = (int(part or 0) for part in time.groups()) if time else (0, 0, 0)
    try:
        # A leap second is the 60th in both standards; Python has none.
        found = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=known)
    except ValueError:
        return None
    return found.isoformat() if time and known else found.date().isoformat()


def _offset(text: str) -> tzinfo | None:
    match = _OFFSET.match(text)
    if match is None or int(match[2]) > 14 or int(match[3]) > 59:
        return None
    offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return timezone(-offset if match[1] == "-" else offset)
