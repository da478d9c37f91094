"""Names of electrocardiographic leads, and the codes that stand for them (PS3.16, CID 3001)."""

from __future__ import annotations

import re

from pydicom.dataset import Dataset

from fhir_adapter.dicomfile import codes_of

__all__ = ["TWELVE", "lead_of"]

TWELVE = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
# ISO 11073-10101 (MDC) numbers its leads in the low part of 2:n, and SCP-ECG (EN 1064) those of 5.6.3-9-n like it.
_NUMBERS = {1: "I", 2: "II", 61: "III", 62: "aVR", 63: "aVL", 64: "aVF"} | {2 + n: f"V{n}" for n in range(1, 7)}
_CODES = (re.compile(r"2:(\d+)\Z"), re.compile(r"5\.6\.3-9-(\d+)\Z"))
_MEANING = re.compile(r"(?:Lead\s+)?(I|II|III|aVR|aVL|aVF|V[1-6])(?:\s*\(.*\))?\Z", re.IGNORECASE)
_SPELT = {name.upper(): name for name in TWELVE}


def lead_of(channel: Dataset) -> str | None:
    """Return the lead of a channel definition, by its code, or by the code's meaning where the code is local.

    Returns
    -------
    str or None
        One of `TWELVE`, or None for another lead.
    """
    for code in codes_of(channel, "ChannelSourceSequence"):
        for pattern in _CODES:
            if match := pattern.match(code.value):
                return _NUMBERS.get(int(match[1]))
        if match := _MEANING.match(code.meaning.strip()):
            return _SPELT[match[1].upper()]
    match = _MEANING.match(str(channel.get("ChannelLabel") or "").strip())
    return _SPELT[match[1].upper()] if match else None
