"""ONNX Runtime, set up for one patient at a time: one thread, no spinning, checked inputs and outputs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as status

from functions.serving.errors import ModelRefused
from functions.serving.pruning import output_names, pruned

__all__ = ["OnnxModel"]

# ONNX Runtime's own errors derive from Exception alone.
NOT_A_GRAPH = (
    *(status.Fail, status.InvalidArgument, status.InvalidGraph, status.InvalidProtobuf, status.NotImplemented),
    *(status.RuntimeException, RuntimeError, ValueError),
)
Float64 = npt.NDArray[np.float64]


class OnnxModel:
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
        Output names the caller relies on. The graph is cut down to them: a run computes nothing else.

    Raises
    ------
    ModelRefused
        Rule ``graph``: the file is not ONNX, or its inputs or outputs are not those declared.
    """

    def __init__(self, name: str, model: bytes, columns: int, outputs: Collection[str]) -> None:
        self._outputs = list(outputs)
        cut = self._cut(name, model)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(cut, options, providers=["CPUExecutionProvider"])
        except NOT_A_GRAPH as error:
            raise ModelRefused(name, "graph", f"ONNX Runtime cannot load it ({type(error).__name__})") from None
        given = self._session.get_inputs()
        if [item.name for item in given] != ["inputs"] or given[0].shape[-1] != columns:
            raise ModelRefused(name, "graph", f"it must take one input 'inputs' of {columns} columns")

    def _cut(self, name: str, model: bytes) -> bytes:
        try:
            absent = set(self._outputs) - set(output_names(model))
            cut = pruned(model, self._outputs)
        except ValueError as error:
            raise ModelRefused(name, "graph", str(error)) from None
        if absent:
            raise ModelRefused(name, "graph", f"it lacks the outputs {', '.join(sorted(absent))}")
        return cut

    def run(self, inputs: Float64) -> dict[str, Any]:
        """Evaluate the graph.

        Parameters
        ----------
        inputs : ndarray of float64, shape (n, p)
            NaN where a value is missing.

        Returns
        -------
        dict of str to ndarray
        """
        values = self._session.run(self._outputs, {"inputs": inputs})
        return dict(zip(self._outputs, values, strict=True))
