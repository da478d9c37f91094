"""Weights that an ONNX file keeps elsewhere, found in the wire format itself.

A tensor may name another file (``external_data``). ONNX Runtime then reads that file, relative to wherever the process
happens to run, so that the digest of the model says nothing about what it computes. The ``onnx`` package, which could
tell, is larger than all that serves; what is needed of the format is a few field numbers
(https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, https://protobuf.dev/programming-guides/encoding).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

__all__ = ["external_tensors"]

# Message -> field number -> message of the field; what cannot hold a tensor is not looked into.
HOLDS: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
TENSOR_NAME, EXTERNAL_DATA, DATA_LOCATION = 8, 13, 14
EXTERNAL = 1
DEEPEST = 64
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def external_tensors(model: bytes) -> list[str]:
    """Return the names of the tensors whose values are not in the file.

    Parameters
    ----------
    model : bytes
        An ONNX file. Large tensors are passed over, not read.

    Raises
    ------
    ValueError
        It is no ONNX file, or nested more deeply than any model.
    """
    found: list[str] = []
    _search(memoryview(model), "model", found, 0)
    return found


def _search(message: memoryview, kind: str, found: list[str], depth: int) -> None:
    if depth > DEEPEST:
        raise ValueError("the model is nested too deeply")
    holds = HOLDS[kind]
    for number, value in _fields(message):
        inner = holds.get(number)
        if inner is None or not isinstance(value, memoryview):
            continue
        if inner == "tensor":
            _look_at(value, found)
        else:
            _search(value, inner, found, depth + 1)


def _look_at(tensor: memoryview, found: list[str]) -> None:
    name, external = "?", False
    for number, value in _fields(tensor):
        if number == TENSOR_NAME and isinstance(value, memoryview):
            name = bytes(value[:200]).decode("utf-8", "replace")
        external |= number == EXTERNAL_DATA or (number == DATA_LOCATION and value == EXTERNAL)
    if external:
        found.append(name)


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield each field's number with its number or bytes; fixed-width values are of no interest and are 0."""
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        wire = key & 7
        if wire == VARINT:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if wire == BYTES:
            size, at = _varint(message, at)
        elif wire in (FIXED64, FIXED32):
            size = 8 if wire == FIXED64 else 4
        else:
            raise ValueError("the bytes are no ONNX model")
        if at + size > end:
            raise ValueError("the bytes are no ONNX model")
        yield key >> 3, message[at : at + size] if wire == BYTES else 0
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("the bytes are no ONNX model")
