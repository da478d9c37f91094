"""uuids of cards and suggestions, by which feedback finds its way back to the model without anything being kept.

UUIDs of version 8 (RFC 9562, 5.8): the first 48 bits are those of the model file's digest, the others a hash of the
call, so that a call that is repeated gives the same cards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from uuid import UUID

from fhir_adapter.prediction import ModelIdentity

__all__ = ["card_uuid", "model_of"]

PREFIX = 12
VERSION = 8


def card_uuid(model: ModelIdentity, *parts: str) -> str:
    """Return the uuid of what a model says in one call.

    Parameters
    ----------
    parts : str
        Tenant, service, hookInstance, and what tells several of one call apart.
    """
    told = hashlib.sha256("\x00".join((model.digest, *parts)).encode()).hexdigest()
    # the four bits after the version's group are the variant's (RFC 9562, 4.1)
    return str(UUID(f"{model.digest[:PREFIX]}{VERSION}{told[:3]}8{told[3:18]}"))


def model_of(uuid: str, models: Iterable[ModelIdentity]) -> ModelIdentity | None:
    """Return the model that a card is of, None when it is none of these."""
    named = UUID(uuid)
    if named.version != VERSION:
        return None
    return next((model for model in models if model.digest[:PREFIX] == named.hex[:PREFIX]), None)
