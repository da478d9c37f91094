"""Whose image it is: what a file says of its patient, held against the patient who is asked about.

A reference in the EHR leads to a study, and references go wrong: a study filed under another patient, a wrong entry of
the worklist. A file that contradicts the patient is not scored. Names are not compared: they are spelled in too many
ways, and change.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from fhir_adapter.codes import Json
from fhir_adapter.dicomfile import is_uid, sound

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["Whose"]

SEXES = {"M": "male", "F": "female"}
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+\Z")


@dataclass(frozen=True)
class Whose:
    """The patient who is asked about.

    Parameters
    ----------
    patient : dict
        Patient (FHIR R4).
    systems : mapping of str to str
        The tenant's: from an issuer of patient ids, as files name it, to the system of the same ids in
        Patient.identifier. The empty issuer stands for files that name none.
    """

    patient: Json
    systems: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """Changes with the tenant's systems, on which an answer depends; empty without any."""
        if not self.systems:
            return ""
        told = "|".join(f"{issuer}={system}" for issuer, system in sorted(self.systems.items()))
        return f"patient-id-systems@{hashlib.sha256(told.encode()).hexdigest()}"

    @sound("patient")
    def contradicted(self, dataset: Dataset) -> str:
        """Return what of a file's patient is not this patient's, in words without any value; empty when nothing is.

        Contradictions are: a full date of birth or a sex (male, female) that both sides tell, and that differ; a
        Patient ID of a system in which the patient has an identifier, and none that the file tells; and, where the
        tenant names the system of the file's Patient ID, no identifier in common at all (PS3.3, C.7.1.1).

        Raises
        ------
        DicomDamaged
            An attribute is not what the standard makes it.
        """
        wrong = [*self._identifier(dataset), *self._birth_date(dataset), *self._sex(dataset)]
        return " and ".join(wrong)

    def _identifier(self, dataset: Dataset) -> Iterator[str]:
        known = set(_identifiers(self.patient))
        told = [pair for item in _items(dataset) for pair in self._told(item)]
        if known & set(told):
            return
        systems = {system for system, _ in known}
        if any(system in systems for system, value in told if value) or self._named(dataset):
            yield "Patient ID"

    def _told(self, item: Dataset) -> Iterator[tuple[str, str]]:
        value = _text(item, "PatientID")
        for issuer in _issuers(item):
            system = self.systems.get(issuer) or _system(issuer)
            if system:
                yield system, value

    def _named(self, dataset: Dataset) -> bool:
        return any(issuer in self.systems for issuer in _issuers(dataset))

    def _birth_date(self, dataset: Dataset) -> Iterator[str]:
        # ACR-NEMA wrote 1997.04.24; a date that is none tells nothing
        told = _text(dataset, "PatientBirthDate").replace(".", "")
        known = str(self.patient.get("birthDate") or "").replace("-", "")
        if _is_date(told) and known and not told.startswith(known):
            yield "birth date"

    def _sex(self, dataset: Dataset) -> Iterator[str]:
        told, known = SEXES.get(_text(dataset, "PatientSex")), self.patient.get("gender")
        if told and known in SEXES.values() and told != known:
            yield "sex"


def _identifiers(patient: Json) -> Iterator[tuple[str, str]]:
    for item in patient.get("identifier") or ():
        if isinstance(item, dict) and item.get("system") and item.get("value"):
            yield str(item["system"]), str(item["value"]).strip()


def _items(dataset: Dataset) -> Iterator[Dataset]:
    yield dataset
    yield from dataset.get("OtherPatientIDsSequence") or ()


def _issuers(item: Dataset) -> list[str]:
    """Who gave an id: a local name, a universal one, or both (PS3.3, table 10-18); [""] when nobody is named."""
    named = [_text(item, "IssuerOfPatientID")]
    for qualifier in item.get("IssuerOfPatientIDQualifiersSequence") or ():
        named.append(_text(qualifier, "UniversalEntityID"))
    return [name for name in named if name] or [""]


def _system(issuer: str) -> str:
    """An issuer that is an OID or a URI is the system itself (FHIR R4, Identifier.system)."""
    if is_uid(issuer) and "." in issuer:
        return f"urn:oid:{issuer}"
    return issuer if _URI.match(issuer) else ""


def _text(dataset: Dataset, keyword: str) -> str:
    value: Any = dataset.get(keyword)
    return "" if value is None else str(value).strip()


def _is_date(text: str) -> bool:
    if not re.fullmatch(r"\d{8}", text):
        return False
    try:
        date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return False
    return True
