"""The subscriptions of a tenant: what may notify us, and how it shows who it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fhir_adapter.errors import ConfigurationError

__all__ = ["MIN_SECRET_LENGTH", "SubscriptionEntry"]

MIN_SECRET_LENGTH = 16
PAYLOADS = ("empty", "id-only", "full-resource")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
_KNOWN = frozenset(
    {"secret", "criteria", "reference", "models", "hmac_secret", "signature_header"}
    | {"topic", "filters", "payload", "heartbeat_seconds"}
)


@dataclass(frozen=True)
class SubscriptionEntry:
    """One subscription of a tenant that may notify us.

    Parameters
    ----------
    name : str
        Name in the endpoint's path.
    secret : str
        What the EHR sends as ``Authorization: Bearer`` (conveyed by Subscription.channel.header).
    criteria : str
        The search that defines it, ``Type?parameters`` (R4 Subscription.criteria).
    reference : str or None
        ``Subscription/{id}`` at the EHR; when given, a notification bundle must name it.
    models : tuple of str
        Names of the model packages that answer its events.
    hmac_secret : str or None
        When given, the EHR also signs each body with it (HMAC-SHA256), and an unsigned one is refused.
    signature_header : str
        Header that carries the signature.
    topic : str or None
        Canonical URL of the SubscriptionTopic, where the EHR is topic based.
    filters : tuple of str
        Filters on the topic, ``Type?parameters`` each (Backport: backport-filter-criteria).
    payload : {"empty", "id-only", "full-resource"}
        What the EHR is asked to send.
    heartbeat_seconds : int or None
        How often the EHR is asked to show that it is alive.
    """

    name: str
    secret: str = field(repr=False)
    criteria: str
    reference: str | None
    models: tuple[str, ...]
    hmac_secret: str | None = field(default=None, repr=False)
    signature_header: str = "X-Signature"
    topic: str | None = None
    filters: tuple[str, ...] = ()
    payload: Literal["empty", "id-only", "full-resource"] = "id-only"
    heartbeat_seconds: int | None = None

    def __post_init__(self) -> None:
        for key, secret in (("secret", self.secret), ("hmac_secret", self.hmac_secret)):
            if secret is not None and len(secret) < MIN_SECRET_LENGTH:
                raise ConfigurationError(
                    f"subscription {self.name!r}: the {key} needs at least {MIN_SECRET_LENGTH} characters"
                )
        for key, criteria in (("criteria", self.criteria), *(("filters", found) for found in self.filters)):
            if not criteria or not criteria[0].isupper():
                raise ConfigurationError(f"subscription {self.name!r}: {key} must read Type?parameters")
        if not _HEADER_NAME.match(self.signature_header):
            raise ConfigurationError(f"subscription {self.name!r}: signature_header is not the name of a header")
        if self.payload not in PAYLOADS:
            raise ConfigurationError(f"subscription {self.name!r}: payload must be one of {', '.join(PAYLOADS)}")
        if self.heartbeat_seconds is not None and self.heartbeat_seconds <= 0:
            raise ConfigurationError(f"subscription {self.name!r}: heartbeat_seconds must be positive")

    @classmethod
    def from_dict(cls, name: str, data: Mapping[str, Any]) -> SubscriptionEntry:
        """Read a subscription from its JSON form.

        Raises
        ------
        KeyError, TypeError, ConfigurationError
            A key that is missing, not known or wrong; never a secret's value.
        """
        unknown = sorted(set(data) - _KNOWN)
        if unknown:
            # A misspelt hmac_secret would leave the door open.
            raise ConfigurationError(f"subscription {name!r}: keys that are not known: {', '.join(map(str, unknown))}")
        heartbeat = data.get("heartbeat_seconds")
        return cls(
            name=name,
            secret=data["secret"],
            criteria=data["criteria"],
            reference=data.get("reference"),
            models=tuple(data["models"]),
            hmac_secret=data.get("hmac_secret"),
            signature_header=data.get("signature_header", "X-Signature"),
            topic=data.get("topic"),
            filters=tuple(data.get("filters", ())),
            payload=data.get("payload", "id-only"),
            heartbeat_seconds=None if heartbeat is None else int(heartbeat),
        )
