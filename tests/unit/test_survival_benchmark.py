"""The parts of the survival benchmark that need no library: arithmetic, files, and the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from functions.survival.benchmark.basis import fit_splines
from functions.survival.benchmark.members import round_up
from functions.survival.benchmark.ridge import fit_ridge
from functions.survival.benchmark.scores import pooled_calibration
from functions.survival.benchmark.sources import data_folder, read_folds, read_table
from functions.survival.benchmark.stack import Recalibrated, at_own_time, calibrate
from functions.survival.benchmark.table import render
from functions.survival.data import FloatArray, SurvivalTable
from infra.cli import benchmark_survival
from infra.cli.main import main


class Exponential:
    """Everybody has the hazard given by the only input."""

    names = ("hazard",)

    def survival(self, x: FloatArray, times: FloatArray) -> FloatArray:
        return np.exp(-np.outer(x[:, 0], times))


def interval(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.01, "high": value + 0.01}


def learner(c: float, p: float = 0.4) -> dict[str, Any]:
    return {
        "title": "x",
        "harrell_c": interval(c),
        "uno_c": interval(c),
        "integrated_brier_score": interval(0.1),
        "d_calibration": {"statistic": 9.0, "p_value": p, "bins": [1.0] * 10},
        "harrell_c_above_cox": interval(c - 0.7),
    }


def found(*, quick: bool = False) -> dict[str, Any]:
    learners = {"stack": learner(0.75), "cox": learner(0.7), "random_survival_forest": learner(0.72)}
    common = {"rows": 9, "events": 4, "folds": 5, "note": "all columns", "learners": learners}
    published = {"published": {"best_of_21": 0.74, "cox": 0.7}, "at_or_above_best": True, "d_calibrated": True}
    package = {
        "same": True,
        "chosen": "random_survival_forest",
        "performance": {
            key: interval(0.2)
            for key in ("harrell_c", "uno_c", "integrated_brier_score", "integrated_brier_score_reference")
        },
    }
    return {
        "quick": quick,
        "seed": 1,
        "tables": {"whas": common | published, "pbc": common},
        "packages": {"pbc": package},
        "skipped": {"grace": "not here"},
    }


class TestRidge:
    def test_two_patients_have_the_solution_by_hand(self) -> None:
        # The one with x = 1 dies first among both: the partial likelihood is e^b / (e^b + 1). With penalty b^2 / 2 its
        # maximum solves b = 1 - e^b / (e^b + 1), that is b (1 + e^b) = 1.
        equation = fit_ridge(np.array([[1.0], [0.0]]), np.array([True, False]), np.array([1.0, 2.0]), 1.0)
        b = float(equation.coefficients[0])
        assert b * (1 + np.exp(b)) == pytest.approx(1.0, abs=1e-8)
        assert equation.times.tolist() == [1.0]
        assert equation.cumulative_hazard == pytest.approx([1.0 / (1.0 + np.exp(b))])

    def test_ties_share_one_risk_set(self) -> None:
        # Without any difference between patients the baseline is Nelson-Aalen's: 2/4 at 1, 1/2 at 3.
        features, event = np.zeros((4, 1)), np.array([True, True, True, False])
        equation = fit_ridge(features, event, np.array([1.0, 1.0, 3.0, 3.0]), 1.0)
        assert equation.coefficients.tolist() == [0.0]
        assert equation.cumulative_hazard == pytest.approx([0.5, 1.0])

    def test_a_larger_penalty_gives_smaller_coefficients(self) -> None:
        random = np.random.default_rng(1)
        features, event = random.normal(size=(60, 3)), random.random(60) < 0.7
        time = random.exponential(np.exp(-features[:, 0]))
        sizes = [float(np.linalg.norm(fit_ridge(features, event, time, a).coefficients)) for a in (0.1, 1.0, 10.0, 1e4)]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[-1] < 0.01 < sizes[0]


class TestSplines:
    def test_features_have_mean_0_and_deviation_1(self) -> None:
        x = np.column_stack([np.linspace(20, 90, 50), np.tile([0.0, 1.0], 25)])
        features = fit_splines(x, 5)(x)
        # Two inputs as they are, three terms of a curve with five knots.
        assert features.shape == (50, 5)
        assert features.mean(axis=0) == pytest.approx(np.zeros(5), abs=1e-9)
        assert features.std(axis=0) == pytest.approx(np.ones(5))

    def test_curves_are_straight_beyond_the_outer_knots(self) -> None:
        x = np.linspace(0, 10, 101)[:, None]
        features = fit_splines(x, 4)(np.array([[20.0], [21.0], [22.0], [-1.0], [-2.0], [-3.0]]))
        assert np.diff(features[:3], n=2, axis=0) == pytest.approx(np.zeros((1, 3)), abs=1e-9)
        assert np.diff(features[3:], n=2, axis=0) == pytest.approx(np.zeros((1, 3)), abs=1e-9)

    def test_skewed_inputs_are_logged_and_middle_levels_named(self) -> None:
        random = np.random.default_rng(2)
        x = np.column_stack([np.exp(random.normal(size=200) * 2), random.integers(1, 4, 200)])
        basis = fit_splines(x, 5)
        assert np.isfinite(basis.scaling.log_unit).tolist() == [True, False]
        assert basis.scaling.levels == ((1, 2.0),)

    def test_an_input_that_never_varies_says_nothing(self) -> None:
        x = np.column_stack([np.linspace(0, 1, 30), np.full(30, 7.0)])
        assert fit_splines(x, 4)(x)[:, 1].tolist() == [0.0] * 30


class TestRecalibration:
    def test_a_calibrated_model_is_left_as_it_is(self) -> None:
        # Quantiles of the unit exponential in place of a sample.
        own = (np.arange(4000) + 0.5) / 4000
        scale, power = calibrate(own, np.ones(4000, dtype=np.bool_))
        assert scale == pytest.approx(1.0, abs=0.01)
        assert power == pytest.approx(1.0, abs=0.01)

    def test_a_distorted_one_is_set_right(self) -> None:
        random = np.random.default_rng(3)
        x = random.uniform(0.5, 2.0, (3000, 1))
        # The true cumulative hazard is 2 H^1.5 of what the model says.
        time = (random.exponential(size=3000) / 2.0) ** (1 / 1.5) / x[:, 0]
        end = random.exponential(1.0, 3000)
        table = SurvivalTable(("hazard",), x, time <= end, np.minimum(time, end))
        own = at_own_time(Exponential(), table)
        scale, power = calibrate(own, table.event)
        assert scale == pytest.approx(2.0, rel=0.08)
        assert power == pytest.approx(1.5, rel=0.05)
        better = Recalibrated(Exponential(), scale, power)
        before, after = (
            pooled_calibration([{"bins": _bins(model, table)}])["p_value"] for model in (Exponential(), better)
        )
        assert before < 0.001
        assert after > 0.05

    def test_the_order_of_patients_stays(self) -> None:
        x = np.array([[0.3], [0.1], [0.2]])
        curves = Recalibrated(Exponential(), 2.0, 0.5).survival(x, np.array([1.0, 5.0]))
        assert np.argsort(curves, axis=0).tolist() == [[0, 0], [2, 2], [1, 1]]


def _bins(model: Any, table: SurvivalTable) -> FloatArray:
    from functions.survival.evaluate.dcalibration import expected_bins

    return expected_bins(at_own_time(model, table), table.event)


class TestTimes:
    def test_times_are_rounded_up_to_event_times(self) -> None:
        time = np.arange(1.0, 11.0)
        event = time <= 8
        rounded = round_up(time, event, 3)
        # Quantiles 0, 1/2 and 1 of the event times 1 to 8 are 1, 5 and 8; 9 and 10 are after the last event.
        assert rounded.tolist() == [1, 5, 5, 5, 5, 8, 8, 8, 9, 10]

    def test_each_row_is_read_at_its_own_time(self) -> None:
        table = SurvivalTable(
            ("hazard",), np.array([[1.0], [2.0], [3.0]]), np.ones(3, dtype=np.bool_), np.array([3.0, 1.0, 3.0])
        )
        assert at_own_time(Exponential(), table) == pytest.approx(np.exp([-3.0, -2.0, -9.0]))


class TestFiles:
    def test_words_become_numbers_and_outcome_is_set_apart(self, tmp_path: Path) -> None:
        path = tmp_path / "t.csv"
        path.write_text("age,sex,time,status\n50,M,3,1\n60,F,4,0\nNA,F,5,1\n", encoding="utf-8")
        table = read_table(path)
        assert table.names == ("age", "sex")
        assert table.x[:, 1].tolist() == [1.0, 0.0, 0.0]
        assert np.isnan(table.x[2, 0])
        assert table.event.tolist() == [True, False, True]

    def test_a_column_of_many_words_is_refused_by_name(self, tmp_path: Path) -> None:
        path = tmp_path / "t.csv"
        path.write_text("race,time,status\na,3,1\nb,4,0\nc,5,1\n", encoding="utf-8")
        with pytest.raises(ValueError, match="column race has 3 different words"):
            read_table(path)

    def test_folds_count_from_one(self, tmp_path: Path) -> None:
        path = tmp_path / "f.csv"
        path.write_text(
            '"set","iteration","row_id"\n"train",1,2\n"test",1,1\n"train",2,1\n"test",2,2\n', encoding="utf-8"
        )
        assert [(a.tolist(), b.tolist()) for a, b in read_folds(path)] == [([1], [0]), ([0], [1])]

    def test_the_folder_is_the_one_that_is_named(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("BEDSIDE_DATA", str(tmp_path))
        assert data_folder() == tmp_path / "survival_benchmark"


class TestTable:
    def test_what_is_at_or_above_the_best_is_bold(self) -> None:
        text = render(found())
        assert "| WHAS | 0.7400 | 0.7000 | **0.7500 (0.740 to 0.760)** | 0.7000 |" in text
        assert "+0.0500 (0.040 to 0.060)" in text
        assert "| pbc | random survival forest | 0.2000 (0.190 to 0.210) |" in text
        assert "- grace: not here." in text
        assert "quick" not in text

    def test_every_row_has_the_columns_of_its_head(self) -> None:
        for block in render(found()).split("\n\n"):
            if block.startswith("|"):
                assert len({line.count("|") for line in block.splitlines()}) == 1

    def test_a_quick_run_says_so(self) -> None:
        assert "not to be quoted" in render(found(quick=True))

    def test_the_command_prints_an_earlier_run(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "survival.json"
        path.write_text(json.dumps(found()), encoding="utf-8")
        assert _command("--table", str(path)) == 0
        assert capsys.readouterr().out == render(found())

    def test_a_broken_file_is_named(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "survival.json"
        path.write_text("{}", encoding="utf-8")
        assert _command("--table", str(path)) == 1
        assert str(path) in capsys.readouterr().err


def _command(*words: str) -> int:
    return main(["benchmark-survival", *words])


def test_the_command_is_known() -> None:
    assert callable(benchmark_survival.run)
