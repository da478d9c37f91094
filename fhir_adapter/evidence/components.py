"""What a prediction says, number by number, as components of its Observation.

==========================  =============================================================================
code                        value
==========================  =============================================================================
risk-{days}d                probability of the outcome within so many days, percent; with AIconfidence
survival-curve              probability of being free of it over time, percent (SampledData)
survival-curve-lower, -upper   pointwise bounds of that curve
median-time                 when the probability of the outcome reaches one half, days; where it does
competing-risk-{days}d      probability that the competing event comes first, percent
competing-incidence-curve   the same over time, percent (SampledData)
==========================  =============================================================================

Codes of the competing event begin with ``competing-``, and their texts name that event.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fhir_adapter.codes import RESULT_CODE, Json, concept
from fhir_adapter.evidence.labels import confidence, percent, quantity
from fhir_adapter.prediction import ModelIdentity, Prediction, RiskAtHorizon

__all__ = [
    "COMPETING_CURVE",
    "CURVE",
    "LOWER",
    "MEDIAN",
    "UPPER",
    "components",
    "curves_of",
    "risk_code",
    "risks_of",
    "sampled",
]

MILLISECONDS_PER_DAY = 86_400_000
CURVE = "survival-curve"
LOWER, UPPER = f"{CURVE}-lower", f"{CURVE}-upper"
MEDIAN = "median-time"
COMPETING_CURVE = "competing-incidence-curve"


def risk_code(days: float, *, competing: bool = False) -> str:
    """Return the code of the component that holds a risk within so many days."""
    return f"{'competing-' if competing else ''}risk-{days:g}d"


def risks_of(answer: Prediction) -> Iterator[tuple[str, RiskAtHorizon]]:
    """Yield every risk of a prediction with the code of its component."""
    for risk in answer.risks:
        yield risk_code(risk.days), risk
    for risk in answer.competing.risks if answer.competing else ():
        yield risk_code(risk.days, competing=True), risk


def curves_of(answer: Prediction) -> Iterator[tuple[str, Json]]:
    """Yield every curve of a prediction as SampledData, with the code of its component."""
    curve = answer.curve
    if curve:
        yield CURVE, sampled(curve.step_days, curve.survival)
        for code, bound in ((LOWER, curve.lower), (UPPER, curve.upper)):
            if bound is not None:
                yield code, sampled(curve.step_days, bound)
    other = answer.competing.curve if answer.competing else None
    if other:
        yield COMPETING_CURVE, sampled(other.step_days, other.incidence)


def components(answer: Prediction, model: ModelIdentity) -> list[Json]:
    """Return the components of a prediction's Observation."""
    outcome, other = model.outcome_text, model.competing_text
    free = f"Predicted probability of being free of the outcome over time, percent; outcome: {outcome}"
    texts = {
        CURVE: free,
        LOWER: f"Lower bound (95%) at each time of: {free}",
        UPPER: f"Upper bound (95%) at each time of: {free}",
        COMPETING_CURVE: f"Competing event: predicted probability of {other} over time, percent",
    }
    found = [_risk(code, risk, outcome, other) for code, risk in risks_of(answer)]
    found += [_part(code, texts[code], valueSampledData=data) for code, data in curves_of(answer)]
    if answer.median_days is not None:
        text = f"Time until the probability of {outcome} reaches 50 percent"
        found.append(_part(MEDIAN, text, valueQuantity=quantity(answer.median_days, "d")))
    return found


def sampled(step_days: float, values: Sequence[float]) -> Json:
    """Return probabilities at equally spaced times from 0 as SampledData in percent (R4 datatypes.html#SampledData)."""
    return {
        "origin": quantity(0, "%"),
        "period": step_days * MILLISECONDS_PER_DAY,
        "dimensions": 1,
        "data": " ".join(f"{100 * value:.4f}" for value in values),
    }


def _part(code: str, text: str, **value: Json) -> Json:
    return {"code": concept(RESULT_CODE, code, text=text), **value}


def _risk(code: str, risk: RiskAtHorizon, outcome: str, other: str) -> Json:
    text = f"Probability of {outcome} within {risk.days:g} days"
    if code != risk_code(risk.days):
        text = f"Competing event: probability of {other} within {risk.days:g} days"
    part = _part(code, text, valueQuantity=quantity(percent(risk.probability), "%"))
    stated = confidence(risk)
    return {"extension": stated, **part} if stated else part
