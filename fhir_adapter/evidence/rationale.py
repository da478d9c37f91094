"""Why a risk is what it is, in words (FHIR R4 RiskAssessment.prediction.rationale)."""

from __future__ import annotations

from fhir_adapter.prediction import Contribution, Diagnosis, Finding, ModelIdentity, Prediction

__all__ = ["competing_rationale", "finding_rationale", "rationale_of"]

NAMED_CONTRIBUTIONS = 4
DAYS_PER_YEAR = 365
# What is printed as 0.0 says nothing.
LEAST_POINTS = 0.05


def rationale_of(answer: Prediction) -> str:
    """Return what moved the prediction most, in words; empty when nothing is known.

    Effects on the log hazard hold for every horizon. Percentage points are those of one, which is named.
    """
    if answer.scale == "percentage points":
        named = [item for item in answer.contributions if abs(item.effect) >= LEAST_POINTS]
        until = _within(answer.explained_days or 0.0)
        return "; ".join(_in_points(item, until) for item in named[:NAMED_CONTRIBUTIONS])
    named = [item for item in answer.contributions if item.effect != 0]
    return "; ".join(_on_log_hazard(item) for item in named[:NAMED_CONTRIBUTIONS])


def competing_rationale(model: ModelIdentity) -> str:
    """Return what the probability of the competing event is, so that none takes it for the predicted one's."""
    return f"Competing event, not the predicted one: once it has happened, it rules out: {model.outcome_text}."


def finding_rationale(answer: Diagnosis, finding: Finding) -> str:
    """Return what moved the score of a finding most, in words; empty when nothing is known of this one."""
    if answer.explained != finding.name:
        return ""
    named = [item for item in answer.contributions if item.effect != 0]
    return "; ".join(
        f"{item.display} {item.value} {_direction(item, 'score')} ({item.effect:+.2f})"
        for item in named[:NAMED_CONTRIBUTIONS]
    )


def _on_log_hazard(item: Contribution) -> str:
    return f"{item.display} {item.value} {_direction(item)} ({item.effect:+.2f})"


def _in_points(item: Contribution, until: str) -> str:
    points = f"{abs(item.effect):.1f}"
    unit = "percentage point" if points == "1.0" else "percentage points"
    return f"{item.display} {item.value} {_direction(item)} within {until} by {points} {unit}"


def _direction(item: Contribution, what: str = "risk") -> str:
    return f"{'raises' if item.effect > 0 else 'lowers'} the {what}"


def _within(days: float) -> str:
    years, rest = divmod(days, DAYS_PER_YEAR)
    if rest or not years:
        return f"{days:g} days"
    return "1 year" if years == 1 else f"{years:g} years"
