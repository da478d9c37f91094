"""An ONNX graph, built node by node: it holds nothing but what was asked for, and is the same bytes each time.

Operators: https://onnx.ai/onnx/operators/ (opset 17) and https://onnx.ai/onnx/operators/ai.onnx.ml (opset 3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

__all__ = ["DOUBLE", "FLOAT", "INT32", "IR_VERSION", "ML_OPSET", "OPSET", "Graph"]

# Read by every onnxruntime from 1.12 on; newer onnx packages would otherwise write their own latest.
OPSET = 17
ML_OPSET = 3
IR_VERSION = 8

# Values of onnx.TensorProto, for Cast.
FLOAT = 1
INT32 = 6
DOUBLE = 11

# Operator, inputs, output, domain, attributes.
_Node = tuple[str, tuple[str, ...], str, str, dict[str, Any]]


class Graph:
    """A graph under construction with one input, ``inputs`` of float64, shape (N, columns).

    Tensors go by name. What is asked for twice is computed once.

    Parameters
    ----------
    columns : int
        Number of declared inputs.
    """

    INPUT = "inputs"

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._nodes: list[_Node] = []
        self._constants: dict[str, Any] = {}
        self._known: dict[Any, str] = {}
        self._outputs: list[tuple[str, str, list[int | str]]] = []

    def constant(self, values: Any) -> str:
        """Return the name of a constant tensor.

        Parameters
        ----------
        values : ndarray
            float64, float32, int64 or int32; any shape.
        """
        array = np.ascontiguousarray(values)
        array = array.astype(array.dtype.newbyteorder("<"), copy=False).reshape(np.shape(values))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = f"constant_{len(self._constants)}"
            self._constants[self._known[key]] = array
        return self._known[key]

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output and return the output's name.

        Parameters
        ----------
        operator : str
            Such as ``MatMul``.
        *inputs : str
            Names of tensors.
        domain : str
            Of the operator; empty for ONNX's own.
        **attributes
            The operator's.
        """
        key = None if domain else (operator, inputs, tuple(sorted((k, repr(v)) for k, v in attributes.items())))
        if key is not None and key in self._known:
            return self._known[key]
        name = f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append((operator, inputs, name, domain, attributes))
        if key is not None:
            self._known[key] = name
        return name

    def columns(self, tensor: str, at: Iterable[int]) -> str:
        """Return some columns of a tensor of shape (N, k)."""
        return self.add("Gather", tensor, self.constant(np.array(list(at), dtype=np.int64)), axis=1)

    def row_sums(self, tensor: str) -> str:
        """Return the sums over the columns of a tensor of shape (N, k); shape (N, 1)."""
        return self.add("ReduceSum", tensor, self.constant(np.array([1], dtype=np.int64)), keepdims=1)

    def flat(self, column: str) -> str:
        """Return a tensor of shape (N, 1) as one of shape (N,)."""
        return self.add("Squeeze", column, self.constant(np.array([1], dtype=np.int64)))

    def output(self, name: str, tensor: str, shape: list[int | str]) -> None:
        """Make a tensor of float64 an output.

        Parameters
        ----------
        name : str
            Of the output.
        tensor : str
            What it gives.
        shape : list
            Its shape; a string for a dimension known only at run time.
        """
        self._outputs.append((name, tensor, shape))

    def build(self, name: str, metadata: Mapping[str, str]) -> bytes:
        """Return the file.

        Parameters
        ----------
        name : str
            Of the graph.
        metadata : mapping of str to str
            Goes into ``metadata_props``, in the order of its keys.
        """
        from onnx import checker, helper, numpy_helper

        nodes, renamed = self._named_nodes()
        graph = helper.make_graph(
            [
                helper.make_node(operator, [renamed.get(i, i) for i in inputs], [output], domain=domain or None, **more)
                for operator, inputs, output, domain, more in nodes
            ],
            name,
            [self._double(self.INPUT, ["N", self._columns])],
            [self._double(output, shape) for output, _, shape in self._outputs],
            initializer=[numpy_helper.from_array(values, at) for at, values in self._constants.items()],
        )
        model = helper.make_model(
            graph,
            producer_name="bedside",
            opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
            ir_version=IR_VERSION,
        )
        for key in sorted(metadata):
            entry = model.metadata_props.add()
            entry.key, entry.value = key, metadata[key]
        checker.check_model(model)
        return bytes(model.SerializeToString(deterministic=True))

    def _named_nodes(self) -> tuple[list[_Node], dict[str, str]]:
        """Give outputs their names: a node's own output is renamed, anything else is copied by an Identity."""
        computed = {node[2] for node in self._nodes}
        renamed: dict[str, str] = {}
        copies: list[_Node] = []
        for name, tensor, _ in self._outputs:
            if tensor in computed and tensor not in renamed:
                renamed[tensor] = name
            else:
                copies.append(("Identity", (tensor,), name, "", {}))
        nodes = [(op, inputs, renamed.get(out, out), domain, more) for op, inputs, out, domain, more in self._nodes]
        return nodes + copies, renamed

    @staticmethod
    def _double(name: str, shape: list[int | str]) -> Any:
        from onnx import TensorProto, helper

        return helper.make_tensor_value_info(name, TensorProto.DOUBLE, shape)
