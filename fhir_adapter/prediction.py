"""The value objects between a model and the EHR: what a model answers, and what it was answered from.

A constructed object is valid: probabilities lie in [0, 1], horizons are positive, a survival curve never
rises. They know neither FHIR nor a model; :mod:`fhir_adapter.evidence` turns them into resources.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from fhir_adapter.references import Source

__all__ = [
    "Abstention",
    "AbstentionReason",
    "CompetingRisk",
    "Contribution",
    "IncidenceCurve",
    "ModelIdentity",
    "Prediction",
    "ResultContext",
    "RiskAtHorizon",
    "SurvivalCurve",
]


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
class Contribution:
    """How much one input moved the prediction away from the reference patient.

    Parameters
    ----------
    name : str
        Name of the declared input.
    display : str
        Clinical name for people.
    value : str
        The input's value with its unit, for people; patient data.
    effect : float
        Additive contribution on the prediction's `scale`.
    """

    name: str
    display: str
    value: str
    effect: float


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


class AbstentionReason(StrEnum):
    """Why no prediction was made; the codes are stable and may be counted."""

    MISSING_INPUT = "missing-input"
    IMPLAUSIBLE_INPUT = "implausible-input"
    UNIT_NOT_CONVERTIBLE = "unit-not-convertible"
    OUTSIDE_POPULATION = "outside-population"
    NO_INDEX_TIME = "no-index-time"
    NOT_COMPUTABLE = "not-computable"


@dataclass(frozen=True)
class Abstention:
    """A recorded refusal to guess.

    Parameters
    ----------
    reason : AbstentionReason
        The stable code.
    detail : str
        What is missing or out of range, by input name; never a patient's value.
    inputs : tuple of str
        Names of the inputs concerned.
    """

    reason: AbstentionReason
    detail: str
    inputs: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.detail:
            raise ValueError("an abstention says why")


@dataclass(frozen=True)
class ModelIdentity:
    """Which model answered: what a result must say about it.

    Parameters
    ----------
    name, version, title : str
        As in its contract.
    digest : str
        SHA-256 of the model file, hexadecimal.
    kind : str
        ``diagnosis``, ``survival`` or ``allocation``.
    outcome : dict
        CodeableConcept of the predicted event.
    outcome_text : str
        The event in words.
    status : str
        Regulatory status, shown with every result.
    mitigation : str
        What may be done about the risk, in neutral words; empty when the contract says nothing.
    manufacturer : str
        Who made the model.
    ai_kinds : tuple of str
        Codes of the kind of AI (AI Transparency on FHIR, AIdeviceTypeCS); by `kind` when empty.
    card : str
        The model card, Markdown; empty when there is none.
    competing : dict
        CodeableConcept of the event after which the predicted one can no longer happen; empty when there is no code.
    competing_text : str
        That event in words; empty when the model knows of none.
    """

    name: str
    version: str
    title: str
    digest: str
    kind: str
    outcome: dict[str, object]
    outcome_text: str
    status: str
    mitigation: str = ""
    manufacturer: str = "Bedside"
    ai_kinds: tuple[str, ...] = ()
    card: str = ""
    competing: dict[str, object] = field(default_factory=dict)
    competing_text: str = ""


@dataclass(frozen=True)
class ResultContext:
    """What a result is about: who, when, and from which resource versions.

    Parameters
    ----------
    tenant : str
        Name of the EHR the patient belongs to.
    organization : str
        Who operates the model.
    patient : str
        Relative reference, ``Patient/{id}``.
    encounter : str or None
        Relative reference, ``Encounter/{id}``.
    index_time : datetime or None
        Time zero of the prediction, with a time zone.
    sources : tuple of Source
        Every resource a value was taken from, at the version read.
    fingerprints : tuple of str
        Everything the answer depends on; equal fingerprints mean the same result.
    condition : str or None
        ``Condition/{id}`` that put the patient into the model's population.
    data_until : datetime or None
        Data cut-off: the clinical time of the newest source; None when no source has one.
    """

    tenant: str
    organization: str
    patient: str
    encounter: str | None
    index_time: datetime | None
    sources: tuple[Source, ...]
    fingerprints: tuple[str, ...]
    condition: str | None = None
    data_until: datetime | None = None
