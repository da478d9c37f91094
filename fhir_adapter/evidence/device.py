"""The model as a Device, and its card as a DocumentReference (AI Transparency on FHIR: AI-Device, AI-ModelCard).

Neither is labelled as AI-asserted: people made the model and software of no judgement writes these two.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from uuid import uuid5

from fhir_adapter.codes import (
    AI_DEVICE_PROFILE,
    AI_DEVICE_TYPE,
    AI_INPUTS,
    AI_KIND,
    AI_MODEL_CARD_OF,
    AI_MODEL_CARD_PROFILE,
    BEDSIDE,
    MODEL_IDENTIFIER,
    MODEL_TAG,
    Json,
    coding,
    concept,
)
from fhir_adapter.prediction import ModelIdentity

__all__ = ["ARTIFICIAL_INTELLIGENCE", "card_id", "device", "device_id", "digest_of", "model_card"]

# The profiles fix this concept exactly, so it has no display.
ARTIFICIAL_INTELLIGENCE = concept(AI_DEVICE_TYPE, "Artificial-Intelligence")
KINDS = {
    "allocation": ("Rule-Based-Systems", "Population-Health-and-Operations"),
    "diagnosis": ("Machine-Learning-Models", "Intelligent-Diagnosis-and-Treatment"),
    "survival": ("Machine-Learning-Models", "AI-for-Structured-Clinical-Data"),
}


def device_id(model: ModelIdentity) -> str:
    """Return the id of the Device that stands for a model file."""
    return str(uuid5(BEDSIDE, f"device|{model.digest}"))


def card_id(model: ModelIdentity) -> str:
    """Return the id of the DocumentReference with a model's card; another text is another document."""
    digest = hashlib.sha256(model.card.encode()).hexdigest()
    return str(uuid5(BEDSIDE, f"card|{model.digest}|{digest}"))


def digest_of(found: Json) -> str | None:
    """Return the SHA-256 of the model file a Device stands for, or None when it is not one of ours."""
    for identifier in found.get("identifier") or []:
        if identifier.get("system") == MODEL_IDENTIFIER:
            return str(identifier.get("value", "")).rpartition("|")[2] or None
    return None


def device(model: ModelIdentity, organization: str) -> Json:
    """Return the Device of a model.

    Parameters
    ----------
    model : ModelIdentity
        Its identifier holds name, version and digest.
    organization : str
        Who runs it, as its owner.
    """
    kinds = model.ai_kinds or KINDS.get(model.kind, ("Machine-Learning-Models",))
    extensions = [{"url": AI_KIND, "valueCodeableConcept": concept(AI_DEVICE_TYPE, kind)} for kind in kinds]
    if model.card:
        card = {"reference": f"DocumentReference/{card_id(model)}"}
        extensions.append({"url": AI_MODEL_CARD_OF, "valueReference": card})
    return {
        "resourceType": "Device",
        "id": device_id(model),
        "meta": {"profile": [AI_DEVICE_PROFILE], "tag": [coding(MODEL_TAG, model.name)]},
        "extension": extensions,
        "identifier": [{"system": MODEL_IDENTIFIER, "value": f"{model.name}|{model.version}|{model.digest}"}],
        "status": "active",
        "manufacturer": model.manufacturer,
        "deviceName": [{"name": model.title, "type": "user-friendly-name"}],
        "modelNumber": model.name,
        "type": ARTIFICIAL_INTELLIGENCE,
        "version": [
            {"type": {"text": "model"}, "value": model.version},
            {"type": {"text": "SHA-256 of the model file"}, "value": model.digest},
        ],
        "owner": {"display": organization},
        "note": [{"text": model.status}],
    }


def model_card(model: ModelIdentity, organization: str, now: datetime) -> Json:
    """Return the DocumentReference with a model's card as Markdown.

    Size and hash are those of the text itself; R4 wants a SHA-1 there (FHIR R4 datatypes.html#Attachment), for
    integrity in transit and not as a signature.
    """
    content = model.card.encode()
    digest = hashlib.sha1(content, usedforsecurity=False).digest()
    return {
        "resourceType": "DocumentReference",
        "id": card_id(model),
        "meta": {"profile": [AI_MODEL_CARD_PROFILE], "tag": [coding(MODEL_TAG, model.name)]},
        "identifier": [{"system": MODEL_IDENTIFIER, "value": f"{model.name}|{model.version}|card|{card_id(model)}"}],
        "status": "current",
        "type": concept(AI_INPUTS, "AIModelCard", "AI Model-Card"),
        "category": [concept(AI_INPUTS, "AIModelCardMarkdownFormat", "Markdown Format")],
        "date": now.isoformat(timespec="milliseconds"),
        "custodian": {"display": organization},
        "description": f"Model card: {model.title} {model.version}",
        "content": [
            {
                "attachment": {
                    "contentType": "text/markdown",
                    "language": "en",
                    "data": base64.b64encode(content).decode(),
                    "size": len(content),
                    "hash": base64.b64encode(digest).decode(),
                    "title": f"{model.name} {model.version} card.md",
                }
            }
        ],
    }
