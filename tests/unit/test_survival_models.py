"""Fitted models before they become a file: the logarithms of a Cox equation, and competing risks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from functions.survival.data import SurvivalTable
from functions.survival.models import CompetingCox, CoxEquation

TIMES = np.array([10.0, 20.0, 30.0])


def equation(coefficients: list[float], log: list[bool], reference: list[float] | None = None) -> CoxEquation:
    return CoxEquation(
        names=("bilirubin", "age"),
        coefficients=np.array(coefficients),
        reference=np.array(reference or [2.0, 50.0]),
        times=TIMES,
        cumulative_hazard=np.array([0.1, 0.3, 0.6]),
        alpha=1.0,
        log=np.array(log),
    )


def test_a_doubling_multiplies_the_hazard_by_two_to_the_coefficient() -> None:
    model = equation([1.5, 0.0], [True, False])
    assert model.risk_score(np.array([[4.0, 50.0]]))[0] == pytest.approx(1.5 * math.log(2.0))
    hazard = model.hazard(np.array([[4.0, 50.0]]), TIMES)[0]
    np.testing.assert_allclose(hazard, np.array([0.1, 0.3, 0.6]) * 2.0**1.5)


def test_a_missing_input_counts_as_the_reference_on_either_scale() -> None:
    model = equation([1.5, 0.1], [True, False])
    np.testing.assert_array_equal(model.risk_score(np.array([[np.nan, np.nan]])), [0.0])


def test_the_logarithm_of_nothing_is_no_answer() -> None:
    model = equation([1.5, 0.1], [True, False])
    assert np.isnan(model.risk_score(np.array([[0.0, 50.0], [-1.0, 50.0]]))).all()


def test_a_reference_that_has_no_logarithm_is_refused() -> None:
    with pytest.raises(ValueError, match="positive reference"):
        equation([1.0, 1.0], [True, False], [0.0, 50.0])


def test_causes_on_different_scales_are_refused() -> None:
    with pytest.raises(ValueError, match="scales"):
        CompetingCox((equation([1.0, 0.0], [True, False]), equation([1.0, 0.0], [False, False])))


def test_incidences_and_freedom_sum_to_one_under_extreme_hazards() -> None:
    model = CompetingCox((equation([0.0, 0.1], [False, False]), equation([0.0, 5.0], [False, False])))
    incidence = model.cumulative_incidence(np.array([[2.0, 50.0], [2.0, 150.0]]), TIMES)
    assert np.isfinite(incidence).all()
    free = np.exp(-2 * 0.6)
    assert incidence[0, :, -1].sum() == pytest.approx(1.0 - free)
    assert incidence[1, :, -1].sum() == pytest.approx(1.0)


def test_a_table_keeps_its_logarithms_through_rows_and_causes() -> None:
    table = SurvivalTable(
        ("bilirubin", "age"), np.ones((3, 2)), np.array([True, False, False]), np.ones(3), log=("bilirubin",)
    )
    assert table.take(np.array([0, 2])).logged.tolist() == [True, False]
    assert table.of_cause(2).logged.tolist() == [True, False]
