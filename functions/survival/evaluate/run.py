"""One evaluation from start to end."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from functions.survival.data import Dataset, FloatArray, SurvivalTable
from functions.survival.evaluate import sections
from functions.survival.evaluate.candidates import Candidate, Settings, family_of
from functions.survival.evaluate.comparison import (
    Comparison,
    compare,
    curve_times,
    d_calibration_json,
    horizons_of,
    performance,
)
from functions.survival.evaluate.deployed import ServedFile, served
from functions.survival.evaluate.equation import describe_equation
from functions.survival.evaluate.heldout import Plan, choose_settings
from functions.survival.evaluate.importance import permutation_importance
from functions.survival.export import read_cox
from functions.survival.fromfhir import as_recorded
from functions.survival.models import CompetingCox, CoxEquation, Fitted

__all__ = ["evaluate"]

Json = dict[str, Any]

# A file and a model fitted again whose survival probabilities differ by less are the same model.
SAME = 1e-6


def evaluate(
    dataset: Dataset,
    contract: Mapping[str, Any],
    model_file: Path,
    *,
    table: SurvivalTable | None = None,
    comparison: Comparison | None = None,
    plan: Plan | None = None,
    progress: Callable[[str], None] = lambda _line: None,
    jobs: int = 1,
) -> Json:
    """Measure how the package's modelling procedure does on patients it did not see.

    Parameters
    ----------
    dataset : Dataset
        The training data.
    contract : mapping
        ``model.yaml`` as read.
    model_file : Path
        The ``model.onnx`` that is reported; it must be the one the contract names by digest.
    table : SurvivalTable, optional
        What the file was trained on, where that is not the data set as a record would show it.
    comparison : Comparison, optional
        Of every candidate on the same table by the same plan, where training has just made it.
    plan : Plan, optional
        The resampling; by the size of the data when absent.
    progress : callable
        Called with a line now and then.
    jobs : int
        Processes. They change no number.

    Returns
    -------
    dict
        Ready for JSON; the same for the same data, package versions and plan.

    Raises
    ------
    ValueError
        The model file is not the contract's, its inputs are in another order, or there are too few events.
    """
    content = _checked(model_file, contract)
    file = ServedFile(content)
    dataset.check_order([declared["name"] for declared in contract["inputs"]])
    times, horizons = curve_times(contract), horizons_of(contract)
    table = replace(table or as_recorded(dataset.load(), contract), log=dataset.log)
    plan = plan or Plan.for_size(len(table))
    reported = family_of(table).named(file.metadata.get("kind", "cox"))
    comparison = comparison or compare(table, times, plan, progress, jobs)
    result = _headline(comparison, reported, table, plan, contract, jobs)
    result["model"] |= {key: file.metadata[key] for key in ("name", "version")}
    result["model"]["sha256"] = contract["sha256"]
    progress("curves over time, calibration, net benefit")
    result |= _pictures(comparison, reported.name, plan, contract, jobs, result["horizons"])
    progress("subgroups, missing values, test set")
    ours = comparison.predictions[reported.name]
    result["subgroups"] = sections.subgroups(dataset, table, ours, plan, horizons, jobs)
    result["missingness"] = sections.missingness(table, ours, plan, horizons, jobs)
    result["test_split"] = sections.test_split(comparison, reported.name, table, plan, contract, jobs)
    result |= {"comparison": comparison.table(), "decision": comparison.decision()}
    progress("the served file against a refit to all rows, and what it leans on")
    settings = _settings(contract, content, reported, table, times, plan)
    refit = reported.fit(table, settings)
    result["served"] = served(file, table, times, horizons, refit, settings)
    equations = _equations(content, reported, refit, result["served"]["max_difference"])
    result["equation"] = describe_equation(equations, dataset, table, plan, horizons) if equations else None
    result["importance"] = None if equations else permutation_importance(reported, ours, table, plan, jobs)
    packages = ("scikit-survival", "scikit-learn", "numpy", "onnxruntime")
    result["software"] = {name: version(name) for name in packages}
    return result


def _checked(model_file: Path, contract: Mapping[str, Any]) -> bytes:
    content = model_file.read_bytes()
    digest, declared = hashlib.sha256(content).hexdigest(), contract["sha256"]
    if digest != declared:
        raise ValueError(f"{model_file} has sha256 {digest}, model.yaml says {declared!r}; train first")
    return content


def _headline(
    comparison: Comparison,
    reported: Candidate,
    table: SurvivalTable,
    plan: Plan,
    contract: Mapping[str, Any],
    jobs: int,
) -> Json:
    reference = comparison.family.reference
    result: Json = {
        "schema": 2,
        "model": {"kind": reported.name, "title": reported.title},
        "data": sections.describe(table, horizons_of(contract)),
        "method": sections.method(plan, curve_times(contract), table, horizons_of(contract)),
        "reference": {"name": reference.name, "title": reference.title},
        **performance(comparison, plan, contract, reported.name, jobs),
    }
    result["d_calibration"] = d_calibration_json(comparison.d_calibration(reported.name))
    return result


def _pictures(
    comparison: Comparison,
    name: str,
    plan: Plan,
    contract: Mapping[str, Any],
    jobs: int,
    measured: Sequence[Json],
) -> Json:
    ours = comparison.predictions[name]
    details = sections.detail_horizons(ours, plan, horizons_of(contract), jobs)
    horizons = []
    for row, detail in zip(measured, details, strict=True):
        calibration = {**row["calibration"], "curve": detail["curve"], "groups": detail["groups"]}
        horizons.append({**row, "calibration": calibration, "net_benefit": detail["net_benefit"]})
    over_time = sections.over_time(comparison, name, plan, contract, jobs)
    return {"horizons": horizons, **over_time, "risk_groups": sections.risk_groups(ours, plan, contract)}


def _equations(content: bytes, reported: Candidate, refit: Fitted, difference: float) -> tuple[CoxEquation, ...]:
    """What the file holds, if it holds equations: of one Cox model, or one for each cause."""
    if reported.name == "cox":
        return (read_cox(content)[0],)
    # Of several equations the file keeps only what it computes with; those of the same model fitted again are told.
    if isinstance(refit, CompetingCox) and difference < SAME:
        return refit.causes
    return ()


def _settings(
    contract: Mapping[str, Any],
    content: bytes,
    reported: Candidate,
    table: SurvivalTable,
    times: FloatArray,
    plan: Plan,
) -> Settings:
    """Settings of the model fitted to all rows: as training recorded them, else chosen as training does."""
    recorded = (contract.get("performance") or {}).get("settings")
    if isinstance(recorded, dict):
        return recorded
    if reported.name == "cox":
        return {"alpha": read_cox(content)[0].alpha}
    return choose_settings(reported, table, times, replace(plan, inner_folds=10))
