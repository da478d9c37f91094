"""The forest of the benchmarks: 100 trees on 7,874 people stay a small file that says what the library says."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from tests.peering import require_peer
from tests.peers.exporting import run

pytestmark = pytest.mark.peer("scikit-survival")


def test_a_forest_of_a_hundred_trees() -> None:
    require_peer("scikit-survival", "sksurv")
    from infra.bench.flchain import GRID, forest, forest_file, people

    content = forest_file().content
    assert len(GRID) >= 48
    assert len(content) <= 10_000_000
    rows = people()[0][::16]
    assert np.isnan(rows).any()
    out = run(content, rows)
    difference = np.abs(out["survival"] - forest().survival(rows, GRID))
    assert difference.max() < 1e-6
    assert difference.mean() < 1e-7
    np.testing.assert_allclose(out["risk_score"], forest().risk_score(rows), rtol=1e-12)


def test_a_pickle_is_weighed_without_being_kept() -> None:
    require_peer("onnx", "onnx")
    from infra.bench.interleaved import pickled_bytes

    thing = {"curves": np.random.default_rng(0).random((300, 400)), "name": "x" * 1000}
    assert pickled_bytes(thing) == len(pickle.dumps(thing, protocol=pickle.HIGHEST_PROTOCOL))
