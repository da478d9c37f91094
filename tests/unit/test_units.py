from __future__ import annotations

import subprocess
import sys

import pytest

from fhir_adapter.errors import UnitError
from fhir_adapter.units import convert


@pytest.mark.parametrize(
    ("value", "unit", "target", "expected"),
    [
        (16.0, "kPa", "mm[Hg]", 120.00985),
        (180.0, "[lb_av]", "kg", 81.6466266),
        (70.0, "[in_i]", "m", 1.778),
        (1.2, "/s", "/min", 72.0),
        (72.0, "{beats}/min", "/min", 72.0),
        (37.0, "Cel", "[degF]", 98.6),
        (5.0, "g/L", "mg/dL", 500.0),
    ],
)
def test_converts(value: float, unit: str, target: str, expected: float) -> None:
    assert convert(value, unit, target) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("unit", ["kg", "mmol/L", "bananas", ""])
def test_refuses_what_it_cannot_convert(unit: str) -> None:
    with pytest.raises(UnitError):
        convert(1.0, unit, "mm[Hg]")
    with pytest.raises(UnitError):
        convert(1.0, "mm[Hg]", unit)


def test_equal_units_do_not_load_the_conversion_library() -> None:
    code = (
        "import sys; from fhir_adapter.units import convert; convert(1.0, '{beats}/min', '/min');"
        "sys.exit('pint' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
