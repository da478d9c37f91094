"""What is to be told of one model's answer, whether it was stored or has just been worked out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from fhir_adapter.prediction import Contribution, ModelIdentity, Prediction, RiskAtHorizon

__all__ = ["Curves", "Told", "after_stay", "told_of"]


@dataclass(frozen=True)
class Curves:
    """Probabilities over time, at equally spaced times from 0.

    Parameters
    ----------
    step_days : float
    free : tuple of float
        Of being free of the outcome.
    competing : tuple of float
        That the competing event came first; empty where there is none.
    """

    step_days: float
    free: tuple[float, ...]
    competing: tuple[float, ...] = ()


@dataclass(frozen=True)
class Told:
    """One model's answer.

    Parameters
    ----------
    model : ModelIdentity
    risks : tuple of RiskAtHorizon
        By rising horizon.
    competing : tuple of RiskAtHorizon
    curves : Curves or None
    contributions : tuple of Contribution
        Largest effect first; known where it was worked out.
    rationale : str
        The same in English words; known where it was stored.
    since : datetime or None
        From when horizons count: the begin of the admission.
    as_of : datetime or None
        Until when the record was looked at.
    result : str or None
        ``RiskAssessment/id`` where it is stored.
    confirmed : bool
        Whether a person has confirmed it.
    after_stay : bool
        Whether horizons count from the end of the stay, for patients who lived to see it without the outcome.
    """

    model: ModelIdentity
    risks: tuple[RiskAtHorizon, ...]
    competing: tuple[RiskAtHorizon, ...] = ()
    curves: Curves | None = None
    contributions: tuple[Contribution, ...] = ()
    rationale: str = ""
    since: datetime | None = None
    as_of: datetime | None = None
    result: str | None = None
    confirmed: bool = False
    after_stay: bool = False


def told_of(answer: Prediction, model: ModelIdentity, since: datetime | None, as_of: datetime | None) -> Told:
    """Return what is to be told of a prediction that has just been worked out."""
    curve, other = answer.curve, answer.competing
    curves = None
    if curve:
        rival = other.curve if other else None
        curves = Curves(curve.step_days, curve.survival, rival.incidence if rival else ())
    return Told(
        model=model,
        risks=answer.risks,
        competing=other.risks if other else (),
        curves=curves,
        contributions=answer.contributions,
        since=since,
        as_of=as_of,
    )


def after_stay(told: Told, days: float) -> Told | None:
    """Return the risks after a stay: of those who were alive and free of the outcome at its end.

    For a horizon h after a stay of d days it is (F(d + h) - F(d)) / S(d), where F is the cumulative incidence of the
    outcome from admission and S the probability that neither it nor the competing event came before the end (Klein,
    Moeschberger, Survival Analysis, 2nd ed., 2003, 2.7 and 4.7). Between two points of a curve lies a straight line.
    No interval is told: those at admission are not those of the quotient.

    Parameters
    ----------
    days : float
        Length of the stay, 0 or more.

    Returns
    -------
    Told or None
        None without a curve, where it ends too soon, or where hardly anybody is left.
    """
    curves = told.curves
    if curves is None or (told.competing and not curves.competing):
        return None
    free = [1.0 - value for value in curves.free]
    happened = _at(free, curves.step_days, days)
    rival = _at(curves.competing, curves.step_days, days) if curves.competing else 0.0
    if happened is None or rival is None or 1.0 - happened - rival <= 0.01:
        return None
    left = 1.0 - happened - rival

    def risks(incidence: Sequence[float], before: float, horizons: Sequence[RiskAtHorizon]) -> list[RiskAtHorizon]:
        later = [(risk.days, _at(incidence, curves.step_days, days + risk.days)) for risk in horizons]
        return [
            RiskAtHorizon(horizon, min(max((value - before) / left, 0.0), 1.0))
            for horizon, value in later
            if value is not None
        ]

    found = risks(free, happened, told.risks)
    if not found:
        return None
    others = risks(curves.competing, rival, told.competing) if curves.competing else []
    return replace(told, risks=tuple(found), competing=tuple(others), after_stay=True)


def _at(values: Sequence[float], step: float, days: float) -> float | None:
    """Read a curve at a time; None beyond its end."""
    place = days / step
    index = int(place)
    if index >= len(values) - 1:
        return values[-1] if place <= len(values) - 1 else None
    return values[index] + (values[index + 1] - values[index]) * (place - index)
