"""What a diagnosis model found and measured, made from its Observations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from fhir_adapter.codes import LOINC, RESULT_CODE
from functions.smart_app.lenient import Json, number_of, object_of, objects

__all__ = ["FINDING", "OPERATING_POINT", "Finding", "Measured", "findings_of", "measured_of", "own_code", "study_of"]

# As fhir_adapter.evidence.diagnosis writes them; that package loads what writes, for which no page should wait.
FINDING, OPERATING_POINT = "finding", "operating-point"


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
    code : str
        Of the finding, where it has one.
    """

    name: str
    percent: float
    threshold: float
    told: str
    share: bool = False
    drivers: tuple[str, ...] = ()
    code: str = field(default="", compare=False)

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
        parts = {own_code(part): part for part in objects(item.get("component"))}
        value = number_of(object_of(item.get("valueQuantity")).get("value"))
        point = number_of(object_of(parts.get(OPERATING_POINT, {}).get("valueQuantity")).get("value"))
        if FINDING not in parts or value is None or point is None:
            continue
        told = str(object_of(item.get("code")).get("text") or "")
        named = object_of(parts[FINDING].get("valueCodeableConcept"))
        yield Finding(
            name=str(named.get("text") or ""),
            percent=value,
            threshold=point,
            told=told,
            share=told.startswith("Share"),
            drivers=_drivers(item),
            code=next((str(coding.get("code") or "") for coding in objects(named.get("coding"))), ""),
        )


def measured_of(observations: Iterable[Json]) -> Iterator[Measured]:
    """Yield the measurements among a report's results: what has a code of LOINC and a quantity."""
    for item in observations:
        code, quantity = object_of(item.get("code")), object_of(item.get("valueQuantity"))
        coding: Json = next(objects(code.get("coding")), {})
        value = number_of(quantity.get("value"))
        if coding.get("system") == LOINC and value is not None:
            name = code.get("text") or coding.get("display") or ""
            yield Measured(str(name), str(coding.get("code") or ""), value, str(quantity.get("unit") or ""))


def study_of(references: Iterable[str]) -> str:
    """Return the id of the first ImagingStudy among references, empty when there is none."""
    for reference in references:
        kind, _, rest = reference.partition("/")
        if kind == "ImagingStudy":
            return rest.partition("/")[0]
    return ""


def own_code(part: Json) -> str:
    """Return the code of a component in Bedside's own system."""
    codings = objects(object_of(part.get("code")).get("coding"))
    return next((str(coding.get("code") or "") for coding in codings if coding.get("system") == RESULT_CODE), "")


def _drivers(item: Json) -> tuple[str, ...]:
    """The rationale is the first of two notes; the other, and the only one of a finding without it, is the status."""
    noted = (note for note in objects(item.get("note")) if note.get("text") and "authorReference" not in note)
    notes = [str(note["text"]) for note in noted]
    return tuple(part for part in notes[0].split("; ") if part) if len(notes) > 1 else ()
