"""A name that stands for every patient's: it is on the screen, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from infra.local.aws import CDS_HOOKS_TABLE, IDEMPOTENCY_TABLE, LEDGER_TABLE, SESSION_TABLE
from infra.local.studies import ECG
from tests.browsing import at_the_screen, hospital, require_browser

pytestmark = pytest.mark.peer("Chromium")
CANARY = "Zzcanary<b>Qx7"
# As it is, in JSON, in HTML and in an address.
SPELT = (CANARY, json.dumps(CANARY)[1:-1], "Zzcanary", quote(CANARY))


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    require_browser()
    with hospital(tmp_path_factory.mktemp("canary"), admissions=2, family=CANARY) as running:
        yield running


def test_a_patients_name_is_on_the_screen_and_in_no_log_metric_address_table_or_error_page(
    twin: Any, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    errors: list[str] = []
    with at_the_screen(twin.front_url, require_browser()) as clinician:
        clinician.page.on("response", lambda got: errors.append(body_of(got)) if got.status >= 400 else None)
        for patient in ("synthetic-001", "synthetic-002", ECG):
            clinician.open(patient)
            assert CANARY in clinician.page.locator("h1").inner_text(), "the test would show nothing"
        clinician.open("synthetic-001")
        for title in ("Order selected", "Visit booked", "Discharge"):
            clinician.fire(title, "is read by the service")
        clinician.advice.get_by_role("button", name="Put aside").first.click()
        clinician.advice.get_by_text("the service was told").wait_for()
        clinician.app.locator("form.close button").click()
        clinician.app.get_by_role("heading", level=1).wait_for()
        app = clinician.frame("app").url.rpartition("/")[0]
        for wrong in (
            *(f"{app}/nobody", f"{twin.gateway_url}/smart/twin/callback?state={'x' * 43}&code=1"),
            f"{twin.gateway_url}/smart/twin/launch?iss=https://evil.test/&launch={quote(CANARY)}",
            f"{twin.gateway_url}/cds/twin/cds-services",
            f"{twin.front_url}/patients/nobody",
            f"{twin.front_url}/authorize?redirect_uri=https://evil.test/",
        ):
            answer = clinician.page.context.request.get(wrong, max_redirects=0)
            assert answer.status >= 400
            errors.append(answer.text())
        addresses = "\n".join(clinician.urls)
    assert errors
    log = (twin.data_dir / "functions.log").read_text(encoding="utf-8")
    assert "SessionsOpened" in log and "hook answered" in log and '"_aws"' in log
    output = "".join(capfd.readouterr()) + caplog.text
    for where, text in (
        *(("log and metrics", log), ("addresses", addresses), ("error pages", "\n".join(errors))),
        *(("output", output), ("tables", tables(twin)), ("ledger", repr(twin.ledger()))),
    ):
        for spelt in SPELT:
            assert spelt not in text, where


def body_of(response: Any) -> str:
    """What an error page says, None where the browser has gone on."""
    from playwright.sync_api import Error

    try:
        return str(response.text())
    except Error:
        return ""


def tables(twin: Any) -> str:
    """Every table, as it is."""
    dynamodb = twin.aws.client("dynamodb")
    try:
        names = (IDEMPOTENCY_TABLE, LEDGER_TABLE, SESSION_TABLE, CDS_HOOKS_TABLE)
        return repr([dynamodb.scan(TableName=name)["Items"] for name in names])
    finally:
        dynamodb.close()
