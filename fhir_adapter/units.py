"""UCUM units (unitsofmeasure.org): equal spellings at once, everything else through ucumvert and Pint.

The conversion library is imported only when a unit really differs from the declared one, which keeps it out of
the cold start. Codes are case-sensitive (UCUM, section 3), arbitrary units convert to nothing but themselves
(section 24), and mass converts to amount of substance only with a declared molar mass.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from fhir_adapter.codes import UCUM, Json
from fhir_adapter.errors import UnitError

__all__ = ["PRINTED", "convert", "is_unit", "same_unit", "unit_of"]

# Units as record systems print them where a UCUM code should be. Every key is no UCUM code itself, so nothing that
# UCUM gives a meaning to is read as something else. "C", "F", "K/uL" and "U" are absent for that reason: coulomb,
# farad, kelvin per microlitre and enzyme unit.
PRINTED = {
    "mmHg": "mm[Hg]",  # the printed symbol of UCUM mm[Hg]; the commonest wrong code for blood pressure
    "mm Hg": "mm[Hg]",
    "cmH2O": "cm[H2O]",  # printed symbol of UCUM cm[H2O]
    "bpm": "/min",  # beats or breaths per minute: both count
    "beats/min": "/min",  # a counted thing belongs into an annotation: {beats}/min
    "beats/minute": "/min",
    "breaths/min": "/min",
    "breaths/minute": "/min",
    "kg/m²": "kg/m2",  # UCUM writes exponents plainly
    "kg/m^2": "kg/m2",
    "°C": "Cel",  # printed symbol of UCUM Cel
    "°F": "[degF]",  # printed symbol of UCUM [degF]
    "lb": "[lb_av]",  # body weight is in avoirdupois pounds; the troy pound weighs no patients
    "lbs": "[lb_av]",
    "inches": "[in_i]",  # international inch
    "mcg": "ug",  # how medication orders write micrograms, against misreading of the Greek letter
    "µmol/L": "umol/L",  # UCUM has u for micro
    "μmol/L": "umol/L",  # the same with the Greek letter instead of the micro sign
    "percent": "%",
}

# UCUM units with isArbitrary="yes" (ucum-essence.xml 2.1): defined by a procedure each, commensurable with nothing.
# fmt: off
ARBITRARY = frozenset({
    "[hp_X]", "[hp_C]", "[hp_M]", "[hp_Q]", "[kp_X]", "[kp_C]", "[kp_M]", "[kp_Q]", "[iU]", "[IU]", "[arb'U]",
    "[USP'U]", "[GPL'U]", "[MPL'U]", "[APL'U]", "[beth'U]", "[anti'Xa'U]", "[todd'U]", "[dye'U]", "[smgy'U]",
    "[bdsk'U]", "[ka'U]", "[knk'U]", "[mclg'U]", "[tb'U]", "[CCID_50]", "[TCID_50]", "[EID_50]", "[PFU]", "[FFU]",
    "[CFU]", "[IR]", "[BAU]", "[AU]", "[Amb'a'1'U]", "[PNU]", "[Lf]", "[D'ag'U]", "[FEU]", "[ELU]", "[EU]",
})
# fmt: on
# The longest example in UCUM's own tables has 40; the parser recurses.
MOST_UNIT = 100

_ANNOTATION = re.compile(r"\{[^}]*\}")
# An annotation that is a factor of its own, as in mL/min/{1.73_m2}; elsewhere it only comments on a unit.
_ALONE = re.compile(r"(?:(?<=[/.(])|\A)\{[^}]*\}(?=[/.)]|\Z)")
_BRACKET = re.compile(r"\[[^\]]*\]-?\d*")
# An equivalent is a mole over the valence, which UCUM's plain "1 eq = 1 mol" leaves out: 2 meq/L of Ca++ are 1 mmol/L.
_EQUIVALENT = re.compile(r"(?<![A-Za-z\[_'])(?:[YZEPTGMkhdcmunpfazy]|da)?eq(?![A-Za-z\]_'])")


def _bare(unit: str) -> str:
    """Drop annotations: ``{beats}/min`` counts the same as ``/min`` (UCUM, section 6: annotations mean 1)."""
    stripped = unit.strip()
    if "{" not in stripped:
        return stripped
    bare = _ANNOTATION.sub("", _ALONE.sub("1", stripped))
    bare = bare[1:] if bare.startswith("1/") else bare
    return bare.removesuffix("/1") if bare != "/1" else "1"


def same_unit(left: str, right: str) -> bool:
    """Return whether two UCUM codes are equal but for their annotations."""
    return _bare(left) == _bare(right)


def is_unit(unit: str) -> bool:
    """Return whether a code is UCUM; loads the conversion library."""
    try:
        _parsed(_bare(unit))
    except UnitError:
        return False
    return True


def unit_of(quantity: Json) -> str:
    """Return the UCUM code of a Quantity (FHIR R4 datatypes.html#Quantity).

    Its code where the system is UCUM, or none is given; else the unit it is printed with. A printed unit of
    `PRINTED` is read as its UCUM code, and a Quantity with neither is a pure number.
    """
    code = quantity.get("code") if quantity.get("system", UCUM) == UCUM else None
    text = str(code or quantity.get("unit") or "").strip()
    return PRINTED.get(text, text) or "1"


@lru_cache(maxsize=1)
def _registry() -> Any:
    from ucumvert import PintUcumRegistry

    return PintUcumRegistry()


@lru_cache(maxsize=256)
def _parsed(unit: str) -> Any:
    from lark.exceptions import LarkError
    from pint.errors import PintError

    if len(unit) > MOST_UNIT:
        raise UnitError(f"a unit of more than {MOST_UNIT} characters is not a UCUM unit")
    try:
        found = _registry().from_ucum(unit)
    except (LarkError, PintError, ValueError, KeyError, ArithmeticError):
        raise UnitError(f"{unit!r} is not a UCUM unit") from None
    if not hasattr(found, "magnitude"):
        raise UnitError(f"{unit!r} is not a UCUM unit")
    return found


def _incommensurable(unit: str) -> tuple[str, ...]:
    """What must be the same on both sides: arbitrary units with their exponents, and equivalents."""
    found = [atom for atom in _BRACKET.findall(unit) if atom[: atom.index("]") + 1] in ARBITRARY]
    named = [atom.replace("[IU]", "[iU]") for atom in found]  # UCUM defines [IU] as 1 [iU]
    return tuple(sorted(named) + ["eq"] * len(_EQUIVALENT.findall(unit)))


def convert(value: float, unit: str, target: str, molar_mass: float | None = None) -> float:
    """Convert a value between UCUM units of the same dimension, or between mass and amount of substance.

    Parameters
    ----------
    value : float
        In `unit`.
    unit, target : str
        Case-sensitive UCUM codes.
    molar_mass : float, optional
        Of the substance, in g/mol: makes ``mg/dL`` and ``mmol/L`` convertible.

    Raises
    ------
    UnitError
        When a code is not UCUM, or the two have different dimensions.
    """
    if same_unit(unit, target):
        return value
    factor, offset = _affine(_bare(unit), _bare(target), molar_mass)
    return value * factor + offset


@lru_cache(maxsize=512)
def _affine(unit: str, target: str, molar_mass: float | None) -> tuple[float, float]:
    """Return factor and offset of a conversion; offsets are those of temperature scales.

    Raises
    ------
    UnitError
        Also where the conversion is no straight line (logarithmic units).
    """
    refused = UnitError(f"{unit!r} cannot be converted to {target!r}")
    source, wanted = _parsed(unit), _parsed(target)
    if _incommensurable(unit) != _incommensurable(target):
        raise refused
    zero, one, two = (_pint(value, source, wanted, molar_mass, refused) for value in (0.0, 1.0, 2.0))
    if zero == 0.0:
        factor, offset = one, 0.0
    else:
        factor, offset = one - zero, zero
    if abs(2 * factor + offset - two) > 1e-9 * max(1.0, abs(two)):
        raise refused
    return factor, offset


def _pint(value: float, source: Any, wanted: Any, molar_mass: float | None, refused: UnitError) -> float:
    from pint.errors import PintError

    registry = _registry()
    try:
        quantity = registry.Quantity(value * source.magnitude, source.units)
        ways = [quantity]
        if molar_mass is not None:
            # at most one of them has the wanted dimension
            per_mole = registry.Quantity(molar_mass, "gram / mole")
            ways += [quantity / per_mole, quantity * per_mole]
        found = next((way for way in ways if way.dimensionality == wanted.dimensionality), None)
        if found is None:
            raise refused
        return float(found.to(wanted.units).magnitude / wanted.magnitude)
    except (PintError, ArithmeticError):
        raise refused from None
