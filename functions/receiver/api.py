"""The receiver: who may notify, what a notification must be, and what is answered when it is not.

The order of the checks is fixed: subscription known (404), secret and signature right (401), body within limits
(413), body a notification (400), queue reachable (503). The body is not parsed before the sender is known.
"""

from __future__ import annotations

import os
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from fhir_adapter.audit import Auditor, LogAudit
from fhir_adapter.codes import FHIR_JSON
from fhir_adapter.errors import (
    ConfigurationError,
    MalformedNotification,
    NotificationError,
    UnknownSubscription,
)
from fhir_adapter.notifications import (
    Kind,
    Notification,
    Origin,
    check_media_type,
    decode_body,
    parse_notification,
)
from fhir_adapter.tenants import SubscriptionEntry, Tenant, TenantStore
from functions.receiver.authentication import check_secret, check_signature
from functions.serving.cloud import EventQueue, QueueError
from functions.serving.events import Event, for_models, new_event
from functions.serving.marks import Marks

__all__ = ["Receiver", "operation_outcome"]

# A log line is for finding one's way, and a bundle may bring a thousand events.
LOGGED_EVENTS = 20


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
    marks : Marks, optional
        Where it is noted that a subscription is alive: handshakes and heartbeats are no work, so nothing else
        would know.
    """

    def __init__(self, tenants: TenantStore, queue: EventQueue, marks: Marks | None = None) -> None:
        self._tenants = tenants
        self._queue = queue
        self._marks = marks
        self._logger = Logger()
        self._auditor = Auditor("", "Bedside", "", os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "bedside"))
        self._audit = LogAudit(lambda event: self._logger.warning("audit", audit=event))
        self._metrics = Metrics()
        self._app = APIGatewayHttpResolver()
        endpoint = "/notify/<tenant>/<subscription>"
        self._app.route(endpoint, method=["POST", "PUT"])(self._notify)
        self._app.route(f"{endpoint}/<resource_type>/<resource_id>", method=["POST", "PUT", "DELETE"])(
            self._notify_resource
        )
        self._app.get("/.well-known/jwks.json")(self._keys)
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
        request = self._app.current_event
        headers = request.headers
        check_secret(headers, subscription)
        sent = self._sent()
        check_signature(headers, sent, subscription)
        if sent is None:
            raise MalformedNotification("the body is not text in UTF-8, nor base64, as its event says")
        body = decode_body(sent, headers.get("content-encoding") or "")
        if body:
            check_media_type(headers.get("content-type") or "")
        notifications = parse_notification(request.http_method, path, body, subscription, Origin(tenant.fhir_base))
        events = _events(tenant, subscription, notifications)
        if events:
            self._queue.send(events, subscription.models)
        self._note(tenant, subscription, notifications, events)
        return Response(202, body="")

    def _keys(self) -> Response[str]:
        """Our public keys; what reads them is loaded when an authorization server first asks."""
        from functions.receiver.jwks import jwks_response

        self._metrics.add_metric("KeysRead", MetricUnit.Count, 1)
        return jwks_response()

    def _known(self, tenant_name: str, subscription_name: str) -> tuple[Tenant, SubscriptionEntry]:
        tenant = self._tenants.get(tenant_name)
        subscription = tenant.subscriptions.get(subscription_name) if tenant else None
        if tenant is None or subscription is None:
            raise UnknownSubscription("no such subscription; check the endpoint in Subscription.channel")
        return tenant, subscription

    def _sent(self) -> bytes | None:
        """Return the bytes that were sent, or None when the event does not hold them."""
        request = self._app.current_event
        body = request.body or ""
        try:
            return b64decode(body, validate=True) if request.is_base64_encoded else body.encode()
        except (NotBase64, ValueError):
            return None

    def _note(
        self,
        tenant: Tenant,
        subscription: SubscriptionEntry,
        notifications: Sequence[Notification],
        events: Sequence[Event],
    ) -> None:
        kinds = {notification.kind for notification in notifications}
        if self._marks is not None and kinds & {Kind.HANDSHAKE, Kind.HEARTBEAT}:
            self._marks.seen(tenant.name, subscription.name, None, datetime.now(UTC).isoformat())
        if Kind.ERROR in kinds:
            self._metrics.add_metric("SubscriptionErrors", MetricUnit.Count, 1)
            self._logger.error(
                "subscription in error at its server", tenant=tenant.name, subscription=subscription.name
            )
        self._metrics.add_metric("NotificationsAccepted", MetricUnit.Count, 1)
        self._metrics.add_metric("EventsQueued", MetricUnit.Count, len(events))
        self._logger.info(
            "notification accepted",
            tenant=tenant.name,
            subscription=subscription.name,
            kinds=sorted(kind.value for kind in kinds),
            queued=len(events),
            events=[event.id for event in events[:LOGGED_EVENTS]],
        )

    def _refused(self, error: NotificationError) -> Response[str]:
        """Count every refusal, and each reason by itself."""
        reason = type(error).__name__
        self._metrics.add_metric("NotificationsRefused", MetricUnit.Count, 1)
        self._metrics.add_metric(f"Refused{reason}", MetricUnit.Count, 1)
        context = self._app.current_event.request_context
        audited = self._auditor.notification_rejected(
            context.request_id or "", error, datetime.now(UTC), address=context.http.get("sourceIp")
        )
        self._audit.record(audited)
        self._logger.warning("notification refused", status=error.status, reason=reason)
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
        self._metrics.add_metric("RefusedNoRoute", MetricUnit.Count, 1)
        return operation_outcome(
            404,
            "not-found",
            "no such endpoint; POST /notify/{tenant}/{subscription}, or PUT or DELETE it with /{Type}/{id}",
        )


def _events(tenant: Tenant, subscription: SubscriptionEntry, notifications: Sequence[Notification]) -> list[Event]:
    """Return what to queue: an event for each focus and each model to answer it, and at most one call to look.

    A subscription in error may have lost events, so it is swept as an empty notification is; to look once for
    everything a request is about is enough.
    """
    received = datetime.now(UTC).isoformat()
    sweeps = [found for found in notifications if found.kind in (Kind.SWEEP, Kind.ERROR)]
    numbers = [found.event_number for found in sweeps if found.event_number is not None]
    events = [
        new_event(
            tenant.name,
            subscription.name,
            "focus",
            found.focus,
            found.version,
            found.patient,
            event_number=found.event_number,
            deleted=found.deleted,
            received=received,
        )
        for found in notifications
        if found.kind is Kind.FOCUS
    ]
    events = [one for event in events for one in for_models(event, subscription.models)]
    if sweeps:
        number = max(numbers, default=None)
        events.append(new_event(tenant.name, subscription.name, "sweep", event_number=number, received=received))
    return events
