"""Survival models: arrays in, a Prediction out. No I/O, no FHIR."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fhir_adapter.features import AgeInput, Features, FhirPathInput, ObservationInput, SexInput, Value
from fhir_adapter.prediction import Contribution, Prediction, RiskAtHorizon, SurvivalCurve
from functions.serving.package import Curve, ModelPackage
from functions.serving.session import Float64, OnnxModel

__all__ = ["OUTPUTS", "SurvivalModel", "survival_at"]

OUTPUTS = ("survival", "times", "contributions", "imputed")


def survival_at(times: Float64, survival: Float64, at: Sequence[float]) -> Float64:
    """Read a step function: S at each time, 1 before the first event time.

    Parameters
    ----------
    times : ndarray, shape (t,)
        Rising event times in days.
    survival : ndarray, shape (t,)
        S just after each of them.
    at : sequence of float
        Times in days.

    Returns
    -------
    ndarray, shape (len(at),)
    """
    index = np.searchsorted(times, np.asarray(at, dtype=np.float64), side="right")
    padded = np.concatenate(([1.0], survival))
    return np.asarray(np.clip(padded[index], 0.0, 1.0), dtype=np.float64)


class SurvivalModel:
    """A survival package ready to answer.

    Parameters
    ----------
    package : ModelPackage
        Of kind ``survival``.
    """

    def __init__(self, package: ModelPackage) -> None:
        self.package = package
        self._onnx = OnnxModel(package.identity.name, package.model, len(package.inputs), OUTPUTS)

    def predict(self, features: Features) -> Prediction:
        """Answer for one patient.

        Parameters
        ----------
        features : Features
            The declared inputs; NaN where the graph is to impute.

        Returns
        -------
        Prediction
            Risks at the declared horizons, the curve, and contributions by falling size.
        """
        row = np.array([[value.value for value in features.values]], dtype=np.float64)
        out = self._onnx.run(row)
        times, survival = out["times"], out["survival"][0]
        horizons = self.package.horizons_days
        risks = 1.0 - survival_at(times, survival, horizons)
        return Prediction(
            risks=tuple(RiskAtHorizon(days, float(risk)) for days, risk in zip(horizons, risks, strict=True)),
            curve=_curve(self.package.curve, times, survival),
            contributions=_contributions(features, out["contributions"][0], out["imputed"][0]),
        )


def _curve(grid: Curve | None, times: Float64, survival: Float64) -> SurvivalCurve | None:
    if grid is None:
        return None
    points = np.arange(0.0, grid.until_days + grid.step_days / 2, grid.step_days)
    return SurvivalCurve(grid.step_days, tuple(survival_at(times, survival, points.tolist()).tolist()))


def _contributions(features: Features, effects: Float64, imputed: Float64) -> tuple[Contribution, ...]:
    named = [
        Contribution(value.input.name, *describe(value, float(used)), float(effect))
        for value, effect, used in zip(features.values, effects, imputed, strict=True)
    ]
    return tuple(sorted(named, key=lambda item: -abs(item.effect)))


def describe(value: Value, used: float) -> tuple[str, str]:
    """Return an input and its value in words: with its unit, present or absent, and whether it was assumed."""
    display = value.input.display
    if isinstance(value.input, ObservationInput):
        text = f"{used:.4g} {value.input.unit}"
    elif isinstance(value.input, FhirPathInput) and value.input.plausible:
        text = f"{used:.4g} {value.input.unit or ''}".strip()
    elif isinstance(value.input, AgeInput):
        text = f"{used:.0f} years"
    elif isinstance(value.input, SexInput):
        display, text = "Sex", "female" if used >= 0.5 else "male"
    else:
        text = "present" if used >= 0.5 else "absent"
    return display, f"{text} (not on record, assumed)" if math.isnan(value.value) else text
