"""`bedside export-survival`: a model file in, an ONNX file or a plain reason out."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from functions.survival.data import FloatArray
from functions.survival.models import Wrapped
from infra.cli.main import main
from tests.peering import require_peer
from tests.peers.exporting import NAMES, metadata, patients, run

pytestmark = pytest.mark.peer("scikit-survival")


@pytest.fixture
def pipeline(tmp_path: Path) -> Any:
    """A pipeline of missing values, boosted trees and no names, saved beside its rows."""
    require_peer("scikit-survival", "sksurv")
    import joblib
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sksurv.ensemble import GradientBoostingSurvivalAnalysis

    x, known = patients(missing=0.1)
    model = make_pipeline(SimpleImputer(), GradientBoostingSurvivalAnalysis(n_estimators=10, random_state=0))
    joblib.dump(model.fit(x, known), tmp_path / "model.joblib")
    write(tmp_path / "rows.csv", list(NAMES), x)
    return model


def write(path: Path, header: list[str], x: FloatArray) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows([["" if np.isnan(value) else value for value in row] for row in x])


def command(folder: Path, *more: str, data: str = "rows.csv", times: str = "30:2400:30") -> int:
    words = ["export-survival", str(folder / "model.joblib"), "--data", str(folder / data)]
    return main([*words, "--times", times, "--out", str(folder / "out" / "model.onnx"), *more])


def written(folder: Path) -> list[Path]:
    return list((folder / "out").glob("**/*")) if (folder / "out").exists() else []


def test_a_model_is_exported(pipeline: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(tmp_path, "--name", "mine", "--version", "2.1.0", "--json") == 0
    told, warned = capsys.readouterr()
    found = json.loads(told)
    content = (tmp_path / "out" / "model.onnx").read_bytes()
    assert found["sha256"] == hashlib.sha256(content).hexdigest()
    assert (found["bytes"], found["rows"], found["times"]) == (len(content), 300, 80)
    assert found["max_error"] < 1e-13
    assert found["inputs"] == list(NAMES)
    assert "runs code when it is loaded" in warned
    assert (metadata(content)["name"], metadata(content)["version"]) == ("mine", "2.1.0")
    unseen, _ = patients(50, seed=9, missing=0.3)
    times = np.arange(30.0, 2401.0, 30.0)
    expected = Wrapped(NAMES, pipeline).survival(unseen, times)
    np.testing.assert_allclose(run(content, unseen)["survival"], expected, rtol=0, atol=1e-13)
    assert written(tmp_path) == [tmp_path / "out" / "model.onnx"]


def test_the_result_is_told_in_words(pipeline: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(tmp_path, times="100,200,400") == 0
    told = capsys.readouterr().out
    assert "5 inputs: age, bilirubin, stage, female, site" in told
    assert "3 times from 100 to 400" in told
    assert "on 300 rows" in told


def test_nothing_is_overwritten_unasked(pipeline: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(tmp_path) == 0
    before = (tmp_path / "out" / "model.onnx").read_bytes()
    assert command(tmp_path, times="100,200") == 2
    assert "--force" in capsys.readouterr().err
    assert (tmp_path / "out" / "model.onnx").read_bytes() == before
    assert command(tmp_path, "--force", times="100,200") == 0
    assert (tmp_path / "out" / "model.onnx").read_bytes() != before


@pytest.mark.parametrize(
    "times", ["", "a", "1:2", "1:2:3:4", "10:5:1", "1:10:0", "1:inf:2", "nan", "5,3", "-3,5", "0:1e9:1"]
)
def test_wrong_grids(pipeline: Any, tmp_path: Path, times: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(tmp_path, f"--times={times}") == 2
    assert "nothing written: BadTimeGrid" in capsys.readouterr().err
    assert written(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "needs a header and at least one row"),
        ("a,b,c,d,e\n", "needs a header and at least one row"),
        ("a,b,c,d,d\n1,2,3,4,5\n", "names a column twice"),
        ("a,b,c,d,e\n1,2,3,4\n", "line 2 has 4 cells, its header 5"),
        ("a,b,c,d,e\n1,2,3,4,north7712\n", "line 2, column 'e': not a number"),
        ("a,b,c,d\n1,2,3,4\n", "WrongColumns: the model takes 5 columns, the sample has 4"),
        ("a,b,c,d,e\n1,2,3,4,5\n,,NA,nan,\n", "AllMissingRow: sample row 1"),
        ("a,b,c,d,e\n1,2,3,4,inf\n", "BadSample: sample row 0, input 'e': infinite"),
    ],
)
def test_wrong_samples(
    pipeline: Any, tmp_path: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.csv").write_text(text, encoding="utf-8")
    assert command(tmp_path, data="other.csv") == 1
    said = capsys.readouterr().err
    assert message in said
    assert "7712" not in said
    assert written(tmp_path) == []


def test_a_model_with_names_finds_its_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    require_peer("scikit-survival", "sksurv")
    import joblib
    from pandas import DataFrame
    from sksurv.ensemble import RandomSurvivalForest

    x, known = patients()
    joblib.dump(
        RandomSurvivalForest(5, random_state=0).fit(DataFrame(x, columns=NAMES), known), tmp_path / "model.joblib"
    )
    shuffled = ["extra", "site", "female", "age", "stage", "bilirubin"]
    order = [NAMES.index(name) for name in shuffled[1:]]
    write(tmp_path / "rows.csv", shuffled, np.column_stack([np.zeros(len(x)), x[:, order]]))
    assert command(tmp_path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["inputs"] == list(NAMES)
    write(tmp_path / "rows.csv", shuffled[:-1], np.column_stack([np.zeros(len(x)), x[:, order[:-1]]]))
    assert command(tmp_path, "--force") == 1
    assert "WrongColumns: the sample lacks the model's columns bilirubin" in capsys.readouterr().err


def test_what_cannot_be_exported_is_said_plainly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    require_peer("scikit-survival", "sksurv")
    import joblib
    from sksurv.svm import FastSurvivalSVM

    x, known = patients()
    write(tmp_path / "rows.csv", list(NAMES), x)
    assert command(tmp_path) == 1
    assert "FileNotFoundError" in capsys.readouterr().err
    for wrong, message in (
        (FastSurvivalSVM().fit(x, known), "sksurv.FastSurvivalSVM has no translation"),
        ({"not": "a model"}, "builtins.dict has no translation"),
    ):
        joblib.dump(wrong, tmp_path / "model.joblib")
        assert command(tmp_path) == 1
        assert f"nothing written: UnsupportedModel: {message}" in capsys.readouterr().err
    (tmp_path / "model.joblib").write_bytes(b"neither joblib nor pickle")
    assert command(tmp_path) == 1
    assert "is not a joblib or pickle file" in capsys.readouterr().err
    assert written(tmp_path) == []


def test_a_sample_that_disagrees_leaves_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A forest's curves are kept in single precision, which is not good to twelve digits."""
    require_peer("scikit-survival", "sksurv")
    import joblib
    from sksurv.ensemble import RandomSurvivalForest

    x, known = patients()
    write(tmp_path / "rows.csv", list(NAMES), x)
    joblib.dump(RandomSurvivalForest(5, random_state=0).fit(x, known), tmp_path / "model.joblib")
    assert command(tmp_path, "--tolerance", "1e-12") == 1
    assert "nothing written: Disagreement: sample row" in capsys.readouterr().err
    assert written(tmp_path) == []
    assert command(tmp_path, "--tolerance", "1e-7") == 0


@pytest.mark.parametrize("value", ["-1", "nan", "much"])
def test_wrong_tolerances(tmp_path: Path, value: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        command(tmp_path, f"--tolerance={value}")
    assert stopped.value.code == 2
