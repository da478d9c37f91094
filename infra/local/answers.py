"""A result as the page shows it, made from the FHIR resources of a model's answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fhir_adapter.codes import ABSTENTION_REASON, AI_CONFIDENCE
from fhir_adapter.evidence.components import COMPETING_CURVE, CURVE, LOWER, MEDIAN, UPPER
from fhir_adapter.evidence.times import horizon_days
from functions.smart_app.chart import Curve
from functions.smart_app.findings import Finding, Measured, findings_of, measured_of, study_of
from infra.local.people import Person, person_of

__all__ = ["Competing", "Person", "Result", "Risk", "abstention_of", "diagnosis_of", "prediction_of"]

MILLISECONDS_PER_DAY = 86_400_000
REASONS = {
    "missing-input": "A required measurement is missing",
    "implausible-input": "A measurement is not plausible",
    "unit-not-convertible": "A measurement is in a unit that cannot be converted",
    "outside-population": "Outside the population the model was made for",
    "no-index-time": "The time that the prediction would begin at is not recorded",
    "not-computable": "The model gives no number for what is on record",
    "study-incomplete": "The study is not complete",
    "no-suitable-image": "The study has no image of the model's kind",
    "patient-mismatch": "The image is of another patient",
}
Json = Mapping[str, Any]


@dataclass(frozen=True)
class Risk:
    """Probability of an event within a time, all in percent.

    Parameters
    ----------
    days, percent : float
    interval : (float, float) or None
        What the model says of its own uncertainty.
    """

    days: float
    percent: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Competing:
    """The event that can come first: how probable it is."""

    outcome: str
    risks: tuple[Risk, ...]
    curve: Curve | None = None


@dataclass(frozen=True)
class Result:
    """A model's latest answer for one patient: a prediction, or why there is none.

    Parameters
    ----------
    person : Person
    model : str
        Name of the model.
    title : str
        What it predicts, as the model calls itself.
    when : str
        Time zero, ISO 8601, or empty.
    status : str
        FHIR status, ``preliminary`` until confirmed.
    outcome : str
        The predicted event.
    risks : tuple of Risk
        By rising horizon; empty for an abstention.
    curve : Curve or None
        Probability of being free of the event.
    band : (Curve, Curve) or None
        Bounds of it.
    median_days : float or None
        When the probability of the event reaches one half.
    competing : Competing or None
    reason : str
        Why there is no prediction, in words; empty for a prediction.
    detail : str
        More on the reason.
    drivers : tuple of str
        What moved the prediction, largest first.
    notes : tuple of str
    method : str
        Model and version.
    basis : tuple of str
        References to what it was answered from, as written in the EHR.
    resources : tuple of str
        ``Type/id`` of the result itself.
    findings : tuple of Finding
        What a diagnosis model looked for.
    measurements : tuple of Measured
        What it read from a recording.
    study : str
        Id of the ImagingStudy it looked at.
    """

    person: Person
    model: str
    title: str
    when: str
    status: str
    outcome: str = ""
    risks: tuple[Risk, ...] = ()
    curve: Curve | None = None
    band: tuple[Curve, Curve] | None = None
    median_days: float | None = None
    competing: Competing | None = None
    reason: str = ""
    detail: str = ""
    drivers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    method: str = ""
    basis: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    measurements: tuple[Measured, ...] = ()
    study: str = ""

    @property
    def answered(self) -> bool:
        """Whether there is an answer, and not the reason why there is none."""
        return bool(self.risks or self.findings or self.measurements)

    @property
    def stated(self) -> tuple[Finding, ...]:
        """The findings at or above their operating points."""
        return tuple(item for item in self.findings if item.stated)

    @property
    def report(self) -> str:
        """Id of the DiagnosticReport, empty for other results."""
        found = (reference.partition("/") for reference in self.resources)
        return next((identifier for kind, _, identifier in found if kind == "DiagnosticReport"), "")

    def risk_at(self, days: float) -> float | None:
        """Return the probability in percent at a horizon, if the model gave one."""
        return next((risk.percent for risk in self.risks if risk.days == days), None)

    @property
    def main(self) -> Risk | None:
        """The risk that a list shows: at the middle horizon, which is the one that is explained."""
        return self.risks[len(self.risks) // 2] if self.risks else None


def prediction_of(
    item: Json, model: str, observations: Mapping[str, Json], people: Mapping[str, Json]
) -> tuple[str, Result]:
    """Return a RiskAssessment and its Observation as a result, with what makes it later than others."""
    basis = [entry["reference"] for entry in item.get("basis", []) if "reference" in entry]
    own = next((observations[reference] for reference in basis if reference in observations), {})
    parts = {_code(part): part for part in own.get("component", [])}
    predictions = [part for part in item.get("prediction", []) if horizon_days(part) is not None]
    outcome = _outcome(predictions[0]) if predictions else ""
    mine = [part for part in predictions if _outcome(part) == outcome]
    others = [part for part in predictions if _outcome(part) != outcome]
    lower, upper = _curve(parts.get(LOWER)), _curve(parts.get(UPPER))
    rationale = next(filter(None, (part.get("rationale", "") for part in mine)), "")
    median = parts.get(MEDIAN, {}).get("valueQuantity", {}).get("value")
    competing = Competing(_outcome(others[0]), _risks(others), _curve(parts.get(COMPETING_CURVE))) if others else None
    result = Result(
        person=person_of(item, people),
        model=model,
        title=_title(item),
        when=own.get("effectiveDateTime") or item.get("occurrenceDateTime", ""),
        status=item.get("status", ""),
        outcome=outcome,
        risks=_risks(mine),
        curve=_curve(parts.get(CURVE)),
        band=(lower, upper) if lower and upper else None,
        median_days=float(median) if median is not None else None,
        competing=competing,
        drivers=tuple(part for part in rationale.split("; ") if part),
        notes=_texts(item.get("note", [])),
        method=item.get("method", {}).get("text", ""),
        basis=tuple(basis),
        resources=(f"RiskAssessment/{item['id']}",),
    )
    return _order(item, result.when), result


def abstention_of(item: Json, model: str, people: Mapping[str, Json]) -> tuple[str, Result]:
    """Return an Observation without a value as a result, with what makes it later than others."""
    codings = item["dataAbsentReason"].get("coding", [])
    basis = tuple(entry["reference"] for entry in item.get("derivedFrom", []) if "reference" in entry)
    code = next((entry["code"] for entry in codings if entry.get("system") == ABSTENTION_REASON), "")
    result = Result(
        person=person_of(item, people),
        model=model,
        title=_title(item),
        when=item.get("effectiveDateTime", ""),
        status=item.get("status", ""),
        reason=REASONS.get(code, "No prediction was made"),
        detail=" ".join(_texts(item.get("note", []))).removeprefix("No prediction. "),
        method=item.get("method", {}).get("text", ""),
        basis=basis,
        resources=(f"Observation/{item['id']}",),
        study=study_of(basis),
    )
    return _order(item, result.when), result


def diagnosis_of(
    item: Json, model: str, observations: Mapping[str, Json], people: Mapping[str, Json]
) -> tuple[str, Result]:
    """Return a DiagnosticReport and its Observations as a result, with what makes it later than others."""
    named = [entry["reference"] for entry in item.get("result", []) if "reference" in entry]
    own = [observations[reference] for reference in named if reference in observations]
    basis = [entry["reference"] for found in own for entry in found.get("derivedFrom", []) if "reference" in entry]
    studies = [entry["reference"] for entry in item.get("imagingStudy", []) if "reference" in entry]
    result = Result(
        person=person_of(item, people),
        model=model,
        title=_title(item),
        when=item.get("effectiveDateTime", ""),
        status=item.get("status", ""),
        method=next((found.get("method", {}).get("text", "") for found in own), ""),
        notes=tuple(dict.fromkeys(note for found in own for note in _texts(found.get("note", []))[-1:])),
        basis=tuple(dict.fromkeys((*named, *basis))),
        resources=(f"DiagnosticReport/{item['id']}",),
        findings=tuple(findings_of(own)),
        measurements=tuple(measured_of(own)),
        study=study_of((*studies, *basis)),
    )
    return _order(item, result.when), result


def _title(item: Json) -> str:
    """A report's code is one of many reports; its text is the model's title."""
    code: Json = item.get("code", {})
    coding: Json = next(iter(code.get("coding", [])), {})
    own = code.get("text") if item.get("resourceType") == "DiagnosticReport" else coding.get("display")
    return str(own or item.get("method", {}).get("text", ""))


def _outcome(prediction: Json) -> str:
    return str(prediction.get("outcome", {}).get("text", ""))


def _risks(predictions: Iterable[Json]) -> tuple[Risk, ...]:
    found = []
    for prediction in predictions:
        days, percent = horizon_days(dict(prediction)), prediction.get("probabilityDecimal")
        if days is not None and percent is not None:
            found.append(Risk(days, float(percent), _interval(prediction)))
    return tuple(sorted(found, key=lambda risk: risk.days))


def _interval(prediction: Json) -> tuple[float, float] | None:
    for extension in prediction.get("extension", []):
        bounds = extension.get("valueRange", {})
        if extension.get("url") == AI_CONFIDENCE and {"low", "high"} <= set(bounds):
            return float(bounds["low"]["value"]), float(bounds["high"]["value"])
    return None


def _order(item: Json, when: str) -> str:
    """What makes one result later than another: the admission, then the writing."""
    try:
        moment = f"{datetime.fromisoformat(when).timestamp():020.3f}"
    except ValueError:
        moment = ""
    return f"{moment} {item.get('meta', {}).get('lastUpdated', '')}"


def _code(part: Json) -> str:
    coding: Json = next(iter(part.get("code", {}).get("coding", [])), {})
    return str(coding.get("code", ""))


def _curve(part: Json | None) -> Curve | None:
    sampled = (part or {}).get("valueSampledData")
    if not sampled:
        return None
    origin, factor = float(sampled["origin"].get("value", 0)), float(sampled.get("factor", 1))
    values = tuple(origin + factor * float(value) for value in sampled["data"].split())
    return Curve(float(sampled["period"]) / MILLISECONDS_PER_DAY, values)


def _texts(annotations: Iterable[Json]) -> tuple[str, ...]:
    return tuple(annotation["text"] for annotation in annotations if annotation.get("text"))
