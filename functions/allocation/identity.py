"""Which model answers: the ward model has no file but its own source, and that is what its digest is of."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from fhir_adapter.prediction import ModelIdentity
from functions.allocation.fromfhir import PROPOSAL
from functions.allocation.ward.rules import Policy

__all__ = ["identity"]

HERE = Path(__file__).parent
VERSION = "1.0.0"
STATUS = "Research software, not a medical device. A proposal for a clinician to accept or reject."


@cache
def identity(policy: Policy | None = None) -> ModelIdentity:
    """Return the identity of the ward model under a policy; another policy is another digest."""
    digest = hashlib.sha256(repr(policy or Policy()).encode())
    for path in sorted((HERE / "ward").rglob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return ModelIdentity(
        name=PROPOSAL,
        version=VERSION,
        title="Ward plan",
        digest=digest.hexdigest(),
        kind="allocation",
        outcome={},
        outcome_text="No suitable bed",
        status=STATUS,
        card=(HERE / "card.md").read_text(encoding="utf-8"),
    )
