"""The packages that ship: rebuilt by the code here, they are the files that are committed."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from tests.peering import require_peer

pytestmark = pytest.mark.peer("scikit-survival")

NAMES = ("whas500", "pbc", "mgus2", "nafld")
# Other processors round sums otherwise; what that can do to a probability is far below what is shown of it.
ROUNDING = 1e-6


@pytest.fixture(scope="module", params=NAMES)
def package(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any], bytes]:
    """Name, contract and model file of a package."""
    require_peer("scikit-survival", "sksurv")
    from functions.survival.train import PACKAGES, read_contract

    folder = PACKAGES / request.param
    contract = read_contract(folder)
    return request.param, contract, (folder / contract["file"]).read_bytes()


def test_the_file_is_the_one_the_contract_names(package: tuple[str, dict[str, Any], bytes]) -> None:
    _, contract, content = package
    assert contract["sha256"] == hashlib.sha256(content).hexdigest()
    assert len(content) <= 10_000_000


@pytest.mark.peer("r-cran-survival")
def test_rebuilding_gives_the_file(package: tuple[str, dict[str, Any], bytes]) -> None:
    """Byte for byte on the same kind of processor; else to :data:`ROUNDING` in every probability."""
    from functions.survival.data import DATASETS
    from functions.survival.evaluate.candidates import candidate_named
    from functions.survival.evaluate.choosing import Plan
    from functions.survival.fromfhir import as_recorded
    from functions.survival.train import build
    from tests.rsurvival import require_r_survival

    name, contract, content = package
    if name != "whas500":
        require_r_survival()
    table = as_recorded(DATASETS[name].load(), contract)
    measured = contract["performance"]
    candidate = candidate_named(measured["decision"]["chosen"], table)
    again = build(candidate, measured["settings"], table, contract, Plan.for_size(len(table))).content
    if again == content:
        return
    ours, theirs = answers(again, table.x), answers(content, table.x)
    assert ours.keys() == theirs.keys()
    for output, values in ours.items():
        if output in ("survival", "lower", "upper", "cumulative_incidence"):
            np.testing.assert_allclose(values, theirs[output], rtol=0, atol=ROUNDING, err_msg=output)
    np.testing.assert_array_equal(ours["times"], theirs["times"])


def answers(content: bytes, x: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, Any]:
    """All outputs of a file, in chunks that stay small."""
    from onnxruntime import InferenceSession

    session = InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_outputs()]
    parts = [session.run(names, {"inputs": x[at : at + 200]}) for at in range(0, len(x), 200)]
    whole = {"times", "background"}
    return {
        name: parts[0][at] if name in whole else np.concatenate([part[at] for part in parts])
        for at, name in enumerate(names)
    }
