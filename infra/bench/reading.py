"""Reading one patient: what a long record costs, where the model needs ten of its Observations."""

from __future__ import annotations

import gc
import tracemalloc
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import orjson

from fhir_adapter.client import FhirClient
from fhir_adapter.codes import Json
from fhir_adapter.features import Features, Selection, extract, index_time_of, queries
from functions.serving.package import ModelPackage, load_package

__all__ = ["measure"]

BASE = "https://ehr.bench.test/fhir"
# Observations on record, and those of them that are of a code the model declares.
RECORDS = ((200, 10), (2000, 10), (2000, 100))
PACKAGE = Path(__file__).parents[2] / "functions" / "survival" / "packages" / "whas500"


def measure(rounds: int = 20) -> dict[str, Any]:
    """Read patients with 200 and 2,000 Observations, of which 10 or 100 are of codes that the model declares.

    The server is in this process and answers a search from an index, as a real one does; what it allocates for an
    answer counts as ours.

    Returns
    -------
    dict
        ``round_trips``, ``answer_kb`` and ``peak_kb`` (median of the traced peaks, from asking to values) by
        Observations and those that matter; ``memory_ratio_longer`` for ten times the record,
        ``memory_ratio_relevant`` for ten times what matters of it.
    """
    package = load_package(PACKAGE)
    found: dict[str, Any] = {"rounds": rounds}
    peaks = []
    for size, relevant in RECORDS:
        server = _Server(size, relevant)
        with FhirClient(BASE, transport=httpx.MockTransport(server)) as client:
            _read(client, package)  # imports and caches
            before = client.round_trips
            peaks.append(median(_peak(client, package) for _ in range(rounds)))
            found[f"{size}_observations_{relevant}_relevant"] = {
                "round_trips": (client.round_trips - before) / rounds,
                "answer_kb": round(server.sent / 1024, 1),
                "peak_kb": round(peaks[-1] / 1024, 1),
            }
    found["memory_ratio_longer"] = round(peaks[1] / peaks[0], 2)
    found["memory_ratio_relevant"] = round(peaks[2] / peaks[1], 2)
    return found


def _peak(client: FhirClient, package: ModelPackage) -> int:
    """Bytes that one reading holds at its peak; what earlier ones left to the collector is not of them."""
    gc.collect()
    tracemalloc.start()
    try:
        _read(client, package)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _read(client: FhirClient, package: ModelPackage) -> Features:
    """One batch, the record, the values: what the worker does before it asks the model."""
    asked = ["Encounter/e1", "Patient/p1", *queries("Patient/p1", package.inputs, package.applies_if)]
    encounter, patient, observed, diagnosed = (answer.resource or {} for answer in client.batch(asked))
    resources = chain(client.complete(observed), client.complete(diagnosed))
    record = Selection.of(package.inputs, package.applies_if).record(patient, encounter, resources)
    index_time = index_time_of(record.encounter)
    assert index_time is not None
    features = extract(package.inputs, package.applies_if, record, index_time)
    assert isinstance(features, Features)
    return features


class _Server:
    """One patient's record behind a batch, indexed by code."""

    def __init__(self, size: int, relevant: int) -> None:
        self.sent = 0
        self._resources: dict[str, Json] = {
            "Patient/p1": {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1950-06-15"},
            "Encounter/e1": {
                "resourceType": "Encounter",
                "id": "e1",
                "status": "in-progress",
                "subject": {"reference": "Patient/p1"},
                "period": {"start": "2026-01-10T08:00:00Z"},
            },
        }
        self._by_code: dict[str, list[Json]] = {}
        every = size // relevant
        for number in range(size):
            code = ("8867-4", "8480-6")[number // every % 2] if number % every == 0 else f"lab-{number % 50}"
            self._keep(_observation(number, code))
        for code in ("304914007", "42343007"):
            self._keep(_condition(code))

    def _keep(self, resource: Json) -> None:
        coding = resource["code"]["coding"][0]
        self._by_code.setdefault(f"{coding['system']}|{coding['code']}", []).append(resource)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        asked = orjson.loads(request.content)["entry"]
        entries = [
            {"response": {"status": "200"}, "resource": self._answer(entry["request"]["url"])} for entry in asked
        ]
        body = orjson.dumps({"resourceType": "Bundle", "type": "batch-response", "entry": entries})
        self.sent = len(body)
        return httpx.Response(200, content=body)

    def _answer(self, url: str) -> Json:
        parts = urlsplit(url)
        if not parts.query:
            return self._resources[parts.path]
        codes = dict(parse_qsl(parts.query))["code"].split(",")
        entry = [
            {"resource": resource}
            for code in codes
            for resource in self._by_code.get(code, ())
            if resource["resourceType"] == parts.path
        ]
        return {"resourceType": "Bundle", "type": "searchset", "entry": entry}


def _observation(number: int, code: str) -> Json:
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "meta": {"versionId": "1"},
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": f"2026-01-10T08:{number % 60:02d}:00Z",
        "valueQuantity": {
            "value": 90 + number % 7,
            "system": "http://unitsofmeasure.org",
            "code": "mm[Hg]" if code == "8480-6" else "/min",
        },
    }


def _condition(code: str) -> Json:
    return {
        "resourceType": "Condition",
        "id": f"c{code}",
        "meta": {"versionId": "1"},
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": code}]},
        "subject": {"reference": "Patient/p1"},
        "onsetDateTime": "2026-01-10T07:00:00Z",
    }
