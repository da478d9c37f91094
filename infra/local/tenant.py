"""The twin's hospital as the functions know it."""

from __future__ import annotations

from collections.abc import Mapping

from infra.local.studies import ARCHIVE
from infra.local.subscriptions import FEEDS
from infra.local.thyroid import LOCAL_CODES

__all__ = ["TENANT", "description"]

TENANT = "twin"


def description(
    fhir_base: str, dicomweb_root: str, token: str, secrets: Mapping[str, str], audit: str
) -> dict[str, object]:
    """Return the tenant's record, as it is kept in Secrets Manager.

    Parameters
    ----------
    fhir_base, dicomweb_root : str
        Of the EHR and of the image archive.
    token : str
        Bearer token that both accept.
    secrets : mapping of str to str
        What the EHR sends with notifications, by Subscription.
    audit : {"log", "ehr"}
        Where AuditEvents go.
    """
    return {
        "name": TENANT,
        "fhir_base": fhir_base,
        "dicomweb_root": dicomweb_root,
        "auth": {"type": "bearer", "token": token},
        "organization": "Bedside twin",
        "allow_private": True,
        "audit": audit,
        "concept_maps": [LOCAL_CODES],
        # Studies are told of here when they are whole: the counts in the ImagingStudy are enough of a gate.
        "study_stable_seconds": 0,
        "study_patience_seconds": 60,
        "imaging_results": "dicom",
        # No file here names who gave its Patient ID: they are all the archive's own.
        "patient_id_systems": {"": ARCHIVE},
        "subscriptions": {
            feed.name: {
                "secret": secrets[feed.name],
                "criteria": feed.criteria,
                "reference": f"Subscription/{feed.id}",
                "models": list(feed.models),
            }
            for feed in FEEDS
        },
    }
