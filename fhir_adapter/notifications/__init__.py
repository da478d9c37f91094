"""Notifications of FHIR Subscriptions, in the dialects EHRs send, as one :class:`Notification`.

- R4 rest-hook (FHIR R4 subscription.html): an empty POST to the endpoint; with a payload
  ``PUT {endpoint}/{Type}/{id}``; several servers send ``POST {endpoint}`` with the resource instead, or tell a
  deletion by ``DELETE {endpoint}/{Type}/{id}``.
- Subscriptions R5 Backport for R4 and R4B (hl7.fhir.uv.subscriptions-backport): a ``history`` Bundle whose first
  entry is the subscription's status, a Parameters or a SubscriptionStatus.
- R5 (FHIR R5 subscription.html): a ``subscription-notification`` Bundle with a SubscriptionStatus first.

A payload is a hint where to read, never data to decide on: the worker reads everything again.
"""

from fhir_adapter.notifications.body import MAX_BODY, check_media_type, decode_body, parse_json
from fhir_adapter.notifications.hints import patient_of
from fhir_adapter.notifications.model import Kind, Notification, SubscriptionStatus
from fhir_adapter.notifications.origin import Origin
from fhir_adapter.notifications.r5 import normalise_r5
from fhir_adapter.notifications.request import parse_notification
from fhir_adapter.notifications.status import parse_status, parse_statuses

__all__ = [
    "MAX_BODY",
    "Kind",
    "Notification",
    "Origin",
    "SubscriptionStatus",
    "check_media_type",
    "decode_body",
    "normalise_r5",
    "parse_json",
    "parse_notification",
    "parse_status",
    "parse_statuses",
    "patient_of",
]
