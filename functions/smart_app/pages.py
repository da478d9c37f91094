"""Pages, and the headers without which none leaves.

Templates escape everything they are given; no text of a request is ever given to one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from aws_lambda_powertools.event_handler import Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fhir_adapter.tenants import Tenant
from functions.smart_app.chart import bar_svg, effect_svg, swatch_svg
from functions.smart_app.markdown import html_of
from functions.smart_app.reading import Chart
from functions.smart_app.results import Answer
from functions.smart_app.reviewing import REASONS, Offer
from functions.smart_app.sessions import Session
from functions.smart_app.showing import Section, grouped, headline_of
from functions.smart_app.words import Language, language_of, printed

__all__ = ["HTML", "Pages", "picture", "redirect", "security_headers"]

HERE = Path(__file__).parent
HTML = "text/html; charset=utf-8"
STATIC = "/smart/-/"
# Nothing but our own style sheet is loaded, and no script runs.
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors {ancestors}"
)
TWO_YEARS = 63_072_000


def security_headers(tenant: Tenant | None) -> dict[str, str | list[str]]:
    """Return the headers of every answer but a style sheet's.

    Only the tenant's registered origins may frame it (Content Security Policy Level 3, frame-ancestors);
    X-Frame-Options is left out, since it knows no list.
    """
    ancestors = tenant.smart.frame_ancestors if tenant is not None and tenant.smart is not None else ()
    return {
        "Cache-Control": "no-store",
        "Content-Security-Policy": POLICY.format(ancestors=" ".join(ancestors) or "'none'"),
        "Referrer-Policy": "no-referrer",
        "Strict-Transport-Security": f"max-age={TWO_YEARS}; includeSubDomains",
        "X-Content-Type-Options": "nosniff",
    }


def redirect(url: str, tenant: Tenant | None, cookies: Sequence[str] = ()) -> Response[str]:
    """Send the browser on with GET (RFC 9110, 15.4.4), to an address of our own making."""
    headers = {**security_headers(tenant), "Location": url}
    return _response(303, "", headers, cookies)


def picture(status: int, body: bytes, media_type: str, tenant: Tenant) -> Response[bytes]:
    """Return a picture; one that is drawn may load and run nothing, either."""
    return Response(status, content_type=media_type, body=body, headers=dict(security_headers(tenant)))


def _response(
    status: int, body: str, headers: Mapping[str, str | list[str]], cookies: Sequence[str] = ()
) -> Response[str]:
    # Powertools' own Cookie is not used: these are written whole, in one place.
    given: list[Any] = list(cookies)
    return Response(status, content_type=HTML, body=body, headers=dict(headers), cookies=given)


class Pages:
    """The pages of the app."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(moment=_moment, card=html_of, printed=printed, amount=_amount)
        self._templates.globals.update(
            bar=bar_svg, effect=effect_svg, swatch=swatch_svg, groups=grouped, reasons=REASONS
        )

    @cached_property
    def style(self) -> bytes:
        """The style sheet."""
        return (HERE / "static" / "app.css").read_bytes()

    @cached_property
    def _style_url(self) -> str:
        return f"{STATIC}app.css?v={hashlib.sha256(self.style).hexdigest()[:16]}"

    def static(self, name: str) -> Response[str] | None:
        """Return a file of ours, None when there is none of this name."""
        if name != "app.css":
            return None
        headers: dict[str, str | list[str]] = {
            "Cache-Control": "public, max-age=31536000, immutable",
            "X-Content-Type-Options": "nosniff",
        }
        return Response(200, content_type="text/css; charset=utf-8", body=self.style.decode(), headers=headers)

    def message(
        self,
        code: str,
        status: int,
        tenant: Tenant | None,
        language: Language | None = None,
        *,
        reference: str = "",
        cookies: Sequence[str] = (),
        retry_after: float = 0.0,
    ) -> Response[str]:
        """Return a page that says what happened and what to do.

        Parameters
        ----------
        code : str
            Name of the texts.
        reference : str
            Under which the log has more; of our own making.
        """
        headers = security_headers(tenant)
        if retry_after:
            headers["Retry-After"] = f"{min(retry_after, 3600.0):.0f}"
        body = self._render("message.html", language or _language(tenant), code=code, reference=reference)
        return _response(status, body, headers, cookies)

    def chart(
        self,
        tenant: Tenant,
        session: Session,
        chart: Chart,
        sections: Sequence[tuple[Section, Offer]],
        path: str,
        done: str = "",
    ) -> Response[str]:
        """Return the patient's page.

        Parameters
        ----------
        sections : sequence of (Section, Offer)
        path : str
            Of this page; the others lie below it.
        done : str
            What was done just now.
        """
        body = self._render(
            "chart.html",
            _language(tenant),
            **_whose(session, chart),
            lacking=chart.lacking,
            forbidden=chart.forbidden,
            sections=sections,
            path=path,
            done=done,
            user=session.fhir_user,
        )
        return _response(200, body, security_headers(tenant))

    def plain(
        self,
        template: str,
        tenant: Tenant,
        session: Session,
        chart: Chart,
        back: str,
        answer: Answer,
        **values: object,
    ) -> Response[str]:
        """Return a page about one answer.

        Parameters
        ----------
        back : str
            Path of the patient's page.
        """
        t = _language(tenant)
        headline = headline_of(answer, t)
        body = self._render(
            template, t, **_whose(session, chart), back=back, answer=answer, headline=headline, **values
        )
        return _response(200, body, security_headers(tenant))

    def _render(self, template: str, language: Language, **values: object) -> str:
        return self._templates.get_template(template).render(t=language, style=self._style_url, **values)


def _language(tenant: Tenant | None) -> Language:
    return language_of(tenant.locale if tenant is not None else "en")


def _whose(session: Session, chart: Chart) -> dict[str, object]:
    """Who a page is about stands on each of them, where the EHR does not show it itself."""
    return {"banner": session.context.need_patient_banner, "person": chart.person, "form_token": session.form_token}


def _moment(when: datetime) -> str:
    """A time as everybody reads it the same way (ISO 8601), in the zone it was written in."""
    return when.strftime("%Y-%m-%d %H:%M")


def _amount(value: float) -> str:
    """A measured quantity: whole from 100 on, in three digits below."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
