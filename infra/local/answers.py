"""A result as the page shows it, made from the FHIR resources of a model's answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from fhir_adapter.codes import ABSTENTION_REASON, AI_CONFIDENCE
from fhir_adapter.evidence.components import COMPETING_CURVE, CURVE, LOWER, MEDIAN, UPPER
from fhir_adapter.evidence.times import horizon_days
from infra.local.chart import Curve

__all__ = ["Competing", "Person", "Result", "Risk", "abstention_of", "prediction_of"]

MILLISECONDS_PER_DAY = 86_400_000
REASONS = {
    "missing-input": "A required measurement is missing",
    "implausible-input": "A measurement is not plausible",
    "unit-not-convertible": "A measurement is in a unit that cannot be converted",
    "outside-population": "Outside the population the model was made for",
    "no-index-time": "The time of admission is not recorded",
    "not-computable": "The model gives no number for what is on record",
}
Json = Mapping[str, Any]


@dataclass(frozen=True)
class Person:
    """Who a result is about."""

    id: str
    name: str
    sex: str
    born: str
    age: int | None


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
        person=_person(item, people),
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
    code = next((entry["code"] for entry in codings if entry.get("system") == ABSTENTION_REASON), "")
    result = Result(
        person=_person(item, people),
        model=model,
        title=_title(item),
        when=item.get("effectiveDateTime", ""),
        status=item.get("status", ""),
        reason=REASONS.get(code, "No prediction was made"),
        detail=" ".join(_texts(item.get("note", []))).removeprefix("No prediction. "),
        method=item.get("method", {}).get("text", ""),
        basis=tuple(entry["reference"] for entry in item.get("derivedFrom", []) if "reference" in entry),
        resources=(f"Observation/{item['id']}",),
    )
    return _order(item, result.when), result


def _title(item: Json) -> str:
    coding: Json = next(iter(item.get("code", {}).get("coding", [])), {})
    return str(coding.get("display") or item.get("method", {}).get("text", ""))


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


def _person(item: Json, people: Mapping[str, Json]) -> Person:
    reference = item.get("subject", {}).get("reference", "")
    patient = people.get(reference, {})
    name: Json = next(iter(patient.get("name", [])), {})
    full = name.get("text") or " ".join([*name.get("given", []), name.get("family", "")]).strip()
    when = item.get("occurrenceDateTime") or item.get("effectiveDateTime") or ""
    return Person(
        id=reference.rpartition("/")[2],
        name=full or "Name not recorded",
        sex=patient.get("gender", "not recorded"),
        born=patient.get("birthDate", ""),
        age=_age(patient.get("birthDate", ""), when),
    )


def _age(born: str, when: str) -> int | None:
    """Return the completed years between a birth date and a time, if both are precise enough."""
    try:
        birth, day = date.fromisoformat(born), datetime.fromisoformat(when).date()
    except ValueError:
        return None
    return day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))


def _texts(annotations: Iterable[Json]) -> tuple[str, ...]:
    return tuple(annotation["text"] for annotation in annotations if annotation.get("text"))
