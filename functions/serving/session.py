"""ONNX Runtime, set up for one patient at a time: one thread, no spinning, checked inputs and outputs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as status

from functions.serving.errors import ModelRefused
from functions.serving.pruning import output_names, pruned

__all__ = ["OnnxGraph", "OnnxModel"]

# ONNX Runtime's own errors derive from Exception alone.
NOT_A_GRAPH = (
    *(status.Fail, status.InvalidArgument, status.InvalidGraph, status.InvalidProtobuf, status.NotImplemented),
    *(status.RuntimeException, RuntimeError, ValueError),
)
_DTYPES: dict[str, Any] = {"tensor(float)": np.float32, "tensor(double)": np.float64}
Float64 = npt.NDArray[np.float64]


class OnnxGraph:
    """An ONNX graph with one input of any shape.

    Parameters
    ----------
    name : str
        Package name, for errors.
    model : bytes
        The ONNX file.
    graph_input : str
        Name of its only input.
    shape : sequence of (int or None)
        What will be fed, None where any size will do; a dimension that the graph fixes must agree.
    outputs : collection of str
        Output names the caller relies on. The graph is cut down to them: a run computes nothing else.

    Raises
    ------
    ModelRefused
        Rule ``graph``: the file is not ONNX, or its inputs or outputs are not those declared.
    """

    def __init__(
        self, name: str, model: bytes, graph_input: str, shape: Sequence[int | None], outputs: Collection[str]
    ) -> None:
        self._outputs = list(outputs)
        self._input = graph_input
        self._session = _opened(name, _cut(name, model, self._outputs))
        given = self._session.get_inputs()
        if [item.name for item in given] != [graph_input] or not _takes(given[0].shape, shape):
            told = ", ".join("any" if size is None else str(size) for size in shape)
            what = f"{shape[1]} columns" if len(shape) == 2 else f"shape ({told})"
            raise ModelRefused(name, "graph", f"it must take one input {graph_input!r} of {what}")
        if given[0].type not in _DTYPES:
            raise ModelRefused(name, "graph", f"its input is of type {given[0].type}; float and double are fed")
        self._dtype = _DTYPES[given[0].type]

    def shape(self, output: str) -> tuple[int | str | None, ...]:
        """Return the shape of an output: a number where the graph fixes it, a name or None where it does not."""
        (found,) = (item for item in self._session.get_outputs() if item.name == output)
        return tuple(found.shape)

    def run(self, values: npt.NDArray[Any]) -> dict[str, Any]:
        """Evaluate the graph.

        Parameters
        ----------
        values : ndarray
            Of the declared shape; converted to the graph's type where that differs.

        Returns
        -------
        dict of str to ndarray
        """
        fed = {self._input: np.ascontiguousarray(values, dtype=self._dtype)}
        return dict(zip(self._outputs, self._session.run(self._outputs, fed), strict=True))


class OnnxModel(OnnxGraph):
    """An ONNX graph with one input ``inputs`` of float64, shape (n, p).

    Parameters
    ----------
    name : str
        Package name, for errors.
    model : bytes
        The ONNX file.
    columns : int
        p, the number of declared inputs.
    outputs : collection of str
        Output names the caller relies on.

    Raises
    ------
    ModelRefused
        Rule ``graph``: the file is not ONNX, or its inputs or outputs are not those declared.
    """

    def __init__(self, name: str, model: bytes, columns: int, outputs: Collection[str]) -> None:
        super().__init__(name, model, "inputs", (None, columns), outputs)


def _takes(given: Sequence[int | str | None], shape: Sequence[int | None]) -> bool:
    """Two shapes agree when no two numbers differ; None, and a name, stand for any number."""
    if len(given) != len(shape):
        return False
    return all(a == b for a, b in zip(given, shape, strict=True) if isinstance(a, int) and isinstance(b, int))


def _cut(name: str, model: bytes, outputs: Collection[str]) -> bytes:
    try:
        absent = set(outputs) - set(output_names(model))
        cut = pruned(model, outputs)
    except ValueError as error:
        raise ModelRefused(name, "graph", str(error)) from None
    if absent:
        raise ModelRefused(name, "graph", f"it lacks the outputs {', '.join(sorted(absent))}")
    return cut


def _opened(name: str, model: bytes) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except NOT_A_GRAPH as error:
        raise ModelRefused(name, "graph", f"ONNX Runtime cannot load it ({type(error).__name__})") from None
