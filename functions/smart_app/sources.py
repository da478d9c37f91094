"""What a result was made from: each source resource at the version that was read, in words (FHIR R4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from fhir_adapter.client import FhirClient
from fhir_adapter.features.record import moment
from fhir_adapter.references import relative_reference
from functions.smart_app.drivers import in_unit
from functions.smart_app.ehr import Ehr
from functions.smart_app.lenient import Json, number_of, object_of, objects
from functions.smart_app.models import Contract, Input
from functions.smart_app.reading import asked
from functions.smart_app.results import Answer
from functions.smart_app.words import printed

__all__ = ["MOST", "Entry", "entries_of"]

# Shown, and read in one batch.
MOST = 100
WHEN = ("effectiveDateTime", "effectiveInstant", "onsetDateTime", "recordedDate", "started", "issued", "birthDate")


@dataclass(frozen=True)
class Entry:
    """One source.

    Parameters
    ----------
    kind, name, value : str
        Resource type; what it is and what it says, in the resource's own words.
    when : datetime or None
    input : Input or None
        Which input of the model it is.
    anchor : str
        The first entry of an input has its name; empty else.
    readable : bool
        Whether the EHR let it be read.
    """

    kind: str
    name: str = ""
    value: str = ""
    when: datetime | None = None
    input: Input | None = None
    anchor: str = ""
    readable: bool = True


def entries_of(ehr: Ehr, client: FhirClient, answer: Answer, patient: str, contract: Contract | None) -> list[Entry]:
    """Read the sources of an answer; what the EHR does not let the user see, or is about somebody else, is named only.

    Raises
    ------
    FhirUnavailable, FhirRejected
    """
    urls = list(dict.fromkeys(answer.sources))[:MOST]
    if not urls:
        return []
    units = ehr.tenant.smart.units if ehr.tenant.smart is not None else {}
    entries, anchors = [], set()
    for url, found in zip(urls, asked(ehr, client, urls), strict=True):
        kind = url.partition("/")[0]
        resource = found.resource if found.status < 400 else None
        if resource is None or not _is_about(resource, ehr.tenant.fhir_base, patient):
            entries.append(Entry(kind, readable=False))
            continue
        source = _input(resource, contract.inputs if contract else ())
        anchor = source.name if source and source.name not in anchors else ""
        anchors.add(anchor)
        value = in_unit(_value(resource), source, units) if source else _value(resource)
        when = next((resource[name] for name in WHEN if resource.get(name)), None) or _start(resource)
        entries.append(Entry(kind, _name(resource), printed(value), moment(when, ehr.tenant.zone), source, anchor))
    return sorted(entries, key=lambda entry: (entry.input is None, not entry.readable))


def _is_about(resource: Json, base: str, patient: str) -> bool:
    if resource.get("resourceType") == "Patient":
        return resource.get("id") == patient
    subject = str(object_of(resource.get("subject")).get("reference") or "")
    return relative_reference(base, subject) == f"Patient/{patient}"


def _input(resource: Json, inputs: Sequence[Input]) -> Input | None:
    kind = resource.get("resourceType")
    if kind == "Patient":
        return None
    codes = {str(coding.get("code")) for coding in objects(object_of(resource.get("code")).get("coding"))}
    return next((item for item in inputs if item.codes & codes), None)


def _name(resource: Json) -> str:
    modalities = [str(object_of(row.get("modality")).get("code") or "") for row in objects(resource.get("series"))]
    told = str(resource.get("description") or "") or ", ".join(sorted(set(filter(None, modalities))))
    return _text(resource.get("code")) or _text(resource.get("class")) or told


def _text(found: object) -> str:
    """The text of a CodeableConcept or a Coding."""
    concept = object_of(found)
    coding: Json = next(objects(concept.get("coding")), concept)
    return str(concept.get("text") or coding.get("display") or coding.get("code") or "")


def _value(resource: Json) -> str:
    told = [_single(resource), *(" ".join(filter(None, part)) for part in _parts(resource))]
    return "; ".join(text for text in told if text)


def _single(element: Json) -> str:
    quantity = object_of(element.get("valueQuantity"))
    value = number_of(quantity.get("value"))
    if value is not None:
        return f"{value:.6g} {quantity.get('code') or quantity.get('unit') or ''}".strip()
    text = _text(element.get("valueCodeableConcept")) or str(element.get("valueString") or "")
    return text or _text(element.get("clinicalStatus")) or (str(element.get("gender") or ""))


def _parts(resource: Json) -> Iterator[tuple[str, str]]:
    for part in objects(resource.get("component")):
        value = _single(part)
        if value:
            yield _text(part.get("code")), value


def _start(resource: Json) -> object:
    return object_of(resource.get("period")).get("start") or object_of(resource.get("effectivePeriod")).get("start")
