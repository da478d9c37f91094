"""A prediction made again, beside the RiskAssessment and the Observation that were written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fhir_adapter.codes import Json
from fhir_adapter.evidence import horizon_days, percent, rationale_of
from fhir_adapter.evidence.components import MEDIAN, curves_of, risks_of
from fhir_adapter.evidence.rationale import competing_rationale
from fhir_adapter.prediction import ModelIdentity, Prediction
from functions.serving.replay.values import bits, code_of
from functions.serving.replay.verdict import Pair

__all__ = ["prediction_pairs"]


def prediction_pairs(answer: Prediction, targets: Mapping[str, Json], model: ModelIdentity) -> Iterator[Pair]:
    """Yield every written value beside the one worked out again.

    Parameters
    ----------
    answer : Prediction
        Made again.
    targets : mapping of str to dict
        The RiskAssessment and the Observation as the EHR has them, by type.
    model : ModelIdentity
    """
    if "RiskAssessment" in targets:
        predictions = targets["RiskAssessment"].get("prediction") or []
        expected = [(risk, rationale_of(answer), model.outcome_text) for risk in answer.risks]
        for risk in answer.competing.risks if answer.competing else ():
            expected.append((risk, competing_rationale(model), model.competing_text))
        yield "RiskAssessment.prediction", len(predictions), len(expected)
        for number, (written, (risk, rationale, outcome)) in enumerate(zip(predictions, expected, strict=False)):
            place = f"RiskAssessment.prediction[{number}]"
            yield f"{place}.outcome", (written.get("outcome") or {}).get("text"), outcome
            yield f"{place}.whenPeriod", bits(horizon_days(written)), bits(risk.days)
            probability = written.get("probabilityDecimal")
            yield f"{place}.probabilityDecimal", bits(probability), bits(percent(risk.probability))
            yield f"{place}.rationale", written.get("rationale", ""), rationale
    if "Observation" in targets:
        yield from _components(answer, targets["Observation"])


def _components(answer: Prediction, observation: Json) -> Iterator[Pair]:
    parts = {code_of(part): part for part in observation.get("component") or []}

    def quantity(code: str) -> str | None:
        return bits((parts.get(code, {}).get("valueQuantity") or {}).get("value"))

    for code, risk in risks_of(answer):
        yield f"Observation.component[{code}]", quantity(code), bits(percent(risk.probability))
    for code, expected in curves_of(answer):
        found = parts.get(code, {}).get("valueSampledData") or {}
        yield f"Observation.component[{code}].data", found.get("data"), expected["data"]
        yield f"Observation.component[{code}].period", bits(found.get("period")), bits(expected["period"])
    if answer.median_days is not None or MEDIAN in parts:
        yield f"Observation.component[{MEDIAN}]", quantity(MEDIAN), bits(answer.median_days)
