from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from fhir_adapter.features import AgeInput, Features, Record, SexInput, extract
from fhir_adapter.prediction import Abstention, AbstentionReason, Prediction
from functions.serving.package import load_package
from functions.serving.words import describe
from functions.survival.predict import SurvivalModel, survival_at
from tests.samples import admission

PACKAGE = load_package(Path("functions/survival/packages/whas500"))
MODEL = SurvivalModel(PACKAGE)


def features(**changed: float) -> Features:
    resources = admission()
    record = Record(
        resources[0],
        resources[1],
        tuple(item for item in resources if item["resourceType"] == "Observation"),
        tuple(item for item in resources if item["resourceType"] == "Condition"),
    )
    found = extract(PACKAGE.inputs, PACKAGE.applies_if, record, datetime(2026, 1, 10, 8, tzinfo=UTC))
    assert isinstance(found, Features)
    return Features(tuple(replace(value, value=changed.get(value.input.name, value.value)) for value in found.values))


def predicted(given: Features) -> Prediction:
    answer = MODEL.predict(given)
    assert isinstance(answer, Prediction)
    return answer


def test_step_function() -> None:
    times, survival = np.array([10.0, 20.0]), np.array([0.9, 0.5])
    assert survival_at(times, survival, [0, 9.9, 10, 15, 20, 99]).tolist() == [1, 1, 0.9, 0.9, 0.5, 0.5]


def test_risks_curve_and_contributions_agree() -> None:
    answer = predicted(features())
    assert [risk.days for risk in answer.risks] == [30, 180, 365, 1095]
    assert answer.curve is not None
    assert answer.curve.survival[0] == 1.0
    assert len(answer.curve.survival) == 263
    year = answer.curve.survival[365 // 7]
    assert year >= 1 - answer.risks[2].probability >= answer.curve.survival[365 // 7 + 1]
    sizes = [abs(item.effect) for item in answer.contributions]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == 13


def test_imputed_values_are_said_to_be_assumed() -> None:
    answer = predicted(features(bmi=math.nan, q_wave_mi=math.nan))
    words = {item.name: item.value for item in answer.contributions}
    assert words["bmi"].endswith("kg/m2 (not on record, assumed)")
    assert words["q_wave_mi"] in ("absent (not on record, assumed)", "present (not on record, assumed)")
    assert words["age"] == "75 years"
    assert words["female"] == "female"
    assert words["heart_rate"] == "96 /min"
    assert words["congestive_heart_failure"] == "present"


def test_an_imputed_value_changes_the_answer_as_that_value_would() -> None:
    imputed = predicted(features(bmi=math.nan))
    (assumed,) = [item.value for item in imputed.contributions if item.name == "bmi"]
    explicit = predicted(features(bmi=float(assumed.split()[0])))
    assert imputed.risks[2].probability == pytest.approx(explicit.risks[2].probability, abs=1e-3)


def test_nothing_on_record_but_who_it_is_is_no_ground_for_an_answer() -> None:
    known = features()
    bare = Features(
        tuple(
            value if isinstance(value.input, AgeInput | SexInput) else replace(value, value=math.nan, sources=())
            for value in known.values
        )
    )
    answer = MODEL.predict(bare)
    assert isinstance(answer, Abstention)
    assert answer.reason is AbstentionReason.MISSING_INPUT
    assert "heart_rate" in answer.inputs


def test_what_the_model_itself_leaves_open_is_said_to_be_not_on_record() -> None:
    by_name = {value.input.name: replace(value, value=math.nan) for value in features().values}
    assert describe(by_name["bmi"], math.nan) == ("Body mass index", "(not on record)")
    assert describe(by_name["q_wave_mi"], math.nan) == ("Q-wave infarction", "(not on record)")
    assert describe(by_name["female"], math.nan) == ("Sex", "(not on record)")
