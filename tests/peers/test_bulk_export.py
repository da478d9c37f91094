"""The real server's $export on 200 patients: interrupted, resumed, and read like the live record."""

from __future__ import annotations

import argparse
import json
import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_adapter.bulk import BulkExport, BulkExportUnfinished, ExportRequest
from fhir_adapter.client import FhirClient, RetryPolicy
from fhir_adapter.errors import FhirUnavailable
from fhir_adapter.features import feature_rows, records_from_ndjson
from infra.cli import export as command
from infra.cli import features as features_command
from infra.local.ehr import SekmetEhr
from tests.functional.test_features_everywhere import (
    APPLIES_IF,
    INPUTS,
    PULSE_MAP,
    cohort_resources,
    comparable,
    live_records,
)
from tests.peering import require_peer

Json = dict[str, Any]
TYPES = ("Patient", "Encounter", "Observation", "Condition")
PATIENTS = 200


@pytest.fixture(scope="module")
def ehr(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SekmetEhr]:
    require_peer("sekmet-fhir", module="sekmet")
    server = SekmetEhr(tmp_path_factory.mktemp("ehr"))
    server.start()
    with client_of(server) as client:
        resources = cohort_resources(PATIENTS)
        group = {
            "resourceType": "Group",
            "id": "ward",
            "type": "person",
            "actual": True,
            "member": [{"entity": {"reference": f"Patient/synthetic-{number:03d}"}} for number in (1, 2, 3)],
        }
        for start in range(0, len(resources), 300):
            client.transaction(bundle(resources[start : start + 300]))
        client.update(group)
    yield server
    server.stop()


def bundle(resources: list[Json]) -> Json:
    entry = [
        {"resource": found, "request": {"method": "PUT", "url": f"{found['resourceType']}/{found['id']}"}}
        for found in resources
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entry}


def client_of(ehr: SekmetEhr, transport: httpx.BaseTransport | None = None, attempts: int = 4) -> FhirClient:
    retry = RetryPolicy(attempts=attempts, timeout=60.0, deadline=120.0)
    return FhirClient(ehr.base_url, ehr.token, transport=transport, retry=retry)


class Interrupting(httpx.BaseTransport):
    """The real connection, cut in the middle of the largest file, and of everything after it."""

    def __init__(self) -> None:
        self.inner = httpx.HTTPTransport()
        self.requests: list[httpx.Request] = []
        self.cut = threading.Event()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.cut.is_set():
            raise httpx.ConnectError("cut")
        response = self.inner.handle_request(request)
        if "Observation.ndjson" not in str(request.url):
            return response
        content = response.read()
        self.cut.set()
        return httpx.Response(response.status_code, headers={"x": "cut"}, stream=_Cut(content[: len(content) // 2]))

    def close(self) -> None:
        self.inner.close()


class _Cut(httpx.SyncByteStream):
    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        yield self._content
        raise httpx.ReadError("cut")


def test_interrupted_resumed_and_equal_to_the_live_record(ehr: SekmetEhr, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    transport = Interrupting()
    with client_of(ehr, transport, attempts=1) as client, pytest.raises((FhirUnavailable, BulkExportUnfinished)):
        BulkExport(client, folder).run(ExportRequest(types=TYPES))
    part = folder / "Observation.0000.ndjson.part"
    half = part.stat().st_size
    assert half > 0 and not (folder / "Observation.0000.ndjson").exists()
    kick_offs = [request for request in transport.requests if "export" in str(request.url)]
    assert len(kick_offs) == 1
    with client_of(ehr) as client:
        result = BulkExport(client, folder).resume()
        assert result.complete and result.issues == {}
        assert result.counts["Patient"] == result.counts["Encounter"] == PATIENTS
        assert not part.exists() and (folder / "Observation.0000.ndjson").stat().st_size > half
        encounters = client.search("Encounter", {"class": "IMP", "_count": "200"})
        live = comparable(feature_rows(live_records(client, encounters), INPUTS, APPLIES_IF))
    assert len(live) == PATIENTS
    exported = comparable(feature_rows(records_from_ndjson(folder, INPUTS, APPLIES_IF), INPUTS, APPLIES_IF))
    assert exported == live


def test_the_command_exports_a_group_and_features_reads_it(
    ehr: SekmetEhr, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "export"
    told = run(
        command, capsys, "--base", ehr.base_url, "--token-file", str(ehr.token_file), "--to", str(folder),
        *("--group", "ward", "--type", *TYPES, "--json"),
    )  # fmt: skip
    exported = json.loads(told)
    assert exported["complete"] is True and exported["counts"]["Patient"] == 3
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "pulse.json").write_text(json.dumps(PULSE_MAP))
    told = run(features_command, capsys, "whas500", str(folder), "--terminology", str(tmp_path / "maps"), "--json")
    rows = [json.loads(line) for line in told.splitlines()]
    assert {row["patient"] for row in rows} == {f"Patient/synthetic-{number:03d}" for number in (1, 2, 3)}
    assert all("/_history/" in reference for row in rows for reference in row["sources"]["age"])


def test_only_what_changed_since(ehr: SekmetEhr, tmp_path: Path) -> None:
    with client_of(ehr) as client:
        since = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        client.update({**client.read("Patient/synthetic-001"), "active": True})
        result = BulkExport(client, tmp_path / "export").run(ExportRequest(types=("Patient",), since=since))
    assert result.counts == {"Patient": 1}


def run(module: Any, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    parser = argparse.ArgumentParser()
    module.configure(parser)
    capsys.readouterr()
    assert module.run(parser.parse_args(words)) == 0
    return capsys.readouterr().out
