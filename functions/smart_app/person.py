"""Who a chart is about, for the banner (FHIR R4 patient.html)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from functions.smart_app.lenient import Json, array, object_of, objects

__all__ = ["Person", "person_of"]


@dataclass(frozen=True)
class Person:
    """Who the chart is about.

    Parameters
    ----------
    name, sex, born : str
        As on record, empty where nothing is.
    age : int or None
        Completed years today.
    numbers : tuple of str
        Identifiers that people use, such as the medical record number.
    deceased : bool
    """

    name: str
    sex: str
    born: str
    age: int | None
    numbers: tuple[str, ...]
    deceased: bool


def person_of(patient: Json, today: date) -> Person:
    """Return who a Patient is (FHIR R4 patient.html)."""
    names = [name for name in objects(patient.get("name")) if name.get("use") not in ("old", "nickname", "maiden")]
    name: Json = next(iter(sorted(names, key=lambda item: item.get("use") != "official")), {})
    given = [part for part in array(name.get("given")) if isinstance(part, str)]
    full = str(name.get("text") or " ".join([*given, str(name.get("family") or "")])).strip()
    numbers = [
        str(item["value"]) for item in objects(patient.get("identifier")) if item.get("value") and _is_record(item)
    ]
    born = str(patient.get("birthDate") or "")
    return Person(
        name=full,
        sex=str(patient.get("gender") or ""),
        born=born,
        age=_age(born, today),
        numbers=tuple(numbers[:2]),
        deceased=bool(patient.get("deceasedBoolean") or patient.get("deceasedDateTime")),
    )


def _is_record(identifier: Json) -> bool:
    codings = objects(object_of(identifier.get("type")).get("coding"))
    return any(coding.get("code") in ("MR", "PI") for coding in codings)


def _age(born: str, today: date) -> int | None:
    try:
        birth = date.fromisoformat(born)
    except ValueError:
        return None
    return today.year - birth.year - ((today.month, today.day) < (birth.month, birth.day))
