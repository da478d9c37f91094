"""A survival model's answer: risks at horizons, a curve, and what moved them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fhir_adapter.prediction.contribution import Contribution

__all__ = ["CompetingRisk", "IncidenceCurve", "Prediction", "RiskAtHorizon", "SurvivalCurve"]


@dataclass(frozen=True)
class RiskAtHorizon:
    """Probability that the event happens within a time from the index time.

    Parameters
    ----------
    days : float
        Horizon in days (UCUM ``d``), positive.
    probability : float
        In [0, 1].
    interval : (float, float) or None
        Bounds of the model's own uncertainty about `probability`, where the model states one for this patient.
    """

    days: float
    probability: float
    interval: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not self.days > 0:
            raise ValueError(f"horizon must be positive, got {self.days} d")
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError("probability must lie in [0, 1]")
        if self.interval and not 0.0 <= self.interval[0] <= self.probability <= self.interval[1] <= 1.0:
            raise ValueError("an interval lies in [0, 1] and holds the probability")


@dataclass(frozen=True)
class SurvivalCurve:
    """Survival probabilities at equally spaced times, starting at 0.

    Parameters
    ----------
    step_days : float
        Distance between two points in days (UCUM ``d``), positive.
    survival : tuple of float, shape (n,)
        ``survival[i]`` is S(i * step_days); in [0, 1], never rising.
    lower, upper : tuple of float, shape (n,), or None
        Pointwise bounds of the model's own uncertainty about `survival`, where the model states them; both or none.
        Bounds of one point each, they may rise where the curve does not.
    """

    step_days: float
    survival: tuple[float, ...]
    lower: tuple[float, ...] | None = None
    upper: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not self.step_days > 0:
            raise ValueError("step must be positive")
        if not self.survival:
            raise ValueError("a survival curve needs at least one point")
        previous = 1.0
        for value in self.survival:
            if not 0.0 <= value <= previous + 1e-12:
                raise ValueError("a survival curve lies in [0, 1] and never rises")
            previous = value
        if (self.lower is None) != (self.upper is None):
            raise ValueError("a band has a lower and an upper bound")
        if self.lower is not None and self.upper is not None:
            for low, value, high in zip(self.lower, self.survival, self.upper, strict=True):
                if not 0.0 <= low <= value <= high <= 1.0:
                    raise ValueError("a band lies in [0, 1] and holds the curve")


@dataclass(frozen=True)
class IncidenceCurve:
    """Cumulative incidence of an event at equally spaced times, starting at 0.

    Parameters
    ----------
    step_days : float
        Distance between two points in days (UCUM ``d``), positive.
    incidence : tuple of float, shape (n,)
        Probability that the event has happened by then; in [0, 1], never falling.
    """

    step_days: float
    incidence: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.step_days > 0:
            raise ValueError("step must be positive")
        previous = 0.0
        for value in self.incidence:
            if not previous - 1e-12 <= value <= 1.0:
                raise ValueError("a cumulative incidence lies in [0, 1] and never falls")
            previous = value


@dataclass(frozen=True)
class CompetingRisk:
    """How probable the event is after which the predicted one can no longer happen.

    Parameters
    ----------
    risks : tuple of RiskAtHorizon
        At the horizons of the prediction.
    curve : IncidenceCurve or None
    """

    risks: tuple[RiskAtHorizon, ...]
    curve: IncidenceCurve | None = None


@dataclass(frozen=True)
class Prediction:
    """A model's answer for one patient.

    Parameters
    ----------
    risks : tuple of RiskAtHorizon
        At least one, by rising horizon.
    curve : SurvivalCurve or None
        For survival models.
    contributions : tuple of Contribution
        Largest effect first; may be empty.
    scale : {"log hazard", "percentage points"}
        Of the contributions.
    explained_days : float or None
        The horizon whose risk the contributions add up to, where they are in percentage points.
    median_days : float or None
        When the probability of the event reaches one half; None when it does not within the model's times.
    competing : CompetingRisk or None
        Where another event can come first.
    """

    risks: tuple[RiskAtHorizon, ...]
    curve: SurvivalCurve | None = None
    contributions: tuple[Contribution, ...] = ()
    scale: Literal["log hazard", "percentage points"] = "log hazard"
    explained_days: float | None = None
    median_days: float | None = None
    competing: CompetingRisk | None = None

    def __post_init__(self) -> None:
        if not self.risks:
            raise ValueError("a prediction needs at least one horizon")
        days = [risk.days for risk in self.risks]
        if days != sorted(set(days)):
            raise ValueError("horizons must rise")
        if self.scale == "percentage points" and self.explained_days not in days:
            raise ValueError("percentage points are those of one of the horizons")
        if self.competing is None:
            return
        if [risk.days for risk in self.competing.risks] != days:
            raise ValueError("a competing risk is given at the same horizons")
        for risk, other in zip(self.risks, self.competing.risks, strict=True):
            if risk.probability + other.probability > 1.0 + 1e-6:
                raise ValueError("one of two competing events at most can come first")
