"""Parts of the page: what drove an answer, models' packages, cards, curves, and the words of both languages."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_adapter.evidence import diagnosis
from fhir_adapter.evidence.components import COMPETING_CURVE, CURVE, LOWER, MEDIAN, UPPER, sampled
from fhir_adapter.evidence.rationale import rationale_of
from fhir_adapter.prediction import Contribution, Prediction, RiskAtHorizon
from functions.smart_app import findings
from functions.smart_app.chart import Curve, effect_svg
from functions.smart_app.curves import curve_of
from functions.smart_app.drivers import drivers_of
from functions.smart_app.markdown import html_of
from functions.smart_app.models import Models
from functions.smart_app.results import reading
from functions.smart_app.words import CHINESE, ENGLISH_PAGES

SHIPPED = ("whas500", "pbc", "mgus2", "nafld", "ecg", "thyroid", "cxr-pneumonia-paediatric")
MODELS = Models()


def test_the_names_of_components_are_those_that_are_written() -> None:
    assert (findings.FINDING, findings.OPERATING_POINT) == (diagnosis.FINDING, diagnosis.OPERATING_POINT)
    named = (reading.CURVE, reading.LOWER, reading.UPPER, reading.MEDIAN, reading.COMPETING_CURVE)
    assert named == (CURVE, LOWER, UPPER, MEDIAN, COMPETING_CURVE)


def rationale(*contributions: Contribution, **more: object) -> list[str]:
    answer = Prediction((RiskAtHorizon(365, 0.2),), contributions=contributions, **more)  # type: ignore[arg-type]
    return rationale_of(answer).split("; ")


def test_a_rationale_is_taken_apart_as_it_was_put_together() -> None:
    texts = rationale(
        Contribution("age", "Age", "81 years", 0.9),
        Contribution("female", "Sex", "female", -0.2),
        Contribution("bmi", "Body mass index", "31.2 kg/m2 (not on record, assumed)", -0.1),
    )
    age, sex, bmi = drivers_of(texts, MODELS.get("whas500"), {})
    assert (age.name, age.value, age.effect, age.points) == ("Age", "81 years", 0.9, False)
    assert sex.input is not None and (sex.input.name, sex.value, sex.effect) == ("female", "female", -0.2)
    assert (bmi.value, bmi.assumed, bmi.effect) == ("31.2 kg/m2", True, -0.1)
    assert CHINESE.input(bmi) == "体重指数" and CHINESE.value(age) == "81 岁" and CHINESE.value(sex) == "女"
    assert ENGLISH_PAGES.value(bmi) == "31.2 kg/m²" and ENGLISH_PAGES.effect(sex) == "lowers -0.20"


def test_percentage_points_keep_their_horizon() -> None:
    more = {"scale": "percentage points", "explained_days": 365.0}
    (driver,) = drivers_of(rationale(Contribution("age", "Age", "81 years", -3.25), **more), MODELS.get("nafld"), {})
    assert (driver.effect, driver.points, driver.until) == (-3.2, True, "1 year")
    assert CHINESE.until("1 year") == "1 年" and CHINESE.until("180 days") == "180 天"


def test_what_is_not_understood_is_shown_as_it_was_written() -> None:
    texts = ["because of the moon", "Unknown thing 4 raises the risk (+0.10)"]
    moon, unknown = drivers_of(texts, MODELS.get("whas500"), {})
    assert moon.effect is None and moon.text == texts[0]
    assert unknown.name == "Unknown thing 4" and unknown.input is None
    assert drivers_of(texts, None, {})[1].effect == 0.1


def test_a_unit_that_cannot_be_converted_stays() -> None:
    text = ["Heart rate 90 /min raises the risk (+0.10)"]
    for unit in ("kg", "no unit at all", "/min"):
        assert drivers_of(text, MODELS.get("whas500"), {"8867-4": unit})[0].value == "90 /min"
    assert drivers_of(text, MODELS.get("whas500"), {"8867-4": "Hz"})[0].value == "1.5 Hz"


@pytest.mark.parametrize("name", SHIPPED)
def test_every_package_that_ships_can_be_shown(name: str) -> None:
    contract = MODELS.get(name)
    assert contract is not None and contract.name == name and contract.card and contract.focus
    attributes = dict(contract.attributes)
    assert {"intended_use", "population", "licence", "sha256", "training.data"} <= set(attributes)
    for attribute in ("version", *attributes):
        assert f"attribute.{attribute}" in ENGLISH_PAGES.texts
    html = html_of(contract.card)
    assert "<h2>" in html and not re.search(r"\*\*|^#|\]\(", html, re.MULTILINE)
    assert (contract.looks, contract.maps) == {
        "ecg": ("strip", False),
        "cxr-pneumonia-paediatric": ("film", True),
    }.get(name, ("", False))
    assert CHINESE.title(name, contract.title) != contract.title
    for item in contract.inputs:
        (driver,) = drivers_of([f"{item.display} 1 raises the risk (+0.1)"], contract, {})
        assert re.search("[\u4e00-\u9fff]", CHINESE.input(driver)), item.name


def test_the_reference_population_is_what_was_observed() -> None:
    contract = MODELS.get("whas500")
    assert contract is not None and contract.reference is not None and contract.tested_on == 500
    values = contract.reference.percent
    assert values[0] == 100 and values == tuple(sorted(values, reverse=True)) and 40 < values[-1] < 60


@pytest.mark.parametrize("name", ["", "nothing", "../survival", "whas500/../pbc", "*", "WHAS500"])
def test_only_packages_have_names(name: str) -> None:
    assert MODELS.get(name) is None


def test_a_card_is_escaped_and_leads_nowhere() -> None:
    html = html_of(
        "# A <b>\n\n- one [link](https://evil.test)\n  more\n- `<i>`\n\n|a|b|\n|-|-|\n|1|**2**|\n\n```\n<x>\n```\n"
    )
    assert "<h2>A &lt;b&gt;</h2>" in html and "<li>one link more</li>" in html and "evil" not in html
    assert "<code>&lt;i&gt;</code>" in html and "<td><strong>2</strong></td>" in html and "&lt;x&gt;</pre>" in html


@given(st.text(alphabet=string.printable + "<>|`*#-", max_size=300))
def test_whatever_a_card_says_no_tag_of_its_own_survives(text: str) -> None:
    tags = set(re.findall(r"</?([a-z0-9]+)", html_of(text)))
    assert tags <= {
        *("p", "ul", "li", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td", "div"),
        *("strong", "code", "pre"),
    }


def test_a_curve_comes_back_as_it_was_written() -> None:
    curve = curve_of({"valueSampledData": sampled(7.0, (1.0, 0.9, 0.81))})
    assert curve == Curve(7.0, (100.0, 90.0, 81.0))


@pytest.mark.parametrize(
    "change",
    [
        {"period": 0},
        {"period": "7"},
        {"data": "100 E 80"},
        {"data": ""},
        {"data": 5},
        {"data": "100 nan"},
        {"data": "101"},
        {"data": "1 " * 6000},
    ],
)
def test_a_curve_that_cannot_be_drawn_is_left_out(change: dict[str, object]) -> None:
    assert curve_of({"valueSampledData": {**sampled(7.0, (1.0, 0.9)), **change}}) is None
    assert curve_of(None) is None


def test_an_effect_is_drawn_on_its_side() -> None:
    assert 'class="raises" x="50.0" width="50.0"' in effect_svg(2.0, 2.0)
    assert 'class="lowers" x="25.0" width="25.0"' in effect_svg(-1.0, 2.0)
    assert 'width="0.0"' in effect_svg(0.0, 0.0)


def test_both_languages_say_the_same_things_with_the_same_places() -> None:
    english, chinese = ENGLISH_PAGES.texts, CHINESE.texts
    assert set(english) == set(chinese)
    for name, text in english.items():
        places = {field for _, field, _, _ in string.Formatter().parse(text) if field}
        assert places == {field for _, field, _, _ in string.Formatter().parse(chinese[name]) if field}, name
