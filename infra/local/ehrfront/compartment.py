"""Whose is a resource? The Patient compartment as far as the twin's record needs it (FHIR R4 compartmentdefinition)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

__all__ = ["PATIENT_PARAMETERS", "SHARED", "belongs", "relative"]

Json = Mapping[str, Any]
Read = Callable[[str], Awaitable[Json | None]]

# About nobody in particular: read by whoever has the scope, written by no app of one patient.
SHARED = frozenset({"Device", "Location", "Medication", "Organization", "Practitioner", "PractitionerRole"})
PATIENT_PARAMETERS = ("patient", "subject")
WHOSE = ("subject", "patient", "beneficiary", "for", "individual")


def relative(reference: object, base: str) -> str:
    """Return a reference as ``Type/id``; another server's stays as it is."""
    return reference.removeprefix(f"{base}/") if isinstance(reference, str) else ""


async def belongs(resource: Json, patient: str, base: str, read: Read, *, writing: bool = False) -> bool:
    """Return whether a resource is of a patient, or of nobody where it is only read.

    Parameters
    ----------
    read : callable
        Reads another resource: a Provenance is its targets'.
    """
    kind = resource.get("resourceType")
    if kind == "Patient":
        return resource.get("id") == patient
    if kind in SHARED:
        return not writing
    if kind == "Provenance":
        targets = [relative(target.get("reference"), base) for target in resource.get("target", [])]
        found = [await read(target.partition("/_history/")[0]) for target in targets]
        return bool(found) and all(
            [one is not None and one.get("resourceType") != "Provenance" and await belongs(one, patient, base, read)
             for one in found]
        )  # fmt: skip
    named = [resource[name] for name in WHOSE if isinstance(resource.get(name), Mapping)]
    if not named:
        # a model card is about no patient
        return kind == "DocumentReference" and not writing
    return all(relative(one.get("reference"), base) == f"Patient/{patient}" for one in named)
