"""CDS Hooks in the twin's panel: discovery, each hook, the deadline, feedback, the way into the app; by browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from infra.local.aws import CDS_HOOKS_TABLE
from tests.browsing import Clinician, at_the_screen, hospital, require_browser, violations

pytestmark = pytest.mark.peer("Chromium")
PATIENT = "synthetic-001"


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    require_browser()
    with hospital(tmp_path_factory.mktemp("cds"), film=False) as running:
        yield running


@pytest.fixture
def clinician(twin: Any) -> Iterator[Clinician]:
    with at_the_screen(twin.front_url, require_browser()) as sitting:
        sitting.open(PATIENT)
        yield sitting


def feedback(twin: Any) -> list[dict[str, Any]]:
    """What the service kept of feedback, as it is in the table."""
    dynamodb = twin.aws.client("dynamodb")
    try:
        items = dynamodb.scan(TableName=CDS_HOOKS_TABLE)["Items"]
    finally:
        dynamodb.close()
    return [item for item in items if "overridden" in json.dumps(item) or "accepted" in json.dumps(item)]


def metrics(twin: Any, name: str) -> int:
    """How often a metric was counted."""
    lines = (twin.data_dir / "functions.log").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines if line.startswith('{"_aws"')]
    return round(sum(sum(one.get(name, [])) for one in found))


@pytest.mark.conformance("F02", "F11")
def test_every_hook_brings_a_card_whether_the_record_is_sent_or_read(clinician: Clinician) -> None:
    opened = clinician.advice.get_by_role("status")
    assert opened.get_attribute("data-hook") == "patient-view" and "1 card from 1 service" in opened.inner_text()
    for record in ("is sent along", "is read by the service"):
        for title in ("Chart opened", "Order selected", "Visit booked", "Discharge"):
            line = clinician.fire(title, record)
            assert line.get_attribute("data-statuses") == "200", (title, record)
            assert f"{title}: 1 card from 1 service" in line.inner_text(), (title, record)
    assert "Death from any cause" in clinician.advice.get_by_role("article").first.inner_text()
    assert violations(clinician.frame("advice")) == []


@pytest.mark.conformance("F15")
def test_a_late_record_ends_in_no_cards_at_the_deadline(twin: Any, clinician: Clinician) -> None:
    before = metrics(twin, "CdsDeadline")
    line = clinician.fire("Discharge", "answers late")
    assert line.get_attribute("data-statuses") == "200"
    assert "0 cards from 1 service" in line.inner_text()
    assert clinician.advice.get_by_role("article").count() == 0
    assert metrics(twin, "CdsDeadline") == before + 1


def test_a_card_that_is_put_aside_is_told_back_with_its_reason(twin: Any, clinician: Clinician) -> None:
    before = len(feedback(twin))
    clinician.fire("Order selected")
    card = clinician.advice.get_by_role("article").first
    card.get_by_label("Put aside because").select_option(label="I judge otherwise")
    card.get_by_role("button", name="Put aside").click()
    clinician.advice.get_by_text("Put aside; the service was told.").wait_for()
    kept = feedback(twin)
    assert len(kept) == before + 1 and "whas500" in json.dumps(kept)
    assert metrics(twin, "CdsFeedbackOverridden") >= 1


@pytest.mark.conformance("F21")
def test_a_suggestion_that_is_accepted_is_done_and_told_back(twin: Any, clinician: Clinician) -> None:
    clinician.fire("Visit booked")
    clinician.advice.locator("button.accept").first.click()
    clinician.advice.get_by_text("Accepted; the service was told.").wait_for()
    flags = twin.fhir.get("Flag", params={"patient": PATIENT}).json()["entry"]
    (flag,) = [entry["resource"] for entry in flags]
    assert flag["subject"] == {"reference": f"Patient/{PATIENT}"}
    assert any("accepted" in json.dumps(item) for item in feedback(twin))


def test_a_card_leads_into_the_app(clinician: Clinician) -> None:
    first = clinician.frame("app").url
    with clinician.page.expect_event(
        "framenavigated", lambda frame: frame.name == "app" and "/app/" in frame.url and frame.url != first
    ):
        clinician.advice.get_by_role("button", name="Open in Bedside").click()
    assert "28%" in clinician.app.locator("main").inner_text()


def test_a_hospital_that_does_not_know_the_key_gets_no_cards(twin: Any) -> None:
    from infra.local.ehrfront.cdsclient import CdsCaller

    stranger = CdsCaller(f"{twin.gateway_url}/cds/twin", twin.front_url)
    try:
        assert stranger.services() == []
        status, answer = stranger.call("risk-patient-view", {"hook": "patient-view"})
        assert status == 401 and answer["resourceType"] == "OperationOutcome"
    finally:
        stranger.close()
