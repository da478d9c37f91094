"""The receiver: who may notify, what a notification must be, and what is answered when it is not.

The order of the checks is fixed: subscription known (404), secret right (401), body within limits (413), body a
notification (400), queue reachable (503). The body is not parsed before the secret is right.
"""

from __future__ import annotations

import hmac
from base64 import b64decode
from hashlib import sha256
from typing import Any

import orjson
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from fhir_adapter.codes import FHIR_JSON
from fhir_adapter.errors import (
    ConfigurationError,
    NotificationError,
    NotificationUnauthorized,
    UnknownSubscription,
)
from fhir_adapter.notifications import MAX_BODY, Kind, decode_body, parse_notification
from fhir_adapter.references import relative_reference
from fhir_adapter.tenants import SubscriptionEntry, Tenant, TenantStore
from functions.serving.cloud import EventQueue, QueueError
from functions.serving.events import Event, new_event

__all__ = ["Receiver", "operation_outcome"]


def operation_outcome(status: int, code: str, diagnostics: str) -> Response[str]:
    """Return an OperationOutcome that says why (FHIR R4 operationoutcome.html)."""
    body = {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": code, "diagnostics": diagnostics}],
    }
    return Response(status, content_type=FHIR_JSON, body=orjson.dumps(body).decode())


class Receiver:
    """The receiver's HTTP API.

    Parameters
    ----------
    tenants : TenantStore
        Who may notify.
    queue : EventQueue
        Where events go.
    """

    def __init__(self, tenants: TenantStore, queue: EventQueue) -> None:
        self._tenants = tenants
        self._queue = queue
        self._logger = Logger()
        self._metrics = Metrics()
        self._app = APIGatewayHttpResolver()
        endpoint = "/notify/<tenant>/<subscription>"
        self._app.post(endpoint)(self._notify)
        self._app.put(f"{endpoint}/<resource_type>/<resource_id>")(self._notify_resource)
        self._app.not_found(self._no_route)
        self._app.exception_handler(NotificationError)(self._refused)
        self._app.exception_handler([ConfigurationError, QueueError, BotoCoreError, ClientError])(self._unavailable)

    def __call__(self, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        """Answer one request in HTTP API payload format 2.0."""
        try:
            return self._app.resolve(event, context)
        finally:
            self._metrics.flush_metrics()

    def _notify(self, tenant: str, subscription: str) -> Response[str]:
        return self._accept(tenant, subscription, None)

    def _notify_resource(self, tenant: str, subscription: str, resource_type: str, resource_id: str) -> Response[str]:
        return self._accept(tenant, subscription, (resource_type, resource_id))

    def _accept(self, tenant_name: str, subscription_name: str, path: tuple[str, str] | None) -> Response[str]:
        tenant, subscription = self._known(tenant_name, subscription_name)
        self._authenticate(subscription)
        request = self._app.current_event
        notifications = parse_notification(
            request.http_method,
            path,
            decode_body(self._raw_body(), request.headers.get("content-encoding") or ""),
            subscription,
            lambda reference: relative_reference(tenant.fhir_base, reference),
        )
        events = [
            _event(
                tenant,
                subscription,
                notification.kind,
                notification.focus,
                notification.version,
                notification.patient,
            )
            for notification in notifications
            if notification.kind in (Kind.FOCUS, Kind.SWEEP, Kind.ERROR)
        ]
        self._queue.send(events)
        self._metrics.add_metric("NotificationsAccepted", MetricUnit.Count, 1)
        self._metrics.add_metric("EventsQueued", MetricUnit.Count, len(events))
        self._logger.info(
            "notification accepted",
            tenant=tenant.name,
            subscription=subscription.name,
            kinds=sorted({notification.kind.value for notification in notifications}),
            events=[event.id for event in events],
        )
        return Response(202, body="")

    def _known(self, tenant_name: str, subscription_name: str) -> tuple[Tenant, SubscriptionEntry]:
        tenant = self._tenants.get(tenant_name)
        subscription = tenant.subscriptions.get(subscription_name) if tenant else None
        if tenant is None or subscription is None:
            raise UnknownSubscription("no such subscription; check the endpoint in Subscription.channel")
        return tenant, subscription

    def _authenticate(self, subscription: SubscriptionEntry) -> None:
        """Compare digests in constant time, so that neither content nor length of the secret leaks."""
        scheme, _, given = (self._app.current_event.headers.get("authorization") or "").partition(" ")
        same = hmac.compare_digest(
            sha256(given.strip().encode()).digest(), sha256(subscription.secret.encode()).digest()
        )
        if scheme.lower() != "bearer" or not same:
            raise NotificationUnauthorized(
                "the subscription's secret is missing or wrong; set Subscription.channel.header to "
                "'Authorization: Bearer <secret>'"
            )

    def _raw_body(self) -> bytes:
        request = self._app.current_event
        body = request.body or ""
        if not request.is_base64_encoded:
            return body.encode()
        if len(body) > MAX_BODY * 4 // 3 + 4:
            return bytes(MAX_BODY + 1)
        return b64decode(body)

    def _refused(self, error: NotificationError) -> Response[str]:
        self._metrics.add_metric("NotificationsRefused", MetricUnit.Count, 1)
        self._logger.warning("notification refused", status=error.status, reason=type(error).__name__)
        response = operation_outcome(error.status, error.issue_code, str(error))
        if error.status == 401:
            response.headers["WWW-Authenticate"] = 'Bearer realm="bedside"'
        return response

    def _unavailable(self, error: Exception) -> Response[str]:
        self._metrics.add_metric("NotificationsDeferred", MetricUnit.Count, 1)
        self._logger.error("notification deferred", reason=type(error).__name__)
        return operation_outcome(503, "transient", "the event could not be queued; send it again")

    def _no_route(self, _error: NotFoundError) -> Response[str]:
        self._metrics.add_metric("NotificationsRefused", MetricUnit.Count, 1)
        return operation_outcome(
            404,
            "not-found",
            "no such endpoint; POST /notify/{tenant}/{subscription} or PUT it with /{Type}/{id}",
        )


def _event(
    tenant: Tenant,
    subscription: SubscriptionEntry,
    kind: Kind,
    focus: str | None,
    version: str | None,
    patient: str | None,
) -> Event:
    """A subscription in error may have lost events, so it is swept as an empty notification is."""
    if kind is Kind.FOCUS:
        return new_event(tenant.name, subscription.name, "focus", focus, version, patient)
    return new_event(tenant.name, subscription.name, "sweep")
