"""A diagnosis model's answer as the page shows it, made from its DiagnosticReport and Observations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_adapter.codes import LOINC, RESULT_CODE
from fhir_adapter.evidence.diagnosis import FINDING, OPERATING_POINT

__all__ = ["Finding", "Measured", "findings_of", "measured_of", "study_of"]

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """What was looked for, and how much speaks for it.

    Parameters
    ----------
    name : str
    percent : float
        Probability, or share of the recording.
    threshold : float
        Operating point in percent.
    told : str
        What the number is, in words.
    share : bool
        Whether it is a share of a recording and no probability.
    drivers : tuple of str
        What moved the number, largest first.
    """

    name: str
    percent: float
    threshold: float
    told: str
    share: bool = False
    drivers: tuple[str, ...] = ()

    @property
    def stated(self) -> bool:
        """Whether it is at or above its operating point."""
        return self.percent >= self.threshold


@dataclass(frozen=True)
class Measured:
    """A quantity that the model read from a recording."""

    name: str
    code: str
    value: float
    unit: str


def findings_of(observations: Iterable[Json]) -> Iterator[Finding]:
    """Yield the findings among a report's results."""
    for item in observations:
        parts = {_code(part): part for part in item.get("component", ())}
        if FINDING not in parts or "valueQuantity" not in item:
            continue
        told = str(item["code"].get("text", ""))
        yield Finding(
            name=str(parts[FINDING]["valueCodeableConcept"].get("text", "")),
            percent=float(item["valueQuantity"]["value"]),
            threshold=float(parts[OPERATING_POINT]["valueQuantity"]["value"]),
            told=told,
            share=told.startswith("Share"),
            drivers=_drivers(item),
        )


def measured_of(observations: Iterable[Json]) -> Iterator[Measured]:
    """Yield the measurements among a report's results: what has a code of LOINC and a quantity."""
    for item in observations:
        coding: Json = next(iter(item["code"].get("coding", ())), {})
        if coding.get("system") == LOINC and "valueQuantity" in item:
            value = item["valueQuantity"]
            name = item["code"].get("text") or coding.get("display", "")
            yield Measured(str(name), str(coding["code"]), float(value["value"]), str(value.get("unit", "")))


def study_of(references: Iterable[str]) -> str:
    """Return the id of the first ImagingStudy among references, empty when there is none."""
    for reference in references:
        kind, _, rest = reference.partition("/")
        if kind == "ImagingStudy":
            return rest.partition("/")[0]
    return ""


def _drivers(item: Json) -> tuple[str, ...]:
    """The rationale is the first of two notes; the other, and the only one of a finding without it, is the status."""
    notes = [str(note.get("text", "")) for note in item.get("note", ())]
    return tuple(part for part in notes[0].split("; ") if part) if len(notes) > 1 else ()


def _code(part: Json) -> str:
    codings = part["code"].get("coding", ())
    return next((str(coding.get("code", "")) for coding in codings if coding.get("system") == RESULT_CODE), "")
