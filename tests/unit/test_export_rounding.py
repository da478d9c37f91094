"""Thresholds in single precision."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from functions.survival.export.families.trees import round_down


@given(
    threshold=st.floats(allow_nan=False, allow_infinity=False),
    value=st.floats(width=32, allow_nan=False),
    near=st.booleans(),
)
def test_a_rounded_threshold_decides_every_single_alike(threshold: float, value: float, near: bool) -> None:
    rounded = round_down(np.array([threshold]))[0]
    with np.errstate(over="ignore"):
        tested = np.float32(threshold) if near else np.float32(value)
    assert (tested <= rounded) == (float(tested) <= threshold)


@given(threshold=st.floats(-1e30, 1e30))
def test_the_nearest_single_below_is_taken(threshold: float) -> None:
    rounded = round_down(np.array([threshold]))[0]
    assert float(rounded) <= threshold < float(np.nextafter(rounded, np.float32(np.inf)))
