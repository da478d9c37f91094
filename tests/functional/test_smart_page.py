"""The page over a chart with an answer of every kind: curve, findings, pictures, sizes, and one round trip."""

from __future__ import annotations

import base64
import gzip
import io
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from functions.serving.cloud import MemoryQueue
from functions.smart_app.desk import Means
from functions.smart_app.images import Images
from tests.smart import APP, Hospital
from tests.smart_charts import hospital

pytestmark = pytest.mark.usefixtures("namespace")

# Of everything that one view brings (the bound).
MOST_BYTES = 150_000


@pytest.fixture
def full(tmp_path: Path) -> Hospital:
    return hospital(tmp_path)


def drawn(answer: dict[str, Any]) -> bytes:
    assert answer["isBase64Encoded"]
    return base64.b64decode(answer["body"])


def pictures(body: str) -> dict[str, str]:
    """Addresses of pictures by model's picture name."""
    return {url.rpartition("/")[2]: url for url in re.findall(r'<img[^>]* src="([^"]+)"', body)}


def test_the_curve_has_its_band_and_its_reference_population(full: Hospital) -> None:
    body = full.page()["body"]
    for part in ('class="band"', 'class="patient"', 'class="reference"', 'class="competing"', "Years after 2026-01-10"):
        assert part in body
    assert "People the model was tested on (500), as observed" in body and "reaches one half after 2.7 years" in body
    assert "Once this has happened, the event above is ruled out." in body


def test_findings_and_intervals_stand_under_their_names(full: Hospital) -> None:
    body = full.page()["body"]
    assert "Stated: Hypothyroidism" in body and "Stated: Sinus rhythm on electrocardiogram" in body
    assert re.search(r"P-R Interval</th><td class=\"number\">162 ms", body)
    assert len(re.findall(r'<section class="model"', body)) == 5, "a section a model, not one a finding"
    assert re.search(r"Thyrotropin \(TSH\)</a></th>\s*<td>9.2 mIU/L", body)


def test_one_round_trip_and_few_bytes(full: Hospital) -> None:
    path = full.signed_in()
    before = len(full.server.fhir)
    body = full.page(path)["body"]
    assert len(full.server.fhir) - before == 1, "one batch"
    style = re.search(r'href="([^"]+\.css[^"]+)"', body)
    assert style
    size = len(gzip.compress(body.encode())) + len(gzip.compress(full.browser.get(style[1])["body"].encode()))
    sizes = {name: len(drawn(full.browser.get(url))) for name, url in pictures(body).items()}
    assert set(sizes) == {"film.png", "map.png", "strip.svg"}
    # nothing is compressed on the way, unless a distribution stands before the API
    assert len(body.encode()) + sum(sizes.values()) < MOST_BYTES, sizes
    assert size < MOST_BYTES / 5


def test_nothing_leads_to_another_origin_and_no_script_runs(full: Hospital) -> None:
    path = full.signed_in()
    body = full.page(path)["body"]
    pages = re.findall(rf'href="({path}/(?:review|sources|model)/[0-9a-f]+)"', body)
    for text in (body, *(full.page(url)["body"] for url in pages)):
        addresses = re.findall(r'(?:href|src|action)="([^"]+)"', text)
        assert addresses and not [one for one in addresses if not one.startswith(("/smart/", "#"))]
        assert "<script" not in text and " style=" not in text and not re.search(r"\son[a-z]+=", text)


def test_pictures_are_those_of_the_study(full: Hospital) -> None:
    found = pictures(full.page()["body"])
    for name in ("film.png", "map.png"):
        answer = full.browser.get(found[name])
        assert answer["statusCode"] == 200 and answer["headers"]["Content-Type"] == "image/png"
        assert answer["headers"]["Cache-Control"] == "no-store" and "default-src 'none'" in str(answer["headers"])
        with Image.open(io.BytesIO(drawn(answer))) as shown:
            assert max(shown.size) == 512
    strip = full.browser.get(found["strip.svg"])
    assert strip["headers"]["Content-Type"] == "image/svg+xml" and b"<polyline" in drawn(strip)


def test_a_picture_that_is_not_there_says_so(tmp_path: Path) -> None:
    full = hospital(tmp_path, mapped=False)
    answer = full.browser.get(pictures(full.page()["body"])["map.png"])
    assert answer["statusCode"] == 404 and b"No picture in the archive" in drawn(answer)


def refused(full: Hospital) -> None:
    for name, url in pictures(full.page()["body"]).items():
        assert full.browser.get(url)["statusCode"] == 404, name


def test_a_study_of_another_patient_is_not_shown(full: Hospital) -> None:
    body = full.page()["body"]
    server = full.server
    server._one = lambda url, grant: server.ehr._get(url)  # type: ignore[method-assign] # a proxy that lets all through
    for name in ("s-ecg", "s-film"):
        study = full.ehr.resources[f"ImagingStudy/{name}"]
        full.ehr.put({**study, "subject": {"reference": "Patient/p2"}})
    for name, url in pictures(body).items():
        assert full.browser.get(url)["statusCode"] == 404, name


def test_a_file_that_says_it_is_of_another_patient_is_not_shown(full: Hospital) -> None:
    """Its date of birth is not that of the open patient: filed in the wrong chart."""
    person = full.ehr.resources["Patient/p1"]
    full.ehr.put({**person, "birthDate": "1961-01-01"})
    refused(full)


def test_pictures_need_an_archive_and_a_scope(tmp_path: Path) -> None:
    assert "no image archive is set up" in hospital(tmp_path / "a", tenant={"dicomweb_root": None}).page()["body"]
    full = hospital(tmp_path / "b", scopes=["patient/Patient.r", "patient/RiskAssessment.rs", "patient/Observation.rs"])
    body = full.page()["body"]
    assert "did not grant access to imaging studies" in body and pictures(body) == {}


def test_only_the_pictures_that_are_offered(full: Hospital) -> None:
    found = pictures(full.page()["body"])
    for name in ("map.png", "film.png", "secret", "..%2ffilm.png"):
        assert full.browser.get(found["strip.svg"].replace("strip.svg", name))["statusCode"] == 404


def test_a_picture_needs_the_session(full: Hospital) -> None:
    found = pictures(full.page()["body"])
    assert full.another_browser().get(found["film.png"])["statusCode"] == 401


def test_quantities_stand_in_the_tenants_units(tmp_path: Path) -> None:
    full = hospital(tmp_path, units={"3026-2": "ug/dL", "2160-0": "umol/L"})
    body = full.page()["body"]
    assert "4.801 ug/dL" in body, "61.8 nmol/L of thyroxine, 776.87 g/mol"
    assert "114.9 µmol/L" in body, "1.3 mg/dL of creatinine, 113.12 g/mol"


def test_in_chinese_everything_that_is_ours_is_chinese(tmp_path: Path) -> None:
    full = hospital(tmp_path, tenant={"locale": "zh-CN"})
    path = full.signed_in()
    body = full.page(path)["body"]
    for text in (
        "甲状腺功能减退症",
        "校正 Q-T 间期",
        "主要影响因素",
        "模型测试人群（500 人）",
        "2026-01-10 之后的年数",
    ):
        assert text in body
    ours = re.sub(r'<(\w+)[^>]* lang="en"[^>]*>.*?</\1>', "", body, flags=re.DOTALL)
    plain = re.sub(r"<[^>]+>", " ", ours)
    assert not re.findall(r"\b(?:Confirm|Status|Finding|Value|Input|within|raises|present)\b", plain)


def test_without_packages_the_page_still_tells_the_answer(tmp_path: Path) -> None:
    from functions.smart_app.models import Models

    full = hospital(tmp_path, means=Means(Models(tmp_path), Images(), MemoryQueue()))
    path = full.signed_in()
    body = full.page(path)["body"]
    assert "about 32 of 100 such patients" in body and 'class="reference"' not in body
    key = re.search(rf'href="({path}/model/[0-9a-f]+)"', body)
    assert key and "The package of this model is not here" in full.page(key[1])["body"]
    assert APP not in body
