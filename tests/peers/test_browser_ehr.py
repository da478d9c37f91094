"""Choose a patient in the twin's EHR: the app opens in a frame of another site, shows what it knows, is answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from infra.local.studies import ECG
from tests.browsing import SHOTS, WIDTHS, Clinician, at_the_screen, hospital, require_browser, speak, violations

pytestmark = pytest.mark.peer("Chromium")
PATIENT = "synthetic-001"
OTHER = "synthetic-002"
CONFIRMED = "http://terminology.hl7.org/CodeSystem/provenance-participant-type|verifier"
# Over the wire, for everything that the app's page needs.
MOST_BYTES = 150_000


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    require_browser()
    with hospital(tmp_path_factory.mktemp("ehr")) as running:
        yield running


@pytest.fixture
def clinician(twin: Any) -> Iterator[Clinician]:
    with at_the_screen(twin.front_url, require_browser()) as sitting:
        yield sitting


@pytest.mark.conformance("A01")
def test_the_app_opens_in_a_frame_of_another_site_and_speaks_to_nobody_else(twin: Any, clinician: Clinician) -> None:
    bodies: list[int] = []
    clinician.page.on(
        "requestfinished",
        lambda request: bodies.append(weight(request)) if request.url.startswith(twin.gateway_url) else None,
    )
    clinician.open(PATIENT)
    frame = clinician.frame("app")
    assert urlsplit(frame.url).hostname == "127.0.0.1" and urlsplit(clinician.page.url).hostname == "localhost"
    # the code and the launch are gone from the address
    assert urlsplit(frame.url).query == "" and "/smart/twin/app/" in frame.url
    shown = clinician.app.locator("main").inner_text()
    assert "28%" in shown and "95%" in shown
    assert clinician.app.locator("figure svg").count() >= 1, "no curve"
    assert clinician.app.locator(".drivers").count() >= 1, "nothing of what drove it"
    assert clinician.origins() == {twin.front_url, twin.gateway_url}
    assert clinician.errors == []
    assert 0 < sum(bodies) <= MOST_BYTES
    cookies = [cookie for cookie in clinician.page.context.cookies() if "bedside" in cookie["name"]]
    assert cookies
    for cookie in cookies:
        assert cookie["name"].startswith("__Host-") and cookie["secure"] and cookie["httpOnly"]
        assert cookie["sameSite"] == "None"


def test_the_app_is_framed_by_this_ehr_alone(twin: Any, clinician: Clinician) -> None:
    answers: list[Any] = []
    clinician.page.on("response", lambda got: answers.append(got) if "/smart/twin/" in got.url else None)
    clinician.open(PATIENT)
    policies = [answer.headers["content-security-policy"] for answer in answers]
    assert len(policies) >= 3 and all(f"frame-ancestors {twin.front_url}" in policy for policy in policies)
    assert all("'unsafe-inline'" not in policy for policy in policies)


@pytest.mark.parametrize("name", ["main", "advice", "app"])
def test_axe_finds_nothing_in_the_ehr_and_in_the_app(clinician: Clinician, name: str) -> None:
    clinician.page.goto(clinician.front)
    assert violations(clinician.page) == []
    clinician.open(PATIENT)
    assert violations(clinician.page if name == "main" else clinician.frame(name)) == []


def test_a_clinician_confirms_a_result_and_the_ehr_has_it_on_record(twin: Any, clinician: Clinician) -> None:
    clinician.open(OTHER)
    clinician.app.locator("a.act").first.click()
    clinician.app.locator("#confirm").check()
    assert violations(clinician.frame("app")) == []
    clinician.app.locator("form.decide button[type=submit]").click()
    clinician.app.locator(".reviewed, p.done").first.wait_for()
    (assessment,) = found(twin, "RiskAssessment", patient=OTHER)
    assert assessment["status"] == "final"
    provenances = found(twin, "Provenance", target=f"RiskAssessment/{assessment['id']}")
    verifiers = [
        agent["who"]["reference"]
        for provenance in provenances
        for agent in provenance["agent"]
        if f"{agent['type']['coding'][0]['system']}|{agent['type']['coding'][0]['code']}" == CONFIRMED
    ]
    assert [who.rpartition("Practitioner/")[2] for who in verifiers] == ["twin-clinician"]
    clinician.open(OTHER)
    shown = clinician.app.locator("main").inner_text()
    assert "Status: confirmed by a clinician" in shown and "preliminary" not in shown


def test_the_recording_is_shown_beside_what_was_measured(twin: Any, clinician: Clinician) -> None:
    if not found(twin, "ImagingStudy", patient=ECG):
        pytest.skip("pydicom brings no electrocardiogram here")
    clinician.open(ECG)
    strip = clinician.app.locator("img.strip")
    strip.scroll_into_view_if_needed()
    assert strip.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    assert "Bazett" in clinician.app.locator("table.measured").inner_text()
    assert violations(clinician.frame("app")) == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("locale", ["en", "zh-CN"])
def test_it_is_there_in_both_languages_and_fits_both_widths(twin: Any, locale: str, width: int) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    speak(twin, locale)
    try:
        with at_the_screen(twin.front_url, require_browser(), width) as clinician:
            for patient in (PATIENT, ECG):
                clinician.open(patient)
                app = clinician.frame("app")
                assert app.evaluate("document.documentElement.lang") == ("en" if locale == "en" else "zh-Hans")
                for frame in (clinician.page.main_frame, clinician.frame("advice"), app):
                    assert frame.evaluate("document.documentElement.scrollWidth <= innerWidth"), frame.name
                    assert violations(frame) == [], frame.name
                shoot(clinician, SHOTS / f"ehr-{patient}-{locale}-{width}.png")
    finally:
        speak(twin, "en")


def weight(request: Any) -> int:
    """Bytes of an answer over the wire."""
    sizes = request.sizes()
    return int(sizes["responseBodySize"]) + int(sizes["responseHeadersSize"])


def shoot(clinician: Clinician, path: Path) -> None:
    """Take a picture of the whole chart, with the frames as high as what is in them."""
    for name in ("advice", "app"):
        height = clinician.frame(name).evaluate("document.documentElement.scrollHeight")
        frame = clinician.page.locator(f"iframe[name={name}]")
        frame.evaluate("(frame, high) => frame.style.height = high", f"{height}px")
    page = clinician.page
    # a frame of another site is painted as far as it is in the window, and no further
    size = page.viewport_size
    page.set_viewport_size({**size, "height": page.evaluate("document.documentElement.scrollHeight")})
    for name in ("advice", "app"):
        clinician.frame(name).evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.screenshot(path=str(path))
    page.set_viewport_size(size)
    assert path.stat().st_size > 10_000


def found(twin: Any, kind: str, **query: str) -> list[dict[str, Any]]:
    """Search the record with the EHR's own access."""
    bundle = twin.fhir.get(kind, params=query).json()
    return [entry["resource"] for entry in bundle.get("entry", [])]
