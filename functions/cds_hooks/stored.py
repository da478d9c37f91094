"""Predictions that are in the record already, read back (what :mod:`fhir_adapter.evidence` writes).

A prediction is fresh when it was made from the version that the encounter has now: a subscription notifies of each
version, so nothing newer could have come of it. Another version of the model, or one that a person took back, does not
count.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from fhir_adapter.codes import ABSTENTION_REASON, AI_CONFIDENCE, MODEL_METHOD, MODEL_TAG, RESULT_CODE, Json
from fhir_adapter.evidence import horizon_days
from fhir_adapter.evidence.components import COMPETING_CURVE, CURVE, MILLISECONDS_PER_DAY
from fhir_adapter.evidence.supersede import encounter_of, is_ours
from fhir_adapter.features.record import moment
from fhir_adapter.notifications.hints import version_of
from fhir_adapter.prediction import Abstention, AbstentionReason, ModelIdentity, RiskAtHorizon
from functions.cds_hooks.told import Curves, Told

__all__ = ["abstained", "covers", "newest", "told_from"]

LIVE = frozenset({"preliminary", "final", "amended", "corrected"})
UNCONFIRMED = "preliminary"


def newest(
    results: Iterable[Json], model: ModelIdentity, encounter: Json | None, now: datetime, stored_days: float
) -> Json | None:
    """Return the prediction of a model that may be told, None when there is none.

    Parameters
    ----------
    encounter : dict or None
        As it is now. Without one, the newest prediction counts that is not older than `stored_days`.
    """
    ours = [result for result in results if _is_of(result, model)]
    if encounter is not None:
        ours = [result for result in ours if covers(result, encounter)]
    else:
        since = now - timedelta(days=stored_days)
        ours = [result for result in ours if (made := _made(result)) is not None and made >= since]
    return max(ours, key=lambda result: str(_made(result) or ""), default=None)


def _is_of(result: Json, model: ModelIdentity) -> bool:
    tags = (result.get("meta") or {}).get("tag") or []
    named = any(tag.get("system") == MODEL_TAG and tag.get("code") == model.name for tag in tags)
    return named and is_ours(result) and result.get("status") in LIVE and _version(result) == _method(model)


def _method(model: ModelIdentity) -> str:
    return f"{model.name}-{model.version}"


def _version(result: Json) -> str | None:
    codings = (result.get("method") or {}).get("coding") or []
    return next((str(item.get("code")) for item in codings if item.get("system") == MODEL_METHOD), None)


def covers(result: Json, encounter: Json) -> bool:
    """Return whether a result was made from an encounter as it is now."""
    mine = f"Encounter/{encounter.get('id')}"
    if encounter_of(result) != mine:
        return False
    version = version_of(encounter)
    references = [str(item.get("reference")).partition("/_history/") for item in result.get("basis") or []]
    read_at = [at for named, _, at in references if _local(named) == mine]
    if version and any(read_at):
        return version in read_at
    # a server that drops versions from references: nothing changed since is as good
    return _since(result, encounter)


def _made(result: Json) -> datetime | None:
    return moment((result.get("meta") or {}).get("lastUpdated"))


def told_from(result: Json, model: ModelIdentity, answers: Sequence[Json] = ()) -> Told | None:
    """Return what a stored RiskAssessment says, None where it cannot be read.

    Parameters
    ----------
    answers : sequence of dict
        The model's Observations, where they are known: they hold the curves.
    """
    ours: list[RiskAtHorizon] = []
    others: list[RiskAtHorizon] = []
    for item in result.get("prediction") or []:
        risk = _risk(item)
        if risk is None:
            return None
        is_other = bool(model.competing_text) and (item.get("outcome") or {}).get("text") == model.competing_text
        (others if is_other else ours).append(risk)
    if not ours:
        return None
    first = result["prediction"][0]
    return Told(
        model=model,
        risks=tuple(ours),
        competing=tuple(others),
        curves=_curves(result, answers),
        rationale=str(first.get("rationale") or ""),
        since=moment((first.get("whenPeriod") or {}).get("start")),
        as_of=moment(result.get("occurrenceDateTime")),
        result=f"RiskAssessment/{result['id']}",
        confirmed=result.get("status") != UNCONFIRMED,
    )


def _risk(item: Json) -> RiskAtHorizon | None:
    days, percent = horizon_days(item), item.get("probabilityDecimal")
    if days is None or not isinstance(percent, int | float):
        return None
    stated = [one.get("valueRange") or {} for one in item.get("extension") or [] if one.get("url") == AI_CONFIDENCE]
    bounds = [(stated[0] if stated else {}).get(name, {}).get("value") for name in ("low", "high")]
    interval = (bounds[0] / 100, bounds[1] / 100) if all(isinstance(one, int | float) for one in bounds) else None
    try:
        return RiskAtHorizon(days, percent / 100, interval)
    except ValueError:
        return None


def _curves(result: Json, answers: Sequence[Json]) -> Curves | None:
    named = {_local(str(item.get("reference")).partition("/_history/")[0]) for item in result.get("basis") or []}
    found = next((item for item in answers if f"Observation/{item.get('id')}" in named and is_ours(item)), None)
    if found is None:
        return None
    data = {code: part["valueSampledData"] for part in found.get("component") or [] for code in _codes(part)}
    if CURVE not in data:
        return None
    free, competing, period = _values(data[CURVE]), _values(data.get(COMPETING_CURVE)), data[CURVE].get("period")
    if not free or isinstance(period, bool) or not isinstance(period, int | float) or not period > 0:
        return None
    return Curves(period / MILLISECONDS_PER_DAY, free, competing)


def _local(reference: str) -> str:
    """``Type/id``, whatever stands before it."""
    return "/".join(reference.split("/")[-2:])


def _codes(part: Json) -> list[str]:
    if "valueSampledData" not in part:
        return []
    codings = (part.get("code") or {}).get("coding") or []
    return [str(item.get("code")) for item in codings if item.get("system") == RESULT_CODE]


def _values(data: Json | None) -> tuple[float, ...]:
    """Read SampledData in percent (FHIR R4 datatypes.html#SampledData); empty where a value is no probability."""
    try:
        found = tuple(float(value) / 100 for value in str((data or {}).get("data", "")).split())
    except ValueError:
        return ()
    return found if all(0.0 <= value <= 1.0 for value in found) else ()


def abstained(answers: Iterable[Json], model: ModelIdentity, encounter: Json | None) -> Abstention | None:
    """Return why a model did not answer for an encounter as it is now, where that is on record."""
    for item in answers if encounter is not None else ():
        absent = item.get("dataAbsentReason")
        if not absent or not _is_of(item, model) or not _since(item, encounter or {}):
            continue
        codes = {str(one.get("code")) for one in absent.get("coding") or [] if one.get("system") == ABSTENTION_REASON}
        reason = next((reason for reason in AbstentionReason if reason.value in codes), None)
        if reason is not None:
            return Abstention(reason, str(absent.get("text") or "").removeprefix("No prediction. ") or reason.value)
    return None


def _since(item: Json, encounter: Json) -> bool:
    changed, made = moment((encounter.get("meta") or {}).get("lastUpdated")), _made(item)
    about = encounter_of(item) == f"Encounter/{encounter.get('id')}"
    return about and changed is not None and made is not None and changed <= made
