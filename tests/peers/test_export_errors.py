"""What the exporter refuses, by name, with nothing written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from functions.survival.data import FloatArray
from functions.survival.export import (
    AllMissingRow,
    BadReplicates,
    BadSample,
    BadTimeGrid,
    BaselineMissing,
    Disagreement,
    ExportError,
    MissingValue,
    NotFitted,
    UnsupportedModel,
    WrongColumns,
)
from functions.survival.models import Wrapped
from tests.peering import require_peer
from tests.peers.exporting import GRID, NAMES, export, metadata, patients, run

pytestmark = pytest.mark.peer("scikit-survival")


@pytest.fixture(scope="module")
def rows() -> tuple[FloatArray, Any]:
    require_peer("scikit-survival", "sksurv")
    return patients(missing=0.1)


@pytest.fixture(scope="module")
def fitted(rows: tuple[FloatArray, Any]) -> Wrapped:
    from sksurv.ensemble import RandomSurvivalForest

    return Wrapped(NAMES, RandomSurvivalForest(10, random_state=0).fit(*rows))


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([], "at least one value"),
        ([[1.0, 2.0]], "one axis"),
        ([1.0, np.nan], "finite"),
        ([1.0, np.inf], "finite"),
        ([-1.0, 5.0], "not be negative"),
        ([1.0, 3.0, 3.0], "must rise; 3 is followed by 3"),
        ([5.0, 3.0], "must rise; 5 is followed by 3"),
    ],
)
def test_time_grids(fitted: Wrapped, rows: tuple[FloatArray, Any], times: Any, message: str) -> None:
    with pytest.raises(BadTimeGrid, match=message):
        export(fitted, rows[0], np.array(times))


def test_samples(fitted: Wrapped, rows: tuple[FloatArray, Any]) -> None:
    x = rows[0]
    with pytest.raises(WrongColumns, match=r"shape \(300, 4\); the model has 5 inputs: age, bilirubin"):
        export(fitted, x[:, :4])
    with pytest.raises(BadSample, match="no rows"):
        export(fitted, x[:0])
    empty = x[:4].copy()
    empty[2] = np.nan
    with pytest.raises(AllMissingRow, match="row 2"):
        export(fitted, empty)
    endless = x[:4].copy()
    endless[3, 1] = np.inf
    with pytest.raises(BadSample, match="row 3, input 'bilirubin': infinite"):
        export(fitted, endless)


def test_a_missing_value_that_the_model_does_not_impute(rows: tuple[FloatArray, Any]) -> None:
    from sksurv.ensemble import GradientBoostingSurvivalAnalysis
    from sksurv.linear_model import CoxPHSurvivalAnalysis

    x, known = patients()
    for model in (CoxPHSurvivalAnalysis(), GradientBoostingSurvivalAnalysis(n_estimators=5)):
        bare = Wrapped(NAMES, model.fit(x, known))
        gap = x[:5].copy()
        gap[3, 2] = np.nan
        with pytest.raises(MissingValue, match="row 3, input 'stage': missing"):
            export(bare, gap)
        content = export(bare, x).content
        assert metadata(content)["required"] == '["age", "bilirubin", "stage", "female", "site"]'
        out = run(content, gap)
        for name in set(out) - {"times", "imputed"}:
            assert np.isnan(out[name][3]).all()
            assert not np.isnan(out[name][[0, 1, 2, 4]]).any()


def test_unfitted_models() -> None:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sksurv.ensemble import RandomSurvivalForest
    from sksurv.linear_model import CoxPHSurvivalAnalysis

    x, known = patients()
    with pytest.raises(NotFitted, match=r"sksurv\.RandomSurvivalForest is not fitted"):
        export(Wrapped(NAMES, RandomSurvivalForest()), x)
    half = make_pipeline(SimpleImputer(), CoxPHSurvivalAnalysis().fit(x, known))
    with pytest.raises(NotFitted, match=r"sklearn\.SimpleImputer is not fitted"):
        export(Wrapped(NAMES, half), x)


def test_models_without_a_baseline(rows: tuple[FloatArray, Any]) -> None:
    from sksurv.ensemble import ComponentwiseGradientBoostingSurvivalAnalysis, GradientBoostingSurvivalAnalysis
    from sksurv.linear_model import CoxnetSurvivalAnalysis

    x, known = patients()
    with pytest.raises(BaselineMissing, match="fit_baseline_model=True"):
        export(Wrapped(NAMES, CoxnetSurvivalAnalysis().fit(x, known)), x)
    for kind in (GradientBoostingSurvivalAnalysis, ComponentwiseGradientBoostingSurvivalAnalysis):
        with pytest.raises(BaselineMissing, match="loss='coxph'"):
            export(Wrapped(NAMES, kind(loss="ipcwls", n_estimators=5).fit(x, known)), x)
    path = CoxnetSurvivalAnalysis(fit_baseline_model=True).fit(x, known)
    with pytest.raises(BaselineMissing, match=r"alpha=0\.123"):
        export(Wrapped(NAMES, path, alpha=0.123), x)


def test_models_without_a_translation(rows: tuple[FloatArray, Any]) -> None:
    from sklearn.model_selection import GridSearchCV
    from sksurv.ensemble import RandomSurvivalForest
    from sksurv.linear_model import CoxPHSurvivalAnalysis
    from sksurv.svm import FastSurvivalSVM

    x, known = patients()
    with pytest.raises(UnsupportedModel, match=r"sksurv\.FastSurvivalSVM has no translation.*RandomSurvivalForest"):
        export(Wrapped(NAMES, FastSurvivalSVM().fit(x, known)), x)
    with pytest.raises(UnsupportedModel, match="low_memory=False"):
        export(Wrapped(NAMES, RandomSurvivalForest(3, low_memory=True).fit(x, known)), x)
    search = GridSearchCV(CoxPHSurvivalAnalysis(), {"alpha": [1.0]}, cv=2).fit(x, known)
    with pytest.raises(UnsupportedModel, match="best_estimator_"):
        export(Wrapped(NAMES, search), x)
    with pytest.raises(UnsupportedModel, match="alpha chooses on the path"):
        export(Wrapped(NAMES, CoxPHSurvivalAnalysis().fit(x, known), alpha=1.0), x)

    class OwnForest(RandomSurvivalForest):  # type: ignore[misc]
        """May predict otherwise."""

    with pytest.raises(UnsupportedModel, match="OwnForest has no translation"):
        export(Wrapped(NAMES, OwnForest(3).fit(x, known)), x)

    class Other:
        names = NAMES

    with pytest.raises(UnsupportedModel, match="Other is not a CoxEquation"):
        export(Other(), x)  # type: ignore[arg-type]


def test_a_model_of_other_columns(rows: tuple[FloatArray, Any]) -> None:
    from pandas import DataFrame
    from sksurv.ensemble import RandomSurvivalForest

    x, known = patients()
    four = RandomSurvivalForest(3, random_state=0).fit(x[:, :4], known)
    with pytest.raises(WrongColumns, match="fitted to 4 columns and is given 5"):
        export(Wrapped(NAMES, four), x)
    named = RandomSurvivalForest(3, random_state=0).fit(DataFrame(x, columns=NAMES[::-1]), known)
    with pytest.raises(WrongColumns, match="fitted to the columns"):
        export(Wrapped(NAMES, named), x)


class Drifting(Wrapped):
    """A model whose own answers are not those of its parts."""

    def survival(self, x: FloatArray, times: FloatArray) -> FloatArray:
        return super().survival(x, times) + 1e-4 * (np.arange(len(x)) == 3)[:, None]


def test_a_file_that_disagrees_is_not_written(fitted: Wrapped, rows: tuple[FloatArray, Any]) -> None:
    drifting = Drifting(fitted.names, fitted.estimator)
    with pytest.raises(Disagreement, match=r"sample row 3 at time .*tolerance 1e-05") as caught:
        export(drifting, rows[0])
    assert caught.value.max_error == pytest.approx(1e-4, rel=0.01)
    assert export(drifting, rows[0], tolerance=1e-3).max_error == pytest.approx(1e-4, rel=0.01)


def test_replicates(fitted: Wrapped, rows: tuple[FloatArray, Any]) -> None:
    with pytest.raises(BadReplicates, match="two"):
        export(fitted, rows[0], replicates=[fitted])
    renamed = Wrapped(("a", "b", "c", "d", "e"), fitted.estimator)
    with pytest.raises(BadReplicates, match="other inputs"):
        export(fitted, rows[0], replicates=[fitted, renamed])
    with pytest.raises(WrongColumns, match="background"):
        export(fitted, rows[0], background=rows[0][:5, :2])


def test_errors_hold_no_value_of_a_row(rows: tuple[FloatArray, Any]) -> None:
    """A canary among the values appears in no message."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder
    from sksurv.linear_model import CoxPHSurvivalAnalysis

    x, known = patients()
    coded = ColumnTransformer([("site", OneHotEncoder(), [4])], remainder="passthrough", sparse_threshold=0)
    model = Wrapped(NAMES, make_pipeline(coded, CoxPHSurvivalAnalysis(alpha=1.0)).fit(x, known))
    canary = 77123.25
    for column in (0, 4):
        other = x[:3].copy()
        other[1, column] = canary
        other[2, 3] = np.nan
        with pytest.raises(ExportError) as caught:
            export(model, other)
        assert "77123" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_nothing_is_lost_on_the_grid(fitted: Wrapped, rows: tuple[FloatArray, Any]) -> None:
    exported = export(fitted, rows[0], GRID[:1] + 100.0)
    assert run(exported.content, rows[0])["survival"].shape == (300, 1)
    assert exported.rows == 300
    assert exported.max_error < 1e-7
