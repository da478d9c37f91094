"""An ONNX file cut down to some of its outputs: the same values, fewer nodes; what is none is said to be none."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from functions.serving.pruning import output_names, pruned

MODEL = Path("functions/survival/packages/whas500/model.onnx").read_bytes()
NAMES = output_names(MODEL)
ROWS = np.random.default_rng(4).normal(60, 20, (5, 13))


def run(model: bytes, outputs: list[str]) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    assert [item.name for item in session.get_outputs()] == outputs
    return dict(zip(outputs, session.run(outputs, {"inputs": ROWS}), strict=True))


def test_the_names_are_those_that_onnx_runtime_reads() -> None:
    session = ort.InferenceSession(MODEL, providers=["CPUExecutionProvider"])
    assert tuple(item.name for item in session.get_outputs()) == NAMES
    assert {"survival", "times", "risk_score", "contributions", "imputed"} <= set(NAMES)


@pytest.mark.parametrize("kept", list(combinations(NAMES, 2)), ids="-".join)
def test_what_is_kept_has_the_same_values(kept: tuple[str, ...]) -> None:
    whole = run(MODEL, list(NAMES))
    cut = pruned(MODEL, kept)
    for name, values in run(cut, [name for name in NAMES if name in kept]).items():
        assert np.array_equal(values, whole[name], equal_nan=True)
    assert len(cut) <= len(MODEL)


def test_what_nobody_needs_is_gone() -> None:
    assert len(pruned(MODEL, ["imputed"])) < len(MODEL) / 4
    assert pruned(MODEL, NAMES) == pruned(pruned(MODEL, NAMES), NAMES)


@pytest.mark.parametrize(
    "broken", [b"", b"not onnx", b"\xff" * 40, MODEL[:-1], MODEL[: len(MODEL) // 2], b"\x3a\x80", bytes(100)]
)
def test_what_is_no_model_is_refused(broken: bytes) -> None:
    with pytest.raises(ValueError, match="not an ONNX model"):
        output_names(broken)
    with pytest.raises(ValueError, match="not an ONNX model"):
        pruned(broken, ["survival"])
