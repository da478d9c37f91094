"""The weights of a stack."""

from __future__ import annotations

import numpy as np
import pytest

from functions.survival.data import FloatArray, SurvivalTable
from functions.survival.evaluate.stacking import simplex_minimum, stack_weights


def _table() -> SurvivalTable:
    time = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    return SurvivalTable(("x",), np.zeros((6, 1)), np.ones(6, dtype=np.bool_), time)


@pytest.mark.parametrize(
    ("linear", "weights"),
    [
        ([0.5, 0.5], [0.5, 0.5]),
        # unconstrained (0.7, 0.1), moved along the face until the sum is 1
        ([0.7, 0.1], [0.8, 0.2]),
        # beyond the corner: one member alone
        ([2.0, 0.0], [1.0, 0.0]),
    ],
)
def test_minimum_on_the_simplex(linear: list[float], weights: list[float]) -> None:
    np.testing.assert_allclose(simplex_minimum(np.eye(2), np.array(linear)), weights, atol=1e-12)


def test_minimum_is_no_worse_than_a_search() -> None:
    random = np.random.default_rng(5)
    root, linear = random.normal(size=(4, 4)), random.normal(size=4)
    quadratic = root @ root.T

    def loss(weights: FloatArray) -> float:
        return float(weights @ quadratic @ weights - 2 * linear @ weights)

    found = simplex_minimum(quadratic, linear)
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1)
    assert all(loss(found) <= loss(weights) + 1e-12 for weights in random.dirichlet(np.ones(4), 500))


def test_the_member_that_knows_gets_all_the_weight() -> None:
    table, times = _table(), np.array([1.5, 3.5, 5.5])
    truth = (table.time[:, None] > times).astype(np.float64)
    np.testing.assert_array_equal(stack_weights(table, np.array([np.full((6, 3), 0.5), truth]), times), [0, 1])


def test_weights_have_two_decimals_and_sum_to_one() -> None:
    table, times = _table(), np.array([1.5, 3.5, 5.5])
    members = np.random.default_rng(2).random((3, 6, 3))
    found = stack_weights(table, members, times)
    np.testing.assert_array_equal(found, np.round(found, 2))
    assert found.sum() == pytest.approx(1, abs=1e-12)
