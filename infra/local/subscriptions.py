"""The Subscription by which the twin's EHR tells of admissions, in R4 and in backport form."""

from __future__ import annotations

from fhir_adapter.codes import Json
from fhir_adapter.subscriptions import Dialect, Wanted, subscription

SUBSCRIPTION = "bedside-admissions"
CRITERIA = "Encounter?class=IMP"
# sekmet's own topic: an Encounter moved to in-progress.
ENCOUNTER_START = "http://sekmet.dev/fhir/SubscriptionTopic/encounter-start"


def rest_hook(endpoint: str, secret: str) -> Json:
    """Return an R4 Subscription with criteria (FHIR R4 subscription.html).

    Parameters
    ----------
    endpoint : str
        Where notifications go.
    secret : str
        Sent with each of them, as a bearer token.
    """
    return subscription(_wanted(endpoint, secret), Dialect.CRITERIA)


def topic_based(endpoint: str, secret: str, content: str) -> Json:
    """Return a topic-based Subscription (Subscriptions R5 Backport, R4 profile).

    Parameters
    ----------
    endpoint, secret : str
        As in :func:`rest_hook`.
    content : str
        ``empty``, ``id-only`` or ``full-resource``.
    """
    return subscription(_wanted(endpoint, secret, content), Dialect.BACKPORT)


def _wanted(endpoint: str, secret: str, content: str = "id-only") -> Wanted:
    return Wanted(
        id=SUBSCRIPTION,
        name="admissions",
        endpoint=endpoint,
        secret=secret,
        criteria=CRITERIA,
        topic=ENCOUNTER_START,
        content=content,
        timeout=None,
        max_count=None,
    )
