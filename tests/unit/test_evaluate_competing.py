"""Observed risks and weighted measures against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from functions.survival.evaluate import ipcw
from functions.survival.evaluate.ipcw import Known
from functions.survival.evaluate.nonparametric import (
    at_times,
    censoring_survival,
    incidence,
    incidence_at,
    survival_of_any,
)

# Four patients: the outcome at 1, lost at 2, the competing event at 3, the outcome at 4.
EVENT = np.array([True, False, False, True])
COMPETING = np.array([False, False, True, False])
TIME = np.array([1.0, 2.0, 3.0, 4.0])
KNOWN = Known(EVENT, COMPETING, TIME)
RISK = np.array([0.5, 0.5, 0.2, 0.4])


def test_incidence_shares_out_what_leaves() -> None:
    """1/4 at 1; at 3 the free fall from 3/4 to 3/8 to the other event; at 4 those 3/8 have the outcome."""
    times, curve = incidence(EVENT, COMPETING, TIME)
    np.testing.assert_array_equal(times, TIME)
    np.testing.assert_allclose(curve, [0.25, 0.25, 0.25, 0.625], rtol=0, atol=1e-15)


def test_incidence_without_competing_events_is_one_minus_kaplan_meier() -> None:
    nobody = np.zeros(4, dtype=np.bool_)
    # (1 - 1/4) at 1, (1 - 1/1) at 4
    np.testing.assert_allclose(incidence_at(EVENT, nobody, TIME, np.array([0.5, 1, 3.9, 4])), [0, 0.25, 0.25, 1])
    np.testing.assert_allclose(survival_of_any(KNOWN.any_event, TIME, np.array([0.5, 2, 3])), [1, 0.75, 0.375])


def test_nobody_has_no_observed_risk() -> None:
    assert np.isnan(incidence_at(EVENT[:0], COMPETING[:0], TIME[:0], np.array([1.0]))).all()


def test_censoring_counts_those_still_watched() -> None:
    """One of three is lost at 2."""
    _times, left = censoring_survival(KNOWN.any_event, TIME)
    np.testing.assert_allclose(left, [1, 2 / 3, 2 / 3, 2 / 3])


def test_at_a_tie_the_event_comes_before_the_loss() -> None:
    """Of two at 1 one has the event, so the loss is of one."""
    _times, left = censoring_survival(np.array([True, False, True]), np.array([1.0, 1.0, 2.0]))
    np.testing.assert_allclose(left, [0.5, 0.5])


def test_a_step_function_holds_from_its_step_on() -> None:
    values = np.array([[0.9, 0.5], [0.8, 0.1]])
    read = at_times(np.array([1.0, 2.0]), values, np.array([0.9, 1.0, 1.9, 5.0]), 1.0)
    np.testing.assert_array_equal(read, [[1.0, 0.9, 0.9, 0.5], [1.0, 0.8, 0.8, 0.1]])


def test_weights_stand_in_for_the_lost() -> None:
    found = ipcw.weights(KNOWN, np.array([2.5, 3.5]))
    np.testing.assert_allclose(found, [[1, 1], [0, 0], [1.5, 1.5], [1.5, 1.5]])
    np.testing.assert_allclose(found.sum(axis=0), 4.0)


def test_brier_counts_a_competing_event_as_free_of_the_outcome() -> None:
    found = ipcw.brier(KNOWN, np.tile(RISK[:, None], 2), np.array([2.5, 4.0]))
    # at 2.5: (1 * 0.5^2 + 1.5 * 0.2^2 + 1.5 * 0.4^2) / 4; at 4 the last patient has the outcome
    np.testing.assert_allclose(found, [0.1375, (0.25 + 1.5 * 0.04 + 1.5 * 0.36) / 4])


def test_integrated_score_is_the_mean_over_time() -> None:
    assert ipcw.integrated(np.array([0.0, 0.2, 0.2]), np.array([0.0, 1.0, 3.0])) == pytest.approx((0.1 + 0.4) / 3)
    assert np.isnan(ipcw.integrated(np.array([0.1]), np.array([1.0])))


def test_auc_ranks_cases_against_the_free_and_the_competing() -> None:
    risk = np.array([0.4, 0.5, 0.2, 0.4])[:, None]
    # the case ties with one control of weight 1.5 and beats the other
    assert ipcw.auc(KNOWN, risk, np.array([3.5]))[0] == pytest.approx(0.75)
    assert np.isnan(ipcw.auc(KNOWN, risk, np.array([0.5]))[0]), "no case yet"


def test_mean_auc_weighs_by_the_rise_of_the_incidence() -> None:
    found = ipcw.mean_auc(KNOWN, np.array([0.8, 0.5]), np.array([1.0, 4.0]))
    assert found == pytest.approx((0.25 * 0.8 + 0.375 * 0.5) / 0.625)


def test_concordance_puts_the_outcome_before_any_competing_event() -> None:
    """Patient 1 against 2 (tied), 3, 4; patient 4 against 3, whose outcome never comes, of weight 1.5 x 1.5."""
    assert ipcw.concordance(KNOWN, RISK, weighted=False) == pytest.approx(3.5 / 4)
    assert ipcw.concordance(KNOWN, RISK) == pytest.approx((0.5 + 1 + 1 + 2.25) / (3 + 2.25))
    assert ipcw.concordance(KNOWN, RISK, tau=4.0) == pytest.approx(2.5 / 3), "the outcome at 4 is not counted"
    assert np.isnan(ipcw.concordance(KNOWN, RISK, tau=0.5))


def test_concordance_of_a_part_takes_its_weights_from_everyone() -> None:
    part = Known(EVENT[[0, 3]], COMPETING[[0, 3]], TIME[[0, 3]])
    assert ipcw.concordance(part, RISK[[0, 3]], among=KNOWN) == 1.0
