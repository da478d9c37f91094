"""The HTTP API of the CDS services: who may call, what a call must be, and what is answered when it is not.

============================================  ======================================================
``GET /cds/{tenant}/cds-services``            the services
``POST /cds/{tenant}/cds-services/{id}``      cards
``POST .../{id}/feedback``                    what became of them
``OPTIONS`` of each                           may this web page call? (Fetch standard, CORS protocol)
============================================  ======================================================

The order of the checks is fixed: tenant and service known (404), token good (401), body within limits (413), body the
request of its hook (400), FHIR server the tenant's own (403), data at hand (412). The body is not looked at before the
caller is known. A call ends at its deadline with an empty list of cards, whatever it was doing: an EHR never waits.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
from fhir_adapter.cds_hooks import (
    Caller,
    CdsHooksError,
    UnknownService,
    authenticate,
    discovery,
    parse_feedback,
    parse_request,
    response,
)
from fhir_adapter.codes import FHIR_JSON, Json
from fhir_adapter.errors import ConfigurationError
from fhir_adapter.tenants import CdsHooks, Tenant, TenantStore
from functions.cds_hooks.answering import Answer, Call, answer
from functions.cds_hooks.chart import Chart
from functions.cds_hooks.connect import Connect
from functions.cds_hooks.deadline import Budget, OutOfTime, in_time
from functions.cds_hooks.identifiers import model_of
from functions.cds_hooks.incoming import Incoming
from functions.cds_hooks.proposals import PlanVisits, Proposer
from functions.cds_hooks.services import Offer, Service
from functions.cds_hooks.stores import FeedbackStore, Kept
from functions.cds_hooks.words import Words
from functions.serving.package import Model

__all__ = ["CdsHooksApi"]

PREFLIGHT_SECONDS = "600"


@dataclass(frozen=True)
class _Known:
    """A tenant that offers services."""

    tenant: Tenant
    settings: CdsHooks
    services: Mapping[str, Service]
    words: Words

    def service(self, name: str) -> Service:
        if name not in self.services:
            raise UnknownService("no such service; GET /cds/{tenant}/cds-services for the list")
        return self.services[name]


class CdsHooksApi:
    """The services' HTTP API.

    Parameters
    ----------
    models : mapping of str to Model
        That can be run here.
    tenants : TenantStore
        Whose EHRs may call.
    caller : Caller
        How tokens are checked.
    feedback : FeedbackStore
    connect : callable
        Opens the FHIR client of one call.
    proposers : sequence of Proposer
        Who may add suggestions to cards.
    """

    def __init__(
        self,
        models: Mapping[str, Model],
        tenants: TenantStore,
        caller: Caller,
        feedback: FeedbackStore,
        connect: Connect,
        proposers: Sequence[Proposer] = (PlanVisits(),),
    ) -> None:
        self._identities = [model.package.identity for model in models.values()]
        self._tenants = tenants
        self._caller = caller
        self._feedback = feedback
        self._connect = connect
        self._proposers = proposers
        self._offer = Offer(models)
        self._logger = Logger()
        self._machine = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "bedside")
        self._audit = LogAudit(lambda event: self._logger.info("audit", audit=event))
        self._metrics = Metrics()
        self._app = APIGatewayHttpResolver()
        base = "/cds/<tenant>/cds-services"
        routes: tuple[tuple[str, str, Callable[..., Response[str]]], ...] = (
            ("GET", "", self._list),
            ("POST", "/<service>", self._call),
            ("POST", "/<service>/feedback", self._told),
        )
        for method, path, handle in routes:
            self._app.route(base + path, method=[method])(handle)
            self._app.route(base + path, method=["OPTIONS"])(self._preflight)
        self._app.not_found(self._no_route)
        self._app.exception_handler(CdsHooksError)(self._refused)
        self._app.exception_handler([ConfigurationError, BotoCoreError, ClientError])(self._unavailable)
        self._app.exception_handler(Exception)(self._failed)

    def __call__(self, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        """Answer one request in HTTP API payload format 2.0."""
        try:
            return self._app.resolve(event, context)
        finally:
            self._metrics.flush_metrics()

    # -- the three endpoints --

    def _list(self, tenant: str) -> Response[str]:
        known = self._known(tenant)
        if not known.settings.public_discovery:
            sent = self._incoming(known)
            authenticate(sent.headers, known.tenant, sent.endpoint, self._caller)
        self._count("CdsDiscovery")
        return self._reply(200, discovery(service.described(known.words) for service in known.services.values()))

    def _call(self, tenant: str, service: str) -> Response[str]:
        started = time.monotonic()
        known = self._known(tenant)
        found, sent = known.service(service), self._incoming(known)
        budget = Budget(known.settings.deadline_ms / 1000, started)
        try:
            answered = in_time(budget, lambda: self._answer(known, found, sent, budget))
        except OutOfTime:
            answered = Answer(())
            self._count("CdsDeadline")
        self._note(known, found, answered, started)
        return self._reply(200, response(answered.cards))

    def _told(self, tenant: str, service: str) -> Response[str]:
        known = self._known(tenant)
        found, sent = known.service(service), self._incoming(known)
        authenticate(sent.headers, known.tenant, sent.endpoint, self._caller)
        entries = []
        for one in parse_feedback(sent.data()):
            model = model_of(one.card, self._identities)
            named = (model.name, model.version) if model else (None, None)
            entries.append(Kept(known.tenant.name, found.id, one, *named))
            self._count(f"CdsFeedback{one.outcome.title()}")
        self._feedback.keep(entries, comments=known.settings.comments)
        self._logger.info("feedback kept", tenant=known.tenant.name, service=found.id, cards=len(entries))
        return self._reply(200, None)

    def _answer(self, known: _Known, service: Service, sent: Incoming, budget: Budget) -> Answer:
        """Check the caller and the call, and answer; in a thread of its own, so nothing of the resolver's is used."""
        tenant = known.tenant
        authenticate(sent.headers, tenant, sent.endpoint, self._caller)
        request = parse_request(sent.data(), service.hook, tenant.fhir_base)
        budget.check()
        authorization = request.authorization
        client = self._connect(tenant, authorization, max(budget.left, 0.001)) if authorization else None
        chart = Chart(service, request, tenant.fhir_base, client, budget)
        failed = True
        try:
            found = answer(Call(tenant, service, request, chart, known.words, self._proposers))
            failed = False
            return found
        finally:
            auditor = Auditor(tenant.name, tenant.organization, tenant.fhir_base, self._machine)
            asked, now = request.context, datetime.now(UTC)
            self._audit.record(
                auditor.cds_call(request.instance, f"Patient/{asked.patient}", asked.user, now, failed=failed)
            )

    # -- what is around them --

    def _known(self, name: str) -> _Known:
        tenant = self._tenants.get(name)
        if tenant is None or tenant.cds_hooks is None:
            raise UnknownService("no such services; check the tenant in the address")
        self._app.context["origins"] = tenant.cds_hooks.origins
        return _Known(tenant, tenant.cds_hooks, *self._offer.of(tenant))

    def _incoming(self, known: _Known) -> Incoming:
        return Incoming.of(self._app.current_event, known.settings.url)

    def _reply(self, status: int, body: Json | None, content_type: str = "application/json") -> Response[str]:
        headers: dict[str, str | list[str]] = {"Cache-Control": "no-store", **self._cors()}
        content = "{}" if body is None else orjson.dumps(body).decode()
        return Response(status, content_type=content_type, body=content, headers=headers)

    def _cors(self) -> dict[str, str]:
        """Let the web pages of the tenant's allow-list read the answer, and no other (Fetch standard, 3.2)."""
        origins: Sequence[str] = self._app.context.get("origins") or ()
        given = self._app.current_event.headers.get("origin") or ""
        if not origins:
            return {}
        return {"Vary": "Origin", **({"Access-Control-Allow-Origin": given} if given in origins else {})}

    def _preflight(self, tenant: str, service: str = "") -> Response[str]:  # noqa: ARG002 - the same for each
        """Answer what a browser asks before it calls; it sends no token with the question."""
        self._known(tenant)
        self._count("CdsPreflight")
        headers: dict[str, str | list[str]] = {"Cache-Control": "no-store", **self._cors()}
        if "Access-Control-Allow-Origin" in headers:
            headers |= {
                "Access-Control-Allow-Methods": "GET, POST",
                "Access-Control-Allow-Headers": "Authorization, Content-Type",
                "Access-Control-Max-Age": PREFLIGHT_SECONDS,
            }
        return Response(204, body="", headers=headers)

    def _note(self, known: _Known, service: Service, answered: Answer, started: float) -> None:
        """Count, and write one line without patient data."""
        milliseconds = round((time.monotonic() - started) * 1000)
        for name, number in (("CdsCalls", 1), ("CdsCards", len(answered.cards)), ("CdsStored", answered.stored)):
            self._count(name, number)
        self._count("CdsComputed", answered.computed)
        self._metrics.add_metric("CdsLatency", MetricUnit.Milliseconds, milliseconds)
        self._logger.info(
            "hook answered",
            tenant=known.tenant.name,
            service=service.id,
            cards=len(answered.cards),
            stored=answered.stored,
            computed=answered.computed,
            latency_ms=milliseconds,
        )

    def _count(self, name: str, number: int = 1) -> None:
        self._metrics.add_metric(name, MetricUnit.Count, number)

    # -- refusals --

    def _refusal(self, status: int, code: str, diagnostics: str) -> Response[str]:
        """Return an OperationOutcome that says why (FHIR R4 operationoutcome.html)."""
        issue = {"severity": "error", "code": code, "diagnostics": diagnostics}
        return self._reply(status, {"resourceType": "OperationOutcome", "issue": [issue]}, FHIR_JSON)

    def _refused(self, error: CdsHooksError) -> Response[str]:
        reason = type(error).__name__
        self._count("CdsRefused")
        self._count(f"CdsRefused{reason}")
        self._logger.warning("hook refused", status=error.status, reason=reason)
        refusal = self._refusal(error.status, error.issue_code, str(error))
        if error.status == 401:
            refusal.headers["WWW-Authenticate"] = 'Bearer realm="bedside"'
        return refusal

    def _unavailable(self, error: Exception) -> Response[str]:
        self._count("CdsUnavailable")
        self._logger.error("hook not answered", reason=type(error).__name__)
        return self._refusal(503, "transient", "the service cannot answer now; send the call again later")

    def _failed(self, error: Exception) -> Response[str]:
        """The handler's edge. The error is named by its type only: its text may quote a record."""
        self._count("CdsFailed")
        self._logger.error("hook failed", reason=type(error).__name__)
        return self._refusal(500, "exception", "the service failed; the failure is on record")

    def _no_route(self, _error: NotFoundError) -> Response[str]:
        self._count("CdsRefused")
        return self._refusal(404, "not-found", "no such endpoint; GET /cds/{tenant}/cds-services for the services")
