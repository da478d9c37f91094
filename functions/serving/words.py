"""A model's inputs and their effects in words for people."""

from __future__ import annotations

import math

from fhir_adapter.features import AgeInput, Features, FhirPathInput, ObservationInput, SexInput, Value
from fhir_adapter.prediction import Contribution
from functions.serving.session import Float64

__all__ = ["contributions", "describe"]


def contributions(features: Features, effects: Float64, imputed: Float64) -> tuple[Contribution, ...]:
    """Return what each input did, largest effect first.

    Parameters
    ----------
    effects : ndarray, shape (p,)
        On the prediction's scale.
    imputed : ndarray, shape (p,)
        The values that the model used.
    """
    named = [
        Contribution(value.input.name, *describe(value, float(used)), float(effect))
        for value, effect, used in zip(features.values, effects, imputed, strict=True)
    ]
    return tuple(sorted(named, key=lambda item: -abs(item.effect)))


def describe(value: Value, used: float) -> tuple[str, str]:
    """Return an input and its value in words: with its unit, present or absent, and whether it was assumed."""
    display = "Sex" if isinstance(value.input, SexInput) else value.input.display
    if math.isnan(used):
        return display, "(not on record)"
    if isinstance(value.input, ObservationInput):
        text = f"{used:.4g} {value.input.unit}"
    elif isinstance(value.input, FhirPathInput) and value.input.plausible:
        text = f"{used:.4g} {value.input.unit or ''}".strip()
    elif isinstance(value.input, AgeInput):
        text = f"{used:.0f} years"
    elif isinstance(value.input, SexInput):
        text = "female" if used >= 0.5 else "male"
    else:
        text = "present" if used >= 0.5 else "absent"
    return display, f"{text} (not on record, assumed)" if math.isnan(value.value) else text
