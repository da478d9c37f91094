"""The EHR goes down while an event is under way: nothing is lost, and the cause is on record."""

from __future__ import annotations

import argparse
import json
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from infra.cli import redrive
from infra.local.bundles import patient_bundle
from tests.peering import require_peer

VALUES = {"age": 70.0, "female": 0.0, "heart_rate": 88.0, "systolic_bp": 130.0, "q_wave_mi": 1.0}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], bool], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def test_an_ehr_that_was_down_gets_its_answer_after_a_redrive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    require_peer("sekmet-fhir", module="sekmet")
    require_peer("moto", module="moto")
    from infra.local.twin import Twin

    with Twin(tmp_path, ehr_port=free_port(), visibility_timeout=1) as twin:
        bundle = patient_bundle(VALUES, "waiting", datetime.now(UTC))
        twin.post_bundle(bundle)  # no Subscription yet: the EHR tells nobody
        encounter = twin.fhir.get("Encounter/waiting-admission").json()
        twin.ehr.stop()
        answer = httpx.put(
            f"{twin.endpoint}/Encounter/waiting-admission",
            json=encounter,
            headers={"Authorization": f"Bearer {twin.secret}", "Content-Type": "application/fhir+json"},
            trust_env=False,
        )
        assert (answer.status_code, answer.content) == (202, b"")
        until(lambda: twin.dead_letter_count() == 1, timeout=90)
        (letter,) = twin.dead_letters()
        assert letter.cause == "FhirUnavailable: the FHIR server did not answer (ConnectError)"
        (entry,) = twin.ledger()
        assert (entry["outcome"], entry["reason"]) == ("failed", "FhirUnavailable")

        twin.ehr.start()
        for name, value in twin.environment.items():
            monkeypatch.setenv(name, value)
        assert redrive.run(argparse.Namespace(json=True, list=False, queue_url=None, dead_letter_queue_url=None)) == 0
        assert json.loads(capsys.readouterr().out)["redriven"] == 1
        until(lambda: twin.ledger()[0]["outcome"] == "predicted", timeout=30)
        assert twin.dead_letter_count() == 0
        found = twin.fhir.get("RiskAssessment", params={"patient": "waiting"}).json()
        assert found["total"] == 1
