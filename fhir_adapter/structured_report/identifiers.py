"""Unique identifiers of what we write: the same key always gives the same UID (DICOM PS3.5, 9.1 and B.2)."""

from __future__ import annotations

import re
from uuid import UUID, uuid5

from fhir_adapter.structured_report.errors import StructuredReportError

__all__ = ["checked_uid", "uid_from"]

# Made once for this purpose; another namespace would give every object a new identity.
NAMESPACE = UUID("5d1c5cb4-4f4f-5f0c-9c1e-3a5f6f0e7b21")
_UID = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))+\Z")


def uid_from(*key: str) -> str:
    """Return the UID of an object that a key stands for.

    A name-based UUID (RFC 9562, 5.5) under the root ``2.25`` for UUIDs (PS3.5, B.2), so that writing the same result
    again writes the same object, and a store keeps one.

    Parameters
    ----------
    *key : str
        Parts of the key, such as a result's id and ``series``. The parts count, not only their sum of characters.

    Returns
    -------
    str
        At most 44 characters.
    """
    if not key:
        raise StructuredReportError("a UID needs a key")
    return f"2.25.{uuid5(NAMESPACE, ''.join(f'{len(part)}:{part}' for part in key)).int}"


def checked_uid(value: str, what: str) -> str:
    """Return a UID, checked for form and length (PS3.5, 9.1).

    Raises
    ------
    StructuredReportError
        Naming `what`.
    """
    if not isinstance(value, str) or len(value) > 64 or not _UID.match(value):
        raise StructuredReportError(f"{what} is not a UID")
    return value
