"""Making a recorded prediction again, from what its Provenance says it was made from.

The Provenance names every input at the version that was read. Those versions are read back, the record is built of
them and of nothing else, the features are taken at the recorded time zero, and the model of the recorded digest runs
again. What comes out must equal what is in the EHR, number by number and bit by bit.

What this can show and what not: an input that was absent then is in no version and is absent again, whatever has
been recorded since, so a prediction is reproduced as it was made. That a thing was absent cannot itself be proved
from versions; an abstention over something missing is therefore reported as such, and not as reproduced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, tzinfo
from enum import StrEnum
from typing import Any

from fhir_adapter.client import FhirClient
from fhir_adapter.codes import ABSTENTION_REASON, Json
from fhir_adapter.evidence import Answer, horizon_days, percent, rationale_of
from fhir_adapter.evidence.components import MEDIAN, curves_of, risks_of
from fhir_adapter.evidence.rationale import competing_rationale
from fhir_adapter.features import Record, extract, index_time_of
from fhir_adapter.features.record import moment
from fhir_adapter.prediction import Abstention, AbstentionReason, ModelIdentity, Prediction
from fhir_adapter.tenants import Tenant
from functions.serving.package import Model
from functions.serving.recorded import InputState, Recorded, State, gather

__all__ = ["InputState", "Model", "Replay", "State", "Verdict", "replay"]


class Verdict(StrEnum):
    """How a replay ended; the codes are stable."""

    REPRODUCED = "reproduced"
    DIFFERS = "differs"
    INPUT_CHANGED = "input-changed"
    INPUT_VANISHED = "input-vanished"
    MODEL_DIFFERS = "model-differs"
    NOT_REPLAYABLE = "not-replayable"


@dataclass(frozen=True)
class Replay:
    """What came of a replay.

    Parameters
    ----------
    provenance : str
        ``Provenance/{id}``.
    verdict : Verdict
    detail : str
        In words.
    model : str
        Name and version, or the digest of one that is not here.
    results : tuple of str
        The targets.
    inputs : tuple of InputState
    compared : int
        Numbers and texts that were compared.
    differences : tuple of str
        Elements that differ, with both values.
    """

    provenance: str
    verdict: Verdict
    detail: str
    model: str = ""
    results: tuple[str, ...] = ()
    inputs: tuple[InputState, ...] = ()
    compared: int = 0
    differences: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return what ``bedside replay --json`` prints."""
        return asdict(self)


def replay(reference: str, client: FhirClient, models: Mapping[str, Model], tenant: Tenant | None = None) -> Replay:
    """Make a recorded prediction again and compare.

    Two round trips: the Provenance, then everything it names.

    Parameters
    ----------
    reference : str
        ``Provenance/{id}``.
    client : FhirClient
        Of the EHR that holds it.
    models : mapping of str to Model
        By the SHA-256 of the model file.
    tenant : Tenant, optional
        Its local codes and time zone, as they were when the prediction was made.

    Raises
    ------
    FhirServerError
        The EHR does not answer, or does not have the Provenance.
    """
    recorded = gather(client.read(reference), client)
    model = models.get(recorded.digest or "")
    if model and tenant:
        model = model.localised(tenant.terminology)
    found = (
        _foreign(recorded)
        or _lost(recorded)
        or _not_for_replay(model)
        or _ran(recorded, model, tenant.zone if tenant else UTC)
    )
    return Replay(
        provenance=reference,
        verdict=found.verdict,
        detail=found.detail,
        model=f"{model.package.identity.name} {model.package.identity.version}" if model else recorded.digest or "",
        results=recorded.results,
        inputs=recorded.inputs,
        compared=found.compared,
        differences=found.differences,
    )


@dataclass(frozen=True)
class _Found:
    verdict: Verdict
    detail: str
    compared: int = 0
    differences: tuple[str, ...] = ()


def _foreign(recorded: Recorded) -> _Found | None:
    if recorded.digest is None:
        return _Found(Verdict.NOT_REPLAYABLE, "The Provenance names no model of Bedside as its author.")
    return None


def _lost(recorded: Recorded) -> _Found | None:
    """Name the inputs that cannot be read at the recorded version any more."""
    for state, verdict, words in (
        (State.VANISHED, Verdict.INPUT_VANISHED, "no longer in the EHR"),
        (State.CHANGED, Verdict.INPUT_CHANGED, "in the EHR in another version only"),
    ):
        gone = [item.reference for item in recorded.inputs if item.state == state]
        if gone:
            return _Found(verdict, f"Inputs {words}: {', '.join(gone)}.")
    return None


def _not_for_replay(model: Model | None) -> _Found | None:
    if model is not None and model.package.diagnosis is not None:
        return _Found(Verdict.NOT_REPLAYABLE, "Diagnoses are not replayed: the images of a study have no versions.")
    return None


def _ran(recorded: Recorded, model: Model | None, zone: tzinfo) -> _Found:
    if model is None:
        return _Found(Verdict.MODEL_DIFFERS, "The model of the recorded digest is not among the packages here.")
    record = _record(recorded.sources, zone)
    if record is None or not recorded.targets:
        return _Found(Verdict.NOT_REPLAYABLE, "The Provenance names no patient as input, or its results are gone.")
    answer = _answer(record, recorded, model)
    written = recorded.targets.get("Observation", {})
    if "dataAbsentReason" in written:
        return _abstained(answer, written)
    if not isinstance(answer, Prediction):
        detail = answer.detail if isinstance(answer, Abstention) else "The model gives another kind of answer."
        return _Found(Verdict.DIFFERS, f"The recorded inputs give no prediction now. {detail}")
    pairs = list(_pairs(answer, recorded.targets, model.package.identity))
    differences = tuple(f"{place}: {left} written, {right} replayed" for place, left, right in pairs if left != right)
    if differences:
        return _Found(Verdict.DIFFERS, "The replayed result is another one.", len(pairs), differences)
    return _Found(Verdict.REPRODUCED, "Every written value was reproduced, bit for bit.", len(pairs))


def _record(sources: Sequence[Json], zone: tzinfo) -> Record | None:
    def of(kind: str) -> tuple[Json, ...]:
        return tuple(found for found in sources if found.get("resourceType") == kind)

    patients, encounters = of("Patient"), of("Encounter")
    if len(patients) != 1:
        return None
    return Record(patients[0], next(iter(encounters), None), of("Observation"), of("Condition"), time_zone=zone)


def _answer(record: Record, recorded: Recorded, model: Model) -> Answer:
    """Answer again, at the recorded time zero (Observation.effective)."""
    at = moment(recorded.targets.get("Observation", {}).get("effectiveDateTime"))
    start = index_time_of(record.encounter, record.time_zone)
    if start is not None and (at is None or start == at):
        at = start  # the same instant, in the offset that the age is counted in
    if at is None or _abstention_code(recorded.targets.get("Observation", {})) == AbstentionReason.NO_INDEX_TIME:
        return Abstention(AbstentionReason.NO_INDEX_TIME, "The encounter has no period.start.")
    features = extract(model.package.inputs, model.package.applies_if, record, at)
    return features if isinstance(features, Abstention) else model.predict(features)


def _abstention_code(observation: Json) -> str | None:
    codings = (observation.get("dataAbsentReason") or {}).get("coding") or []
    return next((item.get("code") for item in codings if item.get("system") == ABSTENTION_REASON), None)


def _abstained(answer: Answer, written: Json) -> _Found:
    text = str(written["dataAbsentReason"].get("text", ""))
    if isinstance(answer, Abstention) and text == f"No prediction. {answer.detail}":
        return _Found(Verdict.REPRODUCED, "The model abstains again, for the same reason.", 1)
    return _Found(
        Verdict.NOT_REPLAYABLE, "There was no prediction, and what was missing then cannot be read from versions."
    )


def _pairs(
    answer: Prediction, targets: Mapping[str, Json], model: ModelIdentity
) -> Iterator[tuple[str, object, object]]:
    """Every written value beside the one worked out again; a number in the form that shows each of its bits."""
    if "RiskAssessment" in targets:
        predictions = targets["RiskAssessment"].get("prediction") or []
        expected = [(risk, rationale_of(answer), model.outcome_text) for risk in answer.risks]
        for risk in answer.competing.risks if answer.competing else ():
            expected.append((risk, competing_rationale(model), model.competing_text))
        yield "RiskAssessment.prediction", len(predictions), len(expected)
        for number, (written, (risk, rationale, outcome)) in enumerate(zip(predictions, expected, strict=False)):
            place = f"RiskAssessment.prediction[{number}]"
            yield f"{place}.outcome", (written.get("outcome") or {}).get("text"), outcome
            yield f"{place}.whenPeriod", _bits(horizon_days(written)), _bits(risk.days)
            probability = written.get("probabilityDecimal")
            yield f"{place}.probabilityDecimal", _bits(probability), _bits(percent(risk.probability))
            yield f"{place}.rationale", written.get("rationale", ""), rationale
    if "Observation" in targets:
        yield from _components(answer, targets["Observation"])


def _components(answer: Prediction, observation: Json) -> Iterator[tuple[str, object, object]]:
    parts = {_code(part): part for part in observation.get("component") or []}

    def quantity(code: str) -> str | None:
        return _bits((parts.get(code, {}).get("valueQuantity") or {}).get("value"))

    for code, risk in risks_of(answer):
        yield f"Observation.component[{code}]", quantity(code), _bits(percent(risk.probability))
    for code, expected in curves_of(answer):
        found = parts.get(code, {}).get("valueSampledData") or {}
        yield f"Observation.component[{code}].data", found.get("data"), expected["data"]
        yield f"Observation.component[{code}].period", _bits(found.get("period")), _bits(expected["period"])
    if answer.median_days is not None or MEDIAN in parts:
        yield f"Observation.component[{MEDIAN}]", quantity(MEDIAN), _bits(answer.median_days)


def _code(part: Json) -> str:
    codings = (part.get("code") or {}).get("coding") or [{}]
    return str(codings[0].get("code"))


def _bits(number: object) -> str | None:
    """A number as hexadecimal floating point: two are equal if and only if every bit is."""
    return float(number).hex() if isinstance(number, int | float) and not isinstance(number, bool) else None
