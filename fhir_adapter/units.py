"""UCUM units (unitsofmeasure.org): equal spellings at once, everything else through ucumvert and Pint.

The conversion library is imported only when a unit really differs from the declared one, which keeps it out of
the cold start.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from fhir_adapter.errors import UnitError

__all__ = ["convert", "same_unit"]

_ANNOTATION = re.compile(r"\{[^}]*\}")


def _bare(unit: str) -> str:
    """Drop annotations: ``{beats}/min`` counts the same as ``/min`` (UCUM, section 6: annotations mean 1)."""
    return _ANNOTATION.sub("", unit.strip())


def same_unit(left: str, right: str) -> bool:
    """Return whether two UCUM codes are equal but for their annotations."""
    return _bare(left) == _bare(right)


@lru_cache(maxsize=1)
def _registry() -> Any:
    from ucumvert import PintUcumRegistry

    return PintUcumRegistry()


@lru_cache(maxsize=256)
def _parsed(unit: str) -> Any:
    from lark.exceptions import LarkError
    from pint.errors import PintError

    try:
        return _registry().from_ucum(unit)
    except (LarkError, PintError, ValueError, KeyError):
        raise UnitError(f"{unit!r} is not a UCUM unit") from None


def convert(value: float, unit: str, target: str) -> float:
    """Convert a value between UCUM units of the same dimension.

    Parameters
    ----------
    value : float
        In `unit`.
    unit, target : str
        Case-sensitive UCUM codes.

    Raises
    ------
    UnitError
        When a code is not UCUM, or the two have different dimensions.
    """
    if same_unit(unit, target):
        return value
    from pint.errors import PintError

    source, wanted = _parsed(_bare(unit)), _parsed(_bare(target))
    try:
        quantity = _registry().Quantity(value * source.magnitude, source.units).to(wanted.units)
    except PintError:
        raise UnitError(f"{unit!r} cannot be converted to {target!r}") from None
    return float(quantity.magnitude / wanted.magnitude)
