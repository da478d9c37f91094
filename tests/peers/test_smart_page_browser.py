"""The app's pages in a real browser: what axe-core says, narrow and printed, by keyboard, in both languages.

Every request of the page is answered by the handler itself; one that would leave our origin fails the test.
"""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.peering import require_peer
from tests.smart import APP, Hospital
from tests.smart_charts import hospital

pytestmark = [pytest.mark.peer("Chromium"), pytest.mark.usefixtures("namespace")]

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(autouse=True)
def namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Bedside")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "smart")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    require_peer("playwright", module="playwright")
    require_peer("axe-playwright-python", module="axe_playwright_python")
    require_peer("Chromium", command="chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


class Tab:
    """A page of the browser on the app of one hospital."""

    def __init__(self, chromium: Any, hospital: Hospital, width: int = 1280) -> None:
        self.hospital = hospital
        self.path = hospital.signed_in()
        self.outside: list[str] = []
        self.wrong: list[str] = []
        self.page = chromium.new_page(viewport={"width": width, "height": 900})
        self.page.route("**/*", self._answer)
        self.page.on("console", lambda message: self.wrong.append(message.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))

    def _answer(self, route: Any) -> None:
        request = route.request
        if not request.url.startswith(f"{APP}/"):
            self.outside.append(request.url)
            route.abort()
            return
        if request.method == "POST":
            form = dict(re.findall(r"([^&=]+)=([^&]*)", request.post_data or ""))
            sent = {"sec_fetch_site": request.headers.get("sec-fetch-site", "same-origin")}
            answer = self.hospital.browser.post(request.url.removeprefix(APP), form, **sent)
        else:
            answer = self.hospital.browser.get(request.url)
        body = answer["body"]
        headers = {name: value if isinstance(value, str) else value[0] for name, value in answer["headers"].items()}
        if answer["statusCode"] == 303:
            # a redirect of a fulfilled request is not followed by Playwright
            answer = self.hospital.browser.get(headers["Location"])
            body, headers = answer["body"], dict(answer["headers"])
        data = base64.b64decode(body) if answer.get("isBase64Encoded") else body
        route.fulfill(status=answer["statusCode"], headers=headers, body=data)

    def open(self, path: str | None = None) -> None:
        self.page.goto(f"{APP}{path or self.path}")
        self.page.wait_for_load_state("networkidle")

    def link(self, what: str) -> str:
        return str(self.page.locator(f'a[href^="{self.path}/{what}/"]').first.get_attribute("href"))

    def pages(self) -> list[str]:
        self.open()
        return [self.path, *(self.link(what) for what in ("review", "sources", "model"))]

    def violations(self) -> list[str]:
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page, options={"runOnly": TAGS}).response["violations"]
        return [f"{one['id']}: {node['html'][:160]}" for one in found for node in one["nodes"]]

    @property
    def overflow(self) -> int:
        """By how much the page is wider than the window, in pixels."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


@pytest.mark.parametrize("locale", ["en", "zh-CN"])
@pytest.mark.parametrize("width", [1280, 400])
def test_no_page_has_a_barrier_or_is_wider_than_its_frame(
    chromium: Any, tmp_path: Path, width: int, locale: str
) -> None:
    tab = Tab(chromium, hospital(tmp_path, tenant={"locale": locale}), width)
    for path in tab.pages():
        tab.open(path)
        assert tab.violations() == [], path.removeprefix(tab.path)
        assert tab.overflow <= 0, path.removeprefix(tab.path)
    assert tab.outside == [] and tab.wrong == []


def test_refusals_have_no_barrier(chromium: Any, tmp_path: Path) -> None:
    tab = Tab(chromium, hospital(tmp_path), 400)
    tab.page.goto(f"{APP}{tab.path}x")
    assert "This page has ended" in tab.page.content() and tab.violations() == []


def test_pictures_are_drawn(chromium: Any, tmp_path: Path) -> None:
    tab = Tab(chromium, hospital(tmp_path))
    tab.open()
    widths = tab.page.evaluate("Array.from(document.images, image => image.complete && image.naturalWidth)")
    assert len(widths) == 3 and all(widths)


def test_by_keyboard_alone_a_result_is_confirmed(chromium: Any, tmp_path: Path) -> None:
    tab = Tab(chromium, hospital(tmp_path))
    tab.open()
    keyboard = tab.page.keyboard
    keyboard.press("Tab")
    assert tab.page.evaluate("document.activeElement.className") == "skip", "the first stop leads past the rest"
    for _ in range(60):
        keyboard.press("Tab")
        if tab.page.evaluate("document.activeElement.className") == "act":
            break
    outline = tab.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "where one is can be seen"
    keyboard.press("Enter")
    tab.page.wait_for_url("**/review/*")
    tab.page.locator("#confirm").focus()
    keyboard.press("Space")
    keyboard.press("Enter")
    tab.page.wait_for_selector(".done")
    assert "you confirmed this result" in tab.page.inner_text(".done") and tab.violations() == []
    (record,) = tab.hospital.ehr.of_type("Provenance")
    assert record["agent"][0]["who"] == {"reference": "Practitioner/dr1"} and tab.outside == []


def test_printed_it_holds_results_and_no_controls(chromium: Any, tmp_path: Path) -> None:
    tab = Tab(chromium, hospital(tmp_path))
    tab.open()
    tab.page.emulate_media(media="print")
    shown = "selector => Array.from(document.querySelectorAll(selector)).filter(one => one.checkVisibility()).length"
    assert tab.page.evaluate(shown, "svg.curve:not(.swatch)") == 2 and tab.page.evaluate(shown, "table") > 5
    assert tab.page.evaluate(shown, ".banner") == 1 and tab.page.evaluate(shown, "button, .links a, nav") == 0
    assert tab.page.pdf(format="A4").startswith(b"%PDF")
