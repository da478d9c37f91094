"""What a model file says about itself, and weights it keeps elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.serving.contract import external_tensors, interface_of
from functions.serving.errors import ModelRefused
from tests.onnx_bytes import field

WHAS500 = Path("functions/survival/packages/whas500/model.onnx").read_bytes()


# TensorProto: name and data_location = EXTERNAL; and one with external_data alone
OUTSIDE = field(8, b"w") + field(14, 1)
LISTED = field(8, b"v") + field(13, field(1, b"location") + field(2, b"v.bin"))
INSIDE = field(8, b"u") + field(9, bytes(40)) + field(14, 0)


def in_node(attribute: bytes) -> bytes:
    return field(7, field(1, field(5, attribute)))


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (field(1, 8) + field(7, field(5, OUTSIDE)), ["w"]),
        (field(7, field(5, INSIDE) + field(5, LISTED)), ["v"]),
        (in_node(field(5, OUTSIDE)), ["w"]),
        (in_node(field(10, INSIDE) + field(10, OUTSIDE)), ["w"]),
        (in_node(field(6, field(5, OUTSIDE))), ["w"]),
        (field(7, field(15, field(1, OUTSIDE) + field(2, LISTED))), ["w", "v"]),
        (field(25, field(7, field(5, field(5, OUTSIDE)))), ["w"]),
        (field(7, field(5, INSIDE)), []),
        (b"", []),
    ],
)
def test_tensors_elsewhere_are_found_wherever_they_hide(model: bytes, names: list[str]) -> None:
    assert external_tensors(model) == names


def test_a_model_with_weights_elsewhere_is_refused() -> None:
    with pytest.raises(ModelRefused, match=r"another file \(w\)") as caught:
        interface_of("x", WHAS500 + field(7, field(5, OUTSIDE)))
    assert caught.value.rule == "graph"


def test_what_is_nested_without_end_is_refused() -> None:
    nested = b""
    for _ in range(2000):
        nested = field(1, field(5, field(6, nested)))
    with pytest.raises(ValueError, match="nested"):
        external_tensors(field(7, nested))


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_bytes_that_are_no_model_end_in_an_answer_or_a_value_error(content: bytes) -> None:
    try:
        external_tensors(content)
    except ValueError:
        return


@settings(max_examples=100)
@given(st.integers(0, len(WHAS500) - 1), st.integers(0, 255))
def test_a_damaged_model_is_refused_or_read(at: int, byte: int) -> None:
    damaged = bytearray(WHAS500)
    damaged[at] = byte
    try:
        external_tensors(bytes(damaged))
    except ValueError:
        return


def test_the_interface_is_what_the_file_says() -> None:
    found = interface_of("whas500", WHAS500)
    assert [str(port) for port in found.inputs] == ["inputs: double[N, 13]"]
    assert "times: double[266]" in [str(port) for port in found.outputs]
    assert found.metadata["name"] == "whas500"
    with pytest.raises(ModelRefused) as caught:
        interface_of("x", b"not onnx")
    assert caught.value.rule == "graph"
