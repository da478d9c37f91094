"""Subscriptions and reconciliation against a real FHIR server, the whole twin around it."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fhir_adapter.client import FhirClient
from fhir_adapter.codes import MODEL_TAG
from fhir_adapter.subscriptions import Dialect, Subscriptions, wanted_of
from fhir_adapter.tenants import Tenant
from infra.cli import reconcile
from infra.local.bundles import patient_bundle
from infra.local.subscriptions import ENCOUNTER_START, FEEDS
from tests.peering import require_peer

if TYPE_CHECKING:
    from infra.local.twin import Twin

pytestmark = pytest.mark.peer("sekmet-fhir")

VALUES = {"age": 70.0, "female": 0.0, "heart_rate": 88.0, "systolic_bp": 130.0, "diastolic_bp": 80.0, "bmi": 26.0}
VALUES |= {"q_wave_mi": 1.0, "congestive_heart_failure": 0.0}
CHANGES = 20


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    require_peer("sekmet-fhir", module="sekmet")
    require_peer("moto", module="moto")
    from infra.local.twin import Twin

    with Twin(tmp_path_factory.mktemp("twin"), visibility_timeout=1) as twin:
        yield twin


@pytest.fixture
def fhir(twin: Twin) -> Iterator[FhirClient]:
    with FhirClient(twin.ehr.base_url, twin.ehr.token) as client:
        yield client


def described(twin: Twin, **more: Any) -> Tenant:
    data = json.loads(json.dumps(twin._tenant()))
    data["subscriptions"]["admissions"] |= more
    return Tenant.from_dict(data)


def admit(twin: Twin, name: str) -> None:
    twin.post_bundle(patient_bundle(VALUES, name, datetime.now(UTC)))


def scored(twin: Twin, status: str = "preliminary") -> Counter[str]:
    query = {"_tag": f"{MODEL_TAG}|whas500", "_count": "500"}
    found = [entry["resource"] for entry in twin.fhir.get("RiskAssessment", params=query).json().get("entry", [])]
    return Counter(item["subject"]["reference"] for item in found if item["status"] == status)


@pytest.mark.conformance("C14")
@pytest.mark.parametrize("topic", [None, ENCOUNTER_START])
def test_what_we_write_becomes_active_and_works(twin: Twin, fhir: FhirClient, topic: str | None) -> None:
    tenant = described(twin, **({"topic": topic} if topic else {}))
    ours = Subscriptions(fhir)
    wanted = wanted_of(tenant, tenant.subscriptions["admissions"], f"{twin.gateway_url}/notify")
    reference = ours.create(wanted)
    state = ours.wait(reference)
    assert (state.status, state.dialect) == ("active", Dialect.BACKPORT if topic else Dialect.CRITERIA)
    name = "told-by-topic" if topic else "told-by-criteria"
    before = len(twin.ledger())
    admit(twin, name)
    assert twin.drain(60, before + 1)
    assert scored(twin)[f"Patient/{name}"] == 1
    if topic:
        assert ours.state(reference).events == 1
    ours.turn_off(reference)
    assert ours.state(reference).status == "off"
    assert ours.repair(reference, wanted).status in ("requested", "active")
    assert ours.wait(reference).status == "active"
    assert ours.delete(reference)
    assert ours.state(reference).status == "missing"


def run_reconcile(twin: Twin, file: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    arguments = argparse.Namespace(tenant="twin", since=None, tenants=file, json=True)
    assert reconcile.run(arguments) == 0
    admissions, *others = json.loads(capsys.readouterr().out)["reports"]
    assert {(other["subscription"], other["swept"]) for other in others} == {(feed.name, 0) for feed in FEEDS[1:]}
    return dict(admissions)


@pytest.mark.conformance("D04", "C10", "G34")
def test_lost_hooks_and_what_is_gone_are_found_by_reconciling(
    twin: Twin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in twin.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NOTIFICATION_URL", f"{twin.gateway_url}/notify")
    file = tmp_path / "tenant.json"
    file.write_text(json.dumps(twin._tenant()), encoding="utf-8")
    names = [f"unheard-{number:02d}" for number in range(CHANGES)]
    for name in names:
        admit(twin, name)  # no Subscription: nobody is told
    assert not set(scored(twin)) & {f"Patient/{name}" for name in names}

    report = run_reconcile(twin, file, capsys)
    assert report["swept"] >= CHANGES
    assert twin.drain(120, CHANGES)
    found = scored(twin)
    assert {name: found[f"Patient/{name}"] for name in names} == dict.fromkeys(names, 1)

    run_reconcile(twin, file, capsys)
    assert twin.drain(120)
    assert {name: scored(twin)[f"Patient/{name}"] for name in names} == dict.fromkeys(names, 1)
    assert twin.dead_letters() == []

    twin.fhir.delete(f"Encounter/{names[0]}-admission")
    cancelled = twin.fhir.get(f"Encounter/{names[1]}-admission").json()
    twin.fhir.put(f"Encounter/{names[1]}-admission", json={**cancelled, "status": "cancelled"})
    # the sweep before it also queued the cancelled one, and a worker may have marked it first
    assert run_reconcile(twin, file, capsys)["withdrawn"] in (2, 4)
    assert twin.drain(120)
    gone = scored(twin, "entered-in-error")
    assert (gone[f"Patient/{names[0]}"], gone[f"Patient/{names[1]}"]) == (1, 1)
    assert not {f"Patient/{name}" for name in names[:2]} & set(scored(twin))
