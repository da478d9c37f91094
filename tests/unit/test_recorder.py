"""What an electrocardiograph measured itself, held against what the model wrote."""

from __future__ import annotations

from typing import Any

import pytest

from infra.local.recorder import annotated, compare
from infra.local.studies import electrocardiogram
from tests import dicoms


def observation(code: str, value: float, system: str = "http://loinc.org") -> dict[str, Any]:
    return {"code": {"coding": [{"system": system, "code": code}]}, "valueQuantity": {"value": value}}


def test_the_recorder_s_own_measurements_are_found() -> None:
    found = annotated(electrocardiogram())
    assert found == {
        "5.10.2.1-3": 982.0,
        "5.13.5-7": 161.0,
        "5.13.5-9": 75.0,
        "5.13.5-11": 368.0,
        "5.10.2.5-5": 370.0,
    }


@pytest.mark.parametrize(("value", "within"), [(368.0, True), (398.0, True), (338.0, True), (398.1, False)])
def test_a_difference_beyond_the_tolerance_is_told(value: float, within: bool) -> None:
    (found,) = compare(electrocardiogram(), [observation("8634-8", value)])
    assert (found.name, found.device, found.within) == ("QT interval", 368.0, within)
    assert found.to_json()["within"] is within


def test_only_what_both_measured_is_compared() -> None:
    observations = [observation("8867-4", 60.0), observation("1-1", 1.0), observation("8634-8", 1.0, "urn:other")]
    (found,) = compare(electrocardiogram(), observations)
    assert (found.name, found.unit) == ("Heart rate", "/min")
    assert found.device == pytest.approx(60_000 / 982)
    assert compare(electrocardiogram(), []) == ()


def test_a_file_without_annotations_measures_nothing() -> None:
    assert annotated(dicoms.file_of(dicoms.image())) == {}
