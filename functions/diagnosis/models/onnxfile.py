"""An ONNX file, written node by node: it holds nothing but what was asked for, and is the same bytes each time.

Operators: https://onnx.ai/onnx/operators/ (opset 17).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

__all__ = ["IR_VERSION", "OPSET", "OnnxFile"]

# Read by every onnxruntime from 1.12 on; newer onnx packages would otherwise write their own latest.
OPSET, IR_VERSION = 17, 8

Kind = Literal["float", "double"]


class OnnxFile:
    """A graph under construction with one input.

    Parameters
    ----------
    name : str
        Of the input.
    kind : {"float", "double"}
        Element type of the input and of all outputs.
    shape : list
        Of the input; a string for a dimension known only at run time.
    """

    def __init__(self, name: str, kind: Kind, shape: list[int | str]) -> None:
        self._input, self._kind, self._shape = name, kind, shape
        self._nodes: list[tuple[str, tuple[str, ...], str, dict[str, Any]]] = []
        self._constants: dict[str, Any] = {}
        self._outputs: list[tuple[str, list[int | str]]] = []

    def constant(self, values: Any) -> str:
        """Return the name of a constant; floating numbers take the type of the input."""
        array = np.ascontiguousarray(values)
        if array.dtype.kind == "f":
            array = array.astype(np.float32 if self._kind == "float" else np.float64)
        # as np.ascontiguousarray makes a scalar a vector
        name = f"constant_{len(self._constants)}"
        self._constants[name] = array.reshape(np.shape(values))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output and return the output's name; an empty input is one that is left out."""
        name = f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append((operator, inputs, name, attributes))
        return name

    def output(self, name: str, tensor: str, shape: list[int | str]) -> None:
        """Make a tensor an output."""
        self._nodes.append(("Identity", (tensor,), name, {}))
        self._outputs.append((name, shape))

    def build(self, name: str, metadata: Mapping[str, str]) -> bytes:
        """Return the file.

        Parameters
        ----------
        name : str
            Of the graph.
        metadata : mapping of str to str
            Goes into ``metadata_props``, in the order of its keys.
        """
        from onnx import TensorProto, checker, helper, numpy_helper

        kind = TensorProto.FLOAT if self._kind == "float" else TensorProto.DOUBLE
        graph = helper.make_graph(
            [helper.make_node(operator, inputs, [output], **more) for operator, inputs, output, more in self._nodes],
            name,
            [helper.make_tensor_value_info(self._input, kind, self._shape)],
            [helper.make_tensor_value_info(output, kind, shape) for output, shape in self._outputs],
            initializer=[numpy_helper.from_array(values, at) for at, values in self._constants.items()],
        )
        model = helper.make_model(
            graph,
            producer_name="bedside",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        for key in sorted(metadata):
            entry = model.metadata_props.add()
            entry.key, entry.value = key, metadata[key]
        checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))
