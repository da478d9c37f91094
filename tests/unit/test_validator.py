"""The validator rejects what FHIR R4 forbids, and nothing else."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from tests import validator
from tests.samples import LOINC, SNOMED, UCUM, admission
from tests.validator import bindings, walk
from tests.validator.definitions import definitions
from tests.validator.fhirpath import NotEvaluable, holds
from tests.validator.references import Scope
from tests.validator.samples import filled

Json = dict[str, Any]
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'

OBSERVATION: Json = {
    "resourceType": "Observation",
    "id": "bp",
    "meta": {"versionId": "1", "lastUpdated": "2026-01-10T08:31:00.123+01:00"},
    "text": {"status": "generated", "div": DIV.format("142 over 81")},
    "status": "final",
    "category": [
        {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}
    ],
    "code": {"coding": [{"system": LOINC, "code": "85354-9"}]},
    "subject": {"reference": "Patient/p1"},
    "encounter": {"reference": "Encounter/e1/_history/2"},
    "effectiveDateTime": "2026-01-10T08:30:00+01:00",
    "performer": [{"display": "Ward 3"}],
    "valueQuantity": {"value": 101.5, "unit": "mmHg", "system": UCUM, "code": "mm[Hg]"},
    "referenceRange": [{"low": {"value": 70, "system": UCUM, "code": "mm[Hg]"}, "text": "adults"}],
    "component": [
        {
            "code": {"coding": [{"system": LOINC, "code": "8480-6"}]},
            "valueQuantity": {"value": 142, "system": UCUM, "code": "mm[Hg]"},
        },
        {
            "code": {"coding": [{"system": LOINC, "code": "8462-4"}]},
            "dataAbsentReason": {"text": "not measured"},
        },
    ],
}
RISK: Json = {
    "resourceType": "RiskAssessment",
    "id": "risk",
    "text": {"status": "generated", "div": DIV.format("7.1 % within 30 days")},
    "status": "preliminary",
    "method": {"text": "a model"},
    "subject": {"reference": "Patient/p1"},
    "occurrencePeriod": {"start": "2026-01-10", "end": "2026-01-11"},
    "performer": {"reference": "Device/d1"},
    "basis": [{"reference": "Observation/bp/_history/1"}],
    "prediction": [
        {
            "outcome": {"coding": [{"system": SNOMED, "code": "419620001"}]},
            "probabilityDecimal": 7.1,
            "whenRange": {
                "low": {"value": 0, "system": UCUM, "code": "d"},
                "high": {"value": 30, "system": UCUM, "code": "d"},
            },
        },
        {
            "outcome": {"text": "death"},
            "probabilityRange": {
                "low": {"value": 20, "system": UCUM, "code": "%"},
                "high": {"value": 30, "system": UCUM, "code": "%"},
            },
        },
    ],
}


def changed(resource: Json, path: str, value: Any) -> Json:
    """Return a copy with one place changed; a value of ``...`` removes it."""
    copied = copy.deepcopy(resource)
    place: Any = copied
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in way:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return copied


def rules(resource: Any) -> set[str]:
    return {issue.rule for issue in validator.errors(resource)}


@pytest.mark.parametrize("original", [OBSERVATION, RISK, *admission()], ids=lambda found: found["id"])
def test_the_valid_originals_are_accepted(original: Json) -> None:
    before = copy.deepcopy(original)
    validator.assert_valid(original)
    assert original == before


MUST_REJECT = [
    ("missing required status", OBSERVATION, "status", ..., "cardinality"),
    ("code outside a required binding", OBSERVATION, "status", "done", "binding"),
    ("string for decimal", OBSERVATION, "valueQuantity.value", "101.5", "type"),
    ("obs-6", OBSERVATION, "dataAbsentReason", {"text": "unknown"}, "obs-6"),
    ("obs-7", OBSERVATION, "component.0.code.coding.0.code", "85354-9", "obs-7"),
    ("ras-2", RISK, "prediction.0.probabilityDecimal", 100.1, "ras-2"),
    ("unknown property", OBSERVATION, "valueQuantity.units", "mmHg", "unknown-property"),
    ("two value[x]", OBSERVATION, "valueString", "high", "choice"),
    ("invalid date", OBSERVATION, "effectiveDateTime", "2026-02-30", "type"),
    ("wrong reference target", OBSERVATION, "subject.reference", "Practitioner/p1", "reference"),
]


@pytest.mark.parametrize(
    ("original", "path", "value", "rule"), [row[1:] for row in MUST_REJECT], ids=[row[0] for row in MUST_REJECT]
)
def test_each_of_these_is_rejected_by_its_rule_and_by_no_other(
    original: Json, path: str, value: Any, rule: str
) -> None:
    (issue,) = validator.errors(changed(original, path, value))
    assert issue.rule == rule
    with pytest.raises(validator.Invalid, match=rule):
        validator.assert_valid(changed(original, path, value))


@pytest.mark.parametrize(
    ("original", "path", "value", "rule"),
    [
        (OBSERVATION, "resourceType", "Observatory", "resource-type"),
        (OBSERVATION, "id", "with_underscore", "type"),
        (OBSERVATION, "id", "x" * 65, "type"),
        (OBSERVATION, "subject", [{"reference": "Patient/p1"}], "cardinality"),
        (OBSERVATION, "category", {"text": "vital signs"}, "cardinality"),
        (OBSERVATION, "category", [], "cardinality"),
        (OBSERVATION, "code", {}, "ele-1"),
        (OBSERVATION, "code", {"id": "only"}, "ele-1"),
        (OBSERVATION, "code", "85354-9", "type"),
        (OBSERVATION, "status", None, "type"),
        (OBSERVATION, "status", "", "type"),
        (OBSERVATION, "status", True, "type"),
        (OBSERVATION, "valueQuantity.value", float("nan"), "type"),
        (OBSERVATION, "valueQuantity.value", True, "type"),
        (OBSERVATION, "valueQuantity.system", ..., "qty-3"),
        (OBSERVATION, "valueQuantity.comparator", "~", "binding"),
        (OBSERVATION, "referenceRange.0.low.comparator", "<", "sqty-1"),
        (OBSERVATION, "referenceRange.0", {"type": {"text": "adults"}}, "obs-3"),
        (OBSERVATION, "effectiveDateTime", "2026-01-10T08:30:00", "type"),
        (OBSERVATION, "effectiveDateTime", "2026-01-10T08:30Z", "type"),
        (OBSERVATION, "effectiveDateTime", "2025-02-29", "type"),
        (OBSERVATION, "issued", "2026-01-10", "type"),
        (OBSERVATION, "issued", "2026-01-10T25:00:00Z", "type"),
        (OBSERVATION, "meta.lastUpdated", "2026-01-10T08:30:00", "type"),
        (OBSERVATION, "_status", {"value": "x"}, "unknown-property"),
        (OBSERVATION, "_status", [{}], "cardinality"),
        (OBSERVATION, "_code", {"extension": []}, "unknown-property"),
        (OBSERVATION, "extension", [{"url": "http://x.test"}], "ext-1"),
        (OBSERVATION, "extension", [{"valueString": "x"}], "cardinality"),
        (OBSERVATION, "extension", [{"url": "http://x.test", "valueColour": "x"}], "unknown-property"),
        (OBSERVATION, "performer.0", {"reference": "Device/d1"}, "reference"),
        (OBSERVATION, "performer.0", {"type": "Device"}, "reference"),
        (OBSERVATION, "performer.0", {"reference": "Patient/p1", "type": "Practitioner"}, "reference"),
        (OBSERVATION, "performer.0", {"reference": "https://ehr.test/fhir/Device/d1"}, "reference"),
        (OBSERVATION, "performer.0", {"reference": "Nurse/n1"}, "reference"),
        (OBSERVATION, "performer.0", {"reference": "n1"}, "reference"),
        (OBSERVATION, "performer.0", {"reference": "#n1"}, "ref-1"),
        (OBSERVATION, "contained", [{"resourceType": "Patient", "id": "loose"}], "dom-3"),
        (OBSERVATION, "contained", [{"resourceType": "Spaceship", "id": "x"}], "resource-type"),
        (OBSERVATION, "text.div", DIV.format("<script>x</script>"), "txt-1"),
        (OBSERVATION, "text.div", DIV.format("<p onclick='x()'>y</p>"), "txt-1"),
        (OBSERVATION, "text.div", "<div>no namespace</div>", "txt-1"),
        (OBSERVATION, "text.div", DIV.format("<p>not closed"), "txt-1"),
        (OBSERVATION, "text.div", DIV.format(" "), "txt-2"),
        (RISK, "prediction.1.probabilityRange.high.code", "1", "ras-1"),
        (RISK, "prediction.0.whenRange.low.value", 31, "rng-2"),
        (RISK, "occurrencePeriod.end", "2026-01-09", "per-1"),
        (RISK, "prediction.0.probabilityRange", {"low": {"value": 1}}, "choice"),
        (RISK, "performer.reference", "Organization/o1", "reference"),
        (RISK, "subject", ..., "cardinality"),
    ],
)
def test_and_so_is_each_of_these(original: Json, path: str, value: Any, rule: str) -> None:
    assert rule in rules(changed(original, path, value))


CONDITION_CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
CONDITION: Json = {
    "resourceType": "Condition",
    "clinicalStatus": {"coding": [{"system": CONDITION_CLINICAL, "code": "active"}]},
    "subject": {"reference": "Patient/p1"},
}
PATIENT: Json = {"resourceType": "Patient", "id": "p1"}
BUNDLE: Json = {
    "resourceType": "Bundle",
    "type": "transaction",
    "entry": [
        {
            "fullUrl": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520",
            "resource": PATIENT,
            "request": {"method": "PUT", "url": "Patient/p1"},
        },
        {
            "resource": changed(RISK, "subject.reference", "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"),
            "request": {"method": "POST", "url": "RiskAssessment"},
        },
    ],
}
PARAMETERS: Json = {"resourceType": "Parameters", "parameter": [{"name": "x", "valueCode": "y"}]}
SUBSCRIPTION: Json = {
    "resourceType": "Subscription",
    "status": "requested",
    "reason": "x",
    "criteria": "Encounter?class=IMP",
    "channel": {"type": "rest-hook", "endpoint": "https://x.test/y", "payload": "application/fhir+json"},
}
AUDIT: Json = {
    "resourceType": "AuditEvent",
    "type": {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "110106"},
    "recorded": "2026-01-10T08:30:00Z",
    "agent": [{"requestor": True, "who": {"reference": "Device/d1"}}],
    "source": {"observer": {"reference": "Device/d1"}},
    "entity": [{"what": {"reference": "Patient/p1"}, "query": "eA=="}],
}
DOCUMENT: Json = {
    "resourceType": "DocumentReference",
    "status": "current",
    "content": [{"attachment": {"contentType": "text/markdown", "data": "eA=="}}],
}
PROVENANCE: Json = {
    "resourceType": "Provenance",
    "target": [{"reference": "Observation/bp"}],
    "recorded": "2026-01-10T08:30:00Z",
    "agent": [{"who": {"reference": "Device/d1"}, "onBehalfOf": {"display": "General Hospital"}}],
    "entity": [{"role": "source", "what": {"reference": "Observation/hr/_history/2"}}],
}
OTHERS = (CONDITION, PATIENT, BUNDLE, PARAMETERS, SUBSCRIPTION, AUDIT, DOCUMENT, PROVENANCE)


@pytest.mark.parametrize("original", OTHERS, ids=lambda found: found["resourceType"])
def test_other_originals_are_accepted(original: Json) -> None:
    validator.assert_valid(original)


@pytest.mark.parametrize(
    ("original", "path", "value", "rule"),
    [
        (CONDITION, "clinicalStatus", {"text": "active"}, "binding"),
        (CONDITION, "clinicalStatus.coding.0.system", "http://x.test", "binding"),
        (CONDITION, "abatementDateTime", "2026-01-01", "con-4"),
        (CONDITION, "onsetAge", {"value": -1, "system": UCUM, "code": "a"}, "age-1"),
        (CONDITION, "stage", [{"type": {"text": "x"}}], "con-1"),
        (PATIENT, "contact", [{"gender": "female"}], "pat-1"),
        (PATIENT, "telecom", [{"value": "x"}], "cpt-2"),
        (PATIENT, "birthDate", "1950-06-31", "type"),
        (PATIENT, "birthDate", "1950-06-15T00:00:00Z", "type"),
        (PATIENT, "photo", [{"data": "eA=="}], "att-1"),
        (PATIENT, "photo", [{"contentType": "picture", "url": "http://x.test"}], "binding"),
        (PATIENT, "photo", [{"contentType": "image/png", "data": "not base64!"}], "type"),
        (BUNDLE, "entry.0.request", ..., "bdl-3"),
        (BUNDLE, "total", 2, "bdl-1"),
        (BUNDLE, "entry.0.search", {"mode": "match"}, "bdl-2"),
        (BUNDLE, "entry.0.response", {"status": "200"}, "bdl-4"),
        (BUNDLE, "entry.1", {"fullUrl": "https://x.test/Patient/1"}, "bdl-5"),
        (BUNDLE, "entry.1.fullUrl", "urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "bdl-7"),
        (BUNDLE, "entry.0.fullUrl", "https://x.test/Patient/p1/_history/1", "bdl-8"),
        (BUNDLE, "entry.0.fullUrl", "https://x.test/Patient/p2", "entry"),
        (BUNDLE, "entry.0.request.url", "Patient/p2", "entry"),
        (BUNDLE, "entry.1.request.url", "Patient", "entry"),
        (BUNDLE, "entry.0.resource", {"resourceType": "Device"}, "reference"),
        (BUNDLE, "entry.1.resource.status", ..., "cardinality"),
        (PARAMETERS, "parameter.0.valueString", "y", "choice"),
        (PARAMETERS, "parameter.0.resource", PATIENT, "inv-1"),
        (SUBSCRIPTION, "channel.type", "carrier-pigeon", "binding"),
        (SUBSCRIPTION, "reason", ..., "cardinality"),
        (AUDIT, "entity.0.name", "x", "sev-1"),
        (AUDIT, "agent.0.requestor", ..., "cardinality"),
        (AUDIT, "agent.0.requestor", "true", "type"),
        (AUDIT, "action", "CREATE", "binding"),
        (DOCUMENT, "content", [], "cardinality"),
        (DOCUMENT, "docStatus", "current", "binding"),
        (PROVENANCE, "entity.0.role", "input", "binding"),
        (PROVENANCE, "recorded", "2026-01-10T08:30:00", "type"),
        (PROVENANCE, "target", ..., "cardinality"),
        (PROVENANCE, "agent.0.who.reference", "Observation/bp", "reference"),
    ],
)
def test_what_others_must_not_be(original: Json, path: str, value: Any, rule: str) -> None:
    assert rule in rules(changed(original, path, value))


@pytest.mark.parametrize("value", [None, [], "Patient", 1, {}, {"resourceType": 1}, {"resourceType": ["Patient"]}])
def test_what_is_no_resource_is_an_issue_and_no_exception(value: Any) -> None:
    assert rules(value) == {"resource-type"}


def test_issues_name_the_place_and_never_the_value() -> None:
    resource = changed(OBSERVATION, "component.1.valueQuantity", {"value": "Canary", "code": "Canary"})
    found = validator.errors(changed(resource, "subject.reference", "Canary"))
    assert {issue.path for issue in found} == {
        "Observation.component[1].valueQuantity.value",
        "Observation.component[1].valueQuantity",
        "Observation.subject",
    }
    assert "Canary" not in "".join(map(str, found))


def test_primitive_extensions_stand_beside_values_or_instead_of_them() -> None:
    absent = {
        "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]
    }
    name = [{"given": [None, "Rowan"], "_given": [absent, None]}]
    for resource in (
        {**PATIENT, "_birthDate": absent},
        {**PATIENT, "birthDate": "1950", "_birthDate": absent},
        {**PATIENT, "name": name},
        changed({**OBSERVATION, "_status": absent}, "status", "final"),
        changed(OBSERVATION, "meta.profile", ["http://x.test/p"]),
    ):
        validator.assert_valid(resource)
    assert rules({**PATIENT, "name": [{"given": [None, "Rowan"]}]}) == {"type"}


def test_contained_resources_are_resources_of_their_own() -> None:
    holder = {
        **OBSERVATION,
        "contained": [{"resourceType": "Practitioner", "id": "n1", "gender": "female"}],
        "performer": [{"reference": "#n1"}],
    }
    validator.assert_valid(holder)
    assert rules(changed(holder, "contained.0.gender", "f")) == {"binding"}
    assert rules(changed(holder, "contained.0.resourceType", "Device")) == {"reference", "unknown-property"}
    assert "dom-4" in rules(changed(holder, "contained.0.meta", {"versionId": "1"}))
    assert "dom-5" in rules(changed(holder, "contained.0.meta", {"security": [{"code": "R"}]}))
    assert "dom-2" in rules(changed(holder, "contained.0.contained", [PATIENT]))


@pytest.mark.parametrize(
    ("start", "end", "kept"),
    [
        ("2026-01-10T10:00:00+02:00", "2026-01-10T09:00:00Z", True),
        ("2026-01-10T10:00:00Z", "2026-01-10T10:30:00+02:00", False),
        ("2026-01", "2026-02-01", True),
        ("2026-02", "2026-01-31", False),
        ("2026-01-10", "2026-01-11T00:00:00Z", True),
        # FHIRPath cannot order these two, and an invariant that is not true is broken
        ("2026-01-10", "2026-01-10T08:00:00Z", False),
    ],
)
def test_times_are_compared_as_times(start: str, end: str, kept: bool) -> None:
    assert (rules(changed(RISK, "occurrencePeriod", {"start": start, "end": end})) == set()) is kept


def test_a_deep_resource_is_refused_and_does_not_end_the_test_run() -> None:
    extension: Json = {"url": "http://x.test", "valueString": "x"}
    for _ in range(150):
        extension = {"url": "http://x.test", "extension": [extension]}
    assert "depth" in rules({**PATIENT, "extension": [extension]})


def test_only_these_invariants_are_not_evaluated_as_fhirpath() -> None:
    assert set(walk.NATIVE) == {"ele-1", "txt-1", "txt-2"}
    assert {key for key, found in definitions().invariants.items() if "htmlChecks" in found.expression} == {
        "txt-1",
        "txt-2",
    }
    assert len(definitions().invariants) == 241


def test_only_these_required_value_sets_are_not_lists() -> None:
    unlisted = {url for url, codes in definitions().value_sets.items() if codes is None}
    assert unlisted == set(bindings.OPEN)
    assert {url.rpartition("/")[2] for url in unlisted} == {
        "currencies",
        "mimetypes",
        "ucum-units",
        "characteristic-combination",
        "LL379-9",
    }


def test_every_other_invariant_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated: set[str] = set()

    def watched(expression: str, *where: Any) -> bool:
        answer = holds(expression, *where)
        evaluated.add(expression)
        return answer

    monkeypatch.setattr(walk, "holds", watched)
    for name in sorted(definitions().resource_names):
        found = validator.validate(filled(name))
        assert [str(issue) for issue in found if "cannot be evaluated" in issue.message] == []
    due = {found.expression for key, found in definitions().invariants.items() if key not in walk.NATIVE}
    assert due - evaluated == set()


def test_ele_1_in_python_is_ele_1_in_fhirpath() -> None:
    expression = definitions().invariants["ele-1"].expression
    scope = Scope(OBSERVATION, OBSERVATION)
    nodes: list[Any] = [{}, {"id": "x"}, {"text": "x"}, {"id": "x", "text": "x"}, "x", 0, False, {"extension": [{}]}]
    for node in nodes:
        assert holds(expression, node, "CodeableConcept", scope) is walk.NATIVE["ele-1"][1](node), node


def test_an_expression_that_cannot_be_evaluated_is_said_and_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> bool:
        raise NotEvaluable("TypeError: expression")

    monkeypatch.setattr(walk, "holds", broken)
    found = validator.errors(PATIENT)
    assert found
    assert all("cannot be evaluated" in issue.message for issue in found)


def test_the_definitions_are_small_and_sorted() -> None:
    from tests.validator.definitions import SOURCE
    from tests.validator.extract import as_text

    text = SOURCE.read_text(encoding="utf-8")
    assert len(text) < 1_500_000
    assert text == as_text(json.loads(text))
    assert len(definitions().resource_names) == 146
