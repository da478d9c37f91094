"""An ONNX file cut down to what some of its outputs need, so that a session computes nothing else.

ONNX Runtime runs every node of a graph, whichever outputs are fetched: ``RunOptions.only_execute_path_to_fetches``
works in training builds only (microsoft/onnxruntime issue 16013). So the file is cut before it is opened. That takes
a look at five fields of three messages, read here from the protobuf wire format itself
(https://protobuf.dev/programming-guides/encoding, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto), because
the ``onnx`` package is larger than all that serves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

__all__ = ["output_names", "pruned"]

# ModelProto.graph; GraphProto.node, .initializer, .output, .value_info, .sparse_initializer
GRAPH = 7
NODE, INITIALIZER, OUTPUT, VALUE_INFO = 1, 5, 12, 13
# NodeProto.input, .output, .op_type; ValueInfoProto.name; TensorProto.name
NODE_INPUT, NODE_OUTPUT, NODE_TYPE = 1, 2, 4
VALUE_NAME, TENSOR_NAME = 1, 8
# Their bodies use names of the graph around them, which is not looked into.
CONTROL_FLOW = frozenset({"If", "Loop", "Scan", "SequenceMap"})

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class _Field(NamedTuple):
    number: int
    start: int
    value: int
    end: int


def output_names(model: bytes) -> tuple[str, ...]:
    """Return the names of a graph's outputs.

    Raises
    ------
    ValueError
        The bytes are no ONNX model.
    """
    graph = _graph(model)
    return tuple(_name(model, field, VALUE_NAME) for field in _fields(model, graph.value, graph.end, OUTPUT))


def pruned(model: bytes, outputs: Collection[str]) -> bytes:
    """Return the model with some of its outputs, and the nodes and initializers that these need.

    Parameters
    ----------
    model : bytes
        An ONNX file, its nodes in topological order, as the format demands.
    outputs : collection of str
        Names of the outputs to keep.

    Returns
    -------
    bytes
        The same outputs have the same values. A graph with control flow keeps all of its nodes.

    Raises
    ------
    ValueError
        The bytes are no ONNX model.
    """
    graph = _graph(model)
    fields = list(_fields(model, graph.value, graph.end))
    needed, dropped = _needed(model, [field for field in fields if field.number == NODE], set(outputs))
    kept = bytearray()
    for field in fields:
        if field.number == OUTPUT and _name(model, field, VALUE_NAME) not in outputs:
            continue
        if field.number == INITIALIZER and dropped and _name(model, field, TENSOR_NAME) not in needed:
            continue
        if field.number == VALUE_INFO or field.start in dropped:
            continue
        kept += model[field.start : field.end]
    tag = model[graph.start : graph.value - len(_varint(graph.end - graph.value))]
    return model[: graph.start] + tag + _varint(len(kept)) + bytes(kept) + model[graph.end :]


def _needed(model: bytes, nodes: list[_Field], needed: set[str]) -> tuple[set[str], set[int]]:
    """Walk back from the outputs; returns the names in use, and where the nodes begin that nobody uses."""
    dropped: set[int] = set()
    for node in reversed(nodes):
        names: dict[int, set[str]] = {NODE_INPUT: set(), NODE_OUTPUT: set(), NODE_TYPE: set()}
        for field in _fields(model, node.value, node.end):
            if field.number in names:
                names[field.number].add(_text(model, field))
        if names[NODE_TYPE] & CONTROL_FLOW:
            return needed, set()
        if names[NODE_OUTPUT] & needed:
            needed |= names[NODE_INPUT]
        else:
            dropped.add(node.start)
    return needed, dropped


def _graph(model: bytes) -> _Field:
    found = list(_fields(model, 0, len(model), GRAPH))
    if len(found) != 1:
        raise ValueError("not an ONNX model: it holds no graph")
    return found[0]


def _name(model: bytes, message: _Field, number: int) -> str:
    return next((_text(model, field) for field in _fields(model, message.value, message.end, number)), "")


def _text(model: bytes, field: _Field) -> str:
    return model[field.value : field.end].decode()


def _fields(data: bytes, start: int, end: int, number: int | None = None) -> Iterator[_Field]:
    """Yield the fields of a message, or those of one number, without a look inside."""
    while start < end:
        tag, value = _read_varint(data, start)
        kind = tag & 7
        if kind == _BYTES:
            length, value = _read_varint(data, value)
            after = value + length
        elif kind == _VARINT:
            _, after = _read_varint(data, value)
        elif kind in (_FIXED64, _FIXED32):
            after = value + (8 if kind == _FIXED64 else 4)
        else:
            raise ValueError("not an ONNX model: no protobuf message")
        if after > end:
            raise ValueError("not an ONNX model: cut short")
        if number is None or tag >> 3 == number:
            yield _Field(tag >> 3, start, value, after)
        start = after


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise ValueError("not an ONNX model: cut short")
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
