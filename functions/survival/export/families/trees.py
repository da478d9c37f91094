"""Trees: an ensemble operator finds the leaf, a table holds what the leaf says.

scikit-learn casts a row to float32 and compares it with thresholds in double precision. The operator compares in
float32. A threshold rounded down to float32 decides every float32 value alike, since no float32 lies between the
two; rounded to the nearest, it would send values on the border the other way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from functions.survival.data import FloatArray
from functions.survival.export.errors import UnsupportedModel
from functions.survival.export.graph import FLOAT, INT32, Graph

__all__ = ["leaves_of", "lower_leaves", "round_down"]

# Leaf numbers travel as float32, which holds every whole number up to here.
MOST_LEAVES = 2**24


def round_down(values: FloatArray) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the largest float32 not above each value."""
    with np.errstate(over="ignore"):
        nearest = values.astype(np.float32)
    above = nearest.astype(np.float64) > values
    nearest[above] = np.nextafter(nearest[above], np.float32(-np.inf))
    return nearest


def leaves_of(tree: Any) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return the node numbers of a scikit-learn tree's leaves, rising."""
    return np.flatnonzero(tree.children_left < 0)


def lower_leaves(graph: Graph, tensor: str, trees: Sequence[Any], leaf_rows: Sequence[Any]) -> str:
    """Write trees; each says which row of a table its leaf has.

    Parameters
    ----------
    graph : Graph
    tensor : str
        The columns the trees were trained on, float64, shape (N, k); NaN follows each node's own missing branch.
    trees : sequence of sklearn.tree._tree.Tree
    leaf_rows : sequence of ndarray of int
        For each tree, the table row of each of its leaves, in the order of :func:`leaves_of`.

    Returns
    -------
    str
        int32, shape (N, trees).

    Raises
    ------
    UnsupportedModel
        Too many leaves.
    """
    if max(int(rows.max()) for rows in leaf_rows) >= MOST_LEAVES:
        raise UnsupportedModel(f"more than {MOST_LEAVES} different leaves; grow fewer or shallower trees")
    single = graph.add("Cast", tensor, to=FLOAT)
    found = graph.add(
        "TreeEnsembleRegressor",
        single,
        domain="ai.onnx.ml",
        **_nodes(trees),
        **_targets(trees, leaf_rows),
        n_targets=len(trees),
        aggregate_function="SUM",
        post_transform="NONE",
    )
    return graph.add("Cast", found, to=INT32)


def _nodes(trees: Sequence[Any]) -> dict[str, Any]:
    counts = [tree.node_count for tree in trees]
    leaf = np.concatenate([tree.children_left < 0 for tree in trees])

    def inner(attribute: str) -> Any:
        return np.where(leaf, 0, np.concatenate([getattr(tree, attribute) for tree in trees]))

    return {
        "nodes_treeids": np.repeat(np.arange(len(trees)), counts).tolist(),
        "nodes_nodeids": np.concatenate([np.arange(count) for count in counts]).tolist(),
        "nodes_featureids": inner("feature").tolist(),
        "nodes_values": round_down(inner("threshold")).tolist(),
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_truenodeids": inner("children_left").tolist(),
        "nodes_falsenodeids": inner("children_right").tolist(),
        "nodes_missing_value_tracks_true": inner("missing_go_to_left").astype(int).tolist(),
    }


def _targets(trees: Sequence[Any], leaf_rows: Sequence[Any]) -> dict[str, Any]:
    counts = [len(rows) for rows in leaf_rows]
    owner = np.repeat(np.arange(len(trees)), counts).tolist()
    return {
        "target_treeids": owner,
        "target_nodeids": np.concatenate([leaves_of(tree) for tree in trees]).tolist(),
        "target_ids": owner,
        "target_weights": np.concatenate(leaf_rows).astype(np.float64).tolist(),
    }
