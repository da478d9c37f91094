"""The record as the EHR's own pages read it."""

from __future__ import annotations

from typing import Any

import httpx

from infra.local.ehrfront.sessions import CLINICIAN

__all__ = ["Record"]

Json = dict[str, Any]
MOST = 500


class Record:
    """Reads patients and encounters, with the EHR's own access.

    Parameters
    ----------
    fhir : httpx.Client
    """

    def __init__(self, fhir: httpx.Client) -> None:
        self._fhir = fhir

    def ensure_clinician(self) -> None:
        """Put the twin's clinician into the record where it is not there."""
        path = f"Practitioner/{CLINICIAN['id']}"
        if self._fhir.get(path).status_code != 200:
            self._fhir.put(path, json=CLINICIAN).raise_for_status()

    def patients(self) -> list[dict[str, str]]:
        """Return everybody, by name."""
        answer = self._fhir.get("Patient", params={"_count": str(MOST)})
        answer.raise_for_status()
        people = [_person(entry["resource"]) for entry in answer.json().get("entry", [])]
        return sorted(people, key=lambda person: (person["name"], person["id"]))

    def patient(self, identifier: str) -> dict[str, str] | None:
        """Return one, None when there is nobody of this id."""
        answer = self._fhir.get(f"Patient/{identifier}")
        return _person(answer.json()) if answer.status_code == 200 else None

    def encounter(self, patient: str) -> str | None:
        """Return the id of the latest encounter of a patient."""
        query = {"patient": patient, "_sort": "-date", "_count": "1"}
        answer = self._fhir.get("Encounter", params=query)
        entries = answer.json().get("entry", []) if answer.status_code == 200 else []
        return str(entries[0]["resource"]["id"]) if entries else None


def _person(patient: Json) -> dict[str, str]:
    name: Json = next(iter(patient.get("name", [])), {})
    spelt = name.get("text") or " ".join([*name.get("given", []), name.get("family", "")]).strip()
    return {
        "id": str(patient["id"]),
        "name": spelt or "Name not recorded",
        "born": patient.get("birthDate", "not recorded"),
        "sex": patient.get("gender", "not recorded"),
    }
