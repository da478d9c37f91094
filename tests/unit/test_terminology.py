from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fhir_adapter.errors import ConfigurationError
from fhir_adapter.terminology import CodeSet, Terminology, load_terminology

LOINC, LOCAL = "http://loinc.org", "https://hospital.test/codes"
URL = "https://example.org/ValueSet/rates"


def value_set(**more: Any) -> dict[str, Any]:
    return {"resourceType": "ValueSet", "url": URL, "version": "2", "status": "active", **more}


def concept_map(*mappings: tuple[str, str, str], source: str | None = LOCAL, **more: Any) -> dict[str, Any]:
    element = [
        {"code": code, "target": [{"code": target, "equivalence": equivalence}]}
        for code, target, equivalence in mappings
    ]
    group: dict[str, Any] = {"target": LOINC, "element": element}
    if source:
        group["source"] = source
    return {"resourceType": "ConceptMap", "url": "https://h.test/cm", "status": "active", "group": [group], **more}


def concept(system: str | None, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code} if system else {"code": code}]}


def test_a_code_set_knows_its_codes() -> None:
    codes = CodeSet.of(LOINC, ["8867-4"]) | CodeSet.of("", ["PULSE"])
    assert codes.has(concept(LOINC, "8867-4"))
    assert codes.has(concept(None, "PULSE"))
    assert not codes.has(concept(LOCAL, "PULSE"))
    assert not codes.has(concept(LOINC, "8867-5"))


@pytest.mark.parametrize("odd", [None, [], "x", {}, {"coding": None}, {"coding": {}}, {"coding": [None, "x", {}]}])
def test_odd_shapes_carry_no_code(odd: Any) -> None:
    assert not CodeSet.of(LOINC, ["8867-4"]).has(odd)


def test_search_values_are_escaped_and_sorted() -> None:
    codes = CodeSet.of(LOCAL, ["K+|serum", "a,b", "x$y\\z"]) | CodeSet.of("", ["PULSE"])
    assert codes.searched == (
        "https://hospital.test/codes|K+\\|serum",
        "https://hospital.test/codes|a\\,b",
        "https://hospital.test/codes|x\\$y\\\\z",
        "|PULSE",
    )


def test_an_expansion_counts_with_its_children() -> None:
    contains = [
        {"abstract": True, "system": LOINC, "code": "group", "contains": [{"system": LOINC, "code": "8867-4"}]},
        {"display": "a heading", "contains": [{"system": LOCAL, "code": "P"}]},
    ]
    terminology = Terminology.from_resources([value_set(expansion={"contains": contains})])
    assert terminology.expand(URL).tokens == {(LOINC, "8867-4"), (LOCAL, "P")}
    assert terminology.expand(f"{URL}|2") == terminology.expand(URL)


def test_a_plain_list_needs_no_expansion() -> None:
    listed = {
        "include": [{"system": LOINC, "concept": [{"code": "1"}, {"code": "2"}]}],
        "exclude": [{"system": LOINC, "concept": [{"code": "2"}]}],
    }
    assert Terminology.from_resources([value_set(compose=listed)]).expand(URL).tokens == {(LOINC, "1")}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({}, "neither"),
        ({"compose": {"include": [{"system": LOINC}]}}, "rules"),
        ({"compose": {"include": [{"system": LOINC, "filter": [{"op": "is-a"}]}]}}, "rules"),
        ({"compose": {"include": [{"valueSet": ["x"]}]}}, "rules"),
        ({"expansion": {"contains": []}}, "neither|no code"),
        ({"expansion": {"total": 9, "contains": [{"system": LOINC, "code": "1"}]}}, "partial"),
        ({"expansion": {"offset": 5, "contains": [{"system": LOINC, "code": "1"}]}}, "partial"),
        (
            {
                "expansion": {
                    "parameter": [{"name": "limitedExpansion", "valueBoolean": True}],
                    "contains": [{"system": LOINC, "code": "1"}],
                }
            },
            "partial",
        ),
        ({"expansion": {"contains": [{"code": "1"}]}}, "neither"),
        ({"expansion": {"contains": "x"}}, "neither"),
    ],
)
def test_a_value_set_that_is_not_known_in_full_is_refused_by_name(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        Terminology.from_resources([value_set(**more)])
    assert URL in str(caught.value)


def test_a_value_set_that_is_not_there() -> None:
    with pytest.raises(ConfigurationError, match="rates"):
        Terminology().expand(URL)


def test_only_what_means_the_same_counts_unless_asked_for() -> None:
    maps = Terminology.from_resources(
        [
            concept_map(
                ("A", "8867-4", "equivalent"),
                ("B", "8867-4", "equal"),
                ("C", "8867-4", "wider"),
                ("D", "8867-4", "narrower"),
                ("E", "8867-4", "inexact"),
                ("F", "8867-4", "relatedto"),
                ("G", "9999-9", "equal"),
            ),
            concept_map(("PULSE", "8867-4", "equal"), source=None, url="https://h.test/cm2"),
        ]
    )
    rate = CodeSet.of(LOINC, ["8867-4"])
    assert maps.local(rate).tokens == {(LOCAL, "A"), (LOCAL, "B"), ("", "PULSE")}
    assert maps.local(rate, {"wider"}).tokens == {(LOCAL, "C")}


def test_a_mapping_that_holds_in_a_context_only_is_passed_over() -> None:
    conditional = concept_map(("A", "8867-4", "equal"))
    conditional["group"][0]["element"][0]["target"][0]["dependsOn"] = [{"property": "x", "value": "y"}]
    assert Terminology.from_resources([conditional]).mappings == ()


@pytest.mark.parametrize(
    "broken",
    [
        concept_map(status="retired"),
        {"resourceType": "ConceptMap", "url": "https://h.test/cm"},
        {"resourceType": "ConceptMap", "url": "https://h.test/cm", "group": [{"element": [{"target": [{}]}]}]},
        {"resourceType": "ConceptMap", "url": "https://h.test/cm", "group": ["x"]},
    ],
)
def test_a_concept_map_that_is_wrong_is_refused_by_name(broken: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"https://h\.test/cm"):
        Terminology.from_resources([broken])


def test_the_fingerprint_follows_the_mappings() -> None:
    one = Terminology.from_resources([concept_map(("A", "1", "equal"), ("B", "2", "equal"))])
    same = Terminology.from_resources([concept_map(("B", "2", "equal"), ("A", "1", "equal"))])
    other = Terminology.from_resources([concept_map(("A", "1", "equal"), ("B", "3", "equal"))])
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert Terminology().fingerprint == ""


def test_a_folder(tmp_path: Path) -> None:
    assert load_terminology(tmp_path / "nothing") == Terminology()
    (tmp_path / "vs.json").write_text(
        json.dumps(value_set(compose={"include": [{"system": "s", "concept": [{"code": "1"}]}]}))
    )
    (tmp_path / "cm.json").write_text(json.dumps(concept_map(("A", "1", "equal"))))
    both = load_terminology(tmp_path)
    assert both.expand(URL) and both.mappings
    assert (Terminology() | both).mappings == both.mappings


@pytest.mark.parametrize("content", ["{", "[]", '{"resourceType": "Patient"}', '{"resourceType": "ValueSet"}'])
def test_a_file_that_is_none_of_both(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(ConfigurationError):
        load_terminology(tmp_path)


def test_two_value_sets_of_one_name() -> None:
    listed = value_set(compose={"include": [{"system": "s", "concept": [{"code": "1"}]}]})
    with pytest.raises(ConfigurationError, match="twice"):
        Terminology.from_resources([listed, listed])
