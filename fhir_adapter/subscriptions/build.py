"""The Subscription resource, in each dialect."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl
from uuid import uuid5

from fhir_adapter.codes import BACKPORT_PAYLOAD, BEDSIDE, FHIR_JSON, Json, coding
from fhir_adapter.errors import ConfigurationError
from fhir_adapter.subscriptions.offer import BACKPORT, PROFILE, Dialect
from fhir_adapter.tenants import SubscriptionEntry, Tenant

__all__ = ["Wanted", "header_of", "subscription", "subscription_id", "wanted_of"]

FILTER = f"{BACKPORT}/backport-filter-criteria"
HEARTBEAT = f"{BACKPORT}/backport-heartbeat-period"
TIMEOUT = f"{BACKPORT}/backport-timeout"
MAX_COUNT = f"{BACKPORT}/backport-max-count"
REST_HOOK = "http://terminology.hl7.org/CodeSystem/subscription-channel-type"
TIMEOUT_SECONDS = 30
EVENTS_IN_ONE = 100


@dataclass(frozen=True)
class Wanted:
    """A Subscription we want to have.

    Parameters
    ----------
    id : str
        Its id at the EHR, where we may choose it.
    name : str
        Its name in the tenant's description.
    endpoint : str
        Where notifications go.
    secret : str
        Sent with each of them, as a bearer token.
    criteria : str
        The search that defines it, ``Type?parameters``.
    topic : str or None
        Canonical URL of the SubscriptionTopic.
    filters : tuple of str
        Filters on the topic, ``Type?parameters`` each; the criteria when empty.
    content : str
        ``empty``, ``id-only`` or ``full-resource``.
    heartbeat, timeout, max_count : int or None
        Seconds between signs of life, seconds until a delivery counts as failed, and events in one notification.
    """

    id: str
    name: str
    endpoint: str
    secret: str = field(repr=False)
    criteria: str
    topic: str | None = None
    filters: tuple[str, ...] = ()
    content: str = "id-only"
    heartbeat: int | None = None
    timeout: int | None = TIMEOUT_SECONDS
    max_count: int | None = EVENTS_IN_ONE

    def __post_init__(self) -> None:
        if not self.endpoint.startswith(("https://", "http://")):
            raise ConfigurationError(f"subscription {self.name!r}: the endpoint must be an http(s) URL")
        if any(character in self.secret for character in "\r\n"):
            raise ConfigurationError(f"subscription {self.name!r}: the secret holds a line break")


def subscription_id(tenant: Tenant, entry: SubscriptionEntry) -> str:
    """Return the id of a tenant's Subscription: the one it names, else one that follows from the names."""
    if entry.reference:
        return entry.reference.removeprefix("Subscription/")
    return str(uuid5(BEDSIDE, f"subscription|{tenant.name}|{entry.name}"))


def wanted_of(tenant: Tenant, entry: SubscriptionEntry, endpoint: str) -> Wanted:
    """Return what a tenant's description asks for.

    Parameters
    ----------
    endpoint : str
        Base of the receiver's endpoints; ``/{tenant}/{subscription}`` is added.
    """
    return Wanted(
        id=subscription_id(tenant, entry),
        name=entry.name,
        endpoint=f"{endpoint.rstrip('/')}/{tenant.name}/{entry.name}",
        secret=entry.secret,
        criteria=entry.criteria,
        topic=entry.topic,
        filters=entry.filters,
        content=entry.payload,
        heartbeat=entry.heartbeat_seconds,
    )


def header_of(wanted: Wanted) -> str:
    """Return the header that the EHR is asked to send with each notification."""
    return f"Authorization: Bearer {wanted.secret}"


def subscription(wanted: Wanted, dialect: Dialect) -> Json:
    """Return the resource, status ``requested``, in a dialect."""
    if dialect is Dialect.R5:
        return _r5(wanted)
    resource = _r4(wanted)
    return _backport(resource, wanted) if dialect is Dialect.BACKPORT else resource


def _r4(wanted: Wanted) -> Json:
    """FHIR R4 subscription.html."""
    return {
        "resourceType": "Subscription",
        "id": wanted.id,
        "status": "requested",
        "reason": f"Tell Bedside about changes ({wanted.name})",
        "criteria": wanted.criteria,
        "channel": {
            "type": "rest-hook",
            "endpoint": wanted.endpoint,
            "payload": FHIR_JSON,
            "header": [header_of(wanted)],
        },
    }


def _backport(resource: Json, wanted: Wanted) -> Json:
    """hl7.fhir.uv.subscriptions-backport, R4/B Topic-Based Subscription: the topic where R4 has the criteria.

    Everything further is in the guide's own extensions; R5's cross-version extensions are not to be used beside them.
    """
    channel: Json = dict(resource["channel"])
    channel["_payload"] = {"extension": [{"url": BACKPORT_PAYLOAD, "valueCode": wanted.content}]}
    asked = (
        (HEARTBEAT, "valueUnsignedInt", wanted.heartbeat),
        (TIMEOUT, "valueUnsignedInt", wanted.timeout),
        (MAX_COUNT, "valuePositiveInt", wanted.max_count),
    )
    extensions = [{"url": url, kind: value} for url, kind, value in asked if value]
    if extensions:
        channel["extension"] = extensions
    filters = wanted.filters or (wanted.criteria,)
    return {
        **resource,
        "meta": {"profile": [PROFILE]},
        "criteria": wanted.topic,
        "_criteria": {"extension": [{"url": FILTER, "valueString": text} for text in filters]},
        "channel": channel,
    }


def _r5(wanted: Wanted) -> Json:
    """FHIR R5 subscription.html."""
    name, _, value = header_of(wanted).partition(": ")
    resource: Json = {
        "resourceType": "Subscription",
        "id": wanted.id,
        "status": "requested",
        "topic": wanted.topic,
        "reason": f"Tell Bedside about changes ({wanted.name})",
        "filterBy": [item for text in wanted.filters or (wanted.criteria,) for item in _filters(text)],
        "channelType": coding(REST_HOOK, "rest-hook"),
        "endpoint": wanted.endpoint,
        "parameter": [{"name": name, "value": value}],
        "contentType": FHIR_JSON,
        "content": wanted.content,
    }
    limits = {"heartbeatPeriod": wanted.heartbeat, "timeout": wanted.timeout, "maxCount": wanted.max_count}
    return {**resource, **{key: limit for key, limit in limits.items() if limit}}


def _filters(text: str) -> list[Json]:
    kind, _, query = text.partition("?")
    found = []
    for name, value in parse_qsl(query):
        parameter, _, modifier = name.partition(":")
        item = {"resourceType": kind, "filterParameter": parameter, "value": value}
        found.append({**item, "modifier": modifier} if modifier else item)
    return found
