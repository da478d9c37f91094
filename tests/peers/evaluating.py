"""Synthetic patients, a contract and a model file: what an evaluation starts from."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from functions.survival.data import Column, Dataset, SurvivalTable
from functions.survival.evaluate.candidates import candidate_named
from functions.survival.evaluate.comparison import curve_times
from functions.survival.evaluate.heldout import Plan, choose_settings

NAMES = ("age", "female", "marker")
QUICK = Plan(folds=2, repeats=1, inner_folds=2, replicates=16, test_share=0.25)


def patients(*, competes: bool, rows: int = 140) -> SurvivalTable:
    """Age and a marker matter; the marker is missing in a fifth."""
    random = np.random.default_rng(31)
    age, female = np.round(random.normal(60, 12, rows)), (random.random(rows) < 0.5).astype(np.float64)
    marker = random.lognormal(0.0, 0.6, rows)
    happens = random.exponential(1400 * np.exp(-0.04 * (age - 60) - 0.8 * np.log(marker)))
    other = random.exponential(1500 * np.exp(-0.05 * (age - 60))) if competes else np.full(rows, np.inf)
    lost = random.uniform(200, 3000, rows)
    time = np.ceil(np.minimum(np.minimum(happens, other), lost))
    x = np.column_stack([age, female, np.where(random.random(rows) < 0.2, np.nan, marker)])
    event = happens <= np.minimum(other, lost)
    return SurvivalTable(NAMES, x, event, time, (other < happens) & (other <= lost))


def dataset(table: SurvivalTable) -> Dataset:
    """Describe them: relapse after surgery, and death where it competes."""
    return Dataset(
        title="Synthetic patients",
        source="drawn at random by this test",
        licence="none needed",
        reference="none",
        columns=(
            Column("age", "age", "continuous", "a", 10, "age"),
            Column("female", "female", "binary", "1", 1, "sex"),
            Column("marker", "marker", "continuous", "mg/dL", 1, "a marker"),
        ),
        leaks=("Nothing leaks.",),
        limits=("They do not exist.",),
        caveats=("Treat nobody by them.",),
        load=lambda: table,
        name="synthetic",
        origin="surgery",
        event="relapse",
        events="relapses",
        competing="death without relapse" if table.competing.any() else None,
        subgroups=lambda rows: {"Women": rows.x[:, 1] == 1.0, "Men": rows.x[:, 1] == 0.0},
    )


def contract(sha256: str = "") -> dict[str, Any]:
    """A contract for them."""
    return {
        "name": "synthetic",
        "version": "0.1.0",
        "title": "Relapse after surgery",
        "status": "research use only",
        "licence": "Apache-2.0",
        "file": "model.onnx",
        "sha256": sha256,
        "intended_use": "To test the evaluation.",
        "population": "Nobody.",
        "out_of_scope": "Everybody.",
        "outcome": {"display": "Relapse", "text": "Relapse"},
        "horizons_days": [365, 1095],
        "curve": {"step_days": 60, "until_days": 1500},
        "inputs": [
            {"name": "age", "display": "Age", "kind": "age", "unit": "a", "missing": "refuse"},
            {"name": "female", "display": "Female sex", "kind": "sex", "missing": "refuse"},
            {
                "name": "marker",
                "display": "Marker (serum)",
                "kind": "observation",
                "system": "http://loinc.org",
                "codes": ["1975-2"],
                "unit": "mg/dL",
                "missing": "impute",
            },
        ],
    }


def package(folder: Path, table: SurvivalTable, kind: str) -> tuple[dict[str, Any], Path]:
    """Fit a model to all of them, as training does, and write its file; returns the contract that names it, and it."""
    from functions.survival.export import export_model

    candidate, times = candidate_named(kind, table), curve_times(contract())
    settings = choose_settings(candidate, table, times, replace(QUICK, inner_folds=10))
    fitted = candidate.fit(table, settings)
    found = export_model(fitted, name="synthetic", version="0.1.0", times=times, sample=table.x)
    path = folder / "model.onnx"
    path.write_bytes(found.content)
    return contract(hashlib.sha256(found.content).hexdigest()), path
