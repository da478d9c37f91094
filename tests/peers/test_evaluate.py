"""A whole evaluation of synthetic packages: a Cox model, trees, competing risks; and its report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from functions.survival.data import Dataset, SurvivalTable
from functions.survival.evaluate import candidates, evaluate, fits
from functions.survival.evaluate.candidates import (
    BOOSTING,
    COMPETING,
    COX,
    SINGLE,
    STACK,
    Candidate,
    Family,
    candidate_named,
    family_of,
    fit_cox,
)
from functions.survival.evaluate.comparison import Comparison, compare, curve_times, performance
from functions.survival.evaluate.heldout import Plan, choose_settings, held_out, split_for_test
from functions.survival.models import CompetingCox, CoxEquation, StackedAverage, Wrapped
from tests.peering import require_peer
from tests.peers.evaluating import NAMES, QUICK, contract, dataset, package, patients

pytestmark = pytest.mark.peer("scikit-survival")

Found = tuple[dict[str, Any], dict[str, Any], Dataset]
# The kind of file.
PACKAGES = ("cox", "gradient_boosting", "competing_cox")


@pytest.fixture(autouse=True, scope="module")
def _libraries() -> Iterator[None]:
    """Fewer and smaller trees: what is tested does not depend on how many there are."""
    require_peer("scikit-survival", "sksurv")
    require_peer("matplotlib", "matplotlib")
    light = replace(BOOSTING, grid=({"n_estimators": 20.0, "max_depth": 1.0}, {"n_estimators": 30.0, "max_depth": 1.0}))
    members = (*STACK.members[:-1], light)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fits, "TREES", 10)
        patched.setattr(candidates, "SINGLE", Family((*members, replace(STACK, members=members)), SINGLE.reference))
        yield


@pytest.fixture(scope="module", params=PACKAGES)
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """An evaluation, its contract and its data."""
    table = patients(competes=request.param == "competing_cox")
    declared, path = package(tmp_path_factory.mktemp("package"), table, request.param)
    described = dataset(table)
    return evaluate(described, declared, path, plan=QUICK), declared, described


def numbers(part: Any) -> list[float]:
    """Every number in an evaluation, however deep."""
    if isinstance(part, float):
        return [part]
    inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return [number for one in inner for number in numbers(one)]


def test_it_is_json_of_known_keys(found: Found) -> None:
    evaluation = found[0]
    assert json.loads(json.dumps(evaluation, allow_nan=False)) == evaluation
    assert evaluation["schema"] == 2
    keys = (
        "uno_c harrell_c integrated_brier_score integrated_brier_score_reference index_of_prediction_accuracy "
        "auc_mean d_calibration horizons subgroups missingness comparison decision equation importance test_split "
        "served software"
    )
    assert set(keys.split()) <= set(evaluation)
    assert all(np.isfinite(number) for number in numbers(evaluation))


def test_every_horizon_of_the_contract_is_measured(found: Found) -> None:
    horizons = found[0]["horizons"]
    assert [row["days"] for row in horizons] == [365.0, 1095.0]
    for row in horizons:
        assert row["auc"]["low"] < row["auc"]["high"]
        assert row["auc"]["value"] > 0.5
        assert set(row["calibration"]) == {"observed_expected_ratio", "slope", "ici", "e50", "e90", "curve", "groups"}
        assert row["calibration"]["observed_expected_ratio"]["value"] == pytest.approx(1, abs=0.35)
        benefit = row["net_benefit"]
        assert len(benefit["thresholds"]) == len(benefit["model"]["value"]) == len(benefit["act_on_all"])


def test_the_model_beats_the_reference(found: Found) -> None:
    evaluation = found[0]
    assert evaluation["uno_c"]["value"] > 0.55
    ours, theirs = (evaluation[f"integrated_brier_score{key}"]["value"] for key in ("", "_reference"))
    assert evaluation["index_of_prediction_accuracy"]["value"] == pytest.approx(1 - ours / theirs, abs=1e-3)
    assert sum(evaluation["d_calibration"]["bins"]) == pytest.approx(1, abs=1e-4)
    expected = "aalen_johansen" if found[2].competing else "kaplan_meier"
    assert evaluation["reference"]["name"] == expected


def test_the_file_is_what_was_measured(found: Found) -> None:
    """The penalty is read from an equation's file; the others are given the settings that training chooses."""
    evaluation = found[0]
    served, kind = evaluation["served"], evaluation["model"]["kind"]
    assert kind in PACKAGES
    assert served["max_difference"] < 1e-6
    assert served["apparent"]["uno_c"] > 0.55
    assert bool(evaluation["equation"]) == (kind != "gradient_boosting")
    assert bool(evaluation["importance"]) == (kind == "gradient_boosting")


def test_what_the_model_leans_on(found: Found) -> None:
    evaluation = found[0]
    if evaluation["importance"]:
        assert {row["name"] for row in evaluation["importance"]} == set(NAMES)
        assert evaluation["importance"][0]["name"] != "female"
        return
    for cause in evaluation["equation"]["causes"]:
        assert [term["name"] for term in cause["terms"]] == list(NAMES)
        assert cause["terms"][0]["hazard_ratio"]["value"] > 1, "age"


def test_missing_values_are_counted_and_measured(found: Found) -> None:
    missing, data = found[0]["missingness"], found[0]["data"]
    assert missing["inputs"]["marker"]["missing"] == data["patients"] - missing["complete_patients"] > 0
    complete, incomplete = missing["performance"]
    assert complete["patients"] + incomplete["patients"] == data["patients"]
    assert complete["integrated_brier_score"]["value"] > 0


def test_the_test_set_is_apart(found: Found) -> None:
    test, data = found[0]["test_split"], found[0]["data"]
    assert test["patients"] + test["fitted_to"] == data["patients"]
    assert test["patients"] == pytest.approx(QUICK.test_share * data["patients"], abs=1)
    assert test["events"] / test["patients"] == pytest.approx(data["events"] / data["patients"], abs=0.03)
    assert test["uno_c"]["value"] != found[0]["uno_c"]["value"]


def test_subgroups_are_the_data_sets(found: Found) -> None:
    rows = {row["title"]: row for row in found[0]["subgroups"]}
    assert list(rows) == ["Everyone", "Women", "Men"]
    assert rows["Women"]["patients"] + rows["Men"]["patients"] == rows["Everyone"]["patients"]
    assert rows["Everyone"]["uno_c"]["value"] == pytest.approx(found[0]["uno_c"]["value"], abs=1e-4)


def test_report_speaks_of_this_outcome_and_fetches_nothing(found: Found) -> None:
    from functions.survival.report import render_card, render_page

    evaluation, declared, described = found
    page = render_page(evaluation, declared, described)
    card = render_card(evaluation, declared, described)
    assert page == render_page(evaluation, declared, described)
    lowered = page.lower()
    for forbidden in ("<script", "<link", "<img", "@import", "url(http", 'href="http', 'src="', "nan", "none</td>"):
        assert forbidden not in lowered.replace("financ", "")
    ids = [part.split('"', 1)[0] for part in page.split(' id="')[1:]]
    assert len(ids) == len(set(ids)), "ids are unique within the page"
    for text in (page, card):
        assert "relapse" in text
        assert "infarction" not in text
        assert ("death without relapse" in text) == bool(described.competing)
    for item in ("3c", "8a", "12c", "23a", "27c"):
        assert f'<th scope="row">{item}</th>' in page
    assert "Not done." in page
    # Calibration and decision curve at two horizons, four over time or over all, and the model.
    assert page.count("<svg") == 8 + len((evaluation["equation"] or {"causes": [None]})["causes"])


def test_report_says_what_is_unknown(found: Found) -> None:
    """Without a test set, and with measures that could not be computed."""
    from functions.survival.report import render_card, render_page

    evaluation, declared, described = deepcopy(found)
    evaluation["test_split"] = None
    row = evaluation["horizons"][0]
    row["auc"] = row["calibration"]["slope"] = {"value": None, "low": None, "high": None}
    curve = row["calibration"]["curve"]["observed"]
    curve["value"] = curve["low"] = curve["high"] = [None] * len(curve["value"])
    page = render_page(evaluation, declared, described)
    assert 'id="test"' not in page
    assert "<td>–</td>" in page
    assert "| – |" in render_card(evaluation, declared, described)


def test_a_file_that_is_not_the_contracts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"another")
    with pytest.raises(ValueError, match="train first"):
        evaluate(dataset(patients(competes=False)), contract("00"), tmp_path / "model.onnx", plan=QUICK)


@pytest.fixture(scope="module")
def single() -> SurvivalTable:
    return patients(competes=False)


@pytest.fixture(scope="module")
def comparison(single: SurvivalTable) -> Comparison:
    return compare(single, curve_times(contract()), QUICK, lambda _line: None)


def test_processes_change_no_number(single: SurvivalTable, comparison: Comparison) -> None:
    lines: list[str] = []
    crossed, test = held_out((COX, SINGLE.reference), single, curve_times(contract()), QUICK, lines.append, jobs=2)
    for name in ("cox", "kaplan_meier"):
        np.testing.assert_array_equal(crossed[name].survival, comparison.predictions[name].survival)
        np.testing.assert_array_equal(test[name].own, comparison.test[name].own)
    assert len(lines) == QUICK.folds + 1


def test_every_patient_is_predicted_by_a_model_that_saw_only_others(single: SurvivalTable) -> None:
    """A model that knows its own rows by heart is caught out."""
    from sklearn.model_selection import StratifiedKFold

    times = curve_times(contract())
    crossed, _test = held_out((COX,), single, times, QUICK)
    splitter = StratifiedKFold(QUICK.folds, shuffle=True, random_state=QUICK.seed)
    train, test = next(iter(splitter.split(single.event, single.event)))
    settings = crossed["cox"].settings[0]
    alone = fit_cox(single.take(train), settings["alpha"]).survival(single.x[test], times)
    np.testing.assert_array_equal(crossed["cox"].survival[0, test], alone)


def test_the_stack_is_its_members_average(single: SurvivalTable) -> None:
    times, stack = curve_times(contract()), candidate_named("stacked_average", single)
    settings = choose_settings(stack, single, times, QUICK)
    assert sum(settings[f"{member.name}.weight"] for member in stack.members) == pytest.approx(1)
    fitted = stack.fit(single, settings)
    assert isinstance(fitted, StackedAverage)
    parts = []
    for member in stack.members:
        own = {key.split(".")[1]: value for key, value in settings.items() if key.startswith(f"{member.name}.")}
        assert own in [{"weight": own["weight"], **one} for one in member.grid]
        parts.append(own["weight"] * member.fit(single, own).survival(single.x, times))
    np.testing.assert_allclose(fitted.survival(single.x, times), np.sum(parts, axis=0), atol=1e-12)


def test_candidates_fit_what_the_exporter_knows(single: SurvivalTable) -> None:
    assert isinstance(COX.fit(single, {"alpha": 1.0}), CoxEquation)
    assert isinstance(BOOSTING.fit(single, BOOSTING.grid[0]), Wrapped)
    both = patients(competes=True)
    assert isinstance(COMPETING.baseline.fit(both, {"alpha": 1.0}), CompetingCox)
    assert all(candidate.exportable for candidate in SINGLE.candidates)
    assert family_of(both) is COMPETING
    assert candidate_named("cox", both) is COMPETING.baseline
    with pytest.raises(ValueError, match="no model 'oracle'"):
        candidate_named("oracle", single)


@pytest.mark.parametrize("candidate", COMPETING.candidates, ids=lambda candidate: candidate.name)
def test_competing_models_predict_incidences(candidate: Candidate) -> None:
    table, times = patients(competes=True), np.array([100.0, 365.0, 1095.0, 1400.0])
    survival = candidate.fit(table, candidate.grid[0]).survival(table.x, times)
    assert np.all(np.diff(survival, axis=1) <= 1e-12)
    assert survival.min() > 0
    # In the mean over the patients near what was observed.
    observed = COMPETING.reference.fit(table, {}).survival(table.x[:1], times)[0]
    np.testing.assert_allclose(survival.mean(axis=0), observed, atol=0.05)


def test_cox_stays_unless_another_is_better_by_the_standard_error(
    single: SurvivalTable, comparison: Comparison
) -> None:
    decision = comparison.decision()
    assert decision["baseline"] == "cox"
    errors = {d["model"]: d for d in decision["differences_from_cox"] if d["metric"] == "integrated_brier_score"}
    assert set(errors) == {candidate.name for candidate in SINGLE.candidates[1:]}
    better = {name: d["improvement"] for name, d in errors.items() if d["improvement"] > d["standard_error"]}
    assert decision["better_than_cox"] == sorted(better)
    assert decision["chosen"] == (max(better, key=lambda name: better[name]) if better else "cox")
    assert not decision["forced"]


def test_a_better_model_that_no_file_can_hold_forces_cox(comparison: Comparison) -> None:
    family = replace(SINGLE, candidates=(COX, replace(BOOSTING, exportable=False)))
    predictions = {name: comparison.predictions[name] for name in ("cox", "gradient_boosting", "kaplan_meier")}
    # The truth, as far as it is known, in the rival's place.
    known = comparison.predictions["cox"]
    perfect = (known.time[:, None] > known.times).astype(np.float64)[None]
    predictions["gradient_boosting"] = replace(known, survival=0.5 * known.survival + 0.5 * perfect)
    decision = Comparison(family, predictions, {}, QUICK).decision()
    assert (decision["chosen"], decision["forced"]) == ("cox", True)
    assert decision["better_than_cox"] == ["gradient_boosting"]
    allowed = replace(SINGLE, candidates=(COX, BOOSTING))
    assert Comparison(allowed, predictions, {}, QUICK).chosen is BOOSTING


def test_performance_is_of_the_model_named(comparison: Comparison) -> None:
    ours = performance(comparison, QUICK, contract(), "random_survival_forest")
    row = next(row for row in comparison.table() if row["name"] == "random_survival_forest")
    assert ours["uno_c"] == row["uno_c"]
    assert [horizon["days"] for horizon in ours["horizons"]] == [365.0, 1095.0]


def test_larger_data_get_fewer_repeats() -> None:
    assert Plan.for_size(418) == Plan()
    assert Plan.for_size(418).repeats > Plan.for_size(1384).repeats > Plan.for_size(3900).repeats


def test_the_test_set_is_stratified_and_the_same_again(single: SurvivalTable) -> None:
    train, test = split_for_test(single, QUICK)
    np.testing.assert_array_equal(test, split_for_test(single, QUICK)[1])
    np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(len(single)))
    assert single.event[test].mean() == pytest.approx(single.event.mean(), abs=0.02)


def test_too_few_events_are_refused_by_number(single: SurvivalTable) -> None:
    few = SurvivalTable(NAMES, single.x, np.arange(len(single)) < 1, single.time)
    with pytest.raises(ValueError, match="1 events for 2 folds"):
        held_out((COX,), few, curve_times(contract()), QUICK)
