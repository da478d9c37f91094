"""A clinician at the twin's EHR, in a real browser."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.peering import require_peer

Json = dict[str, Any]
SHOTS = Path(__file__).parents[1] / "build" / "screenshots"
CHROMIUM = "chromium"
WIDTHS = (1280, 400)
# WCAG 2.2 A and AA, and what axe itself counts as good practice.
AXE = "axe.run(document, {resultTypes: ['violations']})"


def require_browser() -> str:
    """Return where Chromium is; skips by name when it or what drives it is absent."""
    require_peer("Playwright", module="playwright")
    require_peer("Chromium", command=CHROMIUM)
    require_peer("sekmet-fhir", module="sekmet")
    require_peer("moto", module="moto")
    return str(shutil.which(CHROMIUM))


class Clinician:
    """One page of the browser, and what went over the wire for it.

    Attributes
    ----------
    page : playwright.sync_api.Page
    urls : list of str
        Every address that was asked for.
    refusals : list of (int, str)
        Status and body of every answer that was an error.
    """

    def __init__(self, context: Any, front: str) -> None:
        self.page = context.new_page()
        self.front = front
        self.urls: list[str] = []
        self.refusals: list[tuple[int, str]] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.urls.append(request.url))
        self.page.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)

    def open(self, patient: str) -> None:
        """Choose a patient from the list."""
        self.page.goto(self.front)
        self.page.locator(f"a[href='/patients/{patient}']").click()
        self.app.locator("main").wait_for()
        self.advice.get_by_role("status").wait_for()

    @property
    def app(self) -> Any:
        """What the app shows in its frame."""
        return self.page.frame_locator("iframe[name=app]")

    @property
    def advice(self) -> Any:
        """What the panel shows."""
        return self.page.frame_locator("iframe[name=advice]")

    def frame(self, name: str) -> Any:
        """Return a frame that scripts can be run in."""
        return self.page.frame(name)

    def fire(self, title: str, record: str = "is sent along") -> Any:
        """Fire a hook in the panel; returns the line that says what came."""
        hook = {"Chart opened": "patient-view", "Order selected": "order-select"}
        hook |= {"Visit booked": "appointment-book", "Discharge": "encounter-discharge"}
        self.advice.get_by_label(record).check()
        self.advice.get_by_role("button", name=title).click()
        line = self.advice.locator(f"[role=status][data-hook={hook[title]}]")
        line.wait_for()
        return line

    def origins(self) -> set[str]:
        """Return whom the browser spoke to."""
        return {f"{parts.scheme}://{parts.netloc}" for parts in map(urlsplit, self.urls)}


def violations(frame: Any) -> list[str]:
    """Return what axe-core finds in a frame, in one line each."""
    from axe_playwright_python.base import AXE_SCRIPT  # type: ignore[import-untyped]

    frame.evaluate(AXE_SCRIPT)
    found = frame.evaluate(AXE)["violations"]
    return [f"{item['id']}: {item['nodes'][0]['html'][:200]}" for item in found]


@contextmanager
def at_the_screen(front: str, executable: str, width: int = 1280) -> Iterator[Clinician]:
    """Open a browser of its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        try:
            context = browser.new_context(viewport={"width": width, "height": 1000}, locale="en")
            context.set_default_timeout(30_000)
            yield Clinician(context, front)
        finally:
            browser.close()


@contextmanager
def hospital(folder: Path, *, admissions: int = 3, family: str = "", film: bool = True) -> Iterator[Any]:
    """Run the twin with some admissions and, where pydicom brings it, an electrocardiogram, all answered.

    Parameters
    ----------
    family : str
        Family name of everybody; by default they have names of their own.
    """
    from infra.local.cohort import draw_cohort
    from infra.local.studies import ECG, FilesAbsent, archive, bundle_of, studies
    from infra.local.subscriptions import ADMISSIONS, STUDIES
    from infra.local.twin import Twin

    with Twin(folder) as twin:
        for feed in (ADMISSIONS, STUDIES):
            twin.register_subscription(feed)
        bundles = [patient.bundle() for patient in draw_cohort(admissions, reference=datetime.now(UTC))]
        expected = admissions
        if film:
            try:
                study = next(study for study in studies() if study.patient_id == ECG)
            except FilesAbsent:
                study = None
            if study is not None:
                archive(study, twin.images)
                bundles.append(bundle_of(study, twin.images))
                expected += len(STUDIES.models)
        for bundle in bundles:
            twin.post_bundle(renamed(bundle, family) if family else bundle)
        assert twin.drain(90, expected), "not everything was answered"
        yield twin


def renamed(bundle: Json, family: str) -> Json:
    for entry in bundle["entry"]:
        if entry["resource"]["resourceType"] == "Patient":
            entry["resource"]["name"] = [{"use": "official", "family": family, "given": [family]}]
    return bundle


def speak(twin: Any, locale: str) -> None:
    """Have the hospital read another language; the functions forget what they knew of it."""
    from aws_lambda_powertools.utilities import parameters

    secrets = twin.aws.client("secretsmanager")
    try:
        known = json.loads(secrets.get_secret_value(SecretId="bedside/tenants/twin")["SecretString"])
    finally:
        secrets.close()
    twin.aws.put_tenant("twin", {**known, "locale": locale})
    parameters.clear_caches()  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def browser() -> str:
    """Where Chromium is."""
    return require_browser()
