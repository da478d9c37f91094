"""The WHAS500 package against scikit-survival, which trained it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import pytest
import yaml

from functions.survival.data import WHAS500, FloatArray, SurvivalTable, imputation_values
from tests.peering import require_peer

pytestmark = pytest.mark.peer("scikit-survival")

OUTPUTS = ("survival", "times", "risk_score", "contributions", "imputed")


@pytest.fixture(scope="module")
def table() -> SurvivalTable:
    require_peer("scikit-survival", "sksurv")
    return WHAS500.load()


@pytest.fixture(scope="module")
def contract() -> dict[str, Any]:
    require_peer("scikit-survival", "sksurv")
    from functions.survival.train import PACKAGES, read_contract

    return read_contract(PACKAGES / "whas500")


@pytest.fixture(scope="module")
def content(contract: dict[str, Any]) -> bytes:
    from functions.survival.train import PACKAGES

    return (PACKAGES / "whas500" / str(contract["file"])).read_bytes()


@pytest.fixture(scope="module")
def evaluation() -> dict[str, Any]:
    require_peer("scikit-survival", "sksurv")
    from functions.survival.train import PACKAGES

    loaded = json.loads((PACKAGES / "whas500" / "evaluation.json").read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def run(content: bytes, x: FloatArray) -> dict[str, FloatArray]:
    from onnxruntime import InferenceSession

    session = InferenceSession(content, providers=["CPUExecutionProvider"])
    return dict(zip(OUTPUTS, session.run(list(OUTPUTS), {"inputs": x}), strict=True))


def peer_pipeline(table: SurvivalTable, alpha: float) -> Any:
    """scikit-learn's imputation and scaling before scikit-survival's model: none of our arithmetic."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sksurv.linear_model import CoxPHSurvivalAnalysis
    from sksurv.util import Surv

    kinds = [column.kind for column in WHAS500.columns]
    continuous = [at for at, kind in enumerate(kinds) if kind == "continuous"]
    binary = [at for at, kind in enumerate(kinds) if kind == "binary"]
    prepare = ColumnTransformer(
        [
            ("continuous", SimpleImputer(strategy="median"), continuous),
            ("binary", SimpleImputer(strategy="most_frequent"), binary),
        ]
    )
    model = CoxPHSurvivalAnalysis(alpha=alpha)
    return make_pipeline(prepare, StandardScaler(), model).fit(table.x, Surv.from_arrays(table.event, table.time))


@pytest.fixture(scope="module")
def pipeline(table: SurvivalTable, content: bytes) -> Any:
    from functions.survival.export import read_cox

    return peer_pipeline(table, read_cox(content)[0].alpha)


def on_grid(pipeline: Any, x: FloatArray, times: FloatArray) -> FloatArray:
    """The library's curves, read at declared times."""
    curves = pipeline.predict_survival_function(x, return_array=True)
    padded = np.column_stack([np.ones(len(curves)), curves])
    return np.asarray(padded[:, np.searchsorted(pipeline[-1].unique_times_, times, side="right")])


def with_gaps(x: FloatArray) -> FloatArray:
    """A fifth of all values missing, every column at least once, and one row with nothing known."""
    gaps = np.random.default_rng(7).random(x.shape) < 0.2
    gaps[0] = True
    return np.where(gaps, np.nan, x)


def test_inputs_are_the_contracts_in_its_order(contract: dict[str, Any], table: SurvivalTable) -> None:
    WHAS500.check_order([declared["name"] for declared in contract["inputs"]])
    assert table.names == tuple(column.name for column in WHAS500.columns)
    assert (len(table), int(table.event.sum()), table.x.shape) == (500, 215, (500, 13))


def test_source_coding_is_as_documented(table: SurvivalTable) -> None:
    """Counts of Hosmer, Lemeshow and May, 2nd ed.: 200 women, 171 recurrent, 153 Q-wave."""
    counts = {name: int(total) for name, total in zip(table.names, table.x.sum(axis=0), strict=True)}
    assert (counts["female"], counts["recurrent_mi"], counts["q_wave_mi"]) == (200, 171, 153)
    assert [column.kind == "binary" for column in WHAS500.columns] == table.binary.tolist()


def test_committed_digest_is_the_files(contract: dict[str, Any], content: bytes) -> None:
    assert contract["sha256"] == hashlib.sha256(content).hexdigest()


def test_the_penalty_is_chosen_as_recorded(contract: dict[str, Any], table: SurvivalTable) -> None:
    from functions.survival.evaluate.candidates import candidate_named
    from functions.survival.evaluate.heldout import Plan
    from functions.survival.train import choose

    settings = choose(candidate_named("cox", table), table, contract, Plan.for_size(len(table)))
    assert dict(settings) == contract["performance"]["settings"]


def test_the_equation_reads_back(content: bytes, contract: dict[str, Any]) -> None:
    from functions.survival.export import read_cox

    equation, metadata = read_cox(content)
    assert (metadata["name"], metadata["version"]) == ("whas500", contract["version"])
    assert equation.alpha == contract["performance"]["settings"]["alpha"]
    assert len(equation.times) == 395


def test_survival_agrees_with_scikit_survival(content: bytes, table: SurvivalTable, pipeline: Any) -> None:
    ours = run(content, table.x)
    theirs = on_grid(pipeline, table.x, ours["times"])
    assert ours["survival"].shape == (500, len(ours["times"]))
    np.testing.assert_allclose(ours["survival"], theirs, rtol=0, atol=1e-10)


def test_risk_score_ranks_as_scikit_survival(content: bytes, table: SurvivalTable, pipeline: Any) -> None:
    difference = run(content, table.x)["risk_score"] - pipeline.predict(table.x)
    np.testing.assert_allclose(difference, difference[0], rtol=0, atol=1e-10)


def test_missing_inputs_are_imputed_as_scikit_learn_would(content: bytes, table: SurvivalTable, pipeline: Any) -> None:
    from sklearn.impute import SimpleImputer

    gaps = with_gaps(table.x)
    expected = gaps.copy()
    for strategy, columns in (("median", ~table.binary), ("most_frequent", table.binary)):
        imputer = SimpleImputer(strategy=strategy).fit(table.x[:, columns])
        expected[:, columns] = imputer.transform(gaps[:, columns])
    ours = run(content, gaps)
    np.testing.assert_array_equal(ours["imputed"], expected)
    theirs = on_grid(pipeline, gaps, ours["times"])
    np.testing.assert_allclose(ours["survival"], theirs, rtol=0, atol=1e-10)


def test_imputation_values_come_from_what_is_known(table: SurvivalTable) -> None:
    from sklearn.impute import SimpleImputer

    gaps = with_gaps(table.x)
    values = imputation_values(SurvivalTable(table.names, gaps, table.event, table.time))
    median = SimpleImputer(strategy="median").fit(gaps).statistics_
    frequent = SimpleImputer(strategy="most_frequent").fit(gaps).statistics_
    np.testing.assert_array_equal(values, np.where(table.binary, frequent, median))


def test_contributions_sum_to_the_risk_score(content: bytes, table: SurvivalTable) -> None:
    out = run(content, with_gaps(table.x))
    np.testing.assert_allclose(out["contributions"].sum(axis=1), out["risk_score"], rtol=0, atol=1e-12)


def test_an_imputed_input_contributes_nothing(content: bytes, table: SurvivalTable) -> None:
    gaps = with_gaps(table.x)
    out = run(content, gaps)
    assert np.all(out["contributions"][np.isnan(gaps)] == 0.0)
    assert out["risk_score"][0] == 0.0, "the reference patient"


def test_one_row_is_answered_as_in_a_batch(content: bytes, table: SurvivalTable) -> None:
    whole, single = run(content, table.x), run(content, table.x[42:43])
    np.testing.assert_allclose(single["survival"][0], whole["survival"][42], rtol=0, atol=1e-14)


def test_the_file_is_readable_by_the_oldest_runtime_we_support(content: bytes) -> None:
    from onnx import load_from_string

    model = load_from_string(content)
    # Well below what onnxruntime 1.22 reads (IR 10, opset 22).
    assert model.ir_version <= 10
    assert {(entry.domain, entry.version) for entry in model.opset_import} == {("", 17), ("ai.onnx.ml", 3)}
    named = {entry.key for entry in model.metadata_props}
    assert named >= {"equation", "inputs", "kind", "name", "replicates", "ridge_alpha", "times", "version"}


def test_evaluation_is_of_the_committed_model(evaluation: dict[str, Any], contract: dict[str, Any]) -> None:
    assert evaluation["model"]["sha256"] == contract["sha256"]
    recorded = contract["performance"]
    for key in ("uno_c", "harrell_c", "integrated_brier_score"):
        assert recorded[key]["value"] == pytest.approx(evaluation[key]["value"], abs=1e-4)
    assert [row["days"] for row in evaluation["horizons"]] == contract["horizons_days"]
    assert evaluation["served"]["max_difference"] < 1e-6


def intervals(found: Any) -> list[dict[str, float]]:
    """Every estimate in the evaluation, however deep."""
    if isinstance(found, dict) and set(found) == {"value", "low", "high"} and isinstance(found["low"], float):
        return [found]
    inner = found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    return [estimate for part in inner for estimate in intervals(part)]


def test_intervals_are_ordered(evaluation: dict[str, Any]) -> None:
    found = intervals(evaluation)
    assert len(found) > 40
    assert all(estimate["low"] < estimate["high"] for estimate in found)
    uno = evaluation["uno_c"]
    assert uno["low"] <= uno["value"] <= uno["high"]


def test_model_beats_chance_and_kaplan_meier(evaluation: dict[str, Any]) -> None:
    assert evaluation["uno_c"]["low"] > 0.5
    assert evaluation["auc_mean"]["low"] > 0.5
    ours, baseline = evaluation["integrated_brier_score"], evaluation["integrated_brier_score_reference"]
    assert 0.0 < ours["high"] < baseline["low"] < 0.25


def test_decision_follows_from_its_numbers(evaluation: dict[str, Any]) -> None:
    decision = evaluation["decision"]
    assert decision["chosen"] == "cox"
    for row in decision["differences_from_cox"]:
        assert row["better"] == (row["improvement"] > row["standard_error"])
    assert decision["forced"] == bool(decision["better_than_cox"])


def test_report_fetches_nothing_and_runs_nothing(evaluation: dict[str, Any]) -> None:
    from functions.survival.train import PACKAGES

    page = (PACKAGES / "whas500" / "report.html").read_text(encoding="utf-8")
    lowered = page.lower()
    for forbidden in ("<script", "<link", "<img", "@import", "url(http", 'href="http', 'src="'):
        assert forbidden not in lowered
    assert evaluation["model"]["sha256"][:12] in page
    ids = [part.split('"', 1)[0] for part in page.split(' id="')[1:]]
    assert len(ids) == len(set(ids)), "ids are unique within the page"


def test_report_and_card_are_what_the_evaluation_renders_to(
    evaluation: dict[str, Any], contract: dict[str, Any]
) -> None:
    require_peer("matplotlib", "matplotlib")
    from functions.survival.report import render_card, render_page
    from functions.survival.train import PACKAGES

    card = (PACKAGES / "whas500" / "card.md").read_text(encoding="utf-8")
    assert render_card(evaluation, contract, WHAS500) == card
    # The same bytes twice; against the committed page only the words, as another matplotlib draws otherwise.
    page = render_page(evaluation, contract, WHAS500)
    assert page == render_page(evaluation, contract, WHAS500)


def test_recording_keeps_the_handwritten_part() -> None:
    require_peer("scikit-survival", "sksurv")
    from functions.survival.train import PACKAGES, record

    text = (PACKAGES / "whas500" / "model.yaml").read_text(encoding="utf-8")
    once = record(text, "whas500", "ab" * 32, {"performance": {"uno_c": 0.5}})
    assert record(once, "whas500", "ab" * 32, {"performance": {"uno_c": 0.5}}) == once
    assert yaml.safe_load(once)["performance"] == {"uno_c": 0.5}
    changed = set(once.splitlines()) - set(text.splitlines())
    assert changed == {f'sha256: "{"ab" * 32}"', "performance: {uno_c: 0.5}"}
    with pytest.raises(ValueError, match="exactly one line"):
        record("name: x\n", "x", "00", {})


def test_one_patient_is_faster_than_the_library() -> None:
    require_peer("scikit-survival", "sksurv")
    from infra.bench.survival import measure

    found = measure(rounds=200)
    assert found["max_error"] < 1e-6
    assert found["ratio"] >= 5.0, found
