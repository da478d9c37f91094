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

from infra.local.answers import Result
from infra.local.chart import Curve, bar_svg, mean_curve, survival_svg, swatch_svg
from infra.local.results import FHIR_ID, EhrUnavailable, ResultReader
from infra.local.subscriptions import FEEDS

HERE = Path(__file__).parent
PACKAGES = HERE.parents[1] / "functions" / "survival" / "packages"
MODELS = tuple(name for feed in FEEDS for name in feed.models)
DAYS_PER_YEAR = 365
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
        self._reader = ResultReader(http, MODELS)
        self._packages = packages
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(percent=percent, horizon=horizon, moment=moment, words=words, sentence=sentence)
        self._templates.filters.update(interval=interval, years=years, lower_first=lower_first)
        self._templates.globals.update(bar=bar_svg, swatch=swatch_svg, models=MODELS)
        self.app = Starlette(
            routes=[
                Route("/", self._patients),
                Route("/patients/{patient}", self._patient),
                Route("/fhir/{kind}/{identifier}", self._raw),
                Route("/fhir/{kind}/{identifier}/_history/{version}", self._raw),
                Route("/models/{model}/card", self._card),
                Route("/models/{model}/report", self._report),
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
        found = self._reader.all()
        return self._render("patients.html", groups=[(name, results) for name, results in found.items() if results])

    def _patient(self, request: Request) -> Response:
        patient = request.path_params["patient"]
        results = self._reader.of(patient) if FHIR_ID.fullmatch(patient) else []
        if not results:
            return self._render("message.html", 404, title="No such patient", text="No result is recorded for this id.")
        sections = []
        for result in results:
            since = self._since(result)
            cohort = self._reader.curves(result.model) if result.curve and not result.competing else []
            drawing = _drawing(result, result.curve, cohort, since) if result.curve else ""
            sections.append((result, since, drawing, len(cohort), _links(result)))
        return self._render("patient.html", person=results[0].person, sections=sections)

    def _since(self, result: Result) -> str:
        """What time zero is: the admission, or a visit."""
        reference = next((item for item in result.basis if item.startswith("Encounter/")), "")
        encounter = self._raw_by(reference) if reference else None
        return "the visit" if (encounter or {}).get("class", {}).get("code") == "AMB" else "admission"

    def _raw_by(self, reference: str) -> dict[str, Any] | None:
        kind, _, rest = reference.partition("/")
        identifier, _, version = rest.partition("/_history/")
        fine = kind in SHOWN and all(FHIR_ID.fullmatch(part) for part in (identifier, version or "1"))
        return self._reader.raw(kind, identifier, version or None) if fine else None

    def _raw(self, request: Request) -> Response:
        kind, identifier = request.path_params["kind"], request.path_params["identifier"]
        version = request.path_params.get("version")
        resource = self._raw_by(f"{kind}/{identifier}" + (f"/_history/{version}" if version else ""))
        if resource is None:
            return self._render("message.html", 404, title="No such resource", text="The EHR has no such resource.")
        text = json.dumps(resource, indent=2, ensure_ascii=False)
        return self._render("resource.html", name=f"{kind}/{identifier}", version=version, text=text)

    def _file(self, request: Request, name: str) -> Path | None:
        """Return a file of a package by the model's name; of no other folder."""
        model = request.path_params["model"]
        path = self._packages / model / name
        return path if model in MODELS and path.is_file() else None

    def _card(self, request: Request) -> Response:
        path = self._file(request, "card.md")
        if path is None:
            return self._render("message.html", 404, title="No model card", text="This package has no model card yet.")
        return PlainTextResponse(path.read_text(encoding="utf-8"))

    def _report(self, request: Request) -> Response:
        path = self._file(request, "report.html")
        if path is None:
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
    whole, rest = divmod(days, DAYS_PER_YEAR)
    if whole and not rest:
        return "1 year" if whole == 1 else f"{whole:g} years"
    return "6 months" if days == 180 else f"{days:g} days"


def interval(bounds: tuple[float, float]) -> str:
    """Return an interval in percent as a person reads it."""
    low, high = (percent(bound) for bound in bounds)
    return low if low == high else f"{low} to {high}"


def words(value: float) -> str:
    """Return a probability in percent as a natural frequency."""
    if value < 1:
        return "fewer than 1 of 100 such patients"
    if value > 99:
        return "more than 99 of 100 such patients"
    return f"about {value:.0f} of 100 such patients"


def sentence(text: str) -> str:
    """Return a text with a capital and a full stop."""
    text = text.strip()
    return text[:1].upper() + text[1:].rstrip(".") + "." if text else ""


def lower_first(text: str) -> str:
    """Return a text as it stands inside a sentence."""
    return text[:1].lower() + text[1:]


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


def _drawing(result: Result, curve: Curve, cohort: Sequence[Curve], since: str) -> str:
    """Draw how probable it is to be free of the event; where another can come first, how probable each of them is."""
    key = f"curve-{result.model}"
    if result.competing is None:
        return survival_svg(
            curve,
            title=f"Probability over time of being free of: {result.outcome}",
            description=(
                f"The probability falls from 100 percent to {curve.percent[-1]:.0f} percent after "
                f"{years(curve.days)}. {_spoken(result)}"
            ),
            reference=mean_curve(cohort) if len(cohort) > 1 else None,
            marks=[(risk.days, 100 - risk.percent) for risk in result.risks],
            band=result.band,
            since=since,
            key=key,
        )
    other = result.competing
    last = f", and of {other.outcome} to {other.curve.percent[-1]:.0f} percent" if other.curve else ""
    return survival_svg(
        curve.complement,
        title=f"Probability over time of {result.outcome}, and of {other.outcome}",
        description=(
            f"The probability of {result.outcome} rises to {100 - curve.percent[-1]:.0f} percent after "
            f"{years(curve.days)}{last}. {_spoken(result)}"
        ),
        marks=[(risk.days, risk.percent) for risk in result.risks],
        band=(result.band[1].complement, result.band[0].complement) if result.band else None,
        competing=other.curve,
        since=since,
        key=key,
    )


def _spoken(result: Result) -> str:
    said = [f"{percent(risk.percent)} within {horizon(risk.days)}" for risk in result.risks]
    return f"Risk of {result.outcome}: {'; '.join(said)}." if said else ""


def _links(result: Result) -> list[tuple[str, str | None]]:
    """Return each reference with the address it is shown at, or None when it is not one of ours."""
    links: list[tuple[str, str | None]] = []
    for reference in dict.fromkeys((*result.resources, *result.basis)):
        kind, _, rest = reference.partition("/")
        identifier, _, version = rest.partition("/_history/")
        fine = kind in SHOWN and all(FHIR_ID.fullmatch(part) for part in (identifier, version or "1"))
        links.append((reference, f"/fhir/{reference}" if fine else None))
    return links
