"""Survival models: arrays in, a Prediction out. No I/O, no FHIR."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fhir_adapter.features import AgeInput, Features, SexInput
from fhir_adapter.prediction import (
    Abstention,
    AbstentionReason,
    CompetingRisk,
    IncidenceCurve,
    Prediction,
    RiskAtHorizon,
    SurvivalCurve,
)
from functions.serving.errors import ModelRefused
from functions.serving.explain import survshap
from functions.serving.package import Curve, Model, ModelPackage, load_packages
from functions.serving.pruning import output_names
from functions.serving.session import Float64, OnnxModel
from functions.serving.signing import Publishers
from functions.serving.words import contributions

__all__ = ["SurvivalModel", "load_models", "survival_at"]

REQUIRED = ("survival", "times", "risk_score", "imputed")
# What an answer takes along where the graph has it; contributions only where they are wanted.
TAKEN = ("lower", "upper", "median_survival", "cumulative_incidence")
OUTCOME, COMPETING = 0, 1


def load_models(folder: Path, publishers: Publishers | None = None) -> dict[str, Model]:
    """Open every survival package in a folder, ready to answer, by name.

    Parameters
    ----------
    publishers : Publishers, optional
        Whose signature every package must bear; None demands none.

    Raises
    ------
    ModelRefused
        By the first package that breaks a rule.
    """
    packages = load_packages(folder, publishers)
    return {name: Model(package, SurvivalModel(package).predict) for name, package in packages.items()}


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

    Raises
    ------
    ModelRefused
        Rules ``graph``, ``horizons``, ``competing``, ``explain``: the contract asks for what the graph does not give.
    """

    def __init__(self, package: ModelPackage) -> None:
        self.package = package
        given = self._given()
        self._method = package.explain.method or _method(given)
        self._check(given)
        nobody = np.full((1, len(package.inputs)), np.nan)
        constants = self._open([name for name in ("times", "background") if name in given]).run(nobody)
        self._times: Float64 = constants["times"]
        self._background: Float64 | None = constants.get("background")
        if package.horizons_days[-1] > self._times[-1]:
            detail = f"the model's times end after {self._times[-1]:g} days"
            raise ModelRefused(package.identity.name, "horizons", detail)
        taken = [*(name for name in TAKEN if name in given), *(["contributions"] if self._method == "exact" else [])]
        self._onnx = self._open(["survival", "imputed", *taken])

    def _given(self) -> frozenset[str]:
        try:
            given = frozenset(output_names(self.package.model))
        except ValueError as error:
            raise ModelRefused(self.package.identity.name, "graph", str(error)) from None
        absent = sorted(set(REQUIRED) - given)
        if absent:
            raise ModelRefused(self.package.identity.name, "graph", f"it lacks the outputs {', '.join(absent)}")
        return given

    def _open(self, outputs: Sequence[str]) -> OnnxModel:
        """Open the model for some outputs; another session computes others."""
        return OnnxModel(self.package.identity.name, self.package.model, len(self.package.inputs), outputs)

    @cached_property
    def _survival_only(self) -> OnnxModel:
        return self._open(["survival"])

    def _check(self, given: frozenset[str]) -> None:
        name = self.package.identity.name
        if ("lower" in given) != ("upper" in given):
            raise ModelRefused(name, "graph", "a band has outputs lower and upper")
        if ("cumulative_incidence" in given) != bool(self.package.identity.competing_text):
            raise ModelRefused(name, "competing", "the contract's competing event and cumulative_incidence go together")
        needs = {"exact": "contributions", "survshap": "background"}.get(self._method)
        if needs and needs not in given:
            raise ModelRefused(name, "explain", f"method {self._method} needs the output {needs}")

    def predict(self, features: Features) -> Prediction | Abstention:
        """Answer for one patient.

        Parameters
        ----------
        features : Features
            The declared inputs; NaN where the graph is to impute.

        Returns
        -------
        Prediction or Abstention
            Risks at the declared horizons, the curve, and contributions by falling size; an abstention where
            nothing is on record to answer from, or the model gives no number.
        """
        if not _anything(features):
            return Abstention(
                AbstentionReason.MISSING_INPUT,
                "None of the model's inputs but age and sex is on record within its time windows.",
                tuple(value.input.name for value in features.values),
            )
        row = np.array([[value.value for value in features.values]], dtype=np.float64)
        out = self._onnx.run(row)
        if not np.isfinite(out["survival"]).all():
            return self._without_number(features, row)
        points = _points(self.package.curve)
        shap = self._method == "survshap"
        effects = self._survshap(row[0]) if shap else out["contributions"][0] if "contributions" in out else None
        return Prediction(
            risks=self._risks(out),
            curve=self._curve(out, points),
            contributions=() if effects is None else contributions(features, effects, out["imputed"][0]),
            scale="percentage points" if shap else "log hazard",
            explained_days=self._explained if shap else None,
            median_days=_median(out),
            competing=self._competing(out, points),
        )

    @property
    def _explained(self) -> float:
        """The horizon that is explained: the middle one; of an even number, the later of the two in the middle."""
        horizons = self.package.horizons_days
        return horizons[len(horizons) // 2]

    def _at(self, curve: Float64, days: Sequence[float]) -> Float64:
        return survival_at(self._times, curve, days)

    def _band(self, out: dict[str, Any], days: Sequence[float]) -> tuple[Float64, Float64, Float64]:
        """Return survival with its bounds; without a band, and where it is no number, the bounds are the curve."""
        survival = self._at(out["survival"][0], days)
        bounds = [self._at(out[name][0], days) if name in out else survival for name in ("lower", "upper")]
        lower, upper = (np.where(np.isfinite(bound), bound, survival) for bound in bounds)
        return np.minimum(lower, survival), survival, np.maximum(upper, survival)

    def _risks(self, out: dict[str, Any]) -> tuple[RiskAtHorizon, ...]:
        horizons = self.package.horizons_days
        lower, survival, upper = self._band(out, horizons)
        stated = "lower" in out
        return tuple(
            RiskAtHorizon(days, float(1.0 - at), (float(1.0 - high), float(1.0 - low)) if stated else None)
            for days, low, at, high in zip(horizons, lower, survival, upper, strict=True)
        )

    def _curve(self, out: dict[str, Any], points: list[float]) -> SurvivalCurve | None:
        if self.package.curve is None:
            return None
        lower, survival, upper = self._band(out, points)
        never_rising = np.minimum.accumulate(survival)
        band: tuple[tuple[float, ...] | None, ...] = (None, None)
        if "lower" in out:
            band = (tuple(np.minimum(lower, never_rising).tolist()), tuple(np.maximum(upper, never_rising).tolist()))
        return SurvivalCurve(self.package.curve.step_days, tuple(never_rising.tolist()), *band)

    def _competing(self, out: dict[str, Any], points: list[float]) -> CompetingRisk | None:
        if "cumulative_incidence" not in out:
            return None
        spared = 1.0 - out["cumulative_incidence"][0, COMPETING]
        horizons, grid = self.package.horizons_days, self.package.curve
        risks = tuple(
            RiskAtHorizon(days, float(1.0 - at)) for days, at in zip(horizons, self._at(spared, horizons), strict=True)
        )
        if grid is None:
            return CompetingRisk(risks)
        never_falling = np.maximum.accumulate(1.0 - self._at(spared, points))
        return CompetingRisk(risks, IncidenceCurve(grid.step_days, tuple(never_falling.tolist())))

    def _survshap(self, row: Float64) -> Float64 | None:
        """Effects on the risk at the explained horizon, in percentage points; None when they are no numbers."""
        index = int(np.searchsorted(self._times, self._explained, side="right")) - 1
        if self._background is None or index < 0:
            return None

        def run(rows: Float64) -> Float64:
            survival: Float64 = self._survival_only.run(rows)["survival"]
            return survival[:, index : index + 1]

        how = self.package.explain
        effects = -100.0 * survshap(run, row, self._background, how.permutations, how.seed)[:, 0]
        return effects if np.isfinite(effects).all() else None

    def _without_number(self, features: Features, row: Float64) -> Abstention:
        """Name the inputs without whose value the model would give a number."""
        rows = np.repeat(row, row.shape[1], axis=0)
        np.fill_diagonal(rows, np.nan)
        better = np.isfinite(self._survival_only.run(rows)["survival"]).all(axis=1)
        found = [value.input for value, fine in zip(features.values, better, strict=True) if fine]
        named = found or [value.input for value in features.values]
        told = ", ".join(item.display.lower() for item in found) or "these inputs together"
        return Abstention(
            AbstentionReason.NOT_COMPUTABLE,
            f"The model gives no number for what is on record of {told}; check the record.",
            tuple(item.name for item in named),
        )


def _method(given: frozenset[str]) -> str:
    if "contributions" in given:
        return "exact"
    return "survshap" if "background" in given else "none"


def _anything(features: Features) -> bool:
    """Return whether anything of this patient is known but who it is."""
    clinical = [value for value in features.values if not isinstance(value.input, AgeInput | SexInput)]
    if not clinical:
        return any(not math.isnan(value.value) for value in features.values)
    return any(value.sources for value in clinical)


def _points(grid: Curve | None) -> list[float]:
    """Return the times of the reported curve in days."""
    return np.arange(0.0, grid.until_days + grid.step_days / 2, grid.step_days).tolist() if grid else []


def _median(out: dict[str, Any]) -> float | None:
    median = float(out["median_survival"][0]) if "median_survival" in out else math.inf
    return median if math.isfinite(median) else None
