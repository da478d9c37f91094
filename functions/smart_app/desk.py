"""What can be seen and done in an open chart; each call belongs to one session, and to its patient alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.metrics import MetricUnit

from fhir_adapter.client import FhirClient
from fhir_adapter.smart import SmartError
from fhir_adapter.tenants import Tenant
from functions.serving.cloud import EventQueue
from functions.smart_app.ehr import Ehr, Ehrs
from functions.smart_app.images import SVG, Images, no_picture
from functions.smart_app.models import Models
from functions.smart_app.pages import Pages, picture, redirect
from functions.smart_app.reading import Chart, read_chart
from functions.smart_app.refreshing import SessionTokens
from functions.smart_app.results import Answer
from functions.smart_app.reviewing import now_of, offer_of, record, rerun_events, send_again
from functions.smart_app.sessions import Found, Session, Sessions
from functions.smart_app.showing import key_of, pictures_of, sections_of
from functions.smart_app.sources import entries_of
from functions.smart_app.words import language_of

__all__ = ["DONE", "Desk", "Means", "path_of"]

# What a page may say was done; nothing else of a request is ever shown.
DONE = frozenset({"confirmed", "rejected", "rerun"})


def path_of(tenant: Tenant, view: str) -> str:
    """Return the path of an open chart."""
    return f"/smart/{tenant.name}/app/{view}"


@dataclass(frozen=True)
class Means:
    """What the desk has at hand besides the EHR.

    Parameters
    ----------
    models : Models
    images : Images
    queue : EventQueue or None
        None where no model can be run again.
    """

    models: Models = field(default_factory=Models)
    images: Images = field(default_factory=Images)
    queue: EventQueue | None = None


@dataclass(frozen=True)
class Open:
    """An open chart, read."""

    tenant: Tenant
    session: Session
    ehr: Ehr
    client: FhirClient
    chart: Chart

    def answer(self, key: str) -> Answer:
        """Return the answer of a key.

        Raises
        ------
        SmartError
            404: there is none in this chart.
        """
        for answer in self.chart.answers:
            if key_of(self.session, answer) == key:
                return answer
        raise SmartError("no such result in this chart", "no-result", 404)

    @property
    def patient(self) -> str:
        """Id of the patient, from the session."""
        return str(self.session.context.patient)


class Desk:
    """The views and actions of open charts.

    Parameters
    ----------
    sessions : Sessions
    ehrs : Ehrs
    pages : Pages
    means : Means
    """

    def __init__(self, sessions: Sessions, ehrs: Ehrs, pages: Pages, means: Means) -> None:
        self._sessions = sessions
        self._ehrs = ehrs
        self._pages = pages
        self._means = means
        self._logger = Logger()
        self._metrics = Metrics()

    def _open(self, tenant: Tenant, found: Found) -> Open:
        ehr = self._ehrs.of(tenant)
        tokens = SessionTokens(found, self._sessions, ehr.endpoint)
        tokens.token()  # a refresh may grant less than before, and what may be read depends on it
        client = ehr.client(tokens)
        chart = read_chart(ehr, tokens.session, client, datetime.now(tenant.zone).date())
        return Open(tenant, tokens.session, ehr, client, chart)

    def chart(self, tenant: Tenant, found: Found, done: str, show: str) -> Response[str]:
        """Return the patient's page.

        Parameters
        ----------
        done : str
            What was done just now, one of `DONE`; everything else says nothing.
        show : str
            Key of an answer to show instead of its model's newest.
        """
        opened = self._open(tenant, found)
        t = language_of(tenant.locale)
        sections = sections_of(tenant, opened.session, opened.chart, self._means.models, t, show)
        offers = [
            offer_of(
                tenant,
                opened.session,
                opened.chart,
                section.answer,
                section.contract,
                queue=self._means.queue is not None,
            )
            for section in sections
        ]
        self._count("PagesShown", tenant)
        path = path_of(tenant, found.session.view)
        shown = list(zip(sections, offers, strict=True))
        return self._pages.chart(tenant, opened.session, opened.chart, shown, path, done if done in DONE else "")

    def sources(self, tenant: Tenant, found: Found, key: str) -> Response[str]:
        """Return the page of what a result was made from."""
        opened = self._open(tenant, found)
        answer = opened.answer(key)
        contract = self._means.models.get(answer.model)
        entries = entries_of(opened.ehr, opened.client, answer, opened.patient, contract)
        self._count("SourcesShown", tenant)
        back = path_of(tenant, found.session.view)
        return self._pages.plain("sources.html", tenant, opened.session, opened.chart, back, answer, entries=entries)

    def model(self, tenant: Tenant, found: Found, key: str) -> Response[str]:
        """Return the page of what a model says of itself."""
        opened = self._open(tenant, found)
        answer = opened.answer(key)
        contract = self._means.models.get(answer.model)
        self._count("ModelsShown", tenant)
        back = path_of(tenant, found.session.view)
        return self._pages.plain("model.html", tenant, opened.session, opened.chart, back, answer, contract=contract)

    def review(self, tenant: Tenant, found: Found, key: str) -> Response[str]:
        """Return the page on which a person decides; nothing is written by looking at it."""
        opened = self._open(tenant, found)
        answer = opened.answer(key)
        contract = self._means.models.get(answer.model)
        queue = self._means.queue is not None
        offer = offer_of(tenant, opened.session, opened.chart, answer, contract, queue=queue)
        self._count("ReviewsOpened", tenant)
        back = path_of(tenant, found.session.view)
        return self._pages.plain(
            "review.html",
            tenant,
            opened.session,
            opened.chart,
            back,
            answer,
            offer=offer,
            action=f"{back}/review/{key}",
        )

    def decide(self, tenant: Tenant, found: Found, key: str, form: Mapping[str, str]) -> Response[str]:
        """Do what a person decided, and lead back to their page, which may be loaded again.

        Raises
        ------
        SmartError
            404, no such result; 400, it is not offered; 409, the result is not the one that the person saw.
        """
        opened = self._open(tenant, found)
        answer = opened.answer(key)
        contract = self._means.models.get(answer.model)
        queue = self._means.queue
        offer = offer_of(tenant, opened.session, opened.chart, answer, contract, queue=queue is not None)
        if form.get("seen") != answer.seen:
            raise SmartError("the result is not the one that was seen", "changed", 409)
        decision = form.get("decision", "")
        if not {"confirm": offer.confirm, "reject": offer.reject, "rerun": offer.rerun}.get(decision):
            raise SmartError("a decision that is not offered", "not-offered", 400)
        if decision == "rerun" and queue is not None:
            send_again(queue, tenant, rerun_events(tenant, opened.session, answer, contract))
            done = "rerun"
        else:
            now = now_of(self._sessions.clock())
            done = record(tenant, opened.session, opened.client, answer, form, now)
        self._tell(tenant, answer, done, form)
        return redirect(f"{path_of(tenant, found.session.view)}?done={done}", tenant)

    def _tell(self, tenant: Tenant, answer: Answer, done: str, form: Mapping[str, str]) -> None:
        """Say what people do with results, for monitoring: which model and why, and nothing of the patient."""
        metric = {"confirmed": "ResultsConfirmed", "rejected": "ResultsRejected", "rerun": "RerunsQueued"}[done]
        self._metrics.add_metric(metric, MetricUnit.Count, 1)
        reason = form.get("reason") if done == "rejected" else None
        self._logger.info(metric, tenant=tenant.name, model=answer.model, version=answer.method, reason=reason)

    def picture(self, tenant: Tenant, found: Found, key: str, name: str) -> Response[bytes]:
        """Return a picture; where there is none that may be shown, one that says so, with 404."""
        opened = self._open(tenant, found)
        answer = opened.answer(key)
        t = language_of(tenant.locale)
        names, _ = pictures_of(tenant, opened.chart, answer, self._means.models.get(answer.model))
        images, record_ = self._means.images, opened.chart.patient
        shown = (
            images.picture(tenant, opened.client, opened.patient, record_, answer, name, t) if name in names else None
        )
        if shown is None:
            self._count("PicturesMissing", tenant)
            return picture(404, no_picture(t), SVG, tenant)
        self._count("PicturesShown", tenant)
        return picture(200, *shown, tenant)

    def _count(self, metric: str, tenant: Tenant) -> None:
        self._metrics.add_metric(metric, MetricUnit.Count, 1)
        self._logger.info(metric, tenant=tenant.name)
