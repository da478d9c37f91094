"""Calibration and intervals where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from functions.survival.data import BoolArray, FloatArray
from functions.survival.evaluate.calibration import (
    binomial_regression,
    calibration_groups,
    calibration_summary,
    curves_by_risk,
)
from functions.survival.evaluate.heldout import HeldOut, Plan
from functions.survival.evaluate.intervals import Estimate, Sample, combine, estimate, mean_known, point
from functions.survival.evaluate.metrics import net_benefit, observed_risk, subgroup


def sample(event: BoolArray, competing: BoolArray, time: FloatArray, risk: FloatArray) -> Sample:
    """Patients with one predicted risk at 10 days and half of it at 5."""
    curves = np.column_stack([1 - risk / 2, 1 - risk])
    return Sample(np.arange(len(time)), event, competing, time, np.array([5.0, 10.0]), curves, competes=True)


def known_model(patients: int, scale: float) -> Sample:
    """Cumulative incidence 1 - exp(-exp(score)) at 10 days, complete follow-up, the rest compete at 10 days."""
    random = np.random.default_rng(8)
    score = random.normal(-1.0, 1.0, patients)
    event = random.random(patients) < 1 - np.exp(-np.exp(score))
    time = np.where(event, random.uniform(1, 9, patients), 10.0)
    return sample(event, ~event, time, 1 - np.exp(-np.exp(scale * score)))


def test_regression_finds_the_groups_own_shares() -> None:
    """2 of 4 and 3 of 4: -log(1 - 3/4) is twice -log(1 - 1/2)."""
    x = np.repeat([0.0, 1.0], 4)[:, None]
    happened = np.array([1, 1, 0, 0, 1, 1, 1, 0], dtype=np.bool_)
    intercept, (coefficient,) = binomial_regression(x, happened, np.ones(8))
    assert intercept == pytest.approx(np.log(np.log(2)), abs=1e-6)
    assert coefficient == pytest.approx(np.log(2), abs=1e-6)


def test_regression_weighs() -> None:
    """One that counts twice makes 1 of 3 into 2 of 4."""
    x = np.array([[0.0], [0.0], [0.0], [1.0], [1.0]])
    happened = np.array([True, False, False, True, False])
    intercept, _coefficients = binomial_regression(x, happened, np.array([2.0, 1.0, 1.0, 1.0, 1.0]))
    assert intercept == pytest.approx(np.log(np.log(2)), abs=1e-6)


@pytest.mark.parametrize(
    ("x", "happened"), [([0.0, 1.0], [True, True]), ([0.0, 1.0], [False, False]), ([1.0, 1.0], [True, False])]
)
def test_regression_on_nothing_is_refused(x: list[float], happened: list[bool]) -> None:
    with pytest.raises(ValueError, match="both outcomes"):
        binomial_regression(np.array(x)[:, None], np.array(happened), np.ones(2))


def test_regression_survives_few_events_and_far_risks() -> None:
    """Twelve events in 400, risks over five powers of ten: a full step from the start overshoots."""
    random = np.random.default_rng(13)
    score = np.sort(random.normal(-6, 3, 400))
    happened = np.zeros(400, dtype=np.bool_)
    happened[[40, 200, *range(390, 400)]] = True
    risk = np.clip(1 - np.exp(-np.exp(score)), 1e-6, 1 - 1e-6)
    found = calibration_summary(10.0)(sample(happened, ~happened, np.where(happened, 4.0, 10.0), risk))
    assert np.isfinite(found).all()


def test_a_true_model_has_slope_one_and_small_errors() -> None:
    ratio, slope, ici, e50, e90 = calibration_summary(10.0)(known_model(20_000, 1.0))
    assert ratio == pytest.approx(1, abs=0.06)
    assert slope == pytest.approx(1, abs=0.06)
    assert max(ici, e50) < 0.02
    assert e90 < 0.04


def test_too_extreme_risks_have_a_slope_below_one() -> None:
    found = calibration_summary(10.0, (0.2, 0.5))(known_model(20_000, 2.0))
    assert found[1] == pytest.approx(0.5, abs=0.05)
    assert found[2] > 0.05
    assert found.shape == (7,)
    assert found[5] < found[6]


def test_nothing_happened_is_no_number() -> None:
    quiet = known_model(50, 1.0).where(np.zeros(50, dtype=np.bool_))
    nobody = np.zeros(20, dtype=np.bool_)
    still = sample(nobody, nobody, np.full(20, 12.0), np.linspace(0.1, 0.5, 20))
    assert np.isnan(observed_risk(quiet, 10.0))
    found = calibration_summary(10.0)(still)
    assert found[0] == 0
    assert np.isnan(found[1:]).all()


def test_groups_are_of_equal_size_in_order_of_risk() -> None:
    event = np.array([False, False, True, True])
    time = np.array([10.0, 10.0, 3.0, 4.0])
    four = sample(event, ~event, time, np.array([0.1, 0.2, 0.6, 0.8]))
    np.testing.assert_allclose(calibration_groups(2, 10.0)(four), [0.15, 0.7, 0.0, 1.0])
    curves = curves_by_risk(2, np.array([5.0, 10.0]))(four)
    np.testing.assert_allclose(curves, [0.925, 0.85, 0.65, 0.3, 1.0, 1.0, 0.0, 0.0])


def test_net_benefit_weighs_false_alarms_by_the_odds() -> None:
    """At 0.5 two are flagged, one rightly: 1/4 - 1/4 x 1; acting on all: 1/4 - 3/4 x 1."""
    event = np.array([False, False, False, True])
    four = sample(event, ~event, np.array([10.0, 10.0, 10.0, 4.0]), np.array([0.1, 0.2, 0.6, 0.8]))
    np.testing.assert_allclose(net_benefit([0.5], 10.0)(four), [0.0, -0.5])
    # at 0.7 only the one who had it; at 0.9 nobody
    np.testing.assert_allclose(net_benefit([0.7, 0.9], 10.0)(four)[:2], [0.25, 0.0])


def test_subgroups_know_their_members_in_a_resample() -> None:
    event = np.array([True, False, True, False])
    four = sample(event, ~event, np.array([2.0, 9.0, 3.0, 9.0]), np.array([0.8, 0.4, 0.6, 0.2]))
    again = Sample(
        np.array([2, 3]), event[[2, 3]], ~event[[2, 3]], four.time[[2, 3]], four.times, four.survival[[2, 3]], True
    )
    found = subgroup(np.array([False, False, True, True]), (10.0,))(again)
    assert found[0] == 1.0
    np.testing.assert_allclose(found[2:], [0.4, 0.5, 1.25])
    assert np.isnan(subgroup(np.zeros(4, dtype=np.bool_), (10.0,))(again)).all()


def held(values: FloatArray) -> HeldOut:
    """Two repeats of predictions at 10 days."""
    nobody = np.zeros(values.shape[1], dtype=np.bool_)
    rows = np.arange(values.shape[1])
    return HeldOut(rows, nobody, nobody, np.ones(len(rows)), np.array([10.0]), values[:, :, None], values, ({},))


def mean_survival(one: Sample) -> FloatArray:
    return np.array([one.survival.mean(), np.nan])


def test_estimate_is_the_mean_over_repeats_with_a_bootstrap_interval() -> None:
    values = np.tile(np.random.default_rng(4).random(400), (2, 1))
    found = estimate(mean_survival, held(values), Plan(replicates=400))
    assert found.value[0] == pytest.approx(values.mean())
    # sd of a mean of 400 uniform draws: sqrt(1/12/400)
    assert found.high[0] - found.low[0] == pytest.approx(2 * 1.96 * np.sqrt(1 / 12 / 400), rel=0.2)
    assert np.isnan([found.value[1], found.low[1], found.high[1]]).all()
    np.testing.assert_allclose(point(mean_survival, held(values))[0], values.mean())


def test_an_interval_needs_half_of_the_resamples() -> None:
    draws = np.array([[1.0, 1.0], [2.0, np.nan], [3.0, np.nan], [4.0, np.nan]])
    flat = Estimate(np.array([2.0, 1.0]), np.zeros(2), np.ones(2), draws)
    found = combine(lambda first, second: first - second / 2, flat, flat)
    np.testing.assert_allclose(found.value, [1.0, 0.5])
    assert found.low[0] < found.high[0]
    assert np.isnan([found.low[1], found.high[1]]).all()


def test_mean_of_what_is_known() -> None:
    found = mean_known(np.array([[1.0, np.nan], [3.0, np.nan]]))
    assert found[0] == 2.0
    assert np.isnan(found[1])


def test_a_horizon_off_the_curve_is_refused() -> None:
    with pytest.raises(ValueError, match="no prediction at 7 d"):
        known_model(20, 1.0).risk(7.0)
    with pytest.raises(ValueError, match="no prediction at 11 d"):
        known_model(20, 1.0).risk(11.0)
