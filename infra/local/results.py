"""What the page shows, read from the EHR over FHIR and from nowhere else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from fhir_adapter.codes import MODEL_TAG
from functions.smart_app.chart import Curve
from infra.local.answers import Result, abstention_of, diagnosis_of, prediction_of
from infra.local.subscriptions import FEEDS

FHIR_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
PAGE_OF_RESULTS = 500
REPORTING = frozenset(name for feed in FEEDS if feed.result == "DiagnosticReport" for name in feed.models)


class EhrUnavailable(RuntimeError):
    """The EHR did not answer, or not as FHIR."""


class ResultReader:
    """Read results of models from a FHIR server.

    Parameters
    ----------
    http : httpx.Client
        With the FHIR base and the credentials.
    models : sequence of str
        Codes of the tags that the models' results carry, in the order in which they are shown.
    """

    def __init__(self, http: httpx.Client, models: Sequence[str]) -> None:
        self._http = http
        self._models = tuple(models)

    def all(self) -> dict[str, list[Result]]:
        """Return, for each model, the latest result of every patient; highest first, abstentions last."""
        found = {model: self._results(model, {}) for model in self._models}
        for results in found.values():
            results.sort(key=_rank)
        return found

    def of(self, patient_id: str) -> list[Result]:
        """Return the latest result of each model that answered for a patient; predictions first."""
        query = {"subject": f"Patient/{patient_id}"}
        found = [result for model in self._models for result in self._results(model, query)]
        return sorted(found, key=lambda result: not result.answered)

    def curves(self, model: str) -> list[Curve]:
        """Return the curves of a model's latest predictions."""
        return [result.curve for result in self._results(model, {}) if result.curve is not None]

    def raw(self, kind: str, identifier: str, version: str | None = None) -> dict[str, Any] | None:
        """Return a resource as the EHR holds it, or None when it has no such one."""
        suffix = f"/_history/{version}" if version else ""
        return self._get(f"{kind}/{identifier}{suffix}", {})

    def _results(self, model: str, query: Mapping[str, str]) -> list[Result]:
        query = {**query, "_tag": f"{MODEL_TAG}|{model}"}
        observations = self._search("Observation", {**query, "_include": "Observation:subject"})
        read, kind = (diagnosis_of, "DiagnosticReport") if model in REPORTING else (prediction_of, "RiskAssessment")
        answered = self._search(kind, query)
        people = {
            f"Patient/{resource['id']}": resource for resource in observations if resource["resourceType"] == "Patient"
        }
        own = {f"Observation/{item['id']}": item for item in observations if item["resourceType"] == "Observation"}
        latest: dict[str, tuple[str, Result]] = {}
        answers = [read(item, model, own, people) for item in answered if _live(item)]
        absent = (item for item in own.values() if "dataAbsentReason" in item and _live(item))
        answers += [abstention_of(item, model, people) for item in absent]
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


def _rank(result: Result) -> tuple[bool, float, str]:
    return (not result.answered, -_height(result), result.person.id)


def _height(result: Result) -> float:
    """By what patients are ordered: the main risk, or the finding of a model with one; several have no order."""
    if result.main:
        return result.main.percent
    return result.findings[0].percent if len(result.findings) == 1 else 0.0


def _live(item: Mapping[str, Any]) -> bool:
    return item.get("status") != "entered-in-error"
