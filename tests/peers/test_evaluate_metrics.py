"""Our measures for competing risks, where nothing competes, against scikit-survival's; observed risks always."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from functions.survival.data import FloatArray
from functions.survival.evaluate import ipcw
from functions.survival.evaluate.calibration import calibration_summary
from functions.survival.evaluate.intervals import Sample
from functions.survival.evaluate.ipcw import Known
from functions.survival.evaluate.metrics import auc_at, brier_at, headline, subgroup
from functions.survival.evaluate.nonparametric import at_times, censoring_survival, incidence, incidence_at
from tests.peering import require_peer

pytestmark = pytest.mark.peer("scikit-survival")

TIMES = np.array([2.0, 5.0, 9.0, 14.0, 20.0])


@pytest.fixture(autouse=True)
def _library() -> None:
    require_peer("scikit-survival", "sksurv")


def sample(seed: int, *, competes: bool, patients: int = 150) -> Sample:
    """Whole days, so that events, losses and risks are often tied."""
    random = np.random.default_rng(seed)
    score = np.round(random.normal(size=patients), 1)
    happens = np.ceil(random.exponential(12 * np.exp(-score)))
    other = np.ceil(random.exponential(25, patients)) if competes else np.full(patients, np.inf)
    lost = np.ceil(random.uniform(0, 40, patients))
    # The library wants the last patient to be lost alone.
    happens[0], other[0], lost[0] = np.inf, np.inf, 50
    time = np.minimum(np.minimum(happens, other), lost)
    event = happens <= np.minimum(other, lost)
    competing = (other < happens) & (other <= lost)
    survival = np.exp(-np.outer(np.exp(score), TIMES / 14))
    return Sample(np.arange(patients), event, competing, time, TIMES, survival, competes)


def structured(one: Sample) -> Any:
    from sksurv.util import Surv

    return Surv.from_arrays(one.event, one.time)


def mean_risk(one: Sample) -> FloatArray:
    return np.asarray(1 - one.survival.mean(axis=1))


@pytest.mark.parametrize("seed", range(5))
def test_measures_reduce_to_the_librarys(seed: int) -> None:
    from sksurv.metrics import brier_score, concordance_index_censored, concordance_index_ipcw, cumulative_dynamic_auc
    from sksurv.metrics import integrated_brier_score as integrated_brier

    one = sample(seed, competes=False)
    known, truth, risk = one.known, structured(one), 1 - one.survival
    scores = ipcw.brier(known, risk, TIMES)
    np.testing.assert_allclose(scores, brier_score(truth, truth, one.survival, TIMES)[1], rtol=1e-12)
    assert ipcw.integrated(scores, TIMES) == pytest.approx(integrated_brier(truth, truth, one.survival, TIMES))
    aucs = ipcw.auc(known, risk, TIMES)
    each, mean = cumulative_dynamic_auc(truth, truth, risk, TIMES)
    np.testing.assert_allclose(aucs, each, rtol=1e-12)
    assert ipcw.mean_auc(known, aucs, TIMES) == pytest.approx(mean)
    uno = concordance_index_ipcw(truth, truth, mean_risk(one), tau=TIMES[-1])[0]
    assert ipcw.concordance(known, mean_risk(one), TIMES[-1]) == pytest.approx(uno)
    harrell = concordance_index_censored(one.event, one.time, mean_risk(one))[0]
    assert ipcw.concordance(known, mean_risk(one), weighted=False) == pytest.approx(harrell)


@pytest.mark.parametrize("seed", range(5))
def test_the_two_ways_agree_where_nothing_competes(seed: int) -> None:
    """The same sample, once through scikit-survival and once through the measures for competing risks."""
    one = sample(seed, competes=False)
    other = Sample(one.rows, one.event, one.competing, one.time, one.times, one.survival, competes=True)
    members = np.arange(len(one.time)) % 3 > 0
    for metric in (headline, brier_at(TIMES), auc_at(TIMES), subgroup(members, TIMES)):
        np.testing.assert_allclose(metric(one), metric(other), rtol=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_observed_risks_are_the_librarys(seed: int) -> None:
    from sksurv.nonparametric import (
        CensoringDistributionEstimator,
        cumulative_incidence_competing_risks,
        kaplan_meier_estimator,
    )

    one = sample(seed, competes=True)
    times, (_any, ours, _other) = cumulative_incidence_competing_risks(one.event + 2 * one.competing, one.time)
    np.testing.assert_allclose(incidence(one.event, one.competing, one.time)[1], ours, rtol=1e-12)
    nobody = np.zeros(len(one.time), dtype=np.bool_)
    times, curve = kaplan_meier_estimator(one.event, one.time)
    np.testing.assert_allclose(incidence_at(one.event, nobody, one.time, times), 1 - curve, atol=1e-12)
    left = CensoringDistributionEstimator().fit(structured(one)).predict_proba(TIMES)
    steps, values = censoring_survival(one.event, one.time)
    np.testing.assert_allclose(at_times(steps, values, TIMES, 1.0), left, rtol=1e-12)


def test_a_loss_is_replaced_by_its_like() -> None:
    """Weighted measures of the censored sample come near those of the whole one, which counting alone does not."""
    random = np.random.default_rng(1)
    patients = 20_000
    score = random.normal(size=patients)
    happens, other = random.exponential(12 * np.exp(-score)), random.exponential(25, patients)
    lost = random.uniform(0, 30, patients)
    risk = (1 - np.exp(-np.exp(score)))[:, None]
    whole = Known(happens <= other, other < happens, np.minimum(happens, other))
    seen = np.minimum(whole.time, lost)
    part = Known(whole.event & (seen == whole.time), whole.competing & (seen == whole.time), seen)
    at = np.array([9.0])
    assert ipcw.brier(part, risk, at)[0] == pytest.approx(ipcw.brier(whole, risk, at)[0], abs=0.004)
    assert ipcw.auc(part, risk, at)[0] == pytest.approx(ipcw.auc(whole, risk, at)[0], abs=0.008)


def test_outside_the_follow_up_there_is_no_number() -> None:
    one = sample(0, competes=False)
    late = np.array([5.0, 1000.0])
    wide = Sample(one.rows, one.event, one.competing, one.time, late, one.survival[:, :2])
    assert np.isnan(brier_at(late)(wide)).tolist() == [False, True]
    assert np.isnan(auc_at(late)(wide)).tolist() == [False, True, False]
    nobody = Sample(one.rows, ~one.event & one.event, one.competing, one.time, TIMES, one.survival)
    assert np.isnan(headline(nobody)).tolist() == [True, True, False]


def test_a_last_loss_that_ties_with_an_event_costs_no_auc() -> None:
    """The library refuses such a sample, though that event is after the time asked about."""
    one = sample(0, competes=False)
    event, time = one.event.copy(), one.time.copy()
    event[1], time[1] = True, 50.0
    tied = Sample(one.rows, event, one.competing, time, TIMES, one.survival)
    found = auc_at(TIMES)(tied)
    np.testing.assert_allclose(found[:-1], ipcw.auc(tied.known, 1 - tied.survival, TIMES))


def test_calibration_slope_is_near_that_of_a_cox_model() -> None:
    """Proportional hazards, risks too narrow: a Cox model of their log cumulative hazard estimates the same slope."""
    from sksurv.linear_model import CoxPHSurvivalAnalysis
    from sksurv.util import Surv

    random = np.random.default_rng(6)
    score = random.normal(size=4000)
    happens, lost = random.exponential(12 * np.exp(-score)), random.uniform(0, 40, 4000)
    event, time = happens <= lost, np.minimum(happens, lost)
    survival = np.exp(-np.exp(0.7 * score[:, None]) * TIMES / 12)
    ours = calibration_summary(9.0)(Sample(np.arange(4000), event, event & ~event, time, TIMES, survival))[1]
    within = Surv.from_arrays(event & (time <= 9), np.minimum(time, 9.0))
    cox = CoxPHSurvivalAnalysis().fit(0.7 * score[:, None], within).coef_[0]
    assert ours == pytest.approx(1 / 0.7, abs=0.08)
    assert ours == pytest.approx(cox, abs=0.06)
