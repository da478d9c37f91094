"""The app's HTTP API: launch, callback, page, sign-out; and what a person sees when one of them cannot be.

=====================================  ==================================================================
``GET  /smart/{tenant}/launch``        the EHR opens the app (``iss``, ``launch``)
``GET  /smart/{tenant}/start``         the app is opened outside the EHR, where the tenant wants that
``GET  /smart/{tenant}/callback``      the redirect URI
``GET  /smart/{tenant}/app/{view}``    the page of one open chart
``GET  .../{view}/sources/{key}``      what a result was made from
``GET  .../{view}/model/{key}``        what its model says of itself
``GET  .../{view}/review/{key}``       where a person decides about it
``POST .../{view}/review/{key}``       what they decided
``GET  .../{view}/picture/{key}/{name}``  what the model looked at
``POST .../{view}/close``              the end of its session
``GET  /smart/-/{name}``               style sheet
=====================================  ==================================================================

Launch URL and redirect URI are constants, one pair for each EHR: which of them was called says who is expected to
answer (RFC 9700, 4.4). Nothing of a request is shown, logged, or used as an address.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from fhir_adapter.errors import ConfigurationError, FhirAdapterError, FhirRejected, Unavailable
from fhir_adapter.smart import (
    EhrSilent,
    SessionEnded,
    SmartError,
    begin,
    callback_of,
    code_of,
    launch_of,
    query_of,
    sign_in,
    standalone_launch,
)
from fhir_adapter.smart.launch import Launch
from fhir_adapter.tenants import Tenant, TenantStore
from functions.serving.cloud import QueueError
from functions.smart_app.cookies import Jar, expired, launch_cookie, view_cookie
from functions.smart_app.desk import Desk, Means, path_of
from functions.smart_app.ehr import Ehrs
from functions.smart_app.forms import check_form, form_of
from functions.smart_app.pages import STATIC, Pages, redirect
from functions.smart_app.sessions import Found, Sessions
from functions.smart_app.words import Language, language_of

__all__ = ["SmartFrontend", "launch_url", "redirect_uri"]

Answered = Callable[[Tenant], Response[Any]]
# What the EHR says of a session's token, and what it means here.
FHIR_STATUS = {401: (SessionEnded.code, SessionEnded.status), 403: ("not-permitted", 403)}


def launch_url(base: str, tenant: str) -> str:
    """Return the launch URL to register at a tenant's EHR."""
    return f"{base}/smart/{tenant}/launch"


def redirect_uri(base: str, tenant: str) -> str:
    """Return the redirect URI to register at a tenant's EHR."""
    return f"{base}/smart/{tenant}/callback"


class SmartFrontend:
    """The app behind an HTTP API, payload format 2.0.

    Parameters
    ----------
    tenants : TenantStore
    sessions : Sessions
    ehrs : Ehrs
    base : str
        Our own origin, from the settings: ``https://app.example.org``.
    means : Means, optional
        Models, images and queues; by default the packages beside this function, the tenants' own archives, no queue.
    """

    def __init__(
        self, tenants: TenantStore, sessions: Sessions, ehrs: Ehrs, base: str, means: Means | None = None
    ) -> None:
        self._tenants = tenants
        self._sessions = sessions
        self._ehrs = ehrs
        self._base = base.rstrip("/")
        self._pages = Pages()
        self._desk = Desk(sessions, ehrs, self._pages, means or Means())
        self._logger = Logger()
        self._metrics = Metrics()
        self._app = APIGatewayHttpResolver()
        self._app.get(f"{STATIC}<name>")(self._static)
        self._app.get("/smart/<tenant>/launch")(self._launch)
        self._app.get("/smart/<tenant>/start")(self._start)
        self._app.get("/smart/<tenant>/callback")(self._callback)
        self._app.get("/smart/<tenant>/app/<view>")(self._page)
        self._app.get("/smart/<tenant>/app/<view>/sources/<key>")(self._sources)
        self._app.get("/smart/<tenant>/app/<view>/model/<key>")(self._model)
        self._app.get("/smart/<tenant>/app/<view>/review/<key>")(self._review)
        self._app.post("/smart/<tenant>/app/<view>/review/<key>")(self._decide)
        self._app.get("/smart/<tenant>/app/<view>/picture/<key>/<name>")(self._picture)
        self._app.post("/smart/<tenant>/app/<view>/close")(self._close)
        self._app.not_found(self._no_route)

    def __call__(self, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        """Answer one request."""
        try:
            return self._app.resolve(event, context)
        finally:
            self._metrics.flush_metrics()

    # ---- routes ----

    def _launch(self, tenant: str) -> Response[str]:
        return self._answer(tenant, lambda known: self._begin(known, launch_of(known, query_of(self._query))))

    def _start(self, tenant: str) -> Response[str]:
        return self._answer(tenant, lambda known: self._begin(known, standalone_launch(known)))

    def _callback(self, tenant: str) -> Response[str]:
        return self._answer(tenant, self._signed_in)

    def _page(self, tenant: str, view: str) -> Response[str]:
        asked = parse_qs(self._query)
        done, show = (asked.get(name, [""])[0] for name in ("done", "show"))
        return self._answer(tenant, lambda known: self._desk.chart(known, self._found(known, view), done, show))

    def _sources(self, tenant: str, view: str, key: str) -> Response[str]:
        return self._answer(tenant, lambda known: self._desk.sources(known, self._found(known, view), key))

    def _model(self, tenant: str, view: str, key: str) -> Response[str]:
        return self._answer(tenant, lambda known: self._desk.model(known, self._found(known, view), key))

    def _review(self, tenant: str, view: str, key: str) -> Response[str]:
        return self._answer(tenant, lambda known: self._desk.review(known, self._found(known, view), key))

    def _decide(self, tenant: str, view: str, key: str) -> Response[str]:
        return self._answer(tenant, lambda known: self._decided(known, view, key))

    def _picture(self, tenant: str, view: str, key: str, name: str) -> Response[Any]:
        return self._answer(tenant, lambda known: self._desk.picture(known, self._found(known, view), key, name))

    def _close(self, tenant: str, view: str) -> Response[str]:
        return self._answer(tenant, lambda known: self._closed(known, view))

    def _static(self, name: str) -> Response[str]:
        self._metrics.add_metric("FilesRead", MetricUnit.Count, 1)
        return self._pages.static(name) or self._pages.message("not-found", 404, None, self._readers)

    def _no_route(self, _error: NotFoundError) -> Response[str]:
        return self._refuse(None, "NoRoute", "no such route", "not-found", 404)

    # ---- what they do ----

    def _begin(self, tenant: Tenant, launch: Launch) -> Response[str]:
        configuration = self._ehrs.of(tenant).configuration()
        flow, url = begin(tenant, configuration, launch, redirect_uri(self._base, tenant.name), self._sessions.clock())
        surplus = [expired(name) for name in self._jar.surplus()]
        self._count("LaunchesStarted", tenant)
        return redirect(url, tenant, [*surplus, self._sessions.keep_flow(flow)])

    def _signed_in(self, tenant: Tenant) -> Response[str]:
        callback = callback_of(query_of(self._query))
        flow = self._sessions.take_flow(callback.state, self._jar)
        ehr, now = self._ehrs.of(tenant), self._sessions.clock()
        configuration = ehr.configuration()
        code = code_of(tenant, flow, configuration, callback, now)
        signed_in = sign_in(
            tenant,
            flow,
            code,
            redirect_uri(self._base, tenant.name),
            ehr.endpoint(),
            configuration,
            ehr.identity_keys,
            now,
        )
        session, cookie = self._sessions.open(tenant, flow, signed_in)
        self._count("SessionsOpened", tenant)
        # The browser forgets the address with the code in it, and its page can be loaded again.
        return redirect(path_of(tenant, session.view), tenant, [expired(launch_cookie(callback.state)), cookie])

    def _found(self, tenant: Tenant, view: str) -> Found:
        return self._sessions.find(tenant, view, self._jar)

    def _decided(self, tenant: Tenant, view: str, key: str) -> Response[str]:
        found = self._found(tenant, view)
        fields = self._checked_form(found)
        return self._desk.decide(tenant, found, key, {name: values[0] for name, values in fields.items()})

    def _closed(self, tenant: Tenant, view: str) -> Response[str]:
        found = self._found(tenant, view)
        self._checked_form(found)
        # The session first: what follows may fail, and must not keep it open.
        self._sessions.store.delete(found.name)
        self._revoke(tenant, found)
        self._count("SessionsClosed", tenant)
        return self._pages.message("signed-out", 200, tenant, cookies=[expired(view_cookie(view))])

    def _revoke(self, tenant: Tenant, found: Found) -> None:
        """Give the tokens back where the EHR takes them; whether it did is no matter of the person's."""
        session = found.session
        try:
            endpoint = self._ehrs.of(tenant).endpoint()
            if session.refresh_token is not None:
                endpoint.revoke(session.refresh_token, "refresh_token")
            endpoint.revoke(session.token.value, "access_token")
        except (SmartError, ConfigurationError) as error:
            self._logger.warning("tokens not revoked", tenant=tenant.name, reason=type(error).__name__)

    def _checked_form(self, found: Found) -> dict[str, list[str]]:
        event = self._app.current_event
        form = form_of(event.body or "", is_base64=bool(event.is_base64_encoded))
        check_form(form, event.headers, found.session, self._base)
        return form

    # ---- the edge ----

    def _answer(self, name: str, answered: Answered) -> Response[Any]:
        """Answer for a tenant; whatever goes wrong becomes a page with its own status."""
        tenant: Tenant | None = None
        try:
            tenant = self._tenants.get(name)
            if tenant is None or tenant.smart is None:
                raise SmartError("the app is registered at no such tenant", "unknown-tenant", 404)
            return answered(tenant)
        except (FhirAdapterError, QueueError, BotoCoreError, ClientError) as error:
            # An AWS error quotes the request; ours name codes, scopes and tenants only.
            detail = str(error) if isinstance(error, FhirAdapterError) else ""
            return self._refuse(tenant, type(error).__name__, detail, *_told(error))
        except Exception as error:  # noqa: BLE001 - the edge: a person gets a page, whatever broke
            # Where, and not what: the text of an error we did not write may quote anything.
            frame = traceback.extract_tb(error.__traceback__)[-1]
            detail = f"{Path(frame.filename).name}:{frame.lineno}"
            return self._refuse(tenant, type(error).__name__, detail, "unavailable", 500)

    def _refuse(
        self, tenant: Tenant | None, reason: str, detail: str, code: str, status: int, retry_after: float = 0.0
    ) -> Response[str]:
        """Count and log a refusal, and say it in the reader's language."""
        reference = self._app.current_event.request_context.request_id or ""
        self._metrics.add_metric("SmartRefused", MetricUnit.Count, 1)
        self._logger.warning(
            "smart request refused",
            tenant=tenant.name if tenant else None,
            code=code,
            status=status,
            reason=reason,
            detail=detail,
            reference=reference,
        )
        readers = None if tenant is not None else self._readers
        return self._pages.message(code, status, tenant, readers, reference=reference, retry_after=retry_after)

    def _count(self, metric: str, tenant: Tenant) -> None:
        self._metrics.add_metric(metric, MetricUnit.Count, 1)
        self._logger.info(metric, tenant=tenant.name)

    @property
    def _query(self) -> str:
        # As it was sent: the event's parsed form joins repeated parameters.
        return self._app.current_event.raw_query_string or ""

    @property
    def _jar(self) -> Jar:
        return Jar(self._app.current_event.get("cookies") or [])

    @property
    def _readers(self) -> Language:
        """The language of somebody whose hospital is not known: what the browser asks for first."""
        wanted = self._app.current_event.headers.get("accept-language") or "en"
        return language_of(wanted.split(",")[0].split(";")[0].strip())


def _told(error: Exception) -> tuple[str, int, float]:
    """Return what a person is told: the name of the texts, the HTTP status, and the seconds to wait."""
    if isinstance(error, SmartError):
        waits = isinstance(error, EhrSilent)
        return error.code, error.status, max(getattr(error, "retry_after", 0.0), 1.0) if waits else 0.0
    if isinstance(error, Unavailable):
        return EhrSilent.code, EhrSilent.status, 1.0
    if isinstance(error, FhirRejected):
        code, status = FHIR_STATUS.get(error.status or 0, ("ehr-answer", 502))
        return code, status, 0.0
    if isinstance(error, FhirAdapterError):
        return "setup", 500, 0.0
    return "unavailable", 503, 1.0
