"""What Bedside wrote about a patient, as the page shows it; made from FHIR and nothing else.

A RiskAssessment tells the risks. Where it may not be read, the Observation of the same answer tells them too; what only
Observations hold (a finding, a measurement, an abstention) is told from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any

from fhir_adapter.codes import ABSTENTION_REASON, AI_CONFIDENCE, MODEL_TAG, RESULT_CODE
from fhir_adapter.features.record import moment
from fhir_adapter.references import relative_reference
from functions.smart_app.lenient import Json, number_of, object_of, objects

__all__ = ["Answer", "Reading", "Risk", "answers_of"]

RISK, COMPETING = "risk-", "competing-risk-"


@dataclass(frozen=True)
class Risk:
    """One probability.

    Parameters
    ----------
    outcome : str
        Of what.
    days : float or None
        Within how many days; None for what is present now.
    percent : float
    interval : (float, float) or None
        95% interval in percent, where the model states one.
    """

    outcome: str
    days: float | None
    percent: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Reading:
    """A finding or measurement in its own words and unit."""

    name: str
    value: str
    remark: str = ""


@dataclass(frozen=True)
class Answer:
    """One answer of one model.

    Parameters
    ----------
    model, title : str
    status : str
        FHIR status; ``preliminary`` until a person has confirmed it.
    when : datetime or None
        What it is about: the admission, the study, the sample.
    risks : tuple of Risk
    readings : tuple of Reading
    declined : str or None
        Code of the reason for which there is no answer.
    remarks : tuple of str
    method : str
        Model and version.
    sources : tuple of str
        ``Type/id`` at this EHR of what it was made from.
    reference : str
        ``Type/id`` of the result.
    written : datetime or None
        When the EHR stored it.
    """

    model: str
    title: str
    status: str
    when: datetime | None
    risks: tuple[Risk, ...] = ()
    readings: tuple[Reading, ...] = ()
    declined: str | None = None
    remarks: tuple[str, ...] = ()
    method: str = ""
    sources: tuple[str, ...] = ()
    reference: str = ""
    written: datetime | None = None


def answers_of(resources: Iterable[Json], base: str, patient: str, zone: tzinfo) -> list[Answer]:
    """Return the answers about a patient, newest first.

    Parameters
    ----------
    resources : iterable of dict
        RiskAssessments and Observations as found. What is not tagged as ours, is about somebody else, or was entered in
        error is left out, whatever was asked for.
    base : str
        FHIR base; references that lead elsewhere are left out.
    patient : str
        Id.
    zone : tzinfo
        Of dates without a time.
    """
    ours = [item for item in resources if _model(item) and _about(item, base, patient) and _live(item)]
    assessments = [item for item in ours if item.get("resourceType") == "RiskAssessment"]
    observations = {f"Observation/{item.get('id')}": item for item in ours if item.get("resourceType") == "Observation"}
    answers = []
    for item in assessments:
        own = [observations.pop(reference) for reference in _sources(item, base) if reference in observations]
        answers.append(_assessed(item, own, base, zone))
    answers += [_observed(item, base, zone) for item in observations.values()]
    return sorted(answers, key=_newest_first)


def _newest_first(answer: Answer) -> tuple[float, float, str]:
    """By what it is about, then by when it was written; what has no time comes last."""
    about, written = (-time.timestamp() if time else float("inf") for time in (answer.when, answer.written))
    return about, written, answer.reference


def _assessed(item: Json, own: Sequence[Json], base: str, zone: tzinfo) -> Answer:
    text = next((observation.get("effectiveDateTime") for observation in own), None) or item.get("occurrenceDateTime")
    readings = tuple(reading for observation in own for reading in _readings(observation))
    return Answer(
        **_common(item, base),
        when=moment(text, zone),
        risks=tuple(_risks(item)),
        readings=readings,
        remarks=_texts(item.get("note")),
    )


def _observed(item: Json, base: str, zone: tzinfo) -> Answer:
    absent = item.get("dataAbsentReason")
    return Answer(
        **_common(item, base),
        when=moment(item.get("effectiveDateTime"), zone),
        risks=tuple(_component_risks(item)),
        readings=tuple(_readings(item)),
        declined=_reason(absent) if isinstance(absent, Mapping) else None,
        remarks=_texts(item.get("note")),
    )


def _common(item: Json, base: str) -> dict[str, Any]:
    coding: Json = next(objects(object_of(item.get("code")).get("coding")), {})
    method = str(object_of(item.get("method")).get("text") or "")
    return {
        "model": _model(item),
        "title": str(coding.get("display") or object_of(item.get("code")).get("text") or method or _model(item)),
        "status": str(item.get("status") or ""),
        "method": method,
        "sources": tuple(_sources(item, base)),
        "reference": f"{item.get('resourceType')}/{item.get('id')}",
        "written": moment(object_of(item.get("meta")).get("lastUpdated")),
    }


def _sources(item: Json, base: str) -> Iterator[str]:
    for entry in [*objects(item.get("basis")), *objects(item.get("derivedFrom"))]:
        reference = relative_reference(base, str(entry.get("reference") or ""))
        if reference:
            yield reference


def _risks(item: Json) -> Iterator[Risk]:
    for prediction in objects(item.get("prediction")):
        percent, outcome = number_of(prediction.get("probabilityDecimal")), object_of(prediction.get("outcome"))
        if percent is not None:
            yield Risk(str(outcome.get("text") or ""), _days(prediction), percent, _interval(prediction))


def _days(prediction: Json) -> float | None:
    """The horizon, as fhir_adapter.evidence has it; that package loads what writes, for which no page should wait."""
    period = object_of(prediction.get("whenPeriod"))
    start, end = moment(period.get("start")), moment(period.get("end"))
    return (end - start) / timedelta(days=1) if start and end else None


def _component_risks(item: Json) -> Iterator[Risk]:
    outcome = str(object_of(item.get("code")).get("text") or "").removeprefix("Predicted risk: ")
    for part in objects(item.get("component")):
        code, value = _own_code(part), number_of(object_of(part.get("valueQuantity")).get("value"))
        if code.startswith((RISK, COMPETING)) and value is not None:
            days = code.removeprefix("competing-").removeprefix(RISK).removesuffix("d")
            text = str(object_of(part.get("code")).get("text") or "") if code.startswith(COMPETING) else outcome
            yield Risk(text, float(days) if days.isdecimal() else None, value, _interval(part))


def _readings(item: Json) -> Iterator[Reading]:
    quantity = object_of(item.get("valueQuantity"))
    value = number_of(quantity.get("value"))
    if value is not None:
        name = object_of(item.get("code")).get("text") or ""
        remark = next((str(entry.get("text") or "") for entry in objects(item.get("interpretation"))), "")
        yield Reading(str(name), f"{value:.4g} {quantity.get('unit') or ''}".strip(), remark)


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


def _own_code(part: Json) -> str:
    codings = objects(object_of(part.get("code")).get("coding"))
    return next((str(coding.get("code")) for coding in codings if coding.get("system") == RESULT_CODE), "")


def _texts(notes: object) -> tuple[str, ...]:
    return tuple(str(note["text"]) for note in objects(notes) if note.get("text"))
