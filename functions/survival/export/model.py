"""Any supported fitted model as one ONNX file, compared with the model before anyone sees it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from functions.survival.data import FloatArray
from functions.survival.export.checks import check_against, check_grid, check_sample, compare
from functions.survival.export.errors import WrongColumns
from functions.survival.export.families import add_bands, lower
from functions.survival.export.families.curves import median_of
from functions.survival.export.graph import Graph
from functions.survival.export.lowered import Lowered
from functions.survival.models import Fitted

__all__ = ["Exported", "export_model"]


@dataclass(frozen=True)
class Exported:
    """A model as a file.

    Parameters
    ----------
    content : bytes
        The ONNX file.
    max_error : float
        The largest difference of survival from the model's own, over the sample's rows and the declared times.
    rows : int
        Number of sample rows compared.
    """

    content: bytes
    max_error: float
    rows: int


def export_model(
    fitted: Fitted,
    *,
    name: str,
    version: str,
    times: FloatArray,
    sample: FloatArray,
    replicates: Sequence[Fitted] = (),
    background: FloatArray | None = None,
    tolerance: float = 1e-5,
) -> Exported:
    """Write a fitted model as one ONNX graph: imputation, coding, scaling, model and curves.

    Its input ``inputs``, float64 of shape (N, p), holds the declared inputs in their units and order; NaN means
    missing, values are finite otherwise. Its outputs, all float64:

    ==================== ========= ==============================================================================
    survival             [N, T]    probability of being free of the outcome; where events compete, 1 - incidence
    times                [T]       the declared grid
    risk_score           [N]       the model's own score, higher for an earlier event; for averages and competing
                                   risks, which have none, the mean of 1 - survival over the grid
    cumulative_hazard    [N, T]    H(t | x) under proportional hazards, else -ln(survival)
    median_survival      [N]       first declared time with survival <= 0.5, infinite when there is none
    imputed              [N, p]    the inputs with what a missing value counts as; NaN stays where the model has
                                   its own way with missing values
    lower, upper         [N, T]    pointwise 95% band of survival; with ``replicates``
    contributions        [N, p]    parts of the log hazard that sum to ``risk_score``; linear models
    cumulative_incidence [N, C, T] of each cause; competing risks
    background           [m, p]    the rows given as ``background``
    ==================== ========= ==============================================================================

    A row that the model would refuse (a category its encoder never saw, a missing value that it does not impute)
    has NaN in every output but ``times``, ``imputed`` and ``background``. ``metadata_props`` hold ``name``,
    ``version``, ``inputs`` and ``times`` (JSON lists), ``kind``, and what belongs to the kind.

    Parameters
    ----------
    fitted : Fitted
        A ``CoxEquation``, ``CompetingCox``, ``StackedAverage``, or a scikit-survival estimator or pipeline in
        ``Wrapped``.
    name, version : str
        Of the model package.
    times : ndarray of float64, shape (T,)
        The declared grid: finite, rising, not negative; days, or the time unit the model was trained in.
    sample : ndarray of float64, shape (n, p)
        Rows on which the file is compared with the model.
    replicates : sequence of Fitted
        The same model fitted to bootstrap samples; they become the band.
    background : ndarray of float64, shape (m, p), optional
        Reference rows for explanations, carried in the file as they are: no row may be a patient's.
    tolerance : float
        The largest accepted difference of survival.

    Returns
    -------
    Exported
        The same arguments give the same bytes.

    Raises
    ------
    ExportError
        By name of what is wrong; see :mod:`functions.survival.export.errors`.
    """
    grid = check_grid(times)
    rows = check_sample(sample, fitted.names)
    graph = Graph(len(fitted.names))
    lowered = lower(graph, fitted, grid)
    check_against(rows, fitted.names, lowered.refusals)
    _add_outputs(graph, lowered, grid)
    metadata = {
        "inputs": json.dumps(list(fitted.names)),
        "kind": lowered.kind,
        "name": name,
        "times": json.dumps(grid.tolist()),
        "version": version,
        **lowered.metadata,
    }
    if lowered.refusals.required:
        metadata["required"] = json.dumps([fitted.names[at] for at in sorted(lowered.refusals.required)])
    if replicates:
        lower_band, upper_band = add_bands(graph, fitted, lowered, replicates, grid)
        shape: list[int | str] = ["N", len(grid)]
        graph.output("lower", _answered(graph, lowered, lower_band), shape)
        graph.output("upper", _answered(graph, lowered, upper_band), shape)
        metadata["replicates"] = str(len(replicates))
    if background is not None:
        _add_background(graph, np.asarray(background, dtype=np.float64), len(fitted.names))
    content = graph.build(name, metadata)
    return Exported(content, compare(_session(content), fitted, rows, grid, tolerance), len(rows))


def _add_outputs(graph: Graph, lowered: Lowered, grid: FloatArray) -> None:
    inputs = len(lowered.stand_in)
    curve: list[int | str] = ["N", len(grid)]
    graph.output("survival", _answered(graph, lowered, lowered.survival), curve)
    graph.output("times", graph.constant(grid), [len(grid)])
    graph.output("risk_score", graph.flat(_answered(graph, lowered, lowered.risk_score)), ["N"])
    graph.output("cumulative_hazard", _answered(graph, lowered, lowered.cumulative_hazard), curve)
    median = median_of(graph, lowered.survival, grid)
    graph.output("median_survival", graph.flat(_answered(graph, lowered, median)), ["N"])
    graph.output("imputed", _imputed(graph, lowered.stand_in), ["N", inputs])
    if lowered.contributions is not None:
        graph.output("contributions", _answered(graph, lowered, lowered.contributions), ["N", inputs])
    if lowered.incidence is not None:
        graph.output(
            "cumulative_incidence", _answered(graph, lowered, lowered.incidence), ["N", lowered.causes, len(grid)]
        )


def _answered(graph: Graph, lowered: Lowered, tensor: str) -> str:
    """Return the tensor with NaN in the rows that the model refuses."""
    refused = lowered.refusals.tensor(graph)
    if refused is None:
        return tensor
    if tensor == lowered.incidence:
        refused = graph.add("Unsqueeze", refused, graph.constant(np.array([2], dtype=np.int64)))
    return graph.add("Where", refused, graph.constant(np.full((1, 1), np.nan)), tensor)


def _imputed(graph: Graph, stand_in: FloatArray) -> str:
    """Return the inputs with what stands in for a missing one."""
    if np.isnan(stand_in).all():
        return Graph.INPUT
    return graph.add("Where", graph.add("IsNaN", Graph.INPUT), graph.constant(stand_in[None, :]), Graph.INPUT)


def _add_background(graph: Graph, background: FloatArray, inputs: int) -> None:
    if background.ndim != 2 or background.shape[1] != inputs:
        raise WrongColumns(f"the background has shape {background.shape}; the model has {inputs} inputs")
    graph.output("background", graph.constant(background), [len(background), inputs])


def _session(content: bytes) -> Any:
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return InferenceSession(content, options, providers=["CPUExecutionProvider"])
