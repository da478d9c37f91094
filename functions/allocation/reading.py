"""Reading a house from a FHIR server: two batches, and the further pages of what is long."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from fhir_adapter.client import FhirClient
from fhir_adapter.codes import Json
from fhir_adapter.errors import FhirRejected
from functions.allocation.fromfhir import HouseRules, Reading, patient_queries, queries, read_house

__all__ = ["fetched"]

# What no plan can do without; servers may not know the rest.
NEEDED = frozenset({"Location", "Encounter", "Patient"})


def fetched(client: FhirClient, now: datetime, rules: HouseRules) -> Reading:
    """Read a house: the house in one batch, its patients in another.

    Raises
    ------
    FhirRejected
        Locations, Encounters or Patients cannot be searched.
    FhirUnavailable
    """
    resources = _all(client, queries(rules, now))
    resources += _all(client, patient_queries(resources, rules))
    return read_house(resources, now, rules)


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
