"""A diagnosis made again, beside the Observations, the RiskAssessment and the DiagnosticReport that were written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from fhir_adapter.codes import Json
from fhir_adapter.evidence.diagnosis import (
    diagnosis_observations,
    diagnosis_report,
    diagnosis_risks,
    risky,
)
from fhir_adapter.prediction import Diagnosis, ModelIdentity, ResultContext
from functions.serving.replay.values import code_of, leaves
from functions.serving.replay.verdict import Pair

__all__ = ["diagnosis_pairs"]

# What an answer decides; the rest of a resource says whose it is, and may be changed by who confirms it.
SAID = ("valueQuantity", "interpretation", "component", "note")


def diagnosis_pairs(answer: Diagnosis, written: Sequence[Json], model: ModelIdentity) -> Iterator[Pair]:
    """Yield every written value beside the one worked out again.

    Parameters
    ----------
    answer : Diagnosis
        Made again.
    written : sequence of dict
        The results as the EHR has them.
    model : ModelIdentity
    """
    context = ResultContext("", "", "", None, None, (), ())
    count = len(answer.findings) + len(answer.measurements)
    expected = diagnosis_observations(answer, context, model, ["replayed"] * count)
    found = {code_of(item): item for item in written if item.get("resourceType") == "Observation"}
    yield "Observation", len(found), count
    for observation in expected:
        code = code_of(observation)
        said = {key: observation[key] for key in SAID if key in observation}
        yield from leaves(f"Observation[{code}]", found.get(code), said)
    yield from _risks(answer, written, diagnosis_risks(answer, context, model, "replayed", expected))
    report = next((item for item in written if item.get("resourceType") == "DiagnosticReport"), {})
    drawn = str(diagnosis_report(answer, context, model, "replayed", expected, datetime.now(UTC))["conclusion"])
    # a last line may say that there were other images, of which nothing is recorded
    yield "DiagnosticReport.conclusion", str(report.get("conclusion"))[: len(drawn)], drawn


def _risks(answer: Diagnosis, written: Sequence[Json], expected: Json) -> Iterator[Pair]:
    risks = [item for item in written if item.get("resourceType") == "RiskAssessment"]
    predictions = [prediction for item in risks for prediction in item.get("prediction") or []]
    yield "RiskAssessment.prediction", len(predictions), len(risky(answer))
    yield from leaves("RiskAssessment.prediction", predictions, expected["prediction"])
