"""From resources to answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any

from fhir_adapter.codes import ABSTENTION_REASON, AI_CONFIDENCE, MODEL_TAG, REVIEW
from fhir_adapter.features.record import moment
from fhir_adapter.references import relative_reference
from functions.smart_app.curves import curve_of
from functions.smart_app.findings import findings_of, measured_of, own_code
from functions.smart_app.lenient import Json, number_of, object_of, objects
from functions.smart_app.results.answer import Answer, Review, Risk

__all__ = ["answers_of"]

RISK, COMPETING = "risk-", "competing-risk-"
# As fhir_adapter.evidence.components writes them; that package loads what writes, for which no page should wait.
CURVE, LOWER, UPPER = "survival-curve", "survival-curve-lower", "survival-curve-upper"
MEDIAN, COMPETING_CURVE = "median-time", "competing-incidence-curve"


def answers_of(resources: Iterable[Json], base: str, patient: str, zone: tzinfo) -> list[Answer]:
    """Return the answers about a patient, newest first.

    Parameters
    ----------
    resources : iterable of dict
        RiskAssessments, Observations and DiagnosticReports as found. What is not tagged as ours, is about somebody
        else, or was entered in error is left out, whatever was asked for.
    base : str
        FHIR base; references that lead elsewhere are left out.
    patient : str
        Id.
    zone : tzinfo
        Of dates without a time.
    """
    ours = [item for item in resources if _model(item) and _about(item, base, patient) and _live(item)]
    kinds: dict[str, dict[str, Json]] = {"RiskAssessment": {}, "Observation": {}, "DiagnosticReport": {}}
    for item in ours:
        kinds.get(str(item.get("resourceType")), {})[f"{item.get('resourceType')}/{item.get('id')}"] = item
    observations = kinds["Observation"]
    groups = []
    for item in kinds["RiskAssessment"].values():
        own = [observations.pop(reference) for reference in _sources(item, base) if reference in observations]
        groups.append((item, *own))
    groups += _alike(observations.values(), base)
    return sorted(
        (_answer(group, list(_reports(group, kinds["DiagnosticReport"], base)), base, zone) for group in groups),
        key=_newest_first,
    )


def _alike(observations: Iterable[Json], base: str) -> list[tuple[Json, ...]]:
    """Findings and measurements of one model, about the same time and from the same inputs, are one answer."""
    found: dict[tuple[str, str, frozenset[str]], list[Json]] = {}
    for item in observations:
        sources = frozenset(_sources(item, base)) if "valueQuantity" in item else frozenset()
        sources = sources or frozenset({str(item.get("id"))})
        found.setdefault((_model(item), str(item.get("effectiveDateTime")), sources), []).append(item)
    return [tuple(group) for group in found.values()]


def _reports(group: Sequence[Json], reports: Mapping[str, Json], base: str) -> Iterator[Json]:
    own = {f"{item.get('resourceType')}/{item.get('id')}" for item in group}
    for report in reports.values():
        named = {relative_reference(base, str(entry.get("reference") or "")) for entry in objects(report.get("result"))}
        if own & named:
            yield report


def _newest_first(answer: Answer) -> tuple[float, float, str]:
    """By what it is about, then by when it was written; what has no time comes last."""
    about, written = (-time.timestamp() if time else float("inf") for time in (answer.when, answer.written))
    return about, written, answer.reference


def _answer(group: Sequence[Json], reports: Sequence[Json], base: str, zone: tzinfo) -> Answer:
    item, own = group[0], [one for one in group if one.get("resourceType") == "Observation"]
    parts = {own_code(part): part for observation in own for part in objects(observation.get("component"))}
    assessed = item.get("resourceType") == "RiskAssessment"
    text = next((one.get("effectiveDateTime") for one in own), None) or item.get("occurrenceDateTime")
    findings, measured = tuple(findings_of(own)), tuple(measured_of(own))
    risks = tuple(_risks(item) if assessed else _component_risks(item))
    lower, upper = curve_of(parts.get(LOWER)), curve_of(parts.get(UPPER))
    absent = None if assessed else item.get("dataAbsentReason")
    median = number_of(object_of(parts.get(MEDIAN, {}).get("valueQuantity")).get("value"))
    sources = dict.fromkeys(source for one in group for source in _sources(one, base, versions=True))
    references = {f"{one.get('resourceType')}/{one.get('id')}" for one in group}
    return Answer(
        model=_model(item),
        title=_title(item, reports),
        status=str(item.get("status") or ""),
        when=moment(text, zone),
        risks=risks,
        curve=curve_of(parts.get(CURVE)),
        band=(lower, upper) if lower and upper else None,
        competing=curve_of(parts.get(COMPETING_CURVE)),
        median_days=median,
        drivers=_drivers(item),
        findings=findings,
        measurements=measured,
        declined=_reason(absent) if isinstance(absent, Mapping) else None,
        remarks=_remarks(group, findings),
        review=_review([*group, *reports], base),
        method=str(object_of(item.get("method")).get("text") or ""),
        sources=tuple(source for source in sources if source.partition("/_history/")[0] not in references),
        reference=f"{item.get('resourceType')}/{item.get('id')}",
        written=moment(object_of(item.get("meta")).get("lastUpdated")),
        parts=(*group, *reports),
    )


def _title(item: Json, reports: Sequence[Json]) -> str:
    """A finding's code says what was looked for; what the model is called stands in its report."""
    for report in reports:
        text = object_of(report.get("code")).get("text")
        if text:
            return str(text)
    code = object_of(item.get("code"))
    coding: Json = next(objects(code.get("coding")), {})
    method = str(object_of(item.get("method")).get("text") or "")
    return str(coding.get("display") or code.get("text") or method or _model(item))


def _remarks(group: Sequence[Json], findings: Sequence[Any]) -> tuple[str, ...]:
    """What was noted, but for what a person said and for what drove a finding, which are shown as such."""
    drivers = {"; ".join(finding.drivers) for finding in findings}
    noted = (note for item in group for note in objects(item.get("note")) if "authorReference" not in note)
    return tuple(dict.fromkeys(str(note["text"]) for note in noted if note.get("text") and note["text"] not in drivers))


def _review(group: Sequence[Json], base: str) -> Review | None:
    """The newest word of a person: by the tag on the result, or by its status where another program confirmed it."""
    tags = [tag for item in group for tag in objects(object_of(item.get("meta")).get("tag"))]
    codes = {str(tag.get("code")) for tag in tags if tag.get("system") == REVIEW}
    decision = next((name for name in ("rejected", "confirmed") if name in codes), "")
    if not decision:
        return None
    notes = [note for item in group for note in objects(item.get("note")) if object_of(note.get("authorReference"))]
    last: Json = notes[-1] if notes else {}
    who = relative_reference(base, str(object_of(last.get("authorReference")).get("reference") or ""))
    return Review(decision, who or "", moment(last.get("time")), str(last.get("text") or ""))


def _drivers(item: Json) -> tuple[str, ...]:
    rationales = (part.get("rationale") for part in objects(item.get("prediction")))
    text = next((text for text in rationales if isinstance(text, str) and text), "")
    return tuple(part for part in text.split("; ") if part)


def _sources(item: Json, base: str, *, versions: bool = False) -> Iterator[str]:
    for entry in [*objects(item.get("basis")), *objects(item.get("derivedFrom"))]:
        given = str(entry.get("reference") or "")
        reference = relative_reference(base, given)
        if reference:
            version = given.partition("/_history/")[2]
            yield f"{reference}/_history/{version}" if versions and version else reference


def _risks(item: Json) -> Iterator[Risk]:
    for prediction in objects(item.get("prediction")):
        percent, outcome = number_of(prediction.get("probabilityDecimal")), object_of(prediction.get("outcome"))
        if percent is not None:
            yield Risk(str(outcome.get("text") or ""), _days(prediction), percent, _interval(prediction))


def _days(prediction: Json) -> float | None:
    """The horizon, as fhir_adapter.evidence has it; that package loads what writes, for which no page should wait."""
    period = object_of(prediction.get("whenPeriod"))
    start, end = moment(period.get("start")), moment(period.get("end"))
    return (end - start) / timedelta(days=1) if isinstance(start, datetime) and isinstance(end, datetime) else None


def _component_risks(item: Json) -> Iterator[Risk]:
    outcome = str(object_of(item.get("code")).get("text") or "").removeprefix("Predicted risk: ")
    for part in objects(item.get("component")):
        code, value = own_code(part), number_of(object_of(part.get("valueQuantity")).get("value"))
        if code.startswith((RISK, COMPETING)) and value is not None:
            days = code.removeprefix("competing-").removeprefix(RISK).removesuffix("d")
            text = str(object_of(part.get("code")).get("text") or "") if code.startswith(COMPETING) else outcome
            yield Risk(text, float(days) if days.isdecimal() else None, value, _interval(part))


def _interval(element: Json) -> tuple[float, float] | None:
    for extension in objects(element.get("extension")):
        bounds = object_of(extension.get("valueRange"))
        low, high = (number_of(object_of(bounds.get(name)).get("value")) for name in ("low", "high"))
        if extension.get("url") == AI_CONFIDENCE and low is not None and high is not None:
            return low, high
    return None


def _reason(absent: Json) -> str:
    codes = [entry.get("code") for entry in objects(absent.get("coding")) if entry.get("system") == ABSTENTION_REASON]
    return str(codes[0]) if codes else "unknown"


def _model(item: Json) -> str:
    tags = objects(object_of(item.get("meta")).get("tag"))
    return next((str(tag.get("code")) for tag in tags if tag.get("system") == MODEL_TAG), "")


def _about(item: Json, base: str, patient: str) -> bool:
    reference = str(object_of(item.get("subject")).get("reference") or "")
    return relative_reference(base, reference) == f"Patient/{patient}"


def _live(item: Json) -> bool:
    return item.get("status") not in ("entered-in-error", "cancelled")
