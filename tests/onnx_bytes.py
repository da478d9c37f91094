"""ONNX files written byte by byte (https://protobuf.dev/programming-guides/encoding), without the ``onnx`` package."""

from __future__ import annotations


def varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def field(number: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def image_model(rows: int, columns: int) -> bytes:
    """A graph with the input of an image classifier, ``pixels``, and the output ``same``, which is the input."""

    def port(name: bytes) -> bytes:
        sizes = b"".join(field(1, field(1, size)) for size in (1, 1, rows, columns))
        return field(1, name) + field(2, field(1, field(1, 1) + field(2, sizes)))

    node = field(1, b"pixels") + field(2, b"same") + field(4, b"Identity")
    graph = field(1, node) + field(2, b"g") + field(11, port(b"pixels")) + field(12, port(b"same"))
    return field(1, 8) + field(7, graph) + field(8, field(1, b"") + field(2, 17))


def finding_model(rows: int, columns: int) -> bytes:
    """A graph that takes ``pixels`` and gives their mean as ``probability``, and the pixels themselves as ``map``."""

    def port(name: bytes, *sizes: int) -> bytes:
        shape = b"".join(field(1, field(1, size)) for size in sizes)
        return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))

    def node(operator: bytes, source: bytes, target: bytes) -> bytes:
        return field(1, source) + field(2, target) + field(4, operator)

    nodes = [
        node(b"GlobalAveragePool", b"pixels", b"mean"),
        node(b"Flatten", b"mean", b"probability"),
        node(b"Identity", b"pixels", b"map"),
    ]
    outputs = field(12, port(b"probability", 1, 1)) + field(12, port(b"map", 1, 1, rows, columns))
    whole = b"".join(field(1, one) for one in nodes) + field(2, b"g")
    graph = whole + field(11, port(b"pixels", 1, 1, rows, columns)) + outputs
    return field(1, 8) + field(7, graph) + field(8, field(1, b"") + field(2, 17))


def score_model(columns: int) -> bytes:
    """A graph that takes ``inputs``, a row of doubles, and gives the logistic function of each as ``scores``."""

    def port(name: bytes) -> bytes:
        shape = field(1, field(2, b"N")) + field(1, field(1, columns))
        return field(1, name) + field(2, field(1, field(1, 11) + field(2, shape)))

    node = field(1, b"inputs") + field(2, b"scores") + field(4, b"Sigmoid")
    graph = field(1, node) + field(2, b"g") + field(11, port(b"inputs")) + field(12, port(b"scores"))
    return field(1, 8) + field(7, graph) + field(8, field(1, b"") + field(2, 17))
