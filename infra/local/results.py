"""What the page shows, read from the EHR over FHIR and from nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import httpx

from fhir_adapter.codes import ABSTENTION_REASON, MODEL_TAG
from fhir_adapter.evidence.times import horizon_days
from infra.local.chart import Curve

FHIR_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
MILLISECONDS_PER_DAY = 86_400_000
PAGE_OF_RESULTS = 500

REASONS = {
    "missing-input": "A required measurement is missing",
    "implausible-input": "A measurement is not plausible",
    "unit-not-convertible": "A measurement is in a unit that cannot be converted",
    "outside-population": "Outside the population the model was made for",
    "no-index-time": "The time of admission is not recorded",
}


class EhrUnavailable(RuntimeError):
    """The EHR did not answer, or not as FHIR."""


@dataclass(frozen=True)
class Person:
    """Who a result is about."""

    id: str
    name: str
    sex: str
    born: str
    age: int | None


@dataclass(frozen=True)
class Result:
    """The latest answer for one patient: a prediction, or why there is none.

    Parameters
    ----------
    person : Person
    when : str
        Time of the admission that it is about, ISO 8601, or empty.
    status : str
        FHIR status, ``preliminary`` until confirmed.
    risks : tuple of (float, float)
        Horizon in days and probability in percent, by rising horizon; empty for an abstention.
    curve : Curve or None
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
    when: str
    status: str
    risks: tuple[tuple[float, float], ...] = ()
    curve: Curve | None = None
    reason: str = ""
    detail: str = ""
    drivers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    method: str = ""
    basis: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()

    def risk_at(self, days: float) -> float | None:
        """Return the probability in percent at a horizon, if the model gave one."""
        return next((percent for horizon, percent in self.risks if horizon == days), None)


class ResultReader:
    """Read results of one model from a FHIR server.

    Parameters
    ----------
    http : httpx.Client
        With the FHIR base and the credentials.
    model : str
        Code of the tag that the model's results carry.
    """

    def __init__(self, http: httpx.Client, model: str) -> None:
        self._http = http
        self._tag = f"{MODEL_TAG}|{model}"

    def all(self) -> list[Result]:
        """Return the latest result of every patient; highest one-year risk first, abstentions last."""
        results = self._results({})
        return sorted(results, key=lambda result: (not result.risks, -(result.risk_at(365) or 0), result.person.id))

    def of(self, patient_id: str) -> Result | None:
        """Return one patient's latest result, or None."""
        found = self._results({"subject": f"Patient/{patient_id}"})
        return found[0] if found else None

    def raw(self, kind: str, identifier: str, version: str | None = None) -> dict[str, Any] | None:
        """Return a resource as the EHR holds it, or None when it has no such one."""
        suffix = f"/_history/{version}" if version else ""
        return self._get(f"{kind}/{identifier}{suffix}", {})

    def _results(self, query: Mapping[str, str]) -> list[Result]:
        query = {**query, "_tag": self._tag}
        observations = self._search("Observation", {**query, "_include": "Observation:subject"})
        assessments = self._search("RiskAssessment", query)
        people = {
            f"Patient/{resource['id']}": resource for resource in observations if resource["resourceType"] == "Patient"
        }
        curves = {f"Observation/{item['id']}": item for item in observations if item["resourceType"] == "Observation"}
        latest: dict[str, tuple[str, Result]] = {}
        answers = [_prediction(item, curves, people) for item in assessments]
        answers += [_abstention(item, people) for item in curves.values() if "dataAbsentReason" in item]
        for key, result in answers:
            patient = result.person.id
            if patient not in latest or key > latest[patient][0]:
                latest[patient] = (key, result)
        return [result for _, result in latest.values()]

    def _search(self, kind: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        offset = 0
        while True:
            bundle = self._get(kind, {**query, "_count": str(PAGE_OF_RESULTS), "_offset": str(offset)}) or {}
            found += [entry["resource"] for entry in bundle.get("entry", []) if "resource" in entry]
            if not any(link.get("relation") == "next" for link in bundle.get("link", [])):
                return found
            offset += PAGE_OF_RESULTS

    def _get(self, path: str, query: Mapping[str, str]) -> dict[str, Any] | None:
        try:
            response = self._http.get(path, params=dict(query))
        except httpx.HTTPError as error:
            raise EhrUnavailable("the EHR does not answer") from error
        if response.status_code in (404, 410):
            return None
        if response.status_code >= 300:
            raise EhrUnavailable(f"the EHR answered with status {response.status_code}")
        body: dict[str, Any] = response.json()
        return body


def _prediction(
    item: Mapping[str, Any], observations: Mapping[str, Mapping[str, Any]], people: Mapping[str, Mapping[str, Any]]
) -> tuple[str, Result]:
    risks, rationales = [], []
    for prediction in item.get("prediction", []):
        days = horizon_days(prediction)
        percent = prediction.get("probabilityDecimal")
        if days is not None and percent is not None:
            risks.append((days, float(percent)))
        rationales.append(prediction.get("rationale", ""))
    basis = [entry["reference"] for entry in item.get("basis", []) if "reference" in entry]
    own = next((observations[reference] for reference in basis if reference in observations), {})
    result = Result(
        person=_person(item, people),
        when=own.get("effectiveDateTime") or item.get("occurrenceDateTime", ""),
        status=item.get("status", ""),
        risks=tuple(sorted(risks)),
        curve=_curve(own),
        drivers=tuple(part for part in next(filter(None, rationales), "").split("; ") if part),
        notes=_texts(item.get("note", [])),
        method=item.get("method", {}).get("text", ""),
        basis=tuple(basis),
        resources=(f"RiskAssessment/{item['id']}",),
    )
    return _order(item, result.when), result


def _abstention(item: Mapping[str, Any], people: Mapping[str, Mapping[str, Any]]) -> tuple[str, Result]:
    codings = item["dataAbsentReason"].get("coding", [])
    code = next((entry["code"] for entry in codings if entry.get("system") == ABSTENTION_REASON), "")
    result = Result(
        person=_person(item, people),
        when=item.get("effectiveDateTime", ""),
        status=item.get("status", ""),
        reason=REASONS.get(code, "No prediction was made"),
        detail=" ".join(_texts(item.get("note", []))).removeprefix("No prediction. "),
        method=item.get("method", {}).get("text", ""),
        basis=tuple(entry["reference"] for entry in item.get("derivedFrom", []) if "reference" in entry),
        resources=(f"Observation/{item['id']}",),
    )
    return _order(item, result.when), result


def _order(item: Mapping[str, Any], when: str) -> str:
    """What makes one result later than another: the admission, then the writing."""
    try:
        moment = f"{datetime.fromisoformat(when).timestamp():020.3f}"
    except ValueError:
        moment = ""
    return f"{moment} {item.get('meta', {}).get('lastUpdated', '')}"


def _curve(observation: Mapping[str, Any]) -> Curve | None:
    for component in observation.get("component", []):
        sampled = component.get("valueSampledData")
        if sampled:
            origin, factor = float(sampled["origin"].get("value", 0)), float(sampled.get("factor", 1))
            values = tuple(origin + factor * float(value) for value in sampled["data"].split())
            return Curve(float(sampled["period"]) / MILLISECONDS_PER_DAY, values)
    return None


def _person(item: Mapping[str, Any], people: Mapping[str, Mapping[str, Any]]) -> Person:
    reference = item.get("subject", {}).get("reference", "")
    patient = people.get(reference, {})
    name: Mapping[str, Any] = next(iter(patient.get("name", [])), {})
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


def _texts(annotations: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(annotation["text"] for annotation in annotations if annotation.get("text"))
