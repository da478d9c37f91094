"""Why a data set is not for a model: a value with a reason that may be counted and words for a person."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydicom.dataset import Dataset

__all__ = ["Code", "Refusal", "RefusalReason", "codes_of", "is_uid", "shown"]

# A code string (PS3.5, 6.2): what is not one may be anything, a name included, and is not repeated.
_CODE_STRING = re.compile(r"[A-Z0-9_ ]{1,16}\Z")


# PS3.5, 9.1: components without leading zeros, 64 characters at most.
_UID = re.compile(r"(?=.{1,64}\Z)(0|[1-9]\d*)(\.(0|[1-9]\d*))+\Z")


# Three designators of SNOMED RT (PS3.16, 8.1).
_SAME_SCHEME = {"SNM3": "SRT", "99SDM": "SRT"}


@dataclass(frozen=True)
class Code:
    """A coded concept (PS3.3, section 8). Two are equal when value and scheme are; the meaning is for reading.

    pydicom has one that knows which SNOMED RT and CT codes are the same, and takes a tenth of a second to import.

    Parameters
    ----------
    value, scheme : str
        Code Value and Coding Scheme Designator.
    meaning : str
        Code Meaning.
    """

    value: str
    scheme: str
    meaning: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scheme", _SAME_SCHEME.get(self.scheme, self.scheme))


class RefusalReason(StrEnum):
    """Stable codes."""

    SOP_CLASS = "sop-class"
    MODALITY = "modality"
    VIEW = "view"
    BODY_PART = "body-part"
    LATERALITY = "laterality"
    AGE = "age"
    FOR_PROCESSING = "for-processing"
    SECONDARY_CAPTURE = "secondary-capture"
    BURNED_IN_ANNOTATION = "burned-in-annotation"
    PHOTOMETRIC = "photometric-interpretation"
    NO_WAVEFORM = "no-waveform"
    LEADS = "leads"
    DURATION = "duration"
    SAMPLING_FREQUENCY = "sampling-frequency"
    GAPS = "gaps"


@dataclass(frozen=True)
class Refusal:
    """A data set that a contract does not cover.

    Parameters
    ----------
    reason : RefusalReason
        The stable code.
    detail : str
        What the contract wants and what the file says, in words; never a patient's value.
    """

    reason: RefusalReason
    detail: str


def shown(value: Any) -> str:
    """Return a code string as it is, and anything else as words that give nothing away."""
    text = str(value or "")
    if not text:
        return "nothing"
    return text if _CODE_STRING.match(text) else "something that is no code"


def is_uid(text: str) -> bool:
    """Return whether a text is a unique identifier (PS3.5, 9.1)."""
    return _UID.match(text) is not None


def codes_of(dataset: Dataset, keyword: str) -> list[Code]:
    """Return the codes in a code sequence; items without a value or a scheme are passed over."""
    found = []
    for item in dataset.get(keyword) or ():
        value = item.get("CodeValue") or item.get("LongCodeValue") or item.get("URNCodeValue")
        scheme = item.get("CodingSchemeDesignator")
        if value and scheme:
            found.append(Code(str(value), str(scheme), str(item.get("CodeMeaning") or "")))
    return found
