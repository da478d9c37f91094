"""A model trained from an export of synthetic patients is the one trained from the table they were built from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from functions.survival.data import DATASETS, SurvivalTable
from functions.survival.fromfhir import as_recorded, table_from_export
from tests.fhir_export import write_export
from tests.peering import require_peer
from tests.rsurvival import require_r_survival

pytestmark = [pytest.mark.peer("scikit-survival"), pytest.mark.peer("r-cran-survival")]

NAMES = ("pbc", "mgus2", "nafld")


def contract_of(name: str) -> dict[str, Any]:
    from functions.survival.train import read_contract

    return read_contract(folder_of(name))


def folder_of(name: str) -> Path:
    from functions.survival.train import PACKAGES

    return PACKAGES / name


def answerable(table: SurvivalTable, contract: dict[str, Any]) -> SurvivalTable:
    """The rows that have all that the model needs: it answers for no others, and cannot be trained on them."""
    refused = np.array([declared["missing"] == "refuse" for declared in contract["inputs"]])
    return table.take(np.flatnonzero(~np.isnan(table.x[:, refused]).any(axis=1)))


@pytest.fixture(scope="module", params=NAMES)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    """The table as the loader gives it and a record shows it, the one read from FHIR, and the contract."""
    require_peer("scikit-survival", "sksurv")
    require_r_survival()
    contract = contract_of(request.param)
    table = DATASETS[request.param].load()
    folder = tmp_path_factory.mktemp(request.param)
    write_export(folder, table, contract)
    found = table_from_export(folder, contract, folder_of(request.param))
    # an export does not say of which inputs a linear model takes the logarithm; training adds it
    found = replace(found, table=replace(found.table, log=table.log))
    return table, as_recorded(table, contract), found, contract


def test_the_table_is_the_same_to_the_last_bit(both: tuple[Any, ...]) -> None:
    table, expected, found, _ = both
    np.testing.assert_array_equal(found.table.x, expected.x)
    np.testing.assert_array_equal(found.table.time, expected.time)
    np.testing.assert_array_equal(found.table.event, expected.event)
    np.testing.assert_array_equal(found.table.competing, expected.competing)
    assert found.table.names == expected.names
    left_out = len(table) - len(expected)
    assert found.left_out == ({"missing-input": left_out} if left_out else {})


def test_only_what_is_absent_by_contract_was_filled_in(both: tuple[Any, ...]) -> None:
    everybody, recorded, _, contract = both
    table = answerable(everybody, contract)
    absent = np.array([declared["missing"] == "absent" for declared in contract["inputs"]])
    changed = ~((table.x == recorded.x) | (np.isnan(table.x) & np.isnan(recorded.x)))
    np.testing.assert_array_equal(changed, np.isnan(table.x) & absent)
    assert np.all(recorded.x[changed] == 0.0)


def test_the_model_is_the_same(both: tuple[Any, ...]) -> None:
    from functions.survival.evaluate.candidates import fit_cox

    _, recorded, found, _ = both
    causes = (1, 2) if found.table.competing.any() else (1,)
    for cause in causes:
        ours = fit_cox(found.table.of_cause(cause), 1.0)
        theirs = fit_cox(recorded.of_cause(cause), 1.0)
        np.testing.assert_array_equal(ours.coefficients, theirs.coefficients)
        np.testing.assert_array_equal(ours.cumulative_hazard, theirs.cumulative_hazard)
        assert np.abs(ours.coefficients).min() > 0.0


def test_the_exported_file_is_the_same(both: tuple[Any, ...]) -> None:
    from functions.survival.evaluate.candidates import fit_cox
    from functions.survival.export import export_model

    _, recorded, found, contract = both
    times = np.arange(30.0, 3650.0, 30.0)
    files = [
        export_model(
            fit_cox(table, 1.0), name=contract["name"], version=contract["version"], times=times, sample=table.x
        ).content
        for table in (found.table, answerable(recorded, contract))
    ]
    assert files[0] == files[1]
    assert len(files[0]) > 1000
