"""The inputs, outputs and metadata of an ONNX file, as ONNX Runtime reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnxruntime as ort

from functions.serving.contract.weights import external_tensors
from functions.serving.errors import ModelRefused
from functions.serving.session import NOT_A_GRAPH

__all__ = ["Interface", "Port", "interface_of"]

FATAL_ONLY = 4


@dataclass(frozen=True)
class Port:
    """An input or output.

    Parameters
    ----------
    name : str
    dtype : str
        Element type in ONNX's words, such as ``double`` or ``float``.
    shape : tuple of (int, str or None)
        A number where the graph fixes it; a name or None where it does not.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}[{', '.join('?' if size is None else str(size) for size in self.shape)}]"


@dataclass(frozen=True)
class Interface:
    """What a model takes and gives.

    Parameters
    ----------
    inputs, outputs : tuple of Port
    metadata : mapping of str to str
        What its maker wrote into the file.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    metadata: Mapping[str, str]


def interface_of(name: str, model: bytes) -> Interface:
    """Open a model and return what it takes and gives.

    Parameters
    ----------
    name : str
        Of the package, for errors.
    model : bytes
        An ONNX file.

    Raises
    ------
    ModelRefused
        Rule ``graph``: ONNX Runtime cannot load it, or it keeps weights in other files.
    """
    try:
        elsewhere = external_tensors(model)
    except ValueError as error:
        raise ModelRefused(name, "graph", str(error)) from None
    if elsewhere:
        detail = f"it keeps weights in another file ({elsewhere[0]}); save the model as one file"
        raise ModelRefused(name, "graph", detail)
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = FATAL_ONLY
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except NOT_A_GRAPH as error:
        raise ModelRefused(name, "graph", f"ONNX Runtime cannot load it ({type(error).__name__})") from None
    ports = [
        tuple(Port(item.name, item.type.removeprefix("tensor(").removesuffix(")"), tuple(item.shape)) for item in given)
        for given in (session.get_inputs(), session.get_outputs())
    ]
    return Interface(ports[0], ports[1], dict(session.get_modelmeta().custom_metadata_map))
