"""SurvSHAP(t): equal to Shapley's own definition where that can be worked out, and efficient always."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from functions.serving.explain import BATCH_ROWS, Float64, survshap

RNG = np.random.default_rng(20)
WEIGHTS = RNG.normal(size=(6, 4))
BACKGROUND = RNG.normal(size=(10, 6))
ROW = RNG.normal(size=6)


def linear(rows: Float64) -> Float64:
    return rows @ WEIGHTS


def tree(rows: Float64) -> Float64:
    """A step function with interactions, at three times."""
    first, second, third = (rows[:, column] > 0 for column in range(3))
    early = np.where(first, np.where(second, 0.9, 0.7), np.where(third, 0.8, 0.4))
    late = np.where(second & third, 0.6, 0.1 + 0.2 * first)
    return np.stack([early, late, np.ones(len(rows))], axis=1)


def smooth(rows: Float64) -> Float64:
    """A survival function with interactions between all inputs, at five times."""
    score = rows.sum(axis=1) + rows[:, 0] * rows[:, 1] - rows[:, 2] * np.abs(rows[:, 3])
    return np.exp(-np.exp(0.4 * score)[:, None] * np.linspace(0.05, 1.0, 5))


def brute_force(run: object, row: Float64, background: Float64) -> Float64:
    """Shapley's definition: the mean of what an input adds, over all orders and reference rows."""
    assert callable(run)
    effects, count = 0.0, 0
    for order in permutations(range(row.size)):
        for reference in background:
            steps = [reference.copy()]
            for player in order:
                steps.append(steps[-1].copy())
                steps[-1][player] = row[player]
            gained = np.diff(run(np.array(steps)), axis=0)
            one = np.zeros_like(gained)
            one[list(order)] = gained
            effects, count = effects + one, count + 1
    return np.asarray(effects / count)


@pytest.mark.parametrize("exact_rows", [10**6, 0], ids=["all coalitions", "sampled"])
def test_a_linear_function_s_effects_are_its_terms(exact_rows: int) -> None:
    effects = survshap(linear, ROW, BACKGROUND, exact_rows=exact_rows)
    assert np.allclose(effects, (ROW - BACKGROUND.mean(axis=0))[:, None] * WEIGHTS, atol=1e-12)


@pytest.mark.parametrize("function", [tree, smooth])
def test_all_coalitions_give_shapley_s_values(function: object) -> None:
    row, background = ROW[:5], BACKGROUND[:4, :5]
    assert callable(function)
    effects = survshap(function, row, background)
    assert np.allclose(effects, brute_force(function, row, background), atol=1e-12)


def test_sampling_comes_close_to_all_coalitions_and_closer_with_more() -> None:
    exact = survshap(smooth, ROW, BACKGROUND, exact_rows=10**6)
    errors = [
        np.sqrt(
            np.mean([(survshap(smooth, ROW, BACKGROUND, count, seed, exact_rows=0) - exact) ** 2 for seed in range(8)])
        )
        for count in (20, 2000)
    ]
    assert errors[0] < 0.05
    assert errors[1] < errors[0] / 5


@pytest.mark.parametrize("exact_rows", [10**6, 0], ids=["all coalitions", "sampled"])
@pytest.mark.parametrize("function", [tree, smooth])
def test_effects_sum_to_what_there_is_to_explain(function: object, exact_rows: int) -> None:
    assert callable(function)
    effects = survshap(function, ROW, BACKGROUND, permutations=7, exact_rows=exact_rows)
    whole = function(ROW[None, :])[0] - function(BACKGROUND).mean(axis=0)
    assert np.allclose(effects.sum(axis=0), whole, atol=1e-13)


def test_an_input_that_does_nothing_or_is_as_everybody_s_has_no_effect() -> None:
    row, background = ROW.copy(), BACKGROUND.copy()
    background[:, 1] = row[1]
    for exact_rows in (10**6, 0):
        effects = survshap(tree, row, background, exact_rows=exact_rows)
        assert np.all(effects[[1, 3, 4, 5]] == 0)
        assert np.all(effects[:, 2] == 0), "the third time is the same for everybody"


def test_the_seed_decides_and_nothing_else() -> None:
    first, again, other = (survshap(smooth, ROW, BACKGROUND, 20, seed, exact_rows=0) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("exact_rows", [10**6, 0], ids=["all coalitions", "sampled"])
def test_the_model_is_never_asked_for_many_rows_at_once(exact_rows: int) -> None:
    asked: list[int] = []

    def counting(rows: Float64) -> Float64:
        asked.append(len(rows))
        return linear(rows)

    survshap(counting, ROW, np.tile(BACKGROUND, (9, 1)), 500, exact_rows=exact_rows)
    assert sum(asked) > BATCH_ROWS
    assert max(asked) <= BATCH_ROWS


def test_missing_values_go_to_the_model_as_they_are() -> None:
    def imputing(rows: Float64) -> Float64:
        return linear(np.where(np.isnan(rows), 0.5, rows))

    row, filled = ROW.copy(), ROW.copy()
    row[2], filled[2] = np.nan, 0.5
    assert np.allclose(survshap(imputing, row, BACKGROUND), survshap(imputing, filled, BACKGROUND))


@pytest.mark.parametrize("inputs", [1, 2])
def test_few_inputs(inputs: int) -> None:
    def total(rows: Float64) -> Float64:
        return rows.sum(axis=1, keepdims=True)

    for exact_rows in (10**6, 0):
        effects = survshap(total, ROW[:inputs], BACKGROUND[:, :inputs], exact_rows=exact_rows)
        assert np.allclose(effects[:, 0], ROW[:inputs] - BACKGROUND[:, :inputs].mean(axis=0))


@pytest.mark.parametrize(
    ("row", "background"),
    [(ROW, BACKGROUND[:0]), (ROW, BACKGROUND[:, :5]), (ROW, BACKGROUND[0]), (ROW[:0], BACKGROUND[:, :0])],
)
def test_refuses_what_does_not_go_together(row: Float64, background: Float64) -> None:
    with pytest.raises(ValueError, match="cannot be explained"):
        survshap(linear, row, background)
