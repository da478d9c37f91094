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

from fhir_adapter.dicomweb import ImageStore
from functions.smart_app.chart import Curve, bar_svg, mean_curve, survival_svg, swatch_svg
from functions.smart_app.findings import study_of
from functions.smart_app.pictures import FILMS, Pictures, strip_svg
from infra.local.answers import Result
from infra.local.phrases import (
    amount,
    horizon,
    interval,
    lower_first,
    moment,
    percent,
    points,
    sentence,
    words,
    years,
)
from infra.local.results import FHIR_ID, REPORTING, EhrUnavailable, ResultReader
from infra.local.subscriptions import MODELS

HERE = Path(__file__).parent
FUNCTIONS = HERE.parents[1] / "functions"
# The resources an answer can be traced back to; nothing else is shown raw.
SHOWN = frozenset(
    {"Condition", "Device", "DiagnosticReport", "Encounter", "ImagingStudy"}
    | {"Observation", "Patient", "Provenance", "RiskAssessment"}
)

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
    images : ImageStore, optional
        The image archive, for what a model looked at.
    functions : Path
        Where the functions and their packages are, for the model cards and reports.
    """

    def __init__(self, http: httpx.Client, images: ImageStore | None = None, functions: Path = FUNCTIONS) -> None:
        self._reader = ResultReader(http, MODELS)
        self._pictures = Pictures(images) if images is not None else None
        self._functions = functions
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(percent=percent, horizon=horizon, moment=moment, words=words, sentence=sentence)
        self._templates.filters.update(interval=interval, years=years, lower_first=lower_first)
        self._templates.filters.update(amount=amount, points=points)
        reported = frozenset(name for name in MODELS if self._packaged(name, "report.html"))
        self._templates.globals.update(bar=bar_svg, swatch=swatch_svg, models=MODELS, reported=reported)
        self.app = Starlette(
            routes=[
                Route("/", self._patients),
                Route("/patients/{patient}", self._patient),
                Route("/fhir/{kind}/{identifier}", self._raw),
                Route("/fhir/{kind}/{identifier}/_history/{version}", self._raw),
                Route("/studies/{study}/film.png", self._film),
                Route("/reports/{report}/picture.png", self._overlay),
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
            drawing = _drawing(result, result.curve, cohort, since) if result.curve else self._strip(result)
            sections.append((result, since, drawing, len(cohort), _links(result), self._shows(result)))
        return self._render("patient.html", person=results[0].person, sections=sections)

    def _shows(self, result: Result) -> frozenset[str]:
        """Which pictures there are of what a model looked at: ``film``, ``overlay``."""
        study = self._reader.raw("ImagingStudy", result.study) if result.study else None
        if study is None or self._pictures is None:
            return frozenset()
        modalities = {series.get("modality", {}).get("code") for series in study.get("series", ())}
        overlaid = bool(result.report) and self._pictures.has_overlay(study, result.report)
        return frozenset({"film"} if modalities & FILMS else ()) | frozenset({"overlay"} if overlaid else ())

    def _strip(self, result: Result) -> str:
        """Draw the recording that was measured."""
        study = self._reader.raw("ImagingStudy", result.study) if result.measurements and result.study else None
        found = self._pictures.strip(study) if study and self._pictures else None
        return "" if found is None else strip_svg(found, "Ten seconds of lead II of the electrocardiogram")

    def _since(self, result: Result) -> str:
        """What time zero is: the admission, a visit, or when the study was made or the blood taken."""
        if result.study:
            return "the study"
        if result.model in REPORTING:
            return "the sample"
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

    def _film(self, request: Request) -> Response:
        study = self._raw_by(f"ImagingStudy/{request.path_params['study']}")
        return self._png(self._pictures.film(study) if study and self._pictures else None)

    def _overlay(self, request: Request) -> Response:
        """The picture that was stored beside the study with a result; the result's id is its key."""
        report = self._raw_by(f"DiagnosticReport/{request.path_params['report']}") or {}
        named = study_of(str(item.get("reference")) for item in report.get("imagingStudy", ()))
        study = self._raw_by(f"ImagingStudy/{named}") if named else None
        return self._png(self._pictures.overlay(study, report["id"]) if study and self._pictures else None)

    def _png(self, data: bytes | None) -> Response:
        if data is None:
            return self._render("message.html", 404, title="No picture", text="The archive has no such picture.")
        return Response(data, media_type="image/png")

    def _packaged(self, model: str, name: str) -> Path | None:
        """Return a file of a package by the model's name; of no other folder."""
        if model not in MODELS:
            return None
        return next((path for path in self._functions.glob(f"*/packages/{model}/{name}") if path.is_file()), None)

    def _card(self, request: Request) -> Response:
        path = self._packaged(request.path_params["model"], "card.md")
        if path is None:
            return self._render("message.html", 404, title="No model card", text="This package has no model card yet.")
        return PlainTextResponse(path.read_text(encoding="utf-8"))

    def _report(self, request: Request) -> Response:
        path = self._packaged(request.path_params["model"], "report.html")
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
