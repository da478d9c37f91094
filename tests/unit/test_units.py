from __future__ import annotations

import random
import subprocess
import sys

import pytest

from fhir_adapter.errors import UnitError
from fhir_adapter.units import ARBITRARY, PRINTED, convert, is_unit, unit_of

UCUM = "http://unitsofmeasure.org"
CREATININE, GLUCOSE = 113.12, 180.156


@pytest.mark.parametrize(
    ("value", "unit", "target", "expected"),
    [
        (16.0, "kPa", "mm[Hg]", 120.00985),
        (180.0, "[lb_av]", "kg", 81.6466266),
        (70.0, "[in_i]", "m", 1.778),
        (1.2, "/s", "/min", 72.0),
        (72.0, "{beats}/min", "/min", 72.0),
        (37.0, "Cel", "[degF]", 98.6),
        (37.0, "Cel", "K", 310.15),
        (5.0, "g/L", "mg/dL", 500.0),
        (5.0, "10*3/uL", "10*9/L", 5.0),
        (45.0, "%", "1", 0.45),
        (15.0, "{score}", "1", 15.0),
        (15.0, "1", "{score}/{total}", 15.0),
        (60.0, "mL/min/{1.73_m2}", "mL/s/{1.73_m2}", 1.0),
        (70.0, "kg{dry}", "g", 70000.0),
        (5.0, "[iU]/L", "m[iU]/mL", 5.0),
        (5.0, "[iU]/L", "[IU]/mL", 0.005),
        (2.0, "meq/L", "eq/L", 0.002),
    ],
)
def test_converts(value: float, unit: str, target: str, expected: float) -> None:
    assert convert(value, unit, target) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("value", "unit", "target", "mass", "expected"),
    [
        (1.0, "mg/dL", "umol/L", CREATININE, 88.4017),
        (90.0, "mg/dL", "mmol/L", GLUCOSE, 4.99567),
        (4.99567, "mmol/L", "mg/dL", GLUCOSE, 90.0),
        (3.0, "mg/g", "mg/mmol", CREATININE, 0.33936),  # the substance below the line
        (1.0, "mg/dL", "g/L", GLUCOSE, 0.01),  # declared, and not needed
    ],
)
def test_mass_and_amount_by_molar_mass(value: float, unit: str, target: str, mass: float, expected: float) -> None:
    assert convert(value, unit, target, mass) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("unit", ["kg", "mmol/L", "bananas", "", "MM[HG]", "Kpa", "mmHg"])
def test_refuses_what_it_cannot_convert(unit: str) -> None:
    with pytest.raises(UnitError):
        convert(1.0, unit, "mm[Hg]")
    with pytest.raises(UnitError):
        convert(1.0, "mm[Hg]", unit)


@pytest.mark.parametrize(
    ("unit", "target", "mass"),
    [
        ("mg/dL", "mmol/L", None),  # of what substance?
        ("mg/dL", "mmol", GLUCOSE),
        ("[iU]/L", "/L", None),
        ("[iU]/L", "[arb'U]/L", None),
        ("[iU]/L", "U/L", None),
        ("[iU]/L", "ng/mL", GLUCOSE),
        ("meq/L", "mmol/L", None),  # a question of valence
        ("meq/L", "mg/dL", GLUCOSE),
        ("B[W]", "W", None),  # logarithmic
        ("ML", "mmol", None),
        ("(" * 2000 + "m" + ")" * 2000, "m", None),
        ("1" * 400, "m", None),
        ("10*99999", "%", None),
        ("m", "0.m", None),
        ("K/uL", "10*3/uL", None),  # kelvin, whatever the laboratory meant
    ],
)
def test_refuses_what_only_looks_alike(unit: str, target: str, mass: float | None) -> None:
    with pytest.raises(UnitError):
        convert(1.0, unit, target, mass)


def test_case_matters() -> None:
    assert convert(1.0, "ML", "mL") == pytest.approx(1e9)


def test_arbitrary_units_are_those_of_ucum_itself() -> None:
    from importlib.resources import files
    from xml.etree import ElementTree

    tree = ElementTree.fromstring((files("ucumvert") / "vendor" / "ucum-essence.xml").read_bytes())
    assert {unit.get("Code") for unit in tree.iter() if unit.get("isArbitrary") == "yes"} == ARBITRARY


def test_no_printed_unit_is_a_ucum_code_and_each_means_one() -> None:
    assert [text for text in PRINTED if is_unit(text)] == []
    assert [code for code in PRINTED.values() if not is_unit(code)] == []


@pytest.mark.parametrize(
    ("quantity", "code"),
    [
        ({"code": "mm[Hg]", "unit": "mmHg", "system": UCUM}, "mm[Hg]"),
        ({"unit": "mmHg"}, "mm[Hg]"),
        ({"code": "mmHg", "system": UCUM}, "mm[Hg]"),
        ({"code": "MMHG", "unit": "bpm", "system": "urn:local"}, "/min"),
        ({"unit": "kg/m²"}, "kg/m2"),
        ({"unit": "%"}, "%"),
        ({"unit": " °C "}, "Cel"),
        ({"code": "K/uL"}, "K/uL"),
        ({"unit": "furlongs"}, "furlongs"),
        ({}, "1"),
    ],
)
def test_printed_units(quantity: dict[str, str], code: str) -> None:
    assert unit_of(quantity) == code


def test_there_and_back_again() -> None:
    """A property over many values: a conversion is undone by its reverse, and keeps order."""
    source = random.Random(1)
    pairs = [("kPa", "mm[Hg]", None), ("Cel", "[degF]", None), ("mg/dL", "umol/L", CREATININE), ("[lb_av]", "kg", None)]
    for _ in range(500):
        left, right, mass = source.choice(pairs)
        value, other = (source.uniform(-1e3, 1e6) for _ in range(2))
        there = convert(value, left, right, mass)
        assert convert(there, right, left, mass) == pytest.approx(value, rel=1e-9, abs=1e-9)
        assert (there < convert(other, left, right, mass)) == (value < other)


def test_no_text_makes_it_raise_anything_else() -> None:
    source = random.Random(2)
    alphabet = "mgkLlduU/.*[]{}()'%0123456789-^+° µH₂\x00e q"
    for _ in range(400):
        text = "".join(source.choices(alphabet, k=source.randrange(0, 8)))
        try:
            convert(1.0, text, "mmol/L", GLUCOSE)
        except UnitError:
            continue


def test_equal_units_do_not_load_the_conversion_library() -> None:
    code = (
        "import sys; from fhir_adapter.units import convert, unit_of; convert(1.0, '{beats}/min', '/min');"
        "unit_of({'unit': 'bpm'}); sys.exit('pint' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_any_text_converts_or_is_refused() -> None:
    hypothesis = pytest.importorskip("hypothesis", reason="Hypothesis is not here (make setup-test)")
    text = hypothesis.strategies.text(alphabet="mgkLlduU/.*[]{}()'%0123456789-^+eqiIU°µ ", max_size=12)

    @hypothesis.settings(max_examples=300, deadline=None)
    @hypothesis.given(text, hypothesis.strategies.floats(allow_nan=False, allow_infinity=False))
    def check(unit: str, value: float) -> None:
        try:
            convert(value, unit_of({"unit": unit}), "mmol/L", GLUCOSE)
        except UnitError:
            return

    check()
