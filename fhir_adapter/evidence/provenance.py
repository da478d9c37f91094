"""Where a result comes from (AI Transparency on FHIR, AI-Provenance).

It names everything that replaying needs: every input at the version that was read, the model, and its card. It is a
record that software keeps and not a judgement of the AI, so its meta holds no label; its reason does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from fhir_adapter.codes import (
    AI_ASSERTED,
    AI_PROVENANCE_PROFILE,
    DICOM_UID,
    MODEL_TAG,
    PROVENANCE_PARTICIPANT,
    V3_DATA_OPERATION,
    Json,
    coding,
    concept,
)
from fhir_adapter.evidence.device import ARTIFICIAL_INTELLIGENCE, card_id, device_id
from fhir_adapter.prediction import ImageSource, ModelIdentity, ResultContext

__all__ = ["provenance", "recorded_file"]

_FILE = re.compile(r"DICOM instance, SHA-256 ([0-9a-f]{64})\Z")


def provenance(
    results: Sequence[Json],
    context: ResultContext,
    model: ModelIdentity,
    identifier: str,
    now: datetime,
    replaces: Sequence[str] = (),
) -> Json:
    """Return the Provenance of the results.

    Parameters
    ----------
    results : sequence of dict
        Its targets.
    context : ResultContext
        Its entities of role ``source``: resources, then DICOM instances.
    replaces : sequence of str
        References of earlier results that these revise.
    """
    recorded = now.isoformat(timespec="milliseconds")
    entities = [("source", source.reference) for source in context.sources]
    if model.card:
        entities.append(("derivation", f"DocumentReference/{card_id(model)}"))
    entities += [("revision", reference) for reference in replaces]
    files = [{"role": "source", "what": _file(image)} for image in context.images]
    resource: Json = {
        "resourceType": "Provenance",
        "id": identifier,
        "meta": {"profile": [AI_PROVENANCE_PROFILE], "tag": [coding(MODEL_TAG, model.name)]},
        "target": [{"reference": f"{result['resourceType']}/{result['id']}"} for result in results],
        "occurredDateTime": recorded,
        "recorded": recorded,
        "reason": [{"coding": [AI_ASSERTED]}],
        "activity": concept(V3_DATA_OPERATION, "CREATE", "create"),
        "agent": [
            {
                "type": concept(PROVENANCE_PARTICIPANT, "author", "Author"),
                "role": [ARTIFICIAL_INTELLIGENCE],
                "who": {"reference": f"Device/{device_id(model)}"},
                "onBehalfOf": {"display": context.organization},
            }
        ],
    }
    if entities or files:
        named = [{"role": role, "what": {"reference": reference}} for role, reference in entities]
        resource["entity"] = [*named, *files]
    return resource


def _file(image: ImageSource) -> Json:
    """A DICOM instance by its UID (FHIR R4 imagingstudy.html, identifiers of instances); it is no resource."""
    identifier = {"system": DICOM_UID, "value": f"urn:oid:{image.sop_instance}"}
    return {"identifier": identifier, "display": f"DICOM instance, SHA-256 {image.sha256}"}


def recorded_file(what: Json) -> tuple[str, str] | None:
    """Return the UID and the SHA-256 of a DICOM instance that a Provenance names; None when it names none."""
    identifier = what.get("identifier") or {}
    digest = _FILE.match(str(what.get("display")))
    if identifier.get("system") != DICOM_UID or not digest:
        return None
    return str(identifier.get("value")).removeprefix("urn:oid:"), digest[1]
