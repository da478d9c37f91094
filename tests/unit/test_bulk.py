from __future__ import annotations

import argparse
import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_adapter.bulk import BulkExport, BulkExportFailed, BulkExportUnfinished, ExportRequest
from fhir_adapter.bulk.state import read_state
from fhir_adapter.client import FhirClient, RetryPolicy
from fhir_adapter.errors import ConfigurationError, FhirRejected, FhirUnavailable
from fhir_adapter.features.lines import exported_base
from infra.cli import export as command
from tests.fakes import BASE
from tests.samples import tenant_json

Json = dict[str, Any]
STATUS = f"{BASE}/bulk-status/1"
CANARY = "canary-7f3a"


def lines(kind: str, *ids: str) -> bytes:
    return b"".join(json.dumps({"resourceType": kind, "id": name}).encode() + b"\n" for name in ids)


class Broken(httpx.SyncByteStream):
    """Sends some bytes, then the connection is lost."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        yield self._content
        raise httpx.ReadError("lost")


class Server:
    """A bulk data server: answers from a script, remembers every request."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.polls: list[httpx.Response] = []
        self.files = {
            f"{BASE}/files/p.ndjson": lines("Patient", "a", "b"),
            f"{BASE}/files/o.ndjson": lines("Observation", *map(str, range(100))),
        }
        self.manifest: Json = {
            "transactionTime": "2026-01-31T00:00:00Z",
            "request": f"{BASE}/Patient/$export",
            "requiresAccessToken": True,
            "output": [
                {"type": "Patient", "url": f"{BASE}/files/p.ndjson", "count": 2},
                {"type": "Observation", "url": f"{BASE}/files/o.ndjson", "count": 100},
            ],
            "error": [],
        }
        self.ranges = True
        self.before: Callable[[httpx.Request], httpx.Response | None] = lambda _: None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        url = str(request.url)
        instead = self.before(request)
        if instead is not None:
            return instead
        if request.method == "DELETE":
            return httpx.Response(202)
        if "$export" in url or "%24export" in url:
            return httpx.Response(202, headers={"Content-Location": STATUS})
        if url == STATUS:
            return self.polls.pop(0) if self.polls else httpx.Response(200, json=self.manifest)
        return self._file(request, self.files[url])

    def _file(self, request: httpx.Request, content: bytes) -> httpx.Response:
        asked = request.headers.get("range")
        if asked and self.ranges:
            offset = int(asked.removeprefix("bytes=").rstrip("-"))
            if offset >= len(content):
                return httpx.Response(416)
            total = len(content)
            return httpx.Response(
                206, content=content[offset:], headers={"Content-Range": f"bytes {offset}-{total - 1}/{total}"}
            )
        return httpx.Response(200, content=content)

    def sent(self, part: str) -> list[httpx.Request]:
        return [request for request in self.requests if part in str(request.url)]


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def waits() -> list[float]:
    return []


def export(server: Server, folder: Path, waits: list[float], **options: Any) -> BulkExport:
    client = FhirClient(
        BASE,
        "the-token",
        transport=httpx.MockTransport(server),
        retry=RetryPolicy(attempts=2, deadline=1e9),
        sleep=waits.append,
        uniform=lambda low, high: high,
    )
    return BulkExport(client, folder, sleep=waits.append, clock=lambda: sum(waits), **options)


@pytest.mark.conformance("B10")
def test_from_kick_off_to_files(server: Server, tmp_path: Path, waits: list[float]) -> None:
    told: list[str] = []
    server.polls = [
        httpx.Response(202, headers={"Retry-After": "7", "X-Progress": "half\x07 done"}),
        httpx.Response(202, headers={"Retry-After": "700"}),
        httpx.Response(429, headers={"Retry-After": "3"}),
    ]
    request = ExportRequest("group", "g1", ("Patient", "Observation"), "2026-01-01T00:00:00Z", ("Observation?code=1",))
    result = export(server, tmp_path / "out", waits, progress=told.append).run(request)
    kick_off = server.requests[0]
    assert kick_off.url.path == "/fhir/Group/g1/$export"
    assert kick_off.headers["prefer"] == "respond-async"
    assert kick_off.headers["accept"] == "application/fhir+json"
    assert dict(kick_off.url.params) == {
        "_outputFormat": "application/fhir+ndjson",
        "_type": "Patient,Observation",
        "_since": "2026-01-01T00:00:00Z",
        "_typeFilter": "Observation?code=1",
    }
    assert waits[:2] == [7, 700] and 3 in waits
    assert "half done" in told
    assert result.counts == {"Patient": 2, "Observation": 100}
    assert result.complete and result.transaction_time == "2026-01-31T00:00:00Z"
    assert (tmp_path / "out" / "Patient.0000.ndjson").read_bytes() == lines("Patient", "a", "b")
    assert server.requests[-1].method == "DELETE"
    assert exported_base(tmp_path / "out") == BASE


def test_only_the_owner_reads_what_was_exported(server: Server, tmp_path: Path, waits: list[float]) -> None:
    export(server, tmp_path / "out", waits).run(ExportRequest())
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()} == {0o600}


def test_polls_without_retry_after_become_rarer(server: Server, tmp_path: Path, waits: list[float]) -> None:
    server.polls = [httpx.Response(202) for _ in range(9)]
    export(server, tmp_path / "out", waits).run(ExportRequest())
    assert waits == [1, 2, 4, 8, 16, 32, 64, 120, 120]


def test_waiting_ends_at_the_deadline_and_goes_on_later(server: Server, tmp_path: Path, waits: list[float]) -> None:
    server.polls = [httpx.Response(202, headers={"Retry-After": "60"}) for _ in range(4)]
    with pytest.raises(BulkExportUnfinished, match="resume"):
        export(server, tmp_path / "out", waits, deadline=150).run(ExportRequest())
    server.polls.clear()
    assert export(server, tmp_path / "out", waits).resume().counts["Patient"] == 2
    assert len(server.sent("export")) == 1


def test_a_failed_export_is_an_error_with_codes_only(server: Server, tmp_path: Path, waits: list[float]) -> None:
    outcome = {"resourceType": "OperationOutcome", "issue": [{"code": "exception", "diagnostics": CANARY}]}
    server.polls = [httpx.Response(400, json=outcome)]
    with pytest.raises(FhirRejected, match="exception") as caught:
        export(server, tmp_path / "out", waits).run(ExportRequest())
    assert CANARY not in str(caught.value)
    server.polls = [httpx.Response(500, json=outcome) for _ in range(20)]
    with pytest.raises(FhirUnavailable):
        export(server, tmp_path / "out", waits).resume()


def test_a_kick_off_that_is_refused(server: Server, tmp_path: Path, waits: list[float]) -> None:
    server.before = lambda request: httpx.Response(200, json={})
    with pytest.raises(BulkExportFailed, match="202"):
        export(server, tmp_path / "out", waits).run(ExportRequest())


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_goes_on(server: Server, tmp_path: Path, waits: list[float], ranges: bool) -> None:
    server.ranges = ranges
    content = server.files[f"{BASE}/files/o.ndjson"]
    broken = iter([500, 900])

    def before(request: httpx.Request) -> httpx.Response | None:
        if "o.ndjson" not in str(request.url) or "range" in request.headers:
            return None
        cut = next(broken, None)
        return None if cut is None else httpx.Response(200, stream=Broken(content[:cut]))

    server.before = before
    assert export(server, tmp_path / "out", waits).run(ExportRequest()).counts["Observation"] == 100
    assert (tmp_path / "out" / "Observation.0000.ndjson").read_bytes() == content
    asked = [request.headers.get("range") for request in server.sent("o.ndjson")]
    assert asked == [None, "bytes=500-"]


def test_a_process_that_died_is_taken_up_by_another(server: Server, tmp_path: Path, waits: list[float]) -> None:
    content = server.files[f"{BASE}/files/o.ndjson"]
    server.before = lambda request: (
        httpx.Response(200 if "range" not in request.headers else 503, stream=Broken(content[:777]))
        if "o.ndjson" in str(request.url)
        else None
    )
    with pytest.raises(FhirUnavailable):
        export(server, tmp_path / "out", waits).run(ExportRequest())
    assert (tmp_path / "out" / "Observation.0000.ndjson.part").stat().st_size == 777
    server.before = lambda _: None
    server.requests.clear()
    assert export(server, tmp_path / "out", waits).resume().counts == {"Patient": 2, "Observation": 100}
    assert server.sent("export") == server.sent("p.ndjson") == server.sent("bulk-status/1")[:-1] == []
    (download,) = server.sent("o.ndjson")
    assert download.headers["range"] == "bytes=777-"
    assert (tmp_path / "out" / "Observation.0000.ndjson").read_bytes() == content


def test_a_part_that_is_whole_already(server: Server, tmp_path: Path, waits: list[float]) -> None:
    content = server.files[f"{BASE}/files/o.ndjson"]
    lost = iter([httpx.Response(200, stream=Broken(content))])
    server.before = lambda request: next(lost, None) if "o.ndjson" in str(request.url) else None
    assert export(server, tmp_path / "out", waits).run(ExportRequest()).counts["Observation"] == 100
    asked = [request.headers.get("range") for request in server.sent("o.ndjson")]
    assert asked == [None, f"bytes={len(content)}-", None]


def test_a_connection_that_never_holds(server: Server, tmp_path: Path, waits: list[float]) -> None:
    server.before = lambda request: httpx.Response(200, stream=Broken(b"")) if "files" in str(request.url) else None
    with pytest.raises(BulkExportUnfinished, match="resume"):
        export(server, tmp_path / "out", waits).run(ExportRequest())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lines("Observation", "1") + b'{"resourceType": "Obs', "line 2: not JSON"),
        (lines("Observation", "1") + b"[1]\n", "line 2: not a FHIR resource"),
        (lines("Patient", CANARY), "not of type Observation"),
        (lines("Observation", *map(str, range(99))), "99 resources, where the manifest promises 100"),
    ],
)
def test_files_that_are_not_what_was_promised(
    server: Server, tmp_path: Path, waits: list[float], content: bytes, message: str
) -> None:
    whole = server.files[f"{BASE}/files/o.ndjson"]
    server.files[f"{BASE}/files/o.ndjson"] = content
    with pytest.raises(BulkExportFailed, match=message) as caught:
        export(server, tmp_path / "out", waits).run(ExportRequest())
    assert CANARY not in str(caught.value)
    assert not list((tmp_path / "out").glob("Observation*"))
    server.files[f"{BASE}/files/o.ndjson"] = whole
    assert export(server, tmp_path / "out", waits).resume().counts["Observation"] == 100


def test_links_that_ended_are_renewed_by_the_status_request(server: Server, tmp_path: Path, waits: list[float]) -> None:
    expired = json.loads(json.dumps(server.manifest))
    expired["output"][1]["url"] = f"{BASE}/files/expired.ndjson"
    server.polls = [httpx.Response(200, json=expired)]
    server.before = lambda request: httpx.Response(403) if "expired" in str(request.url) else None
    assert export(server, tmp_path / "out", waits).run(ExportRequest()).counts["Observation"] == 100
    assert len(server.sent("bulk-status")) == 3  # twice asked, once deleted


@pytest.mark.conformance("B09")
@pytest.mark.parametrize(
    ("url", "token", "named", "fetched"),
    [
        ("https://files.test/o.ndjson", False, True, True),
        ("https://files.test/o.ndjson", False, False, False),
        ("https://files.test/o.ndjson", True, True, False),
        ("https://ehr.test/other/o.ndjson", True, False, False),
        ("https://ehr.test/fhir/../o.ndjson", True, False, False),
        ("https://ehr.test@evil.test/fhir/o.ndjson", False, True, False),
        ("http://169.254.169.254/o.ndjson", False, False, False),
        ("file:///etc/passwd", False, False, False),
    ],
)
def test_the_token_stays_at_the_base_and_files_at_named_hosts(
    server: Server, tmp_path: Path, waits: list[float], url: str, token: bool, named: bool, fetched: bool
) -> None:
    server.manifest["requiresAccessToken"] = token
    server.manifest["output"][1]["url"] = url
    server.files[url] = server.files[f"{BASE}/files/o.ndjson"]
    origins = {"https://files.test:443"} if named else set()
    ours = export(server, tmp_path / "out", waits, origins=origins)
    if fetched:
        assert ours.run(ExportRequest()).counts["Observation"] == 100
    else:
        with pytest.raises(BulkExportFailed):
            ours.run(ExportRequest())
    carrying = [request for request in server.requests if "authorization" in request.headers]
    assert all(str(request.url).startswith(BASE + "/") for request in carrying)
    assert bool([request for request in server.requests if request not in carrying]) == fetched


@pytest.mark.conformance("B09")
def test_a_status_url_elsewhere_is_not_asked(server: Server, tmp_path: Path, waits: list[float]) -> None:
    server.before = lambda _: httpx.Response(202, headers={"Content-Location": "https://evil.test/status"})
    with pytest.raises(BulkExportFailed, match=r"evil\.test"):
        export(server, tmp_path / "out", waits).run(ExportRequest())
    assert len(server.requests) == 1


def test_problems_of_the_server_are_shown_as_codes(server: Server, tmp_path: Path, waits: list[float]) -> None:
    issue = [
        {"severity": "error", "code": "not-found", "diagnostics": CANARY},
        {"severity": "warning", "code": CANARY + " 99"},
    ]
    url = f"{BASE}/files/e.ndjson"
    server.files[url] = json.dumps({"resourceType": "OperationOutcome", "issue": issue}).encode()
    server.manifest["error"] = [{"type": "OperationOutcome", "url": url}]
    result = export(server, tmp_path / "out", waits).run(ExportRequest())
    assert result.issues == {("error", "not-found"): 1, ("warning", "unknown"): 1}
    assert not result.complete
    assert CANARY not in repr(result.issues)


def test_cancelling_tells_the_server(server: Server, tmp_path: Path, waits: list[float]) -> None:
    server.polls = [httpx.Response(202, headers={"Retry-After": "9"})]
    with pytest.raises(BulkExportUnfinished):
        export(server, tmp_path / "out", waits, deadline=1).run(ExportRequest())
    export(server, tmp_path / "out", waits).cancel()
    assert (server.requests[-1].method, str(server.requests[-1].url)) == ("DELETE", STATUS)
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(ConfigurationError, match="no export"):
        export(server, tmp_path / "out", waits).resume()


def test_a_folder_in_use_is_not_written_to(server: Server, tmp_path: Path, waits: list[float]) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="not empty"):
        export(server, tmp_path, waits).run(ExportRequest())
    assert server.requests == []


def test_the_state_of_another_server_is_not_taken_up(server: Server, tmp_path: Path, waits: list[float]) -> None:
    export(server, tmp_path / "out", waits).run(ExportRequest())
    path = tmp_path / "out" / "export.json"
    path.write_bytes(path.read_bytes().replace(BASE.encode(), b"https://other.test/fhir"))
    with pytest.raises(ConfigurationError, match="another FHIR base"):
        export(server, tmp_path / "out", waits).resume()


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"version": 9}', b'{"version": 1, "base": 1}'])
def test_a_damaged_state_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "export.json").write_bytes(content)
    with pytest.raises(ConfigurationError, match="export"):
        read_state(tmp_path)


@pytest.mark.parametrize(
    "manifest",
    [
        [],
        {},
        {"transactionTime": "x", "requiresAccessToken": True, "output": [{"type": "../x", "url": "y"}]},
        {"transactionTime": "x", "requiresAccessToken": True, "output": [{"type": "Patient"}]},
        {"transactionTime": "x", "requiresAccessToken": True, "output": [], "error": [{"type": "Patient", "url": "y"}]},
    ],
)
def test_a_manifest_that_is_none(server: Server, tmp_path: Path, waits: list[float], manifest: Any) -> None:
    server.manifest = manifest
    with pytest.raises(BulkExportFailed, match="manifest"):
        export(server, tmp_path / "out", waits).run(ExportRequest())


@pytest.mark.parametrize(
    "wrong",
    [
        {"level": "group"},
        {"level": "patient", "group": "1"},
        {"level": "group", "group": "../1"},
        {"types": ("patient",)},
        {"type_filters": ("observation?x",)},
        {"since": "yesterday"},
        {"since": "2026-01-01"},
    ],
)
def test_requests_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        ExportRequest(**wrong)


def test_the_state_survives_a_crash_while_it_is_written(
    server: Server, tmp_path: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    export(server, tmp_path / "out", waits).run(ExportRequest())
    before = read_state(tmp_path / "out")
    assert before is not None and before.finished

    def crash(_: int) -> None:
        raise OSError("power")

    monkeypatch.setattr(os, "fsync", crash)
    from fhir_adapter.bulk.state import write_state

    with pytest.raises(OSError, match="power"):
        write_state(tmp_path / "out", before.with_file("x", 1))
    assert read_state(tmp_path / "out") == before


def command_line(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    parser = argparse.ArgumentParser()
    command.configure(parser)
    status = command.run(parser.parse_args(words))
    captured = capsys.readouterr()
    assert captured.out == ""
    return status, captured.err


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ((), 2, "either TENANT or --base"),
        (("--base", BASE, "--tenants", "x.json"), 2, "--tenants"),
        (("general", "--token-file", "x"), 2, "--token-file"),
        (("general", "--base", BASE), 2, "either TENANT or --base"),
        (("general", "--tenants", "/nowhere.json"), 1, "nowhere.json"),
        (("--base", "ftp://x"), 1, "fhir_base"),
        (("--base", BASE, "--resume"), 1, "no export"),
        (("--base", BASE, "--cancel"), 1, "no export"),
        (("--base", BASE, "--since", "yesterday"), 1, "since"),
        (("--base", BASE, "--type", "patient"), 1, "resource type"),
        (("--base", BASE, "--group", "a/b"), 1, "Group"),
    ],
)
def test_the_command_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], status: int, message: str
) -> None:
    found, said = command_line(capsys, *words, "--to", str(tmp_path / "out"))
    assert found == status
    assert message in said


def test_the_command_uses_the_tenant_and_shows_what_is_missing(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fhir_adapter.egress.PinnedTransport", lambda *_, **__: httpx.MockTransport(server))
    (tmp_path / "tenants.json").write_text(json.dumps([tenant_json()]))
    server.manifest["output"][1]["url"] = "https://files.test/o.ndjson"
    found, said = command_line(
        capsys, "general", "--tenants", str(tmp_path / "tenants.json"), "--to", str(tmp_path / "out")
    )
    assert found == 1
    assert "files.test" in said and "not sent" in said
    assert server.requests[0].headers["authorization"] == "Bearer token-for-the-tests-only"
