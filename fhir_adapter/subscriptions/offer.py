"""What a server offers in Subscriptions, by its CapabilityStatement (FHIR R4 capabilitystatement.html)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fhir_adapter.codes import Json
from fhir_adapter.errors import ConfigurationError

__all__ = ["BACKPORT", "Dialect", "Offer", "read_offer"]

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
PROFILE = f"{BACKPORT}/backport-subscription"
TOPICS = f"{BACKPORT}/capabilitystatement-subscriptiontopic-canonical"


class Dialect(StrEnum):
    """How a Subscription is written."""

    CRITERIA = "criteria"
    """FHIR R4 subscription.html: a search as criteria, rest-hook channel."""
    BACKPORT = "backport"
    """Subscriptions R5 Backport (hl7.fhir.uv.subscriptions-backport) on R4 and R4B."""
    R5 = "r5"
    """FHIR R5 subscription.html."""


@dataclass(frozen=True)
class Offer:
    """What a server offers.

    Parameters
    ----------
    fhir_version : str
        As it says, ``4.0.1``; empty when it does not say.
    subscriptions : bool
        Whether it has the Subscription resource at all.
    backport : bool
        Whether it claims the Backport profile or lists topics.
    topics : tuple of str
        Canonical URLs of the SubscriptionTopics it lists.
    status, events : bool
        Whether it has the operations ``$status`` and ``$events``.
    update_create : bool
        Whether a client may choose a Subscription's id.
    """

    fhir_version: str
    subscriptions: bool
    backport: bool
    topics: tuple[str, ...]
    status: bool
    events: bool
    update_create: bool

    def dialect(self, topic: str | None, wished: str = "auto") -> Dialect:
        """Choose how to write a Subscription.

        Parameters
        ----------
        topic : str or None
            Canonical URL of the topic the tenant names.
        wished : {"auto", "criteria", "backport", "r5"}
            What a person asks for; ``auto`` takes topics where the server has the tenant's topic.

        Raises
        ------
        ConfigurationError
            The server offers no such thing; says what it does offer.
        """
        if not self.subscriptions:
            raise ConfigurationError("the server offers no Subscriptions; `bedside reconcile` finds changes without")
        topic_based = Dialect.R5 if self.fhir_version.startswith("5.") else Dialect.BACKPORT
        if topic_based is Dialect.R5 and wished in ("auto", Dialect.R5):
            return self._with_topic(Dialect.R5, topic)
        if wished == Dialect.R5 or (topic_based is Dialect.R5 and wished != "auto"):
            raise ConfigurationError(f"the server speaks FHIR {self.fhir_version}; {wished} is not of that version")
        if wished == Dialect.BACKPORT:
            return self._with_topic(Dialect.BACKPORT, topic)
        offered = topic is not None and self.backport and (not self.topics or topic in self.topics)
        return Dialect.BACKPORT if wished == "auto" and offered else Dialect.CRITERIA

    def _with_topic(self, dialect: Dialect, topic: str | None) -> Dialect:
        listed = f"; it lists {', '.join(self.topics)}" if self.topics else ""
        if topic is None:
            raise ConfigurationError(f"a topic-based Subscription needs a topic in the tenant's description{listed}")
        if dialect is Dialect.BACKPORT and not self.backport:
            raise ConfigurationError("the server does not claim the Subscriptions Backport profile")
        if self.topics and topic not in self.topics:
            raise ConfigurationError(f"the server does not have the topic {topic}{listed}")
        return dialect


def read_offer(statement: Json) -> Offer:
    """Read a CapabilityStatement; what it does not say counts as not offered, but for update-as-create."""
    rest = next((item for item in _dicts(statement.get("rest")) if item.get("mode", "server") == "server"), {})
    found = next((item for item in _dicts(rest.get("resource")) if item.get("type") == "Subscription"), None)
    resource: Json = found or {}
    topics = tuple(
        str(extension["valueCanonical"])
        for extension in _dicts(resource.get("extension"))
        if extension.get("url") == TOPICS and "valueCanonical" in extension
    )
    profiles = [str(profile).partition("|")[0] for profile in resource.get("supportedProfile") or []]
    operations = [*_dicts(resource.get("operation")), *_dicts(rest.get("operation"))]
    return Offer(
        fhir_version=str(statement.get("fhirVersion") or ""),
        subscriptions=found is not None,
        backport=PROFILE in profiles or bool(topics),
        topics=topics,
        status=_has(operations, "status"),
        events=_has(operations, "events"),
        update_create=resource.get("updateCreate") is not False,
    )


def _has(operations: list[Json], name: str) -> bool:
    return any(
        str(operation.get("name", "")).lstrip("$") == name
        or str(operation.get("definition", "")).partition("|")[0].endswith(f"subscription-{name}")
        for operation in operations
    )


def _dicts(value: Any) -> list[Json]:
    return list(_only(value)) if isinstance(value, list) else []


def _only(values: list[Any]) -> Iterator[Json]:
    return (value for value in values if isinstance(value, dict))
