"""Times of a prediction: its data cut-off, and the period up to each horizon."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from fhir_adapter.codes import Json
from fhir_adapter.features.record import moment

__all__ = ["data_cutoff", "horizon_days", "period_of"]


def data_cutoff(resources: Iterable[Json], now: datetime) -> datetime | None:
    """Return the latest clinical time of the resources a prediction was made from.

    Parameters
    ----------
    resources : iterable of dict
        What values were taken from. A Patient has no clinical time and is passed over.
    now : datetime
        Times after it are errors of some clock and do not count.

    Returns
    -------
    datetime or None
        None when none has a time; the time zero of the prediction stands in for it then.
    """
    times = [time for resource in resources if (time := _clinical_time(resource)) is not None and time <= now]
    return max(times, default=None)


def _clinical_time(resource: Json) -> datetime | None:
    """When what a resource says was true, not when it was stored."""
    kind = resource.get("resourceType")
    if kind == "Observation":
        period = resource.get("effectivePeriod") or {}
        texts = [resource.get("effectiveDateTime"), resource.get("effectiveInstant"), period.get("start")]
        texts.append(resource.get("issued"))
    elif kind == "Condition":
        texts = [resource.get("onsetDateTime"), (resource.get("onsetPeriod") or {}).get("start")]
        texts.append(resource.get("recordedDate"))
    elif kind == "ImagingStudy":
        texts = [resource.get("started")]
    elif kind == "Encounter":
        texts = [(resource.get("period") or {}).get("start")]
    else:
        texts = []
    return moment(next((text for text in texts if text), None))


def period_of(start: datetime, days: float) -> Json:
    """Return the time a risk is about, from time zero to the horizon, as a Period.

    RiskAssessment.prediction.when[x] (FHIR R4 riskassessment.html) knows a Period, "the period of time", and a Range,
    "the age range of the subject": a horizon is the former.
    """
    return {"start": start.isoformat(), "end": (start + timedelta(days=days)).isoformat()}


def horizon_days(prediction: Json) -> float | None:
    """Return the horizon of a RiskAssessment.prediction in days, None when it states no whole period."""
    period = prediction.get("whenPeriod") or {}
    start, end = moment(period.get("start")), moment(period.get("end"))
    return (end - start) / timedelta(days=1) if start and end else None
