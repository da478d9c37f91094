"""Every output that an exported graph may have, served: bands, competing risks, reference rows, no number at all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fhir_adapter.evidence import evidence_of
from fhir_adapter.features import Features, Value
from fhir_adapter.prediction import Abstention, AbstentionReason, Prediction, ResultContext
from fhir_adapter.references import Source
from functions.serving.errors import ModelRefused
from functions.serving.package import Curve, Explain, ModelPackage, load_package
from functions.serving.pruning import pruned
from functions.serving.session import OnnxModel
from functions.survival.predict import SurvivalModel
from tests.peering import require_peer

pytestmark = pytest.mark.peer("onnx")

WHAS500 = load_package(Path("functions/survival/packages/whas500"))
INPUTS = tuple(item for item in WHAS500.inputs if item.name in ("age", "bmi", "heart_rate", "systolic_bp"))
TIMES = np.array([0.0, 100.0, 200.0, 400.0])
HAZARD = np.array([0.0, 0.1, 0.3, 0.8])
WEIGHTS = np.array([0.03, -0.02, 0.01, -0.005])
MEANS = np.array([70.0, 27.0, 85.0, 140.0])
BACKGROUND = np.random.default_rng(3).normal(MEANS, [10, 4, 15, 20], (20, 4))
VALUES = {"age": 81.0, "bmi": 24.0, "heart_rate": 110.0, "systolic_bp": 120.0}
UNSEEN = 95.0
DEATH = {"competing": {}, "competing_text": "Death without relapse"}


@pytest.fixture(autouse=True)
def onnx_is_here() -> None:
    require_peer("onnx", module="onnx")


def graph(*extras: str) -> bytes:
    """A Cox model of four inputs, no number for a body mass index above `UNSEEN`, and any of the further outputs."""
    from onnx import TensorProto, checker, helper, numpy_helper

    nodes: list[Any] = []

    def op(kind: str, *names: str, **attributes: Any) -> None:
        *given, out = names
        nodes.append(helper.make_node(kind, given, [out], **attributes))

    constants: dict[str, Any] = {
        "means": MEANS,
        "weights": WEIGHTS,
        "hazard": HAZARD,
        "grid": TIMES,
        "rows": BACKGROUND,
        "nan": np.array(math.nan),
        "bound": np.array(UNSEEN),
        "second": np.array([1]),
        "last": np.array([1]),
        "one": np.array(1.0),
        "third": np.array(0.1),
        "wider": np.array(1.5),
        "narrower": np.array(1 / 1.5),
        "median": np.array(250.0),
        "never": np.array(math.inf),
        "zero": np.array(0.0),
    }
    op("IsNaN", "inputs", "missing")
    op("Where", "missing", "means", "inputs", "imputed")
    op("Sub", "imputed", "means", "centred")
    op("Mul", "centred", "weights", "contributions")
    op("ReduceSum", "contributions", "last", "risk_score", keepdims=0)
    op("ReduceSum", "contributions", "last", "score", keepdims=1)
    op("Exp", "score", "ratio")
    op("Mul", "ratio", "hazard", "cumulative_hazard")
    op("Neg", "cumulative_hazard", "negative")
    op("Exp", "negative", "number")
    op("Gather", "imputed", "second", "category", axis=1)
    op("Greater", "category", "bound", "unseen")
    op("Where", "unseen", "nan", "number", "survival")
    op("Identity", "grid", "times")
    op("Pow", "survival", "wider", "lower")
    op("Pow", "survival", "narrower", "upper")
    op("Greater", "risk_score", "zero", "high")
    op("Where", "high", "median", "never", "median_survival")
    op("Sub", "one", "survival", "first_cause")
    op("Mul", "first_cause", "third", "second_cause")
    op("Unsqueeze", "first_cause", "last", "first_slab")
    op("Unsqueeze", "second_cause", "last", "second_slab")
    op("Concat", "first_slab", "second_slab", "cumulative_incidence", axis=1)
    op("Identity", "rows", "background")
    shapes: dict[str, list[Any]] = {
        "survival": ["N", 4],
        "times": [4],
        "risk_score": ["N"],
        "imputed": ["N", 4],
        "lower": ["N", 4],
        "upper": ["N", 4],
        "median_survival": ["N"],
        "contributions": ["N", 4],
        "cumulative_incidence": ["N", 2, 4],
        "background": list(BACKGROUND.shape),
    }
    names = ["survival", "times", "risk_score", "imputed", *extras]
    made = helper.make_graph(
        nodes,
        "cox",
        [helper.make_tensor_value_info("inputs", TensorProto.DOUBLE, ["N", 4])],
        [helper.make_tensor_value_info(name, TensorProto.DOUBLE, shapes[name]) for name in names],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    return bytes(model.SerializeToString())


def package(*extras: str, explain: Explain | None = None, **identity: Any) -> ModelPackage:
    return replace(
        WHAS500,
        model=graph(*extras),
        inputs=INPUTS,
        horizons_days=(100.0, 200.0, 300.0, 400.0),
        curve=Curve(50.0, 400.0),
        identity=replace(WHAS500.identity, **identity),
        explain=explain or Explain(),
    )


def features(**changed: float) -> Features:
    values = {**VALUES, **changed}
    here = Source("Observation/x/_history/1", "Observation/x@1")
    return Features(
        tuple(Value(item, values[item.name], () if math.isnan(values[item.name]) else (here,)) for item in INPUTS)
    )


def answer(
    *extras: str, explain: Explain | None = None, changed: Mapping[str, float] | None = None, **identity: Any
) -> Prediction:
    found = SurvivalModel(package(*extras, explain=explain, **identity)).predict(features(**(changed or {})))
    assert isinstance(found, Prediction)
    return found


def survival(values: Mapping[str, float], day: float) -> float:
    score = sum(weight * (values[item.name] - mean) for item, weight, mean in zip(INPUTS, WEIGHTS, MEANS, strict=True))
    at = HAZARD[int(np.searchsorted(TIMES, day, side="right")) - 1]
    return float(np.exp(-at * np.exp(score)))


def test_the_least_a_graph_may_have_gives_risks_and_a_curve() -> None:
    found = answer()
    assert [risk.probability for risk in found.risks] == pytest.approx(
        [1 - survival(VALUES, day) for day in (100, 200, 300, 400)]
    )
    assert {risk.interval for risk in found.risks} == {None}
    assert found.curve is not None
    assert (found.curve.lower, found.curve.upper, len(found.curve.survival)) == (None, None, 9)
    assert (found.contributions, found.median_days, found.competing) == ((), None, None)


def test_bands_become_intervals_of_the_risks_and_of_the_curve() -> None:
    found = answer("lower", "upper", "median_survival")
    for risk in found.risks:
        assert risk.interval == pytest.approx(
            (1 - survival(VALUES, risk.days) ** (1 / 1.5), 1 - survival(VALUES, risk.days) ** 1.5)
        )
    assert found.curve is not None and found.curve.lower is not None and found.curve.upper is not None
    assert found.curve.lower[-1] == pytest.approx(survival(VALUES, 400) ** 1.5)
    assert found.curve.upper[0] == 1.0
    assert found.median_days == 250.0
    assert answer("median_survival", changed={"age": 30.0}).median_days is None


def test_a_competing_event_has_its_own_risks_and_curve() -> None:
    found = answer("cumulative_incidence", **DEATH)
    assert found.competing is not None and found.competing.curve is not None
    for risk, other in zip(found.risks, found.competing.risks, strict=True):
        assert other.days == risk.days
        assert other.probability == pytest.approx(0.1 * risk.probability)
    assert found.competing.curve.incidence[-1] == pytest.approx(0.1 * (1 - survival(VALUES, 400)))


def test_exact_contributions_come_first_and_are_on_the_log_hazard() -> None:
    found = answer("contributions", "background")
    assert (found.scale, found.explained_days) == ("log hazard", None)
    effects = {item.name: item.effect for item in found.contributions}
    assert effects["age"] == pytest.approx(0.03 * 11)


def test_without_an_equation_reference_rows_explain_the_middle_horizon_in_percentage_points() -> None:
    found = answer("background")
    assert (found.scale, found.explained_days) == ("percentage points", 300.0)
    mean = np.mean([survival(dict(zip(VALUES, row, strict=True)), 300) for row in BACKGROUND[:, [0, 1, 2, 3]]])
    total = sum(item.effect for item in found.contributions)
    assert total == pytest.approx(100 * (mean - survival(VALUES, 300)))
    sizes = [abs(item.effect) for item in found.contributions]
    assert sizes == sorted(sizes, reverse=True)


def test_the_contract_may_say_how_to_explain() -> None:
    assert answer("contributions", "background", explain=Explain("survshap")).scale == "percentage points"
    assert answer("contributions", "background", explain=Explain("none")).contributions == ()


@pytest.mark.parametrize(
    ("extras", "more", "rule"),
    [
        ((), {"explain": Explain("survshap")}, "explain"),
        (("background",), {"explain": Explain("exact")}, "explain"),
        (("cumulative_incidence",), {}, "competing"),
        ((), DEATH, "competing"),
        (("lower",), {}, "graph"),
    ],
)
def test_a_contract_that_asks_for_what_the_graph_has_not_is_refused(
    extras: tuple[str, ...], more: dict[str, Any], rule: str
) -> None:
    with pytest.raises(ModelRefused) as caught:
        SurvivalModel(package(*extras, **more))
    assert caught.value.rule == rule


def test_a_horizon_beyond_the_model_s_times_is_refused() -> None:
    with pytest.raises(ModelRefused, match="the model's times end after 400 days") as caught:
        SurvivalModel(replace(package(), horizons_days=(100.0, 401.0)))
    assert caught.value.rule == "horizons"


def test_no_number_is_an_abstention_that_names_the_input() -> None:
    found = SurvivalModel(package()).predict(features(bmi=UNSEEN + 1))
    assert isinstance(found, Abstention)
    assert found.reason is AbstentionReason.NOT_COMPUTABLE
    assert found.inputs == ("bmi",)
    assert found.detail == "The model gives no number for what is on record of body mass index; check the record."


def test_nothing_on_record_is_an_abstention_and_one_thing_is_not() -> None:
    nothing = dict.fromkeys(("bmi", "heart_rate", "systolic_bp"), math.nan)
    model = SurvivalModel(package())
    found = model.predict(features(**nothing))
    assert isinstance(found, Abstention)
    assert found.reason is AbstentionReason.MISSING_INPUT
    assert isinstance(model.predict(features(**{**nothing, "bmi": 30.0})), Prediction)


@pytest.mark.parametrize("extras", [("lower", "upper", "median_survival", "cumulative_incidence", "background")])
def test_all_of_it_is_written_as_valid_resources(extras: tuple[str, ...]) -> None:
    require_peer("fhirkit-rs", module="fhirkit")
    import fhirkit

    from tests import validator

    identity = {**DEATH, "outcome": {}, "outcome_text": "Relapse"}
    context = ResultContext(
        tenant="general",
        organization="General Hospital",
        patient="Patient/p1",
        encounter="Encounter/e1",
        index_time=datetime(2026, 1, 10, 8, tzinfo=UTC),
        sources=(),
        fingerprints=("Patient/p1@1",),
    )
    evidence = evidence_of(answer(*extras, **identity), context, package(*extras, **identity).identity)
    for entry in evidence.bundle["entry"]:
        assert fhirkit.validate(entry["resource"]) == []
        validator.assert_valid(entry["resource"])


def test_a_cut_graph_is_valid_and_keeps_what_it_needs_only() -> None:
    from onnx import checker, load_from_string

    whole = graph("lower", "upper", "cumulative_incidence", "background", "contributions")
    cut = load_from_string(pruned(whole, ["survival"]))
    checker.check_model(cut)
    assert [item.name for item in cut.graph.output] == ["survival"]
    made = {name for node in cut.graph.node for name in node.output}
    assert made.isdisjoint({"lower", "upper", "cumulative_incidence", "background", "risk_score", "times"})
    assert {item.name for item in cut.graph.initializer}.isdisjoint({"rows", "grid", "wider", "third"})
    rows = np.array([list(VALUES.values())])
    expected = OnnxModel("test", whole, 4, ["survival"]).run(rows)["survival"]
    assert np.array_equal(expected[0, -1], pytest.approx(survival(VALUES, 400)))


def test_a_graph_with_control_flow_keeps_all_of_its_nodes() -> None:
    from onnx import TensorProto, helper, load_from_string

    def branch(name: str, out: str) -> Any:
        value = helper.make_tensor_value_info(out, TensorProto.DOUBLE, ["N", 1])
        return helper.make_graph([helper.make_node(name, ["hidden"], [out])], name, [], [value])

    nodes = [
        helper.make_node("Neg", ["inputs"], ["hidden"]),
        helper.make_node("If", ["yes"], ["first"], then_branch=branch("Neg", "a"), else_branch=branch("Abs", "b")),
        helper.make_node("Abs", ["inputs"], ["second"]),
    ]
    shape = ["N", 1]
    made = helper.make_graph(
        nodes,
        "flow",
        [helper.make_tensor_value_info("inputs", TensorProto.DOUBLE, shape)],
        [helper.make_tensor_value_info(name, TensorProto.DOUBLE, shape) for name in ("first", "second")],
        [helper.make_tensor("yes", TensorProto.BOOL, [], [True])],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    cut = load_from_string(pruned(model.SerializeToString(), ["first"]))
    assert [node.op_type for node in cut.graph.node] == ["Neg", "If", "Abs"]
    assert [item.name for item in cut.graph.output] == ["first"]
