"""What a diagnosis model says, as resources: an Observation for each finding and measurement, the risks, the report.

Nothing here states a diagnosis. A finding is a number beside the operating point of its model, its code is the value
of a component and not the code of the Observation, and the interpretation says on which side of that point the number
lies; no resource is more than ``preliminary`` before a person has confirmed it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from fhir_adapter.codes import (
    DIAGNOSTIC_SERVICE,
    LOINC,
    OBSERVATION_CATEGORY,
    RESULT_CODE,
    RESULT_IDENTIFIER,
    Json,
    concept,
)
from fhir_adapter.evidence.device import device_id
from fhir_adapter.evidence.labels import labelled, percent, quantity
from fhir_adapter.evidence.rationale import finding_rationale
from fhir_adapter.evidence.results import about, common_observation, method_of
from fhir_adapter.prediction import Diagnosis, Finding, Measurement, ModelIdentity, ResultContext

__all__ = ["FINDING", "OPERATING_POINT", "diagnosis_observations", "diagnosis_report", "diagnosis_risks", "risky"]

FINDING, OPERATING_POINT = "finding", "operating-point"
VITAL_SIGNS = concept(OBSERVATION_CATEGORY, "vital-signs", "Vital Signs")
# Of FHIR R4 observation-vitalsigns.html those that models here measure: such a code demands the category.
VITAL = frozenset({"8867-4", "9279-1", "2708-6", "8310-5"})
# Waveform Storage classes (DICOM PS3.4, B.5).
WAVEFORMS = "1.2.840.10008.5.1.4.1.1.9."
# Diagnostic service section (HL7 table 0074) and the report's LOINC code.
REPORTS = {
    "image": ("RAD", "Radiology", "18748-4", "Diagnostic imaging study"),
    "waveform": (
        *("EC", "Electrocardiac (e.g., EKG, EEC, Holter)"),
        *("11524-6", "EKG study"),
    ),
    "laboratory": ("LAB", "Laboratory", "11502-2", "Laboratory report"),
}


def diagnosis_observations(
    answer: Diagnosis, context: ResultContext, model: ModelIdentity, ids: Sequence[str]
) -> list[Json]:
    """Return an Observation for each finding, then one for each measurement.

    Parameters
    ----------
    ids : sequence of str
        In that order.
    """
    made = [_finding(item, answer, model) for item in answer.findings]
    made += [_measurement(item) for item in answer.measurements]
    return [
        {**_common(context, model, identifier), **own, "category": _categories(own, context)}
        for own, identifier in zip(made, ids, strict=True)
    ]


def _common(context: ResultContext, model: ModelIdentity, identifier: str) -> Json:
    return {**common_observation(context, model, identifier), "note": [{"text": model.status}]}


def _categories(own: Json, context: ResultContext) -> list[Json]:
    found = [
        concept(OBSERVATION_CATEGORY, "imaging", "Imaging")
        if _kind(context) == "image"
        else concept(OBSERVATION_CATEGORY, "procedure", "Procedure")
    ]
    vital = any(item.get("system") == LOINC and item.get("code") in VITAL for item in own["code"].get("coding", ()))
    return [*found, VITAL_SIGNS] if vital else found


def _finding(item: Finding, answer: Diagnosis, model: ModelIdentity) -> Json:
    what = "Probability of" if item.measure == "probability" else "Share of the recording read as"
    code = concept(
        RESULT_CODE, f"{model.name}.{item.name}", text=f"{what} {item.display[:1].lower()}{item.display[1:]}"
    )
    side = "At or above" if item.positive else "Below"
    found: Json = {
        "code": code,
        "valueQuantity": quantity(percent(item.probability), "%"),
        "interpretation": [{"text": f"{side} the operating point of {_points(item.threshold)}"}],
        "component": [
            {
                "code": concept(RESULT_CODE, FINDING, text="What was looked for"),
                "valueCodeableConcept": {**item.code, "text": item.display},
            },
            {
                "code": concept(RESULT_CODE, OPERATING_POINT, text="From here on the finding is stated"),
                "valueQuantity": quantity(percent(item.threshold), "%"),
            },
        ],
    }
    rationale = finding_rationale(answer, item)
    if rationale:
        found["note"] = [{"text": rationale}, {"text": model.status}]
    return found


def _measurement(item: Measurement) -> Json:
    return {"code": {**item.code, "text": item.display}, "valueQuantity": quantity(item.value, item.unit)}


def risky(answer: Diagnosis) -> list[Finding]:
    """Return the findings that a RiskAssessment may be made of: probabilities of what has a code."""
    return [item for item in answer.findings if item.measure == "probability" and item.code]


def diagnosis_risks(
    answer: Diagnosis, context: ResultContext, model: ModelIdentity, identifier: str, observations: Sequence[Json]
) -> Json:
    """Return the RiskAssessment: that what the findings name is present now, one prediction a finding.

    ``probabilityDecimal`` is a percentage (ras-2); there is no ``when``, since the time is that of the study.
    """
    resource: Json = {
        **labelled("RiskAssessment", identifier, model, context.about),
        "identifier": [{"system": RESULT_IDENTIFIER, "value": identifier}],
        "status": "preliminary",
        "method": method_of(model),
        "code": concept(RESULT_CODE, model.name, model.title),
        **about(context),
        "performer": {"reference": f"Device/{device_id(model)}"},
        "basis": [
            *({"reference": f"Observation/{item['id']}"} for item in observations),
            *({"reference": source.reference} for source in context.sources),
        ],
        "prediction": [_risk(item, answer) for item in risky(answer)],
        "note": [{"text": model.status}],
    }
    at = context.data_until or context.index_time
    if at:
        resource["occurrenceDateTime"] = at.isoformat()
    if model.mitigation:
        resource["mitigation"] = model.mitigation
    return resource


def _risk(item: Finding, answer: Diagnosis) -> Json:
    prediction: Json = {
        "outcome": {**item.code, "text": item.display},
        "probabilityDecimal": percent(item.probability),
    }
    rationale = finding_rationale(answer, item)
    return {**prediction, "rationale": rationale} if rationale else prediction


def diagnosis_report(
    answer: Diagnosis,
    context: ResultContext,
    model: ModelIdentity,
    identifier: str,
    observations: Sequence[Json],
    now: datetime,
) -> Json:
    """Return the draft of a report: its results and a conclusion in words, never a coded one.

    Its performer is who operates the model: R4 knows no Device there.
    """
    section, section_name, code, display = REPORTS[_kind(context)]
    effective = context.index_time or context.data_until or now
    resource: Json = {
        **labelled("DiagnosticReport", identifier, model, context.about),
        "identifier": [{"system": RESULT_IDENTIFIER, "value": identifier}],
        "status": "preliminary",
        "category": [concept(DIAGNOSTIC_SERVICE, section, section_name)],
        "code": concept(LOINC, code, display, text=model.title),
        **about(context),
        "effectiveDateTime": effective.isoformat(),
        "issued": now.isoformat(timespec="milliseconds"),
        "performer": [{"display": context.organization}],
        "result": [{"reference": f"Observation/{item['id']}"} for item in observations],
        "conclusion": _conclusion(answer, model),
    }
    if context.study:
        resource["imagingStudy"] = [{"reference": context.study}]
    return resource


def _conclusion(answer: Diagnosis, model: ModelIdentity) -> str:
    lines = [f"Draft by AI, not verified by a person ({model.title} {model.version}; {model.status})."]
    for side, items in (
        ("At or above its operating point", [item for item in answer.findings if item.positive]),
        ("Below its operating point", [item for item in answer.findings if not item.positive]),
    ):
        if items:
            lines.append(f"{side}: {'; '.join(map(_told, items))}.")
    if answer.measurements:
        told = "; ".join(f"{item.display} {item.value:.4g} {item.unit}" for item in answer.measurements)
        lines.append(f"Measured: {told}.")
    return "\n".join([*lines, *answer.notes])


def _told(item: Finding) -> str:
    share = " of the recording" if item.measure == "share" else ""
    return f"{item.display}, {_points(item.probability)}{share} (operating point {_points(item.threshold)})"


def _points(share: float) -> str:
    """A percentage in so many digits that no side of an operating point is blurred."""
    return f"{percent(share):.4g}%"


def _kind(context: ResultContext) -> str:
    if not context.images:
        return "laboratory"
    return "waveform" if context.images[0].sop_class.startswith(WAVEFORMS) else "image"
