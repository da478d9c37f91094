"""The twin's page: who was admitted, and what the model answered. It reads from the EHR and writes nothing."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from infra.local.chart import Curve, bar_svg, mean_curve, survival_svg, swatch_svg
from infra.local.results import FHIR_ID, EhrUnavailable, Result, ResultReader

HERE = Path(__file__).parent
PACKAGES = HERE.parents[1] / "functions" / "survival" / "packages"
MODEL = "whas500"
ONE_YEAR = 365.0
# The resources an answer can be traced back to; nothing else is shown raw.
SHOWN = frozenset({"Condition", "Device", "Encounter", "Observation", "Patient", "Provenance", "RiskAssessment"})

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# The report is one self-contained file with its own styles and pictures; it may do nothing else.
REPORT_POLICY = "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; frame-ancestors 'none'"


class Pages:
    """The page as an ASGI application.

    Parameters
    ----------
    http : httpx.Client
        With the EHR's FHIR base and credentials.
    packages : Path
        Where the model packages are, for the model card and the report.
    """

    def __init__(self, http: httpx.Client, packages: Path = PACKAGES) -> None:
        self._reader = ResultReader(http, MODEL)
        self._package = packages / MODEL
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(percent=percent, horizon=horizon, moment=moment, words=words, sentence=sentence)
        self._templates.globals.update(bar=bar_svg, swatch=swatch_svg, one_year=ONE_YEAR)
        self.app = Starlette(
            routes=[
                Route("/", self._patients),
                Route("/patients/{patient}", self._patient),
                Route("/fhir/{kind}/{identifier}", self._raw),
                Route("/fhir/{kind}/{identifier}/_history/{version}", self._raw),
                Route("/models/whas500/card", self._card),
                Route("/models/whas500/report", self._report),
                Mount("/static", StaticFiles(directory=HERE / "static")),
            ],
            middleware=[
                Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"]),
                Middleware(BaseHTTPMiddleware, dispatch=_add_headers),
            ],
            exception_handlers={EhrUnavailable: self._unavailable, 404: self._not_found},
        )

    def _render(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        return HTMLResponse(self._templates.get_template(template).render(**values), status)

    def _patients(self, _: Request) -> Response:
        results = self._reader.all()
        return self._render(
            "patients.html",
            predicted=[result for result in results if result.risks],
            abstained=[result for result in results if not result.risks],
        )

    def _patient(self, request: Request) -> Response:
        patient = request.path_params["patient"]
        result = self._reader.of(patient) if FHIR_ID.fullmatch(patient) else None
        if result is None:
            return self._render("message.html", 404, title="No such patient", text="No result is recorded for this id.")
        cohort = [other.curve for other in self._reader.all() if other.curve is not None] if result.curve else []
        return self._render(
            "patient.html",
            result=result,
            curve=_drawing(result, result.curve, cohort) if result.curve else "",
            cohort=len(cohort),
            basis=_links(result),
        )

    def _raw(self, request: Request) -> Response:
        kind, identifier = request.path_params["kind"], request.path_params["identifier"]
        version = request.path_params.get("version")
        fine = kind in SHOWN and all(FHIR_ID.fullmatch(part) for part in (identifier, version or "1"))
        resource = self._reader.raw(kind, identifier, version) if fine else None
        if resource is None:
            return self._render("message.html", 404, title="No such resource", text="The EHR has no such resource.")
        text = json.dumps(resource, indent=2, ensure_ascii=False)
        return self._render("resource.html", name=f"{kind}/{identifier}", version=version, text=text)

    def _card(self, _: Request) -> Response:
        path = self._package / "card.md"
        if not path.is_file():
            return self._render("message.html", 404, title="No model card", text="This package has no model card yet.")
        return PlainTextResponse(path.read_text(encoding="utf-8"))

    def _report(self, _: Request) -> Response:
        path = self._package / "report.html"
        if not path.is_file():
            return self._render("message.html", 404, title="No report", text="This package has no report yet.")
        return FileResponse(path, media_type="text/html", headers={"Content-Security-Policy": REPORT_POLICY})

    def _unavailable(self, _: Request, error: Exception) -> Response:
        text = f"Nothing can be shown now: {error}. Reload the page to try again."
        return self._render("message.html", 503, title="The EHR is not available", text=text)

    def _not_found(self, _: Request, __: Exception) -> Response:
        return self._render("message.html", 404, title="No such page", text="There is nothing at this address.")


async def _add_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def percent(value: float) -> str:
    """Return a percentage as a person reads it: whole, but never 0 or 100."""
    if value < 1:
        return "under 1%"
    if value > 99:
        return "over 99%"
    return f"{value:.0f}%"


def horizon(days: float) -> str:
    """Return a horizon in words: ``30 days``, ``6 months``, ``1 year``."""
    named = {180.0: "6 months", 365.0: "1 year", 730.0: "2 years", 1095.0: "3 years", 1825.0: "5 years"}
    return named.get(float(days), f"{days:g} days")


def words(value: float) -> str:
    """Return a probability in percent as a natural frequency."""
    if value < 1:
        return "Fewer than 1 of 100 such patients would die."
    if value > 99:
        return "More than 99 of 100 such patients would die."
    return f"About {value:.0f} of 100 such patients would die."


def sentence(text: str) -> str:
    """Return a text with a capital and a full stop."""
    text = text.strip()
    return text[:1].upper() + text[1:].rstrip(".") + "." if text else ""


def years(days: float) -> str:
    """Return a length of time in words, in years from two years on."""
    return f"{days / 365.25:.1f} years" if days >= 730 else f"{days:.0f} days"


def moment(text: str) -> str:
    """Return an ISO 8601 time as a person reads it; unchanged when it is not one."""
    from datetime import datetime

    try:
        return datetime.fromisoformat(text).strftime("%d %B %Y, %H:%M")
    except ValueError:
        return text


def _drawing(result: Result, curve: Curve, cohort: Sequence[Curve]) -> str:
    return survival_svg(
        curve,
        title="Predicted survival after admission",
        description=(
            f"Predicted survival falls from 100 percent at admission to {curve.percent[-1]:.0f} percent after "
            f"{years(curve.days)}. {_spoken(result)}"
        ),
        reference=mean_curve(cohort) if len(cohort) > 1 else None,
        marks=[(days, 100 - risk) for days, risk in result.risks],
    )


def _spoken(result: Result) -> str:
    said = [f"{percent(value)} risk of death within {horizon(days)}" for days, value in result.risks]
    return "; ".join(said) + "." if said else ""


def _links(result: Result) -> list[tuple[str, str | None]]:
    """Return each reference with the address it is shown at, or None when it is not one of ours."""
    links: list[tuple[str, str | None]] = []
    for reference in dict.fromkeys((*result.resources, *result.basis)):
        kind, _, rest = reference.partition("/")
        identifier, _, version = rest.partition("/_history/")
        fine = kind in SHOWN and all(FHIR_ID.fullmatch(part) for part in (identifier, version or "1"))
        links.append((reference, f"/fhir/{reference}" if fine else None))
    return links
