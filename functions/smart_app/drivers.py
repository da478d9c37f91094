"""What drove an answer: the rationale that is on record, taken apart again (fhir_adapter.evidence.rationale wrote it).

A part that is not of that form is shown as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from fhir_adapter.errors import UnitError
from functions.smart_app.models import Contract, Input

__all__ = ["Driver", "drivers_of", "in_unit"]

_PART = re.compile(
    r"(?P<left>.+) (?P<way>raises|lowers) the (?:risk|score)"
    r"(?: within (?P<until>.+) by (?P<points>\d+(?:\.\d+)?) percentage points?)?(?: \((?P<log>[+-]\d+(?:\.\d+)?)\))?\Z"
)
_QUANTITY = re.compile(r"(?P<value>-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?: (?P<unit>\S+))?\Z")
ASSUMED = "(not on record, assumed)"
ABSENT = "(not on record)"


@dataclass(frozen=True)
class Driver:
    """One input and what it did.

    Parameters
    ----------
    text : str
        As it was written.
    input : Input or None
        Which one it is, where the model's contract is at hand.
    name, value : str
    effect : float or None
        On the model's scale: percentage points, or the log hazard or score; None where the text was not understood.
    points : bool
        Whether it is in percentage points.
    until : str
        Within which time, for percentage points; as it was written.
    assumed : bool
        The value is not on record, and the model took its reference value.
    """

    text: str
    input: Input | None = None
    name: str = ""
    value: str = ""
    effect: float | None = None
    points: bool = False
    until: str = ""
    assumed: bool = False


def drivers_of(texts: Iterable[str], contract: Contract | None, units: Mapping[str, str]) -> list[Driver]:
    """Return drivers in their order.

    Parameters
    ----------
    units : mapping of str to str
        The tenant's: from a LOINC code to the UCUM unit in which its people read it.
    """
    inputs = sorted(contract.inputs if contract else (), key=lambda item: -len(item.display))
    return [_driver(text, inputs, units) for text in texts]


def _driver(text: str, inputs: Sequence[Input], units: Mapping[str, str]) -> Driver:
    match = _PART.match(text)
    if match is None:
        return Driver(text)
    sign = 1.0 if match["way"] == "raises" else -1.0
    amount = float(match["points"]) * sign if match["points"] else float(match["log"] or sign)
    driver = Driver(text, effect=amount, points=bool(match["points"]), until=match["until"] or "")
    found = next((item for item in inputs if item.display and match["left"].startswith(f"{item.display} ")), None)
    if found is None:
        return replace(driver, name=match["left"])
    value = match["left"][len(found.display) + 1 :]
    assumed = value.endswith((ASSUMED, ABSENT))
    value = value.removesuffix(ASSUMED).removesuffix(ABSENT).strip()
    return replace(driver, input=found, name=found.display, value=in_unit(value, found, units), assumed=assumed)


def in_unit(value: str, found: Input, units: Mapping[str, str]) -> str:
    """Return a quantity in the tenant's unit; as it is where there is none, or it cannot be converted."""
    wanted = next((units[code] for code in sorted(found.codes) if code in units), "")
    match = _QUANTITY.match(value) if wanted else None
    if match is None or not match["unit"] or match["unit"] == wanted:
        return value
    from fhir_adapter.units import convert  # loads the conversion library where a unit differs

    try:
        return f"{convert(float(match['value']), match['unit'], wanted, found.molar_mass):.4g} {wanted}"
    except UnitError:
        return value
