"""From a chart to what the page shows of it: one section for each model, with its drawings, drivers and pictures."""

from __future__ import annotations

import hashlib
import hmac
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from markupsafe import Markup

from fhir_adapter.tenants import Tenant
from functions.smart_app.chart import survival_svg
from functions.smart_app.drivers import Driver, drivers_of
from functions.smart_app.models import Contract, Models
from functions.smart_app.reading import Chart
from functions.smart_app.results import Answer, Risk
from functions.smart_app.sessions import Session
from functions.smart_app.words import Language

__all__ = ["Section", "grouped", "headline_of", "key_of", "pictures_of", "sections_of"]

DAYS_PER_YEAR = 365.25


@dataclass(frozen=True)
class Section:
    """One answer as it is shown, with the others of its model.

    Parameters
    ----------
    key : str
        Of the answer, in addresses of this session.
    answer : Answer
    contract : Contract or None
    headline : str
        The answer in a few words.
    drawing : Markup
        The curve; empty for none.
    referenced : bool
        Whether the drawing holds the reference population.
    drivers : list of Driver
    found : list of (Finding, list of Driver)
        The drivers of findings.
    pictures : tuple of str
        Names of pictures to load; or, where there are none though the model looked at something, ``word``.
    word : str
        Why no picture is shown; empty where there is none to show.
    others : list of (str, Answer, str)
        Key, answer and headline of the model's other answers, newest first.
    newer : bool
        Whether one of them is newer.
    """

    key: str
    answer: Answer
    contract: Contract | None
    headline: str
    drawing: Markup
    referenced: bool
    drivers: Sequence[Driver]
    found: Sequence[tuple[Any, Sequence[Driver]]]
    pictures: tuple[str, ...]
    word: str
    others: Sequence[tuple[str, Answer, str]]
    newer: bool


def key_of(session: Session, answer: Answer) -> str:
    """Return what an answer is called in this session's addresses: nothing of the EHR's own ids."""
    digest = hmac.new(session.form_token.encode(), answer.reference.encode("utf-8", "replace"), hashlib.sha256)
    return digest.hexdigest()[:20]


def sections_of(
    tenant: Tenant, session: Session, chart: Chart, models: Models, t: Language, show: str = ""
) -> list[Section]:
    """Return a section for each model, that which a card opened first, then by time.

    Parameters
    ----------
    show : str
        Key of an answer to show instead of its model's newest.
    """
    model, result = _opened(session)
    for answer in chart.answers if show else ():
        if key_of(session, answer) == show:
            model, result = answer.model, answer.reference
    groups: dict[str, list[Answer]] = {}
    for answer in chart.answers:
        groups.setdefault(answer.model, []).append(answer)
    ordered = sorted(groups.values(), key=lambda group: group[0].model != model)
    return [_section(tenant, session, chart, models, t, group, result) for group in ordered]


def _opened(session: Session) -> tuple[str, str]:
    """Model and result that a card of ours opened the app for; it came through other hands, and only orders."""
    try:
        found: Any = orjson.loads(session.context.app_context or "{}")
    except orjson.JSONDecodeError:
        return "", ""
    return (str(found.get("model") or ""), str(found.get("result") or "")) if isinstance(found, dict) else ("", "")


def _section(
    tenant: Tenant, session: Session, chart: Chart, models: Models, t: Language, group: Sequence[Answer], result: str
) -> Section:
    named = (number for number, answer in enumerate(group) if result in (answer.reference, *answer.references))
    chosen = next(named, 0)
    answer, contract = group[chosen], models.get(group[chosen].model)
    units = tenant.smart.units if tenant.smart is not None else {}
    names, word = pictures_of(tenant, chart, answer, contract)
    drawing = _drawing(answer, contract, t)
    return Section(
        key=key_of(session, answer),
        answer=answer,
        contract=contract,
        headline=headline_of(answer, t),
        drawing=drawing,
        referenced=bool(drawing) and contract is not None and contract.reference is not None,
        drivers=drivers_of(answer.drivers, contract, units) if not answer.findings else [],
        found=[(item, drivers_of(item.drivers, contract, units)) for item in answer.findings if item.drivers],
        pictures=names,
        word=word,
        others=[
            (key_of(session, other), other, headline_of(other, t))
            for number, other in enumerate(group)
            if number != chosen
        ],
        newer=chosen > 0,
    )


def headline_of(answer: Answer, t: Language) -> str:
    """Return an answer in a few words."""
    if answer.declined:
        return t("declined")
    if answer.findings:
        stated = [t.called(item.code, item.name) for item in answer.findings if item.stated]
        return t("stated.these", names=", ".join(stated)) if stated else t("stated.none")
    risk = answer.main or next(iter(answer.risks), None)
    return t("headline.risk", percent=t.percent(risk.percent), horizon=t.within(risk.days)) if risk else ""


def grouped(answer: Answer) -> list[tuple[str, list[Risk]]]:
    """Return the risks by what they are of, in their order; those that findings tell already are left out."""
    found: dict[str, list[Risk]] = {}
    for risk in answer.risks:
        if risk.days is not None or not answer.findings:
            found.setdefault(risk.outcome, []).append(risk)
    return list(found.items())


def pictures_of(tenant: Tenant, chart: Chart, answer: Answer, contract: Contract | None) -> tuple[tuple[str, ...], str]:
    """Return the names of the pictures to show; where there are none to show, the word that says why."""
    if not answer.study or contract is None or not contract.looks:
        return (), ""
    if not tenant.dicomweb_root:
        return (), "pictures.no-store"
    if "pictures" not in chart.granted:
        return (), "pictures.no-scope"
    if importlib.util.find_spec("pydicom") is None:
        return (), "pictures.no-reader"
    if contract.looks == "strip":
        return ("strip.svg",), ""
    mapped = contract.maps and bool(answer.report) and tenant.imaging_results == "dicom"
    return (("film.png", "map.png") if mapped else ("film.png",)), ""


def _drawing(answer: Answer, contract: Contract | None, t: Language) -> Markup:
    """Draw how probable it is to be free of the event; where another can come first, how probable each of them is."""
    curve = answer.curve
    if curve is None or not answer.risks:
        return Markup("")
    outcome = answer.risks[0].outcome
    told = t.outcome(answer.model, 0, outcome)
    reference = contract.reference if contract else None
    date = answer.when.strftime("%Y-%m-%d") if answer.when else t("axis.start")
    marks = [(risk.days, risk.percent) for risk in answer.risks if risk.days is not None and risk.outcome == outcome]
    competing = answer.competing
    shown = curve.complement if competing else curve
    band = answer.band
    if competing and band:
        band = (band[1].complement, band[0].complement)
    return survival_svg(
        shown,
        title=t("svg.title.competing" if competing else "svg.title", outcome=told),
        description=t("svg.description", percent=t.percent(shown.percent[-1]), horizon=_length(curve.days, t)),
        reference=reference.complement if competing and reference else reference,
        marks=marks if competing else [(days, 100 - percent) for days, percent in marks],
        band=band,
        competing=competing,
        axis=(t("axis.years", date=date), t("axis.days", date=date)),
        key=f"curve-{hashlib.sha256(answer.reference.encode('utf-8', 'replace')).hexdigest()[:8]}",
    )


def _length(days: float, t: Language) -> str:
    years = days / DAYS_PER_YEAR
    return t("horizon.years", number=f"{years:.1f}") if years >= 2 else t("horizon.days", number=f"{days:.0f}")
