"""Preprocessing in exported files against scikit-learn's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from functions.survival.data import FloatArray
from functions.survival.export import UnseenCategory, UnsupportedModel
from functions.survival.models import Wrapped
from tests.peering import require_peer
from tests.peers.exporting import GRID, NAMES, export, metadata, patients, run

pytestmark = pytest.mark.peer("scikit-survival")

# Columns of the synthetic patients.
AGE, BILIRUBIN, STAGE, FEMALE, SITE = range(5)


@pytest.fixture(autouse=True)
def _peer() -> None:
    require_peer("scikit-survival", "sksurv")


def behind(*steps: Any) -> Any:
    """A Cox model, which shows any difference of any column, behind steps."""
    from sklearn.pipeline import make_pipeline
    from sksurv.linear_model import CoxPHSurvivalAnalysis

    return make_pipeline(*steps, CoxPHSurvivalAnalysis(alpha=0.3))


def by_column(*parts: tuple[Any, list[int]], remainder: Any = "passthrough") -> Any:
    from sklearn.compose import ColumnTransformer

    named = [(f"part{at}", step, columns) for at, (step, columns) in enumerate(parts)]
    return ColumnTransformer(named, remainder=remainder, sparse_threshold=0)


def agree(
    pipeline: Any, x: FloatArray, known: Any, unseen: FloatArray, tolerance: float = 1e-12
) -> dict[str, FloatArray]:
    """Fit, export, and compare on rows that were not fitted; returns the file's outputs for them."""
    fitted = Wrapped(NAMES, pipeline.fit(x, known))
    out = run(export(fitted, x).content, unseen)
    np.testing.assert_allclose(out["survival"], fitted.survival(unseen, GRID), rtol=0, atol=tolerance)
    np.testing.assert_allclose(out["risk_score"], fitted.risk_score(unseen), rtol=0, atol=10 * tolerance)
    return out


def _imputers() -> dict[str, Callable[[], Any]]:
    from sklearn.impute import SimpleImputer

    return {
        strategy: lambda strategy=strategy: SimpleImputer(strategy=strategy)  # type: ignore[misc]
        for strategy in ("median", "mean", "most_frequent")
    } | {
        "constant": lambda: SimpleImputer(strategy="constant", fill_value=3.5),
        "indicator": lambda: SimpleImputer(strategy="median", add_indicator=True),
    }


@pytest.mark.parametrize("name", ["median", "mean", "most_frequent", "constant", "indicator"])
def test_imputers(name: str) -> None:
    x, known = patients(missing=0.2)
    pipeline = behind(_imputers()[name]())
    unseen, _ = patients(100, seed=3, missing=0.4)
    out = agree(pipeline, x, known, unseen)
    values = pipeline[0].statistics_
    np.testing.assert_array_equal(out["imputed"], np.where(np.isnan(unseen), values, unseen))
    if name == "indicator":
        assert len(pipeline[-1].coef_) == 9
        np.testing.assert_allclose(out["contributions"].sum(axis=1), out["risk_score"], rtol=0, atol=1e-12)


def test_an_imputer_drops_what_was_never_seen() -> None:
    from sklearn.impute import SimpleImputer

    x, known = patients(missing=0.1)
    x[:, STAGE] = np.nan
    pipeline = behind(SimpleImputer())
    with pytest.warns(UserWarning, match="Skipping features"):
        fitted = Wrapped(NAMES, pipeline.fit(x, known))
        exported = export(fitted, x)
        expected = fitted.survival(x, GRID)
    np.testing.assert_allclose(run(exported.content, x)["survival"], expected, rtol=0, atol=1e-12)


def test_scalers() -> None:
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    x, known = patients()
    unseen, _ = patients(100, seed=3)
    unseen[:, AGE] *= 2
    steps = (
        StandardScaler(),
        StandardScaler(with_mean=False),
        StandardScaler(with_std=False),
        MinMaxScaler((-1.0, 2.0)),
        MinMaxScaler(clip=True),
        "passthrough",
    )
    for step in steps:
        agree(behind(step), x, known, unseen)


@pytest.mark.parametrize("function", ["log", "log1p", "sqrt"])
def test_functions_refuse_what_is_outside_their_domain(function: str) -> None:
    from sklearn.preprocessing import FunctionTransformer

    x, known = patients()
    pipeline = behind(by_column((FunctionTransformer(getattr(np, function)), [BILIRUBIN, AGE])))
    # ONNX Runtime's logarithm is good to eleven digits.
    agree(pipeline, x, known, x, tolerance=1e-10)
    outside = x[:2].copy()
    outside[0, BILIRUBIN] = -3.0
    survival = run(export(Wrapped(NAMES, pipeline), x).content, outside)["survival"]
    assert np.isnan(survival[0]).all()
    assert not np.isnan(survival[1]).any()


def test_splines() -> None:
    from sklearn.preprocessing import SplineTransformer

    x, known = patients()
    unseen, _ = patients(100, seed=3)
    unseen[:4, AGE] = [-20.0, 300.0, x[:, AGE].min(), x[:, AGE].max()]
    for degree, knots, bias in ((3, 5, True), (3, 4, False), (1, 6, False), (2, 3, True)):
        step = SplineTransformer(n_knots=knots, degree=degree, include_bias=bias)
        agree(behind(by_column((step, [AGE, BILIRUBIN]))), x, known, unseen)
    quantiles = SplineTransformer(n_knots=4, knots="quantile", include_bias=False)
    agree(behind(by_column((quantiles, [AGE]))), x, known, unseen)


def test_one_hot_coding() -> None:
    from sklearn.preprocessing import OneHotEncoder

    x, known = patients()
    for drop in (None, "first", "if_binary"):
        step = OneHotEncoder(drop=drop, sparse_output=False)
        out = agree(behind(by_column((step, [SITE, FEMALE]))), x, known, x)
        np.testing.assert_allclose(out["contributions"].sum(axis=1), out["risk_score"], rtol=0, atol=1e-12)
    agree(behind(by_column((OneHotEncoder(sparse_output=True), [SITE]))), x, known, x)


def test_ordinal_coding() -> None:
    from sklearn.preprocessing import OrdinalEncoder

    x, known = patients()
    agree(behind(by_column((OrdinalEncoder(), [SITE, STAGE]))), x, known, x)
    tolerant = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    other = x.copy()
    other[:5, SITE] = 4.0
    agree(behind(by_column((tolerant, [SITE, STAGE]))), x, known, other)


def test_missing_is_a_category_where_the_encoder_saw_it() -> None:
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

    x, known = patients()
    x[::7, SITE] = np.nan
    agree(behind(by_column((OneHotEncoder(sparse_output=False), [SITE]))), x, known, x)
    agree(behind(by_column((OrdinalEncoder(encoded_missing_value=-2), [SITE]))), x, known, x)


def test_missing_categories_can_be_imputed_after_coding() -> None:
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import OrdinalEncoder

    x, known = patients()
    x[::7, SITE] = np.nan
    out = agree(behind(by_column((OrdinalEncoder(), [SITE])), SimpleImputer(strategy="most_frequent")), x, known, x)
    # The imputer's value is a code, not a site.
    assert np.isnan(out["imputed"][0, SITE])


def test_a_forest_takes_missing_codes_its_own_way() -> None:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder
    from sksurv.ensemble import RandomSurvivalForest

    x, known = patients()
    x[::7, SITE] = np.nan
    forest = RandomSurvivalForest(20, random_state=0)
    fitted = Wrapped(NAMES, make_pipeline(by_column((OrdinalEncoder(), [SITE])), forest).fit(x, known))
    exported = export(fitted, x)
    assert exported.max_error < 1e-7
    assert "required" not in metadata(exported.content)


def encoders() -> list[Any]:
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

    return [OneHotEncoder(sparse_output=False), OrdinalEncoder()]


@pytest.mark.parametrize("number", [0, 1])
def test_an_unseen_category_has_no_answer(number: int) -> None:
    from sklearn.pipeline import make_pipeline
    from sksurv.ensemble import RandomSurvivalForest

    x, known = patients()
    for model in (behind(by_column((encoders()[number], [SITE]))), None):
        prepare = by_column((encoders()[number], [SITE]))
        pipeline = model or make_pipeline(prepare, RandomSurvivalForest(5, random_state=0))
        fitted = Wrapped(NAMES, pipeline.fit(x, known))
        other = x[:3].copy()
        other[1, SITE] = 3.0
        out = run(export(fitted, x).content, other)
        for name in set(out) - {"times", "imputed"}:
            values = out[name].reshape(3, -1)
            assert np.isnan(values[1]).all(), name
            assert not np.isnan(values[[0, 2]]).any(), name
        with pytest.raises(UnseenCategory, match="row 1, input 'site'"):
            export(fitted, other)


def test_an_unseen_category_may_be_ignored() -> None:
    from sklearn.preprocessing import OneHotEncoder

    x, known = patients()
    other = x.copy()
    other[:5, SITE] = 3.0
    other[5:9, SITE] = np.nan
    step = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    agree(behind(by_column((step, [SITE]))), x, known, other)


def test_column_transformers_within_pipelines() -> None:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

    x, known = patients(missing=0.1)
    numbers = make_pipeline(SimpleImputer(strategy="median"), FunctionTransformer(np.log1p), StandardScaler())
    categories = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(drop="first"))
    prepare = by_column((numbers, [BILIRUBIN, AGE]), ("drop", [STAGE]), (categories, [SITE]), remainder=SimpleImputer())
    out = agree(behind(prepare, "passthrough"), x, known, x, tolerance=1e-10)
    assert np.isnan(out["imputed"][:, STAGE]).sum() == np.isnan(x[:, STAGE]).sum() > 0
    used = [AGE, BILIRUBIN, FEMALE, SITE]
    assert not np.isnan(out["imputed"][:, used]).any()


def test_an_input_imputed_in_two_ways_has_no_single_stand_in() -> None:
    from sklearn.impute import SimpleImputer

    x, known = patients(missing=0.1)
    prepare = by_column((SimpleImputer(strategy="mean"), [BILIRUBIN, AGE]), (SimpleImputer(), [AGE, SITE]))
    twice = by_column(
        (SimpleImputer(strategy="mean"), [BILIRUBIN, AGE]),
        (SimpleImputer(strategy="median"), [BILIRUBIN, SITE]),
        remainder="drop",
    )
    assert not np.isnan(agree(behind(prepare, SimpleImputer()), x, known, x)["imputed"]).any()
    imputed = agree(behind(twice), x, known, x)["imputed"]
    np.testing.assert_array_equal(np.isnan(imputed[:, BILIRUBIN]), np.isnan(x[:, BILIRUBIN]))
    assert not np.isnan(imputed[:, SITE]).any()


def _unsupported() -> dict[str, tuple[Any, str]]:
    from sklearn.impute import KNNImputer, SimpleImputer
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, RobustScaler, SplineTransformer

    return {
        "scaler": (RobustScaler(), "RobustScaler has no translation"),
        "imputer": (KNNImputer(), "KNNImputer has no translation"),
        "marker": (SimpleImputer(missing_values=-1), "missing_values other than NaN"),
        "function": (FunctionTransformer(np.expm1), "FunctionTransformer of expm1"),
        "infrequent": (OneHotEncoder(min_frequency=200, sparse_output=False), "infrequent categories"),
        "linear spline": (SplineTransformer(extrapolation="linear"), "extrapolation='linear'"),
    }


@pytest.mark.parametrize("name", ["scaler", "imputer", "marker", "function", "infrequent", "linear spline"])
def test_other_steps_are_refused_by_name(name: str) -> None:
    step, message = _unsupported()[name]
    x, known = patients()
    column = FEMALE if name in ("function", "marker") else SITE
    fitted = Wrapped(NAMES, behind(by_column((step, [column]))).fit(x, known))
    with pytest.raises(UnsupportedModel, match=message):
        export(fitted, x)


def test_text_categories_are_refused() -> None:
    from pandas import DataFrame
    from sklearn.preprocessing import OneHotEncoder
    from sksurv.preprocessing import OneHotEncoder as FrameEncoder

    x, known = patients()
    frame = DataFrame(x, columns=NAMES).assign(site=np.where(x[:, SITE] > 2, "north", "south"))
    coded = by_column((OneHotEncoder(sparse_output=False), [SITE]))
    for step, message in ((coded, "categories that are not numbers"), (FrameEncoder(), "scikit-survival's OneHot")):
        with pytest.raises(UnsupportedModel, match=message):
            export(Wrapped(NAMES, behind(step).fit(frame, known)), x)
