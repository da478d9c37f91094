"""Measures of a diagnosis against what can be counted by hand."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest

from functions.diagnosis.evaluate.binary import THRESHOLDS, Plan, curves, groups, headline
from functions.diagnosis.evaluate.intervals import bootstrap, delong, rounded, wilson
from functions.diagnosis.evaluate.metrics import (
    MEASURES,
    auprc,
    auroc,
    counts,
    ece,
    log_loss,
    measures,
    net_benefit,
    pr_curve,
    recalibration,
    roc_curve,
)
from functions.diagnosis.evaluate.nested import Resampling, _folds, miscalibration

LABELS = np.array([0, 0, 1, 1, 1])
SCORES = np.array([0.1, 0.6, 0.4, 0.6, 0.9])


def simulated(size: int, slope: float = 1.0, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from probabilities whose log odds are then stretched and shifted."""
    random = np.random.default_rng(11)
    odds = random.normal(0.3, 1.5, size)
    labels = (random.random(size) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    return labels, 1 / (1 + np.exp(-(slope * odds + shift)))


def test_auroc_counts_pairs_and_halves_of_ties() -> None:
    # (0.1: 3 of 3), (0.6: 0.9 above, 0.6 tied)
    assert auroc(LABELS, SCORES) == pytest.approx((3 + 1.5) / 6)
    assert math.isnan(auroc(np.ones(3, dtype=np.int64), np.arange(3.0)))


def test_auprc_is_average_precision() -> None:
    # thresholds 0.9: precision 1, recall 1/3; 0.6: 2/3, 2/3; 0.4: 3/4, 1
    assert auprc(LABELS, SCORES) == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert math.isnan(auprc(np.zeros(2, dtype=np.int64), np.arange(2.0)))
    recall, precision = pr_curve(LABELS, SCORES)
    np.testing.assert_allclose(recall, [1 / 3, 2 / 3, 1, 1])
    np.testing.assert_allclose(precision, [1, 2 / 3, 3 / 4, 3 / 5])


def test_roc_curve_encloses_the_auroc() -> None:
    x, y = roc_curve(LABELS, SCORES)
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(y, x) == pytest.approx(auroc(LABELS, SCORES))


def test_at_the_threshold_is_positive() -> None:
    assert counts(LABELS, SCORES, 0.6) == {
        "true_positive": 2,
        "false_positive": 1,
        "false_negative": 1,
        "true_negative": 1,
    }
    named = dict(zip(MEASURES, measures(LABELS, SCORES, 0.6), strict=True))
    assert named["sensitivity"] == pytest.approx(2 / 3)
    assert named["specificity"] == 0.5
    assert named["accuracy"] == pytest.approx(3 / 5)
    assert math.isnan(dict(zip(MEASURES, measures(LABELS, SCORES, 1.1), strict=True))["ppv"])


def test_errors_of_known_probabilities() -> None:
    labels, sure = np.array([1, 0]), np.array([0.8, 0.4])
    assert log_loss(labels, sure) == pytest.approx(-(math.log(0.8) + math.log(0.6)) / 2)
    assert math.isfinite(log_loss(labels, np.array([0.0, 1.0])))
    assert ece(labels, np.array([0.75, 0.25]), bins=2) == pytest.approx(0.25)


@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (2.0, 0.0), (1.0, 0.7)])
def test_recalibration_finds_what_was_done(slope: float, shift: float) -> None:
    labels, probabilities = simulated(20000, slope, shift)
    found, intercept = recalibration(labels, probabilities)
    assert found == pytest.approx(1 / slope, abs=0.03)
    if slope == 1.0:
        assert intercept == pytest.approx(-shift, abs=0.05)


def test_recalibration_of_separate_classes_is_not_a_number() -> None:
    slope, _ = recalibration(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.8, 0.9]))
    assert math.isnan(slope)
    assert all(map(math.isnan, recalibration(np.ones(3, dtype=np.int64), np.full(3, 0.5))))


def test_net_benefit_of_calling_everyone() -> None:
    np.testing.assert_allclose(net_benefit(LABELS, np.ones(5), [0.2, 0.5]), [0.6 - 0.4 * 0.25, 0.6 - 0.4])


def test_wilson_holds_the_share_and_stays_within_bounds() -> None:
    assert wilson(8, 10) == pytest.approx((0.8, 0.490162, 0.943318), abs=1e-6)
    assert wilson(10, 10)[2] == pytest.approx(1.0)
    assert all(map(math.isnan, wilson(0, 0)))


def test_delong_agrees_with_the_bootstrap() -> None:
    labels, probabilities = simulated(400)
    value, low, high = delong(labels, probabilities)
    assert value == pytest.approx(auroc(labels, probabilities))

    def area(truth: np.ndarray, given: np.ndarray) -> np.ndarray:
        return np.array([auroc(truth, given)])

    _, drawn_low, drawn_high = bootstrap(area, labels, [probabilities], 2000, 1)
    assert low == pytest.approx(drawn_low[0], abs=0.006)
    assert high == pytest.approx(drawn_high[0], abs=0.006)


def test_delong_of_a_perfect_order_has_no_interval() -> None:
    value, low, high = delong(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.3, 0.4]))
    assert (value, math.isnan(low), math.isnan(high)) == (1.0, True, True)


def test_bootstrap_is_the_same_again_and_averages_repeats() -> None:
    labels, probabilities = simulated(100)
    measure = partial(measures, threshold=0.5)
    first = bootstrap(measure, labels, [probabilities], 20, 5)
    again = bootstrap(measure, labels, [probabilities, probabilities], 20, 5)
    for one, two in zip(first, again, strict=True):
        np.testing.assert_allclose(one, two)


def test_headline_of_one_vector_has_the_four_cells() -> None:
    labels, probabilities = simulated(200)
    found = headline(labels, [probabilities], 0.5, Plan(replicates=20))
    assert set(MEASURES) <= set(found)
    assert sum(found["counts"].values()) == 200
    for name in ("auroc", "sensitivity", "specificity", "accuracy", "brier"):
        assert found[name]["low"] <= found[name]["value"] <= found[name]["high"], name
    assert "counts" not in headline(labels, [probabilities] * 2, 0.5, Plan(replicates=20))


def test_curves_and_groups_are_json_and_in_order() -> None:
    labels, probabilities = simulated(200)
    found = curves(labels, [probabilities], Plan(replicates=20))
    assert found["roc"]["sensitivity"] == sorted(found["roc"]["sensitivity"])
    assert len(found["net_benefit"]["model"]["value"]) == len(THRESHOLDS)
    parts = groups(labels, [probabilities])
    assert sum(part["people"] for part in parts) == 200
    assert [part["predicted"] for part in parts] == sorted(part["predicted"] for part in parts)


def test_what_is_no_number_is_null() -> None:
    assert rounded(math.nan) is None
    assert rounded(0.1234567) == 0.12346


def test_folds_share_nobody_and_spread_every_class() -> None:
    labels = np.repeat([0, 1, 2], [50, 11, 9])
    folds = _folds(labels, 10, 3)
    assert np.array_equal(np.sort(np.concatenate([test for _, test in folds])), np.arange(70))
    for train, test in folds:
        assert not set(train) & set(test)
        assert len(test) == 7
        assert set(np.bincount(labels[test], minlength=3)) <= {5, 1, 0, 2}
    assert Resampling().folds == 10


def test_miscalibration_is_nothing_for_the_truth_and_something_for_overconfidence() -> None:
    random = np.random.default_rng(2)
    scores = random.normal(0, 1.5, (6000, 3))
    truth = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    labels = np.array([random.choice(3, p=row) for row in truth])
    saved, slope = miscalibration(labels, truth)
    assert 0 <= saved < 0.001
    assert slope == pytest.approx(1.0, abs=0.05)
    bold = truth**3 / (truth**3).sum(axis=1, keepdims=True)
    saved, slope = miscalibration(labels, bold)
    assert saved > 0.05
    assert slope == pytest.approx(1 / 3, abs=0.03)
