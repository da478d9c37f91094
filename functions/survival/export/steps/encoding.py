"""Categories coded as numbers.

A value that an encoder never saw makes scikit-learn stop with an error. A graph cannot stop, so it gives NaN for
the whole row, unless the encoder was told what to do with unknown values.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from functions.survival.data import FloatArray
from functions.survival.export.errors import UnsupportedModel
from functions.survival.export.graph import DOUBLE, Graph
from functions.survival.export.lowered import Columns, Refusals

__all__ = ["one_hot", "ordinal"]


def one_hot(graph: Graph, columns: Columns, step: Any, refusals: Refusals) -> Columns:
    """Write a OneHotEncoder of numeric categories."""
    categories = _categories(step)
    if any(found is not None for found in _infrequent(step)):
        raise UnsupportedModel("OneHotEncoder that groups infrequent categories (min_frequency, max_categories)")
    hot, source = _matches(graph, columns, categories)
    if step.handle_unknown == "error":
        _refuse_unseen(graph, columns, categories, hot, source, refusals)
    starts = np.concatenate([[0], np.cumsum([len(found) for found in categories])])
    dropped = [] if step.drop_idx_ is None else list(step.drop_idx_)
    gone = {int(starts[at] + drop) for at, drop in enumerate(dropped) if drop is not None}
    kept = np.array([at for at in range(len(source)) if at not in gone], dtype=np.intp)
    coded = Columns(
        hot,
        columns.origin[source],
        np.zeros(len(source), dtype=np.bool_),
        np.zeros(len(source), dtype=np.bool_),
        columns.stand_in[source],
    )
    return coded.take(graph, kept)


def ordinal(graph: Graph, columns: Columns, step: Any, refusals: Refusals) -> Columns:
    """Write an OrdinalEncoder of numeric categories."""
    categories = _categories(step)
    if any(found is not None for found in _infrequent(step)):
        raise UnsupportedModel("OrdinalEncoder that groups infrequent categories (min_frequency, max_categories)")
    hot, source = _matches(graph, columns, categories)
    codes = np.zeros((len(source), len(columns)))
    within = np.concatenate([np.arange(len(found)) for found in categories])
    codes[np.arange(len(source)), source] = within
    tensor = graph.add("MatMul", hot, graph.constant(codes))
    absent = np.array([bool(len(found)) and bool(np.isnan(found[-1])) for found in categories])
    if absent.any():
        missing = graph.add("And", graph.add("IsNaN", columns.tensor), graph.constant(absent[None, :]))
        encoded = graph.constant(np.full((1, 1), step.encoded_missing_value, dtype=np.float64))
        tensor = graph.add("Where", missing, encoded, tensor)
    if step.handle_unknown == "error":
        _refuse_unseen(graph, columns, categories, hot, source, refusals)
        unknown = False
    else:
        value = graph.constant(np.full((1, 1), step.unknown_value, dtype=np.float64))
        tensor = graph.add("Where", _unseen(graph, hot, source, len(columns)), value, tensor)
        unknown = bool(np.isnan(step.unknown_value))
    missing_after = absent & bool(np.isnan(step.encoded_missing_value))
    return columns.derived(tensor, missing=missing_after | (columns.missing & ~absent & unknown))


def _categories(step: Any) -> list[FloatArray]:
    found = []
    for values in step.categories_:
        if np.asarray(values).dtype.kind not in "iufb":
            raise UnsupportedModel(
                f"{type(step).__name__} with categories that are not numbers: a file's inputs are numbers; "
                "code the categories as numbers before training"
            )
        found.append(np.asarray(values, dtype=np.float64))
    return found


def _infrequent(step: Any) -> list[Any]:
    return list(getattr(step, "infrequent_categories_", None) or ()) if step._infrequent_enabled else []


def _matches(
    graph: Graph, columns: Columns, categories: list[FloatArray]
) -> tuple[str, np.ndarray[tuple[int], np.dtype[np.intp]]]:
    """Return a tensor of shape (N, K): 1 where a column has a category; and the column that each of the K is of."""
    source = np.repeat(np.arange(len(columns)), [len(found) for found in categories])
    known = np.concatenate(categories)
    repeated = columns.take(graph, source).tensor
    equal = graph.add("Equal", repeated, graph.constant(known[None, :]))
    if np.isnan(known).any():
        missing = graph.add("And", graph.add("IsNaN", repeated), graph.constant(np.isnan(known)[None, :]))
        equal = graph.add("Or", equal, missing)
    return graph.add("Cast", equal, to=DOUBLE), source


def _unseen(graph: Graph, hot: str, source: np.ndarray[tuple[int], np.dtype[np.intp]], count: int) -> str:
    """Return a bool tensor of shape (N, count): a column has none of its categories."""
    member = np.zeros((len(source), count))
    member[np.arange(len(source)), source] = 1.0
    return graph.add("Less", graph.add("MatMul", hot, graph.constant(member)), graph.constant(np.full((1, 1), 0.5)))


def _refuse_unseen(
    graph: Graph,
    columns: Columns,
    categories: list[FloatArray],
    hot: str,
    source: np.ndarray[tuple[int], np.dtype[np.intp]],
    refusals: Refusals,
) -> None:
    refusals.where(graph, _unseen(graph, hot, source, len(columns)))
    for at, known in enumerate(categories):
        if columns.plain[at]:
            refusals.coded.append((int(columns.origin[at]), known))
        if columns.missing[at] and not np.isnan(known).any():
            refusals.required.add(int(columns.origin[at]))
