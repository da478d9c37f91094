"""Our own models as files: Cox equations, competing risks, averages, and bands from bootstrap replicates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from functions.survival.data import FloatArray, SurvivalTable, imputation_values, impute
from functions.survival.evaluate.candidates import fit_cox
from functions.survival.export import read_cox
from functions.survival.models import CompetingCox, CoxEquation, Fitted, StackedAverage, Wrapped
from tests.peering import require_peer
from tests.peers.exporting import GRID, NAMES, export, metadata, outcome, patients, run

pytestmark = pytest.mark.peer("onnx")

NORMAL = 1.959963984540054


@pytest.fixture(autouse=True)
def _peer() -> None:
    require_peer("onnx", "onnx")
    require_peer("scikit-survival", "sksurv")


def table(n: int = 300, seed: int = 1, missing: float = 0.1) -> SurvivalTable:
    """Synthetic patients, half of the events competing."""
    x, known = patients(n, seed, missing)
    competing = known["event"] & (np.arange(n) % 2 == 0)
    return SurvivalTable(NAMES, x, known["event"] & ~competing, known["time"], competing)


def equation(rows: SurvivalTable) -> CoxEquation:
    """A Cox model of the inputs in their own units, around the rows' own stand-ins."""
    from sksurv.linear_model import CoxPHSurvivalAnalysis

    reference = imputation_values(rows)
    model = CoxPHSurvivalAnalysis(alpha=1.0)
    model.fit(impute(rows.x, reference) - reference, outcome(rows.event, rows.time))
    baseline = model.cum_baseline_hazard_
    return CoxEquation(NAMES, model.coef_, reference, baseline.x, baseline.y, alpha=1.0)


def competing(rows: SurvivalTable) -> CompetingCox:
    return CompetingCox((equation(rows.of_cause(1)), equation(rows.of_cause(2))))


def resampled(rows: SurvivalTable, count: int) -> list[SurvivalTable]:
    random = np.random.default_rng(5)
    return [rows.take(random.integers(0, len(rows), len(rows))) for _ in range(count)]


def boosting(rows: SurvivalTable, seed: int = 0) -> Wrapped:
    from sksurv.ensemble import GradientBoostingSurvivalAnalysis

    stand_in = imputation_values(rows)
    model = GradientBoostingSurvivalAnalysis(n_estimators=10, random_state=seed)
    return Wrapped(NAMES, model.fit(impute(rows.x, stand_in), outcome(rows.event, rows.time)), stand_in)


def forest(rows: SurvivalTable) -> Wrapped:
    from sksurv.ensemble import RandomSurvivalForest

    model = RandomSurvivalForest(10, min_samples_leaf=10, random_state=0)
    return Wrapped(NAMES, model.fit(rows.x, outcome(rows.event, rows.time)))


def test_a_cox_equation() -> None:
    rows = table()
    fitted = equation(rows)
    out = run(export(fitted, rows.x).content, rows.x)
    np.testing.assert_allclose(out["survival"], fitted.survival(rows.x, GRID), rtol=0, atol=1e-14)
    np.testing.assert_allclose(out["risk_score"], fitted.risk_score(rows.x), rtol=0, atol=1e-13)
    np.testing.assert_allclose(out["contributions"].sum(axis=1), out["risk_score"], rtol=0, atol=1e-13)
    assert np.all(out["contributions"][np.isnan(rows.x)] == 0.0)
    np.testing.assert_array_equal(out["imputed"], impute(rows.x, fitted.reference))
    np.testing.assert_allclose(np.exp(-out["cumulative_hazard"]), out["survival"], rtol=1e-12)


def test_a_cox_equation_is_read_back_exactly() -> None:
    rows = table()
    fitted = equation(rows)
    content = export(fitted, rows.x).content
    found, told = read_cox(content)
    assert (found.names, found.alpha) == (fitted.names, fitted.alpha)
    for name in ("coefficients", "reference", "times", "cumulative_hazard"):
        np.testing.assert_array_equal(getattr(found, name), getattr(fitted, name))
    assert (told["name"], told["version"], told["kind"]) == ("synthetic", "1.0.0", "cox")
    assert export(found, rows.x).content == content


def test_what_is_not_a_cox_equation_is_not_read_as_one() -> None:
    rows = table()
    with pytest.raises(ValueError, match="does not hold a Cox equation"):
        read_cox(export(forest(rows), rows.x).content)


def test_a_hazard_ratio_beyond_a_double_is_no_nan() -> None:
    rows = table()
    fitted = equation(rows)
    far = rows.x[:2].copy()
    far[0, 1] = 1e9 * np.sign(fitted.coefficients[1])
    out = run(export(fitted, rows.x).content, far, "survival")
    assert not np.isnan(out["survival"]).any()
    assert out["survival"][0, 1:].max() == 0.0


def test_competing_risks() -> None:
    rows = table()
    fitted = competing(rows)
    content = export(fitted, rows.x).content
    out = run(content, rows.x)
    expected = fitted.cumulative_incidence(rows.x, GRID)
    np.testing.assert_allclose(out["cumulative_incidence"], expected, rtol=0, atol=1e-13)
    np.testing.assert_allclose(out["survival"], 1.0 - expected[:, 0], rtol=0, atol=1e-13)
    assert np.all(out["cumulative_incidence"].sum(axis=1) <= 1.0 + 1e-12)
    assert out["cumulative_incidence"][:, :, -1].min() > 0.01
    np.testing.assert_allclose(out["risk_score"], expected[:, 0].mean(axis=1), rtol=0, atol=1e-13)
    np.testing.assert_array_equal(out["imputed"], impute(rows.x, fitted.causes[0].reference))
    assert "contributions" not in out
    assert metadata(content)["kind"] == "competing_cox"


def test_an_average() -> None:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sksurv.linear_model import CoxPHSurvivalAnalysis

    rows = table()
    stand_in = imputation_values(rows)
    cox = make_pipeline(StandardScaler(), CoxPHSurvivalAnalysis(alpha=1.0))
    cox.fit(impute(rows.x, stand_in), outcome(rows.event, rows.time))
    members = (boosting(rows), Wrapped(NAMES, cox, stand_in), forest(rows), equation(rows))
    fitted = StackedAverage(members, (0.5, 0.2, 0.3, 0.0))
    content = export(fitted, rows.x).content
    out = run(content, rows.x)
    expected = fitted.survival(rows.x, GRID)
    np.testing.assert_allclose(out["survival"], expected, rtol=0, atol=1e-7)
    np.testing.assert_allclose(out["risk_score"], (1.0 - expected).mean(axis=1), rtol=0, atol=1e-7)
    assert metadata(content)["members"].count("weight") == 3
    # The forest has its own way with missing values, so no one value stood in for them.
    np.testing.assert_array_equal(out["imputed"], rows.x)
    alike = StackedAverage(members[:2], (0.5, 0.5))
    np.testing.assert_array_equal(run(export(alike, rows.x).content, rows.x)["imputed"], impute(rows.x, stand_in))


def by_hand(fitted: Fitted, replicates: list[Any], x: FloatArray, times: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The band from the replicates' own curves."""
    curves = np.stack([one.survival(x, times) for one in replicates])
    deviation = np.log(-np.log(curves)).std(axis=0, ddof=1)
    survival = fitted.survival(x, times)
    return survival ** np.exp(NORMAL * deviation), survival ** np.exp(-NORMAL * deviation)


# Times at which every replicate has seen an event.
LATE = np.linspace(200.0, 2000.0, 10)


def test_the_closed_form_is_the_replicates_deviation() -> None:
    rows = table()
    fitted, replicates = equation(rows), [equation(some) for some in resampled(rows, 30)]
    assert any(np.any(one.reference != fitted.reference) for one in replicates), "replicates impute by other values"
    exported = export(fitted, rows.x, LATE, replicates=replicates)
    out = run(exported.content, rows.x)
    low, high = by_hand(fitted, replicates, rows.x, LATE)
    np.testing.assert_allclose(out["lower"], low, rtol=0, atol=1e-10)
    np.testing.assert_allclose(out["upper"], high, rtol=0, atol=1e-10)
    assert np.all(out["lower"] <= out["survival"])
    assert np.all(out["survival"] <= out["upper"])
    assert np.mean(out["upper"] - out["lower"]) > 0.05
    assert metadata(exported.content)["replicates"] == "30"


def test_bands_start_where_curves_do() -> None:
    rows = table()
    replicates = [equation(some) for some in resampled(rows, 20)]
    out = run(export(equation(rows), rows.x, replicates=replicates).content, rows.x)
    np.testing.assert_array_equal(out["lower"][:, 0], 1.0)
    np.testing.assert_array_equal(out["upper"][:, 0], 1.0)
    assert not np.isnan(out["lower"]).any()
    assert not np.isnan(out["upper"]).any()


def test_replicates_without_a_difference_have_no_band() -> None:
    rows = table()
    fitted = equation(rows)
    out = run(export(fitted, rows.x, replicates=[fitted, fitted]).content, rows.x)
    np.testing.assert_allclose(out["lower"], out["survival"], rtol=0, atol=1e-7)
    np.testing.assert_allclose(out["upper"], out["survival"], rtol=0, atol=1e-7)


def test_bands_of_competing_risks() -> None:
    rows = table()
    fitted, replicates = competing(rows), [competing(some) for some in resampled(rows, 12)]
    out = run(export(fitted, rows.x, LATE, replicates=replicates).content, rows.x)
    low, high = by_hand(fitted, replicates, rows.x, LATE)
    moderate = (out["survival"] > 0.01) & (out["survival"] < 0.98)
    assert moderate.mean() > 0.8
    np.testing.assert_allclose(out["lower"][moderate], low[moderate], rtol=0, atol=1e-9)
    np.testing.assert_allclose(out["upper"][moderate], high[moderate], rtol=0, atol=1e-9)


@pytest.mark.parametrize("fit", [boosting, forest], ids=["boosting", "forest"])
def test_bands_of_other_models(fit: Any) -> None:
    rows = table()
    fitted, replicates = fit(rows), [fit(some) for some in resampled(rows, 6)]
    out = run(export(fitted, rows.x, replicates=replicates).content, rows.x)
    curves = np.clip(np.stack([one.survival(rows.x, GRID) for one in replicates]), 1e-3, 1.0 - 1e-3)
    deviation = np.log(-np.log(curves)).std(axis=0, ddof=1)
    survival = fitted.survival(rows.x, GRID)
    np.testing.assert_allclose(out["lower"], survival ** np.exp(NORMAL * deviation), rtol=0, atol=1e-5)
    np.testing.assert_allclose(out["upper"], survival ** np.exp(-NORMAL * deviation), rtol=0, atol=1e-5)


def test_the_background_is_carried_as_given() -> None:
    rows = table()
    reference = np.random.default_rng(0).permuted(rows.x[:32], axis=0)
    out = run(export(forest(rows), rows.x, background=reference).content, rows.x[:1])
    np.testing.assert_array_equal(out["background"], reference)


def test_the_same_arguments_give_the_same_bytes() -> None:
    rows = table()
    replicates = [competing(some) for some in resampled(rows, 3)]
    for fitted, more in ((competing(rows), {"replicates": replicates}), (forest(rows), {}), (equation(rows), {})):
        assert export(fitted, rows.x, **more).content == export(fitted, rows.x, **more).content


def test_the_file_is_readable_by_the_oldest_runtime_we_support() -> None:
    from onnx import checker, load_from_string

    rows = table()
    for fitted in (equation(rows), competing(rows), forest(rows)):
        model = load_from_string(export(fitted, rows.x).content)
        checker.check_model(model, full_check=True)
        assert model.ir_version == 8
        assert {(entry.domain, entry.version) for entry in model.opset_import} == {("", 17), ("ai.onnx.ml", 3)}
        assert [item.name for item in model.graph.input] == ["inputs"]


def logged(rows: SurvivalTable) -> CoxEquation:
    """A Cox model of the logarithm of one input."""
    return fit_cox(replace(rows, log=("bilirubin",)), 1.0)


def test_a_logarithm_is_in_the_file() -> None:
    rows = table()
    fitted = logged(rows)
    content = export(fitted, rows.x).content
    out = run(content, rows.x)
    np.testing.assert_allclose(out["survival"], fitted.survival(rows.x, GRID), rtol=0, atol=1e-12)
    np.testing.assert_allclose(out["contributions"].sum(axis=1), out["risk_score"], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(out["imputed"], impute(rows.x, fitted.reference))
    found, _ = read_cox(content)
    np.testing.assert_array_equal(found.log, fitted.log)
    assert export(found, rows.x).content == content


def test_the_logarithm_of_what_is_not_positive_is_no_answer() -> None:
    rows = table()
    wrong = rows.x[:2].copy()
    wrong[:, 1] = [0.0, -1.0]
    assert np.isnan(run(export(logged(rows), rows.x).content, wrong)["survival"]).all()


def test_bands_and_competing_risks_of_logarithms() -> None:
    rows = table()
    fitted, replicates = logged(rows), [logged(some) for some in resampled(rows, 20)]
    out = run(export(fitted, rows.x, LATE, replicates=replicates).content, rows.x)
    low, high = by_hand(fitted, replicates, rows.x, LATE)
    np.testing.assert_allclose(out["lower"], low, rtol=0, atol=1e-10)
    np.testing.assert_allclose(out["upper"], high, rtol=0, atol=1e-10)
    both = CompetingCox((logged(rows.of_cause(1)), logged(rows.of_cause(2))))
    found = run(export(both, rows.x).content, rows.x, "cumulative_incidence")["cumulative_incidence"]
    np.testing.assert_allclose(found, both.cumulative_incidence(rows.x, GRID), rtol=0, atol=1e-12)
