"""A curve as an Observation holds it (FHIR R4 datatypes.html#SampledData), lenient."""

from __future__ import annotations

import math

from functions.smart_app.chart import Curve
from functions.smart_app.lenient import Json, number_of, object_of

__all__ = ["curve_of"]

MILLISECONDS_PER_DAY = 86_400_000
# What a page can draw; a longer one is left out.
MOST_POINTS = 5000


def curve_of(part: Json | None) -> Curve | None:
    """Return the curve of a component in percent; None where there is none that can be drawn."""
    sampled = object_of((part or {}).get("valueSampledData"))
    period, text = number_of(sampled.get("period")), sampled.get("data")
    if not period or period <= 0 or not isinstance(text, str):
        return None
    origin = number_of(object_of(sampled.get("origin")).get("value")) or 0.0
    factor = number_of(sampled.get("factor", 1)) or 1.0
    pieces = text.split(" ", MOST_POINTS)
    if len(pieces) > MOST_POINTS:
        return None
    try:
        values = tuple(origin + factor * float(piece) for piece in pieces)
    except ValueError:  # "E", "U" and "L" of SampledData, or nothing of the kind
        return None
    if not all(math.isfinite(value) and -1e-6 <= value <= 100 + 1e-6 for value in values):
        return None
    return Curve(period / MILLISECONDS_PER_DAY, tuple(min(max(value, 0.0), 100.0) for value in values))
