"""The survival benchmark with scikit-survival: its learner, its scores, and the command."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from functions.survival.data import SurvivalTable
from tests.peering import require_peer

pytestmark = pytest.mark.peer("scikit-survival")


@pytest.fixture(autouse=True)
def libraries() -> None:
    require_peer("scikit-survival", "sksurv")


def cohort(rows: int, seed: int) -> SurvivalTable:
    """Risk rises with the distance of the first input from 0, and with the second only where the third is 1."""
    random = np.random.default_rng(seed)
    x = np.column_stack([random.normal(size=(rows, 2)), random.integers(0, 2, rows), random.normal(size=rows)])
    time = random.exponential(300 * np.exp(-1.2 * np.abs(x[:, 0]) - x[:, 1] * x[:, 2]))
    end = random.uniform(100, 900, rows)
    x[random.random((rows, 4)) < 0.05] = np.nan
    return SurvivalTable(("a", "b", "c", "noise"), x, time <= end, np.maximum(np.minimum(time, end), 0.5))


def command(*words: str) -> int:
    from infra.cli import benchmark_survival

    parser = argparse.ArgumentParser()
    benchmark_survival.configure(parser)
    return benchmark_survival.run(parser.parse_args(words))


@pytest.mark.parametrize("alpha", [0.5, 20.0])
def test_the_ridge_is_scikit_survivals(alpha: float) -> None:
    from sksurv.linear_model import CoxPHSurvivalAnalysis

    from functions.survival.benchmark.basis import fit_kernel
    from functions.survival.benchmark.members import structured
    from functions.survival.benchmark.ridge import fit_ridge

    table = cohort(300, 1)
    # Whole days, so that there are ties.
    time = np.ceil(table.time / 10)
    x = np.nan_to_num(table.x)
    features = fit_kernel(x, 1.0, 40, 0)(x)
    ours = fit_ridge(features, table.event, time, alpha)
    peer = CoxPHSurvivalAnalysis(alpha=alpha, tol=1e-12).fit(features, structured(table.event, time))
    known = np.unique(time)
    theirs = np.array([curve(known) for curve in peer.predict_survival_function(features)])
    assert ours.coefficients == pytest.approx(peer.coef_, abs=1e-5)
    assert ours.survival(features, known) == pytest.approx(theirs, abs=1e-6)


def test_a_forest_on_rounded_times_is_the_library_s_at_those_times() -> None:
    from functions.survival.benchmark.members import FOREST

    table = cohort(200, 2)
    fitted: Any = FOREST.fit(table, {"trees": 10.0, "min_samples_leaf": 5.0}, 0)
    known = fitted.estimator.unique_times_
    x = np.where(np.isnan(table.x), fitted.stand_in, table.x)
    theirs = fitted.estimator.predict_survival_function(x, return_array=True)
    assert fitted.survival(table.x, known) == pytest.approx(theirs)
    between = fitted.survival(table.x, (known[:-1] + known[1:]) / 2)
    assert between == pytest.approx((theirs[:, :-1] + theirs[:, 1:]) / 2)


def test_the_stack_finds_what_a_linear_model_cannot() -> None:
    from functions.survival.benchmark.run import Effort, learners
    from functions.survival.benchmark.scores import score
    from functions.survival.benchmark.stack import instants

    train, test = cohort(500, 3), cohort(500, 4)
    fitted, weights = learners(train, Effort(quick=True), 0)
    scores = {name: score(model, train, test, instants(train)) for name, model in fitted.items()}
    assert scores["stack"]["harrell_c"] > scores["cox"]["harrell_c"] + 0.05
    assert scores["stack"]["integrated_brier_score"] < scores["cox"]["integrated_brier_score"] - 0.01
    assert sum(weights.values()) == pytest.approx(1.0)
    assert sum(scores["stack"]["bins"]) == pytest.approx(500)


def test_weights_are_the_exact_minimum() -> None:
    from functions.survival.benchmark.stack import _simplex
    from functions.survival.evaluate.stacking import simplex_minimum

    random = np.random.default_rng(5)
    for _ in range(20):
        curves = random.random((4, 60))
        quadratic = curves @ curves.T / 60
        linear = curves @ (random.random(60) < 0.5) / 60
        exact = simplex_minimum(quadratic, linear)
        # Shares below one percent are left out.
        assert _simplex(quadratic, linear) == pytest.approx(exact, abs=0.02)


def test_the_interval_allows_for_overlapping_training_sets() -> None:
    from functions.survival.benchmark.scores import corrected_interval

    # Mean 0.7, variance 0.00025 (five values), times 1/5 + 1/4; t(0.975, 4) = 2.7764.
    found = corrected_interval([0.68, 0.69, 0.70, 0.71, 0.72], 0.25)
    reach = 2.776445 * np.sqrt(0.45 * 0.00025)
    assert found == pytest.approx({"value": 0.7, "low": 0.7 - reach, "high": 0.7 + reach})


def test_scores_are_the_library_s() -> None:
    from sksurv.metrics import concordance_index_censored

    from functions.survival.benchmark.members import COX
    from functions.survival.benchmark.scores import score
    from functions.survival.benchmark.stack import instants

    train, test = cohort(300, 6), cohort(100, 7)
    cox: Any = COX.fit(train, {"alpha": 1.0}, 0)
    found = score(cox, train, test, instants(train))
    order = cox.equation.risk_score(cox.basis(np.where(np.isnan(test.x), cox.stand_in, test.x)))
    assert found["harrell_c"] == pytest.approx(concordance_index_censored(test.event, test.time, order)[0])


def test_a_test_row_may_outlive_the_training_rows() -> None:
    from functions.survival.benchmark.members import COX
    from functions.survival.benchmark.scores import METRICS, score
    from functions.survival.benchmark.stack import instants

    train, test = cohort(300, 8), cohort(100, 9)
    # All others end early, so that the last times to judge at lie between them and the one who outlives everybody.
    early = np.minimum(test.time, 60.0)
    early[0] = 10 * train.time.max()
    longer = SurvivalTable(test.names, test.x, test.event, early)
    found = score(COX.fit(train, {"alpha": 1.0}, 0), train, longer, instants(train))
    assert all(0 < found[metric] < 1 for metric in METRICS)


def test_a_quick_run_writes_all_and_is_the_same_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = []
    for turn in ("one", "two"):
        out = tmp_path / turn / "survival.json"
        assert command("--quick", "--only", "veteran", "--jobs", "1", "--out", str(out)) == 0
        files.append(out)
    assert files[0].read_bytes() == files[1].read_bytes()
    found = json.loads(files[0].read_text(encoding="utf-8"))
    assert found["tables"]["veteran"]["rows"] == 137
    assert list(found["tables"]["veteran"]["learners"]) == [
        "cox",
        "random_survival_forest",
        "gradient_boosting",
        "stack",
    ]
    assert found["software"]["scikit-survival"]
    assert files[0].with_suffix(".svg").read_bytes() == files[1].with_suffix(".svg").read_bytes()
    assert files[0].with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr()
    assert files[0].with_suffix(".md").read_text(encoding="utf-8") in printed.out
    assert "veteran: fold 1 of 10" in printed.err


def test_a_package_is_trained_anew(tmp_path: Path) -> None:
    out = tmp_path / "survival.json"
    assert command("--quick", "--only", "whas500", "--jobs", "1", "--out", str(out)) == 0
    package = json.loads(out.read_text(encoding="utf-8"))["packages"]["whas500"]
    assert len(package["rebuilt_sha256"]) == 64
    assert package["same"] is None
    assert 0.6 < package["performance"]["uno_c"]["value"] < 0.9


def test_absent_tables_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from functions.survival.benchmark.run import run

    monkeypatch.setenv("BEDSIDE_DATA", str(tmp_path))
    found = run(["gbsg"], quick=True)
    assert found["tables"] == {}
    assert "BEDSIDE_DATA" in found["skipped"]["gbsg"]


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--only", "titanic") == 2
    assert "there are:" in capsys.readouterr().err


def test_the_given_folds_are_used(tmp_path: Path) -> None:
    from functions.survival.benchmark.sources import data_folder, given

    if not (data_folder() / "whas_folds.csv").is_file():
        pytest.skip("the tables with given folds are not here ($BEDSIDE_DATA)")
    table, splits = given("whas").load()
    assert (len(table), len(splits)) == (481, 5)
    assert sorted(np.concatenate([test for _train, test in splits]).tolist()) == list(range(481))
    assert all(not set(train) & set(test) for train, test in splits)
    out = tmp_path / "survival.json"
    assert command("--quick", "--only", "whas", "--jobs", "1", "--out", str(out)) == 0
    described = json.loads(out.read_text(encoding="utf-8"))["tables"]["whas"]
    assert described["published"] == {"best_of_21": 0.7601, "cox": 0.732}
    # Two folds of five say nothing about the published mean.
    assert described["at_or_above_best"] is False
