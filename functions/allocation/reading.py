"""Reading a house from a FHIR server: two batches, and the further pages of what is long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fhir_adapter.client import FhirClient
from fhir_adapter.codes import Json
from fhir_adapter.errors import FhirRejected
from functions.allocation.fromfhir import HouseRules, Reading, patient_queries, queries, read_house

__all__ = ["Fetched", "fetch", "fetched"]

# What no plan can do without; servers may not know the rest.
NEEDED = frozenset({"Location", "Encounter", "Patient"})


@dataclass(frozen=True)
class Fetched:
    """What was read, and what an audit must know of it.

    Parameters
    ----------
    reading : Reading
    patients : tuple of str
        Whose records were read: ``Patient/{id}`` each, sorted.
    asked : tuple of str
        The searches, relative to the FHIR base.
    """

    reading: Reading
    patients: tuple[str, ...]
    asked: tuple[str, ...]


def fetch(client: FhirClient, now: datetime, rules: HouseRules) -> Fetched:
    """Read a house: the house in one batch, its patients in another.

    Raises
    ------
    FhirRejected
        Locations, Encounters or Patients cannot be searched.
    FhirUnavailable
    """
    of_house = queries(rules, now)
    resources = _all(client, of_house)
    of_patients = patient_queries(resources, rules)
    resources += _all(client, of_patients)
    patients = {f"Patient/{item.get('id')}" for item in resources if item.get("resourceType") == "Patient"}
    return Fetched(read_house(resources, now, rules), tuple(sorted(patients)), (*of_house, *of_patients))


def fetched(client: FhirClient, now: datetime, rules: HouseRules) -> Reading:
    """Return what :func:`fetch` read of a house."""
    return fetch(client, now, rules).reading


def _all(client: FhirClient, asked: Sequence[str]) -> list[Json]:
    found: list[Json] = []
    for query, answer in zip(asked, client.batch(asked) if asked else (), strict=True):
        kind = query.partition("?")[0]
        if answer.status >= 400 or answer.resource is None:
            if kind in NEEDED:
                raise FhirRejected(f"the FHIR server does not let {kind} be searched", answer.status)
            continue
        found += client.complete(answer.resource)
    return found
