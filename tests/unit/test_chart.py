"""The survival curve as SVG."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from functions.smart_app.chart import Curve, bar_svg, mean_curve, survival_svg, swatch_svg

SVG = "{http://www.w3.org/2000/svg}"
FIVE_YEARS = Curve(7, tuple(100 * 0.995**week for week in range(263)))
TWO_MONTHS = Curve(1, tuple(100.0 - day for day in range(61)))


def parsed(markup: str) -> ElementTree.Element:
    # str() first: replacing inside Markup would escape the replacement
    return ElementTree.fromstring(str(markup).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


def drawn(curve: Curve, **more: object) -> ElementTree.Element:
    return parsed(survival_svg(curve, title="Title", description="Description", **more))  # type: ignore[arg-type]


def texts(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def corners(path: str) -> list[tuple[float, float]]:
    """The corners of a path made of M, H and V."""
    points, x, y = [], 0.0, 0.0
    for command, arguments in re.findall(r"([MHV])([-\d. ]+)", path):
        numbers = [float(number) for number in arguments.split()]
        if command == "M":
            x, y = numbers
        elif command == "H":
            x = numbers[0]
        else:
            y = numbers[0]
        points.append((x, y))
    return points


def test_axes_are_named_in_years_or_days_and_percent() -> None:
    years = texts(drawn(FIVE_YEARS))
    assert [text for text in years if text.endswith("%")] == ["0%", "25%", "50%", "75%", "100%"]
    assert [text for text in years if text.isdigit()] == ["0", "1", "2", "3", "4", "5"]
    assert "Years since admission" in years
    days = texts(drawn(TWO_MONTHS))
    assert "Days since admission" in days
    assert [text for text in days if text.isdigit()] == ["0", "7", "14", "21", "28", "35", "42", "49", "56"]


def test_the_curve_never_rises_and_stays_inside_the_drawing() -> None:
    root = drawn(FIVE_YEARS, reference=TWO_MONTHS, marks=[(365, 70.0), (9999, 10.0)])
    _, _, width, height = (float(number) for number in root.attrib["viewBox"].split())
    for kind in ("patient", "reference"):
        path = next(element for element in root.iter(f"{SVG}path") if element.get("class") == kind)
        points = corners(path.attrib["d"])
        assert all(0 <= x <= width and 0 <= y <= height for x, y in points)
        assert points == sorted(points, key=lambda point: point[0])
        assert all(later[1] >= earlier[1] for earlier, later in pairwise(points))
    assert len(list(root.iter(f"{SVG}circle"))) == 1


def test_a_screen_reader_gets_title_and_description_and_nothing_breaks_out() -> None:
    markup = survival_svg(FIVE_YEARS, title="<b>&", description='"><script>alert(1)</script>')
    root = parsed(markup)
    assert root.get("role") == "img"
    names = {element.get("id"): element.text for element in root if element.tag in (f"{SVG}title", f"{SVG}desc")}
    assert names == {"curve-title": "<b>&", "curve-desc": '"><script>alert(1)</script>'}
    assert root.get("aria-labelledby") == "curve-title curve-desc"


def test_nothing_a_strict_content_security_policy_would_block() -> None:
    for markup in (survival_svg(FIVE_YEARS, title="", description=""), bar_svg(30), swatch_svg("patient")):
        root = parsed(markup)
        for element in root.iter():
            assert element.tag not in (f"{SVG}script", f"{SVG}style", f"{SVG}image", f"{SVG}foreignObject")
            assert not [name for name in element.attrib if name == "style" or name.startswith("on") or "href" in name]


@pytest.mark.parametrize(("percent", "width"), [(0, "0.0"), (36.84, "36.8"), (130, "100.0"), (-1, "0.0")])
def test_a_bar_is_as_long_as_its_percentage(percent: float, width: str) -> None:
    fill = parsed(bar_svg(percent))[1]
    assert fill.get("width") == width


def test_the_mean_reaches_as_far_as_all_curves_do() -> None:
    mean = mean_curve([Curve(7, (100, 80, 60)), Curve(7, (100, 90))])
    assert mean == Curve(7, (100, 85))
    assert mean_curve([]) is None


def test_a_curve_is_a_step_function() -> None:
    curve = Curve(7, (100, 80, 60))
    assert [curve.at(day) for day in (0, 6.9, 7, 13, 14, 100)] == [100, 100, 80, 80, 60, 60]
    assert curve.days == 14


@pytest.mark.parametrize("wrong", [(0, (100,)), (7, ()), (7, (100, 101)), (7, (100, -1))])
def test_refuses_what_is_no_survival_curve(wrong: tuple[float, tuple[float, ...]]) -> None:
    with pytest.raises(ValueError, match=r"step|points|percent"):
        Curve(*wrong)


def test_a_band_lies_between_its_bounds_and_is_closed() -> None:
    lower, upper = Curve(7, (100, 80, 60)), Curve(7, (100, 90, 90))
    root = drawn(Curve(7, (100, 85, 70)), band=(lower, upper))
    band = next(element for element in root.iter(f"{SVG}path") if element.get("class") == "band")
    assert band.attrib["d"].endswith("Z")
    points = corners(band.attrib["d"].replace("Z", ""))
    plain = {
        kind: corners(next(p.attrib["d"] for p in drawn(curve).iter(f"{SVG}path") if p.get("class") == "patient"))
        for kind, curve in (("lower", lower), ("upper", upper))
    }
    there = points[: len(plain["upper"])]
    assert there[-1] == plain["upper"][-1]
    assert {y for _, y in points} == {y for curve in plain.values() for _, y in curve}
    assert points[-1][0] == points[0][0], "back to where it began"
    order = [element.get("class") for element in root.iter(f"{SVG}path")]
    assert order.index("band") < order.index("patient"), "the curve is drawn over its band"


def test_two_events_that_compete_are_two_curves_and_each_drawing_has_its_own_names() -> None:
    event = Curve(7, (100, 90)).complement
    assert event == Curve(7, (0, 10))
    markup = survival_svg(
        event, title="T", description="D", competing=Curve(7, (0, 20)), since="the visit", key="curve-mgus2"
    )
    root = parsed(markup)
    assert root.get("aria-labelledby") == "curve-mgus2-title curve-mgus2-desc"
    kinds = [element.get("class") for element in root.iter(f"{SVG}path")]
    assert kinds.count("patient") == kinds.count("competing") == 1
    assert "Days since the visit" in texts(root)
    assert [text for text in texts(root) if text.endswith("%")] == ["0%", "5%", "10%", "15%", "20%"]
    high = parsed(survival_svg(event, title="T", description="D", competing=Curve(7, (0, 61))))
    assert [text for text in texts(high) if text.endswith("%")] == ["0%", "25%", "50%", "75%", "100%"]
    assert parsed(swatch_svg("band"))[0].get("class") == "band"


def test_long_times_have_fewer_ticks() -> None:
    ticks = [text for text in texts(drawn(Curve(60, tuple([100.0] * 93)))) if text.isdigit()]
    assert ticks == ["0", "2", "4", "6", "8", "10", "12", "14"]
