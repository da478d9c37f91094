"""Exported files against scikit-survival: every kind of model, missing values, ties at thresholds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from functions.survival.data import FloatArray
from functions.survival.models import Wrapped
from tests.peering import require_peer
from tests.peers.exporting import GRID, NAMES, export, metadata, patients, run

pytestmark = pytest.mark.peer("scikit-survival")


def _imputed(model: Any, *steps: Any) -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline

    return make_pipeline(SimpleImputer(strategy="median"), *steps, model)


def _scaler() -> Any:
    from sklearn.preprocessing import StandardScaler

    return StandardScaler()


def _cox() -> Any:
    from sksurv.linear_model import CoxPHSurvivalAnalysis

    return _imputed(CoxPHSurvivalAnalysis(alpha=0.5), _scaler())


def _efron() -> Any:
    from sksurv.linear_model import CoxPHSurvivalAnalysis

    return _imputed(CoxPHSurvivalAnalysis(ties="efron"))


def _coxnet() -> Any:
    from sksurv.linear_model import CoxnetSurvivalAnalysis

    return _imputed(CoxnetSurvivalAnalysis(fit_baseline_model=True, l1_ratio=0.5))


def _normalised_coxnet() -> Any:
    from sksurv.linear_model import CoxnetSurvivalAnalysis

    return _imputed(CoxnetSurvivalAnalysis(fit_baseline_model=True, normalize=True))


def _forest() -> Any:
    from sksurv.ensemble import RandomSurvivalForest

    return RandomSurvivalForest(25, min_samples_leaf=4, random_state=0)


def _imputed_forest() -> Any:
    return _imputed(_forest())


def _extra() -> Any:
    from sksurv.ensemble import ExtraSurvivalTrees

    return ExtraSurvivalTrees(25, min_samples_leaf=4, random_state=0)


def _tree() -> Any:
    from sksurv.tree import SurvivalTree

    return SurvivalTree(max_depth=5, random_state=0)


def _leaf() -> Any:
    """A tree that never splits."""
    from sksurv.tree import SurvivalTree

    return SurvivalTree(min_samples_leaf=200)


def _extra_tree() -> Any:
    from sksurv.tree import ExtraSurvivalTree

    return ExtraSurvivalTree(random_state=0)


def _boosting(**settings: Any) -> Callable[[], Any]:
    def made() -> Any:
        from sksurv.ensemble import GradientBoostingSurvivalAnalysis

        return _imputed(GradientBoostingSurvivalAnalysis(n_estimators=40, random_state=0, **settings))

    return made


def _componentwise(**settings: Any) -> Callable[[], Any]:
    def made() -> Any:
        from sksurv.ensemble import ComponentwiseGradientBoostingSurvivalAnalysis

        return _imputed(ComponentwiseGradientBoostingSurvivalAnalysis(random_state=0, **settings), _scaler())

    return made


MODELS: dict[str, tuple[Callable[[], Any], str]] = {
    "cox": (_cox, "cox"),
    "cox, Efron": (_efron, "cox"),
    "coxnet": (_coxnet, "coxnet"),
    "coxnet, normalised": (_normalised_coxnet, "coxnet"),
    "forest": (_forest, "random_survival_forest"),
    "forest, imputed": (_imputed_forest, "random_survival_forest"),
    "extra trees": (_extra, "extra_survival_trees"),
    "tree": (_tree, "survival_tree"),
    "tree without a split": (_leaf, "survival_tree"),
    "extra tree": (_extra_tree, "extra_survival_tree"),
    "boosting": (_boosting(), "gradient_boosting"),
    "boosting, subsampled": (_boosting(subsample=0.5), "gradient_boosting"),
    "boosting, dropout": (_boosting(dropout_rate=0.2, learning_rate=1.0), "gradient_boosting"),
    "boosting, stopped early": (_boosting(n_iter_no_change=3), "gradient_boosting"),
    "componentwise": (_componentwise(), "componentwise_gradient_boosting"),
    "componentwise, dropout": (_componentwise(dropout_rate=0.2), "componentwise_gradient_boosting"),
}


@pytest.fixture(scope="module", params=list(MODELS))
def case(request: pytest.FixtureRequest) -> tuple[str, Wrapped, FloatArray, bytes]:
    """A model's kind, the model fitted to rows with gaps, those rows, and its file."""
    require_peer("scikit-survival", "sksurv")
    make, kind = MODELS[request.param]
    x, known = patients(missing=0.15)
    fitted = Wrapped(NAMES, make().fit(x, known))
    return kind, fitted, x, export(fitted, x).content


def test_survival_is_the_librarys(case: tuple[str, Wrapped, FloatArray, bytes]) -> None:
    kind, fitted, _, content = case
    unseen, _ = patients(200, seed=2, missing=0.3)
    difference = np.abs(run(content, unseen)["survival"] - fitted.survival(unseen, GRID))
    assert difference.max() < (1e-7 if "tree" in kind or "forest" in kind else 1e-13)
    assert difference.mean() < 2e-8


def test_risk_score_is_the_librarys(case: tuple[str, Wrapped, FloatArray, bytes]) -> None:
    _, fitted, x, content = case
    np.testing.assert_allclose(run(content, x)["risk_score"], fitted.risk_score(x), rtol=1e-12, atol=1e-12)


def test_further_outputs_follow_from_survival(case: tuple[str, Wrapped, FloatArray, bytes]) -> None:
    _, _, x, content = case
    out = run(content, x)
    np.testing.assert_array_equal(out["times"], GRID)
    np.testing.assert_allclose(np.exp(-out["cumulative_hazard"]), out["survival"], rtol=1e-9, atol=0)
    assert out["cumulative_hazard"].min() == 0.0
    reached = out["survival"] <= 0.5
    expected = np.where(reached.any(axis=1), GRID[reached.argmax(axis=1)], np.inf)
    np.testing.assert_array_equal(out["median_survival"], expected)
    assert np.all(np.diff(out["survival"], axis=1) <= 1e-12)


def test_imputed_inputs_are_what_the_model_used(case: tuple[str, Wrapped, FloatArray, bytes]) -> None:
    _, fitted, x, content = case
    steps = getattr(fitted.estimator, "steps", None)
    expected = x if steps is None else steps[0][1].transform(x)
    np.testing.assert_array_equal(run(content, x)["imputed"], expected)


def test_contributions_sum_to_the_score(case: tuple[str, Wrapped, FloatArray, bytes]) -> None:
    kind, _, x, content = case
    out = run(content, x)
    scaled = kind in ("cox", "componentwise_gradient_boosting")
    assert ("contributions" in out) == scaled
    if scaled:
        np.testing.assert_allclose(out["contributions"].sum(axis=1), out["risk_score"], rtol=0, atol=1e-12)
        assert np.abs(out["contributions"]).max() > 0.1


def test_one_row_is_answered_as_in_a_batch(case: tuple[str, Wrapped, FloatArray, bytes]) -> None:
    _, _, x, content = case
    whole, single = run(content, x), run(content, x[7:8])
    for name in ("survival", "risk_score", "median_survival", "imputed"):
        np.testing.assert_allclose(single[name][0], whole[name][7], rtol=0, atol=1e-12)


def test_kind_and_inputs_are_in_the_file(case: tuple[str, Wrapped, FloatArray, bytes]) -> None:
    kind, _, _, content = case
    found = metadata(content)
    assert found["kind"] == kind
    assert found["inputs"] == '["age", "bilirubin", "stage", "female", "site"]'
    assert "required" not in found


@pytest.mark.parametrize("make", [_forest, _extra, _boosting()], ids=["forest", "extra trees", "boosting"])
def test_values_on_a_threshold_go_the_trees_way(make: Callable[[], Any]) -> None:
    """Each threshold itself, and the doubles and singles next to it on both sides, in its own input."""
    require_peer("scikit-survival", "sksurv")
    x, known = patients(missing=0.0)
    fitted = Wrapped(NAMES, make().fit(x, known))
    last = fitted.estimator[-1] if hasattr(fitted.estimator, "steps") else fitted.estimator
    trees = [tree.tree_ for tree in np.ravel(last.estimators_)]
    feature = np.concatenate([tree.feature for tree in trees])
    threshold = np.concatenate([tree.threshold for tree in trees])
    inner = feature >= 0
    rows = []
    for column, at in zip(feature[inner], threshold[inner], strict=True):
        single = np.float32(at)
        near = [at, np.nextafter(at, np.inf), np.nextafter(at, -np.inf), float(single)]
        near += [float(np.nextafter(single, side)) for side in (np.float32(np.inf), np.float32(-np.inf))]
        for value in near:
            row = x[len(rows) % len(x)].copy()
            row[column] = value
            rows.append(row)
    border = np.array(rows)
    content = export(fitted, x).content
    assert len(border) > 500
    assert np.abs(run(content, border)["survival"] - fitted.survival(border, GRID)).max() < 1e-7


@pytest.fixture(scope="module")
def pair() -> list[tuple[Wrapped, bytes]]:
    require_peer("scikit-survival", "sksurv")
    x, known = patients(missing=0.15)
    models = [Wrapped(NAMES, make().fit(x, known)) for make in (_forest, _boosting(), _cox)]
    return [(fitted, export(fitted, x).content) for fitted in models]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=arrays(
        np.float64,
        st.tuples(st.integers(1, 6), st.just(5)),
        elements=st.one_of(
            st.floats(-1e3, 1e3), st.just(np.nan), st.integers(-50, 150).map(float), st.floats(-200, 200, width=32)
        ),
    )
)
def test_any_row_is_answered_as_the_library_does(pair: list[tuple[Wrapped, bytes]], rows: FloatArray) -> None:
    for fitted, content in pair:
        difference = np.abs(run(content, rows)["survival"] - fitted.survival(rows, GRID))
        assert np.nanmax(difference) < 1e-6
        assert not np.isnan(difference).any()


def test_imputation_in_front_of_an_estimator() -> None:
    require_peer("scikit-survival", "sksurv")
    from sksurv.ensemble import GradientBoostingSurvivalAnalysis

    x, known = patients(missing=0.15)
    stand_in = np.array([60.0, 1.0, 1.0, 0.0, 2.0])
    filled = np.where(np.isnan(x), stand_in, x)
    fitted = Wrapped(NAMES, GradientBoostingSurvivalAnalysis(n_estimators=20).fit(filled, known), stand_in)
    out = run(export(fitted, x).content, x)
    np.testing.assert_allclose(out["survival"], fitted.survival(x, GRID), rtol=0, atol=1e-13)
    np.testing.assert_array_equal(out["imputed"], filled)


def test_a_penalty_on_the_path_is_chosen() -> None:
    require_peer("scikit-survival", "sksurv")
    x, known = patients(missing=0.1)
    pipeline = _coxnet().fit(x, known)
    alpha = float(pipeline[-1].alphas_[10])
    strong = Wrapped(NAMES, pipeline, alpha=alpha)
    out = run(export(strong, x).content, x)
    np.testing.assert_allclose(out["survival"], strong.survival(x, GRID), rtol=0, atol=1e-13)
    np.testing.assert_allclose(out["risk_score"], pipeline.predict(x, alpha=alpha), rtol=0, atol=1e-12)
    assert np.abs(out["survival"] - Wrapped(NAMES, pipeline).survival(x, GRID)).max() > 0.01


def test_the_grid_may_lie_outside_follow_up() -> None:
    require_peer("scikit-survival", "sksurv")
    x, known = patients()
    fitted = Wrapped(NAMES, _forest().fit(x, known))
    times = np.array([0.0, 1.0, 5000.0, 20000.0])
    survival = run(export(fitted, x, times).content, x)["survival"]
    np.testing.assert_array_equal(survival[:, :2], np.ones((len(x), 2)))
    np.testing.assert_array_equal(survival[:, 2], survival[:, 3])
    np.testing.assert_allclose(survival, fitted.survival(x, times), rtol=0, atol=1e-7)


def test_a_median_beyond_the_grid_is_infinite() -> None:
    require_peer("scikit-survival", "sksurv")
    x, known = patients()
    fitted = Wrapped(NAMES, _forest().fit(x, known))
    out = run(export(fitted, x, np.array([10.0, 20.0, 400.0])).content, x)
    reached = out["survival"][:, 2] <= 0.5
    assert 0 < reached.sum() < len(x)
    np.testing.assert_array_equal(out["median_survival"], np.where(reached, 400.0, np.inf))


def test_a_model_of_a_data_frame_takes_columns_by_name() -> None:
    require_peer("scikit-survival", "sksurv")
    from pandas import DataFrame
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sksurv.linear_model import CoxPHSurvivalAnalysis

    x, known = patients(missing=0.1)
    prepare = ColumnTransformer(
        [("some", SimpleImputer(), ["stage", "age"])], remainder=SimpleImputer(strategy="most_frequent")
    )
    pipeline = make_pipeline(prepare, CoxPHSurvivalAnalysis(alpha=1.0)).fit(DataFrame(x, columns=NAMES), known)
    fitted = Wrapped(NAMES, pipeline)
    out = run(export(fitted, x).content, x)
    np.testing.assert_allclose(out["survival"], fitted.survival(x, GRID), rtol=0, atol=1e-13)
    assert not np.isnan(out["imputed"]).any()
