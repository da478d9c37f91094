"""The EHR's screen: patients, one open chart with the app in a frame of another site, and the panel of advice.

No script. The panel is a frame of its own, so that advice can come again without the app being launched again.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from infra.local.ehrfront.authority import Authority, OAuthError
from infra.local.ehrfront.hooks import HOOKS
from infra.local.ehrfront.markdown import rendered
from infra.local.ehrfront.panel import CdsPanel
from infra.local.ehrfront.record import Record
from infra.local.ehrfront.sessions import Session, Sessions

__all__ = ["EhrPages"]

HERE = Path(__file__).parent
FHIR_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}\Z")
# By how much the record is late when a person wants to see the deadline kept.
LATE_SECONDS = 12.0


class EhrPages:
    """The pages as an ASGI application.

    Parameters
    ----------
    url : str
        Their own origin.
    authority : Authority
    record : Record
    panel : CdsPanel
    launch_url : str
        The app's.
    """

    def __init__(self, url: str, authority: Authority, record: Record, panel: CdsPanel, launch_url: str) -> None:
        self._authority, self._record, self._panel, self._launch_url = authority, record, panel, launch_url
        self._sessions = Sessions()
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._templates.filters["markdown"] = rendered
        app = "/".join(launch_url.split("/")[:3])
        self._headers = {
            "Cache-Control": "no-store",
            "Content-Security-Policy": (
                f"default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self' {app}; "
                f"form-action 'self' {app}; base-uri 'none'; frame-ancestors 'self'"
            ),
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        one = "/patients/{patient}"
        self.app = Starlette(
            routes=[
                Route("/", self._patients),
                Route(one, self._chart),
                Route(f"{one}/launch", self._launch, methods=["GET", "POST"]),
                Route(f"{one}/advice", self._advice, methods=["GET", "POST"]),
                Route(f"{one}/advice/{{card}}", self._answer, methods=["POST"]),
                Route("/authorize", self._authorize, methods=["GET"]),
                Mount("/static", StaticFiles(directory=HERE / "static")),
            ],
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["localhost"])],
            exception_handlers={404: self._not_found, httpx.HTTPError: self._silent},
        )
        self.url = url

    def _render(self, template: str, status: int = 200, **values: Any) -> Response:
        body = self._templates.get_template(template).render(hooks=HOOKS, **values)
        return HTMLResponse(body, status, headers=self._headers)

    def _message(self, status: int, title: str, text: str) -> Response:
        return self._render("message.html", status, title=title, text=text)

    # ---- pages ----

    def _patients(self, request: Request) -> Response:
        session = self._sessions.of(request)
        value = ""
        if session is None:
            session, value = self._sessions.begin()
            self._record.ensure_clinician()
        response = self._render("patients.html", patients=self._record.patients())
        if value:
            self._sessions.give(response, value)
        return response

    def _chart(self, request: Request) -> Response:
        session = self._sessions.of(request)
        if session is None:
            return self._redirect("/")
        person = self._person(request)
        if person is None:
            return self._message(404, "No such patient", "Choose one from the list.")
        return self._render("chart.html", person=person)

    def _person(self, request: Request) -> dict[str, str] | None:
        identifier = request.path_params["patient"]
        return self._record.patient(identifier) if FHIR_ID.match(identifier) else None

    async def _launch(self, request: Request) -> Response:
        """Launch the app for the open chart: with the context of a card where one was followed."""
        session, person = self._sessions.of(request), await run_in_threadpool(self._person, request)
        if session is None or person is None:
            return self._message(403, "Not signed in", "Open the list of patients first.")
        context: dict[str, Any] = {"patient": person["id"], "need_patient_banner": False}
        if request.method == "POST":
            form = await _form(request)
            found = self._panel.card(session.id, person["id"], form.get("card", ""))
            links = found[1].get("links", []) if found else []
            link = next((link for link in links if link.get("type") == "smart"), None)
            if not session.owns(form.get("token")) or link is None or link.get("url") != self._launch_url:
                return self._message(400, "The card has no such link", "Ask for advice again.")
            if isinstance(link.get("appContext"), str):
                context["appContext"] = link["appContext"]
        encounter = await run_in_threadpool(self._record.encounter, person["id"])
        if encounter:
            context["encounter"] = encounter
        token = self._authority.launch(session.id, session.user, context)
        query = urlencode({"iss": self._authority.fhir_base, "launch": token})
        return self._redirect(f"{self._launch_url}?{query}")

    # ---- advice ----

    async def _advice(self, request: Request) -> Response:
        session, person = self._sessions.of(request), await run_in_threadpool(self._person, request)
        if session is None or person is None:
            return self._message(403, "Not signed in", "Open the list of patients first.")
        if request.method == "GET":
            if self._panel.shown(session.id, person["id"]) is None:
                await run_in_threadpool(self._fire, session, person["id"], "patient-view", prefetch=True, late=False)
            return self._panel_page(session, person["id"])
        form = await _form(request)
        if not session.owns(form.get("token")) or form.get("hook") not in HOOKS:
            return self._message(400, "Not a form of this page", "Open the chart again.")
        sends, late = form.get("record") == "sent", form.get("record") == "late"
        await run_in_threadpool(self._fire, session, person["id"], form["hook"], prefetch=sends, late=late)
        return self._redirect(f"/patients/{person['id']}/advice")

    def _fire(self, session: Session, patient: str, hook: str, *, prefetch: bool, late: bool) -> None:
        encounter = self._record.encounter(patient)
        delay = LATE_SECONDS if late else 0.0
        self._panel.fire(session.id, session.user, patient, encounter, hook, prefetch=prefetch, delay=delay)

    def _panel_page(self, session: Session, patient: str) -> Response:
        shown = self._panel.shown(session.id, patient)
        return self._render("advice.html", shown=shown, patient=patient, token=session.form_token)

    async def _answer(self, request: Request) -> Response:
        session, form = self._sessions.of(request), await _form(request)
        patient, card = request.path_params["patient"], request.path_params["card"]
        if session is None or not session.owns(form.get("token")):
            return self._message(403, "Not a form of this page", "Open the chart again.")
        if form.get("suggestion"):
            went = await run_in_threadpool(self._panel.accept, session.id, patient, card, form["suggestion"])
        else:
            went = await run_in_threadpool(self._panel.override, session.id, patient, card, form.get("reason", ""))
        if not went:
            return self._message(502, "Not done", "The service or the record did not take it. Ask for advice again.")
        return self._redirect(f"/patients/{patient}/advice")

    # ---- the authorization endpoint ----

    def _authorize(self, request: Request) -> Response:
        """Send the browser back with a code or an error; to nowhere while the redirect_uri is not a registered one."""
        pairs = parse_qsl(request.url.query, keep_blank_values=True)
        asked = dict(pairs)
        session = self._sessions.of(request)
        try:
            self._authority.owner(asked.get("client_id", ""), asked.get("redirect_uri", ""))
        except OAuthError as error:
            return self._message(400, "The app cannot be opened", error.description)
        try:
            if session is None:
                raise OAuthError("access_denied", "nobody is signed in at the EHR in this browser")
            answer = self._authority.authorize(pairs, session.id)
        except OAuthError as error:
            answer = {"error": error.code, "error_description": error.description, "iss": self._authority.issuer}
        state = {"state": asked["state"]} if asked.get("state") else {}
        return self._redirect(f"{asked['redirect_uri']}?{urlencode({**answer, **state})}")

    def _redirect(self, url: str) -> Response:
        return RedirectResponse(url, 303, headers=self._headers)

    def _not_found(self, _request: Request, _error: Exception) -> Response:
        return self._message(404, "No such page", "Choose a patient from the list.")

    def _silent(self, _request: Request, _error: Exception) -> Response:
        return self._message(503, "The record does not answer", "Load the page again.")


async def _form(request: Request) -> dict[str, str]:
    body = (await request.body())[:20_000]
    try:
        return dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=20))
    except ValueError:
        return {}
