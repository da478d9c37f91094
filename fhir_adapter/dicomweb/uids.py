"""Unique identifiers (DICOM PS3.5, 9.1), and where an instance is found by them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fhir_adapter.dicomweb.errors import InvalidUid

__all__ = ["InstancePath", "checked_uid"]

LONGEST = 64
_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+\Z")


def checked_uid(value: object, what: str = "UID") -> str:
    """Return a UID that is one.

    Components are digits without leading zeros, at most 64 characters in all. Whatever passes is also a plain
    segment of a URL and a plain name of a file.

    Parameters
    ----------
    value : object
        As it came.
    what : str
        What it is the UID of, for the error. The value itself is not shown: it may be anything.

    Raises
    ------
    InvalidUid
    """
    if not isinstance(value, str) or len(value) > LONGEST or not value.isascii() or not _UID.match(value):
        raise InvalidUid(f"the {what} is not a UID (DICOM PS3.5, 9.1)")
    return value


@dataclass(frozen=True, order=True)
class InstancePath:
    """Where an instance is: its study, its series, itself.

    Parameters
    ----------
    study, series, instance : str
        Study, Series and SOP Instance UID.

    Raises
    ------
    InvalidUid
    """

    study: str
    series: str
    instance: str

    def __post_init__(self) -> None:
        checked_uid(self.study, "Study Instance UID")
        checked_uid(self.series, "Series Instance UID")
        checked_uid(self.instance, "SOP Instance UID")

    @property
    def resource(self) -> str:
        """The path of its DICOMweb resource under the root (PS3.18, 10.1)."""
        return f"studies/{self.study}/series/{self.series}/instances/{self.instance}"
