"""D-calibration against numbers worked out by hand and a table of chi-square."""

from __future__ import annotations

import numpy as np
import pytest

from functions.survival.data import FloatArray
from functions.survival.evaluate.dcalibration import chi_square_tail, d_calibration, expected_bins


def test_an_event_counts_in_the_bin_of_its_survival() -> None:
    everyone = np.ones(4, dtype=np.bool_)
    found = expected_bins(np.array([0.0, 0.25, 0.5, 1.0]), everyone, bins=2)
    np.testing.assert_array_equal(found, [2, 2])


def test_a_censored_patient_is_spread_below_its_survival() -> None:
    """u = 0.75, two bins: (0.75 - 0.5) / 0.75 stays in the upper, 0.5 / 0.75 goes to the lower."""
    found = expected_bins(np.array([0.75]), np.array([False]), bins=2)
    np.testing.assert_allclose(found, [2 / 3, 1 / 3])


def test_a_censored_patient_of_the_lowest_bin_stays_there() -> None:
    np.testing.assert_allclose(expected_bins(np.array([0.05, 0.0]), np.array([False, False])), [2] + [0] * 9)


def test_a_patient_lost_at_once_is_in_every_bin_alike() -> None:
    np.testing.assert_allclose(expected_bins(np.array([1.0]), np.array([False])), np.full(10, 0.1))


def test_bins_hold_every_patient_once() -> None:
    random = np.random.default_rng(3)
    found = expected_bins(random.random(200), random.random(200) < 0.4)
    assert found.sum() == pytest.approx(200)


def test_statistic_is_pearsons() -> None:
    found = d_calibration(np.array([3.0, 1.0]))
    assert found.statistic == pytest.approx(1.0)
    assert found.p_value == pytest.approx(0.31731, abs=1e-5)
    assert d_calibration(np.full(10, 7.0)).p_value == 1.0


@pytest.mark.parametrize(
    ("freedom", "critical", "tail"),
    [
        (1, 3.8415, 0.05),
        (2, 5.9915, 0.05),
        (4, 13.2767, 0.01),
        (9, 16.919, 0.05),
        (9, 21.666, 0.01),
        (10, 18.307, 0.05),
    ],
)
def test_tail_is_the_tables(freedom: int, critical: float, tail: float) -> None:
    assert chi_square_tail(critical, freedom) == pytest.approx(tail, abs=2e-6)


def p_values(scale: float, patients: int = 500, times: int = 100) -> FloatArray:
    """Exponential times, a third of them censored, against a model that has the hazard ``scale`` times."""
    random = np.random.default_rng(11)
    found = []
    for _ in range(times):
        happens, lost = random.exponential(1.0, patients), random.exponential(2.0, patients)
        survival = np.exp(-scale * np.minimum(happens, lost))
        found.append(d_calibration(expected_bins(survival, happens <= lost)).p_value)
    return np.array(found)


def test_a_true_model_is_rarely_refused_and_a_wrong_one_always() -> None:
    assert np.mean(p_values(1.0) < 0.05) <= 0.08
    assert p_values(1.0).mean() > 0.45
    assert np.all(p_values(1.6, times=20) < 0.001)
