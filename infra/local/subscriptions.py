"""The Subscription by which the EHR tells of admissions, in R4 and in backport form."""

from __future__ import annotations

from typing import Any

SUBSCRIPTION = "bedside-admissions"
CRITERIA = "Encounter?class=IMP"
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
# sekmet's own topic: an Encounter moved to in-progress.
ENCOUNTER_START = "http://sekmet.dev/fhir/SubscriptionTopic/encounter-start"


def rest_hook(endpoint: str, secret: str) -> dict[str, Any]:
    """Return an R4 Subscription with criteria (FHIR R4 subscription.html).

    Parameters
    ----------
    endpoint : str
        Where notifications go.
    secret : str
        Sent with each of them, as a bearer token.
    """
    return {
        "resourceType": "Subscription",
        "id": SUBSCRIPTION,
        "status": "requested",
        "reason": "Tell Bedside about hospital admissions",
        "criteria": CRITERIA,
        "channel": {
            "type": "rest-hook",
            "endpoint": endpoint,
            "payload": "application/fhir+json",
            "header": [f"Authorization: Bearer {secret}"],
        },
    }


def topic_based(endpoint: str, secret: str, content: str) -> dict[str, Any]:
    """Return a topic-based Subscription (Subscriptions R5 Backport, R4 profile).

    Parameters
    ----------
    endpoint, secret : str
        As in :func:`rest_hook`.
    content : str
        ``empty``, ``id-only`` or ``full-resource``.
    """
    subscription = rest_hook(endpoint, secret)
    channel = {
        **subscription["channel"],
        "_payload": {"extension": [{"url": f"{BACKPORT}/backport-payload-content", "valueCode": content}]},
    }
    filters = [{"url": f"{BACKPORT}/backport-filter-criteria", "valueString": CRITERIA}]
    return {
        **subscription,
        "meta": {"profile": [f"{BACKPORT}/backport-subscription"]},
        "criteria": ENCOUNTER_START,
        "_criteria": {"extension": filters},
        "channel": channel,
    }
