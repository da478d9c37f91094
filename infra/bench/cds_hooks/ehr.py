"""The EHR of the benchmark: one patient's record behind a batch, in a process of its own, that takes its time."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from typing import Any

import orjson

from fhir_adapter.codes import Json
from fhir_adapter.evidence import evidence_of
from fhir_adapter.features import Features, Selection, extract, index_time_of
from fhir_adapter.prediction import ResultContext
from fhir_adapter.references import source_of
from functions.serving.package import Model

__all__ = ["DELAY_SECONDS", "KINDS", "Ehr", "prediction", "record", "serving"]

# A search on a hospital's FHIR server takes tens of milliseconds; the less it takes, the more of ours shows.
DELAY_SECONDS = 0.025
KINDS = ("Patient", "Encounter", "Observation", "Condition")


class Ehr:
    """One patient's record.

    Parameters
    ----------
    resources : dict
        By type.
    results : list of dict
        Predictions that are on record.
    """

    def __init__(self, resources: dict[str, list[Json]], results: list[Json]) -> None:
        self._resources = {**resources, "RiskAssessment": results}

    def answer(self, query: str) -> Json:
        """Return what a read or a search gives."""
        kind, _, rest = query.partition("/")
        if rest:
            return self._resources[kind][0]
        found = self._resources.get(query.partition("?")[0], [])
        entry = [{"resource": item, "search": {"mode": "match"}} for item in found]
        return {"resourceType": "Bundle", "type": "searchset", "entry": entry}

    def batch(self, body: bytes) -> bytes:
        """Return the answer to a batch."""
        asked = [entry["request"]["url"] for entry in orjson.loads(body)["entry"]]
        entry = [{"response": {"status": "200"}, "resource": self.answer(url)} for url in asked]
        return orjson.dumps({"resourceType": "Bundle", "type": "batch-response", "entry": entry})


def _serve(ehr: Ehr, told: Connection) -> None:
    """Serve a record, slowly; tells its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # small answers in one packet, at once
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            answer = ehr.batch(self.rfile.read(int(self.headers["Content-Length"])))
            time.sleep(DELAY_SECONDS)
            self.send_response(200)
            self.send_header("Content-Type", "application/fhir+json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        told.send(server.server_port)
        server.serve_forever()


@contextmanager
def serving(ehr: Ehr) -> Iterator[str]:
    """Serve a record in a process of its own, so that its work is not ours; yields the FHIR base."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(ehr, theirs), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}/fhir"
    finally:
        process.terminate()
        process.join()


def record() -> list[Json]:
    """Return the resources of an admission for an infarction."""
    meta = {"versionId": "1", "lastUpdated": "2026-01-10T09:00:00Z"}
    whose: Json = {"meta": meta, "subject": {"reference": "Patient/p1"}}
    measured = {"8867-4": (96, "/min"), "8480-6": (142, "mm[Hg]"), "8462-4": (81, "mm[Hg]"), "39156-5": (26.5, "kg/m2")}
    found: list[Json] = [
        {"resourceType": "Patient", "id": "p1", "meta": meta, "gender": "female", "birthDate": "1950-06-15"},
        {
            **whose,
            "resourceType": "Encounter",
            "id": "e1",
            "status": "in-progress",
            "class": {"code": "IMP"},
            "period": {"start": "2026-01-10T08:00:00Z"},
        },
    ]
    for code, (value, unit) in measured.items():
        quantity = {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}
        coded = {"coding": [{"system": "http://loinc.org", "code": code}]}
        at = {"effectiveDateTime": "2026-01-10T08:30:00Z", "status": "final"}
        found.append(
            {**whose, **at, "resourceType": "Observation", "id": f"o-{code}", "code": coded}
            | {"valueQuantity": quantity}
        )
    for code in ("304914007", "42343007"):
        coded = {"coding": [{"system": "http://snomed.info/sct", "code": code}]}
        onset = {"onsetDateTime": "2026-01-10T07:00:00Z"}
        found.append({**whose, **onset, "resourceType": "Condition", "id": f"c-{code}", "code": coded})
    return found


def prediction(model: Model, resources: dict[str, list[Json]]) -> Json:
    """Return the RiskAssessment that the worker would have written."""
    package = model.package
    (person,), (encounter,) = resources["Patient"], resources["Encounter"]
    others = [*resources["Observation"], *resources["Condition"]]
    found = Selection.of(package.inputs, package.applies_if).record(person, encounter, others)
    index_time = index_time_of(encounter)
    assert index_time is not None
    features = extract(package.inputs, package.applies_if, found, index_time)
    assert isinstance(features, Features)
    context = ResultContext(
        tenant="bench",
        organization="Bench",
        patient="Patient/p1",
        encounter="Encounter/e1",
        index_time=index_time,
        sources=(source_of(person), source_of(encounter), *features.sources),
        fingerprints=("bench",),
    )
    written = evidence_of(model.predict(features), context, package.identity, now=datetime.now(UTC)).bundle["entry"]
    (result,) = [entry["resource"] for entry in written if entry["resource"]["resourceType"] == "RiskAssessment"]
    return {**result, "meta": {**result["meta"], "versionId": "1", "lastUpdated": "2026-01-10T09:00:01Z"}}
