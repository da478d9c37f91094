"""A Cox model as one ONNX graph in double precision: imputation, coding, curve and explanation in one file.

The graph is built node by node, so it holds nothing but what is written here, and the same equation always
gives the same bytes. Operators: https://onnx.ai/onnx/operators/ (opset 17).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from functions.survival.data import FloatArray
from functions.survival.models import CoxEquation

__all__ = ["IR_VERSION", "OPSET", "export_cox", "read_cox"]

# Read by every onnxruntime from 1.12 on; newer onnx packages would otherwise write their own latest.
OPSET = 17
IR_VERSION = 8


def export_cox(equation: CoxEquation, *, name: str, version: str) -> bytes:
    """Write a Cox model as an ONNX file.

    The graph's input and outputs, all double:

    ============== ======= =====================================================================
    inputs         [N, p]  the declared inputs in order, in their units; NaN means missing
    survival       [N, T]  S(t) on the whole training time grid
    times          [T]     the grid, in days
    risk_score     [N]     log hazard relative to the reference patient
    contributions  [N, p]  coefficient times (value minus reference); they sum to ``risk_score``
    imputed        [N, p]  the inputs after imputation
    ============== ======= =====================================================================

    Parameters
    ----------
    equation : CoxEquation
        The fitted model.
    name, version : str
        Of the model package; written into the file's metadata.

    Returns
    -------
    bytes
        The same for the same arguments.
    """
    from onnx import checker, helper

    graph = helper.make_graph(
        _nodes(helper),
        name,
        [_double("inputs", ["N", len(equation.names)])],
        _outputs(equation),
        initializer=_initializers(equation),
    )
    model = helper.make_model(
        graph,
        producer_name="bedside",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    metadata = {
        "inputs": json.dumps(equation.names),
        "name": name,
        "ridge_alpha": repr(equation.alpha),
        "version": version,
    }
    for key, value in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def read_cox(content: bytes) -> tuple[CoxEquation, Mapping[str, str]]:
    """Read back what :func:`export_cox` wrote.

    Parameters
    ----------
    content : bytes
        An ONNX file.

    Returns
    -------
    equation : CoxEquation
        The model's numbers, exactly.
    metadata : mapping
        ``name``, ``version``, ``inputs`` and ``ridge_alpha``.

    Raises
    ------
    ValueError
        The file is not one that :func:`export_cox` wrote.
    """
    from onnx import load_from_string, numpy_helper

    model = load_from_string(content)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    arrays = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    try:
        equation = CoxEquation(
            names=tuple(json.loads(metadata["inputs"])),
            coefficients=arrays["coefficients"],
            reference=arrays["reference"],
            times=arrays["training_times"],
            cumulative_hazard=arrays["cumulative_hazard"][0],
            alpha=float(metadata["ridge_alpha"]),
        )
    except KeyError as missing:
        raise ValueError(f"not a Cox model written by export_cox: {missing} is missing") from missing
    return equation, metadata


def _nodes(helper: Any) -> list[Any]:
    return [
        helper.make_node("IsNaN", ["inputs"], ["missing"]),
        helper.make_node("Where", ["missing", "reference", "inputs"], ["imputed"]),
        helper.make_node("Sub", ["imputed", "reference"], ["centred"]),
        helper.make_node("Mul", ["centred", "coefficients"], ["contributions"]),
        helper.make_node("ReduceSum", ["contributions", "last_axis"], ["risk_score"], keepdims=0),
        helper.make_node("Exp", ["risk_score"], ["hazard_ratio"]),
        helper.make_node("Unsqueeze", ["hazard_ratio", "last_axis"], ["hazard_ratio_column"]),
        helper.make_node("Neg", ["cumulative_hazard"], ["negative_hazard"]),
        helper.make_node("Mul", ["hazard_ratio_column", "negative_hazard"], ["log_survival"]),
        helper.make_node("Exp", ["log_survival"], ["survival"]),
        helper.make_node("Identity", ["training_times"], ["times"]),
    ]


def _outputs(equation: CoxEquation) -> list[Any]:
    inputs, steps = len(equation.names), len(equation.times)
    return [
        _double("survival", ["N", steps]),
        _double("times", [steps]),
        _double("risk_score", ["N"]),
        _double("contributions", ["N", inputs]),
        _double("imputed", ["N", inputs]),
    ]


def _initializers(equation: CoxEquation) -> list[Any]:
    from onnx import numpy_helper

    def little_endian(values: FloatArray) -> FloatArray:
        return np.ascontiguousarray(values, dtype="<f8")

    return [
        numpy_helper.from_array(little_endian(equation.reference), "reference"),
        numpy_helper.from_array(little_endian(equation.coefficients), "coefficients"),
        numpy_helper.from_array(little_endian(equation.cumulative_hazard[None, :]), "cumulative_hazard"),
        numpy_helper.from_array(little_endian(equation.times), "training_times"),
        numpy_helper.from_array(np.array([-1], dtype="<i8"), "last_axis"),
    ]


def _double(name: str, shape: list[int | str]) -> Any:
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, TensorProto.DOUBLE, shape)
