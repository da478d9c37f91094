"""What passes between the parts of the exporter: a table of columns on its way to a model, and a model's curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from functions.survival.data import BoolArray, FloatArray
from functions.survival.export.graph import DOUBLE, Graph

__all__ = ["Columns", "Lowered", "Refusals", "combine_stand_ins"]


@dataclass(frozen=True)
class Columns:
    """A tensor of float64, shape (N, k), somewhere between the declared inputs and the model.

    Parameters
    ----------
    tensor : str
        Its name in the graph.
    origin : ndarray of int, shape (k,)
        The declared input that each column comes from.
    missing : ndarray of bool, shape (k,)
        Whether a column is NaN where its input is.
    plain : ndarray of bool, shape (k,)
        Whether a column is its input unchanged, apart from imputation.
    stand_in : ndarray of float64, shape (k,)
        What a missing input counted as on the way here, in the input's unit; NaN where nothing did.
    """

    tensor: str
    origin: np.ndarray[tuple[int], np.dtype[np.intp]]
    missing: BoolArray
    plain: BoolArray
    stand_in: FloatArray

    @classmethod
    def inputs(cls, count: int) -> Columns:
        """Return the declared inputs themselves."""
        yes = np.ones(count, dtype=np.bool_)
        return cls(Graph.INPUT, np.arange(count), yes, yes, np.full(count, np.nan))

    def __len__(self) -> int:
        return len(self.origin)

    def take(self, graph: Graph, at: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Columns:
        """Return some of the columns, in the given order."""
        same = len(at) == len(self) and bool(np.array_equal(at, np.arange(len(self))))
        tensor = self.tensor if same else graph.columns(self.tensor, at.tolist())
        return Columns(tensor, self.origin[at], self.missing[at], self.plain[at], self.stand_in[at])

    def derived(self, tensor: str, missing: BoolArray | None = None) -> Columns:
        """Return a tensor computed column by column from this one; no longer the inputs themselves."""
        changed = self.missing if missing is None else missing
        return replace(self, tensor=tensor, plain=np.zeros(len(self), dtype=np.bool_), missing=changed)

    def impute(self, graph: Graph, values: FloatArray) -> Columns:
        """Return the columns with NaN replaced by each column's value, shape (k,); NaN leaves it."""
        filled = ~np.isnan(values)
        if not np.any(self.missing & filled):
            return self
        tensor = graph.add("Where", graph.add("IsNaN", self.tensor), graph.constant(values[None, :]), self.tensor)
        counted = self.plain & self.missing & filled
        return replace(
            self,
            tensor=tensor,
            missing=self.missing & ~filled,
            stand_in=np.where(counted, values, self.stand_in),
        )

    @staticmethod
    def join(graph: Graph, parts: list[Columns]) -> Columns:
        """Return the columns of several tables side by side."""
        if len(parts) == 1:
            return parts[0]
        return Columns(
            graph.add("Concat", *(part.tensor for part in parts), axis=1),
            np.concatenate([part.origin for part in parts]),
            np.concatenate([part.missing for part in parts]),
            np.concatenate([part.plain for part in parts]),
            np.concatenate([part.stand_in for part in parts]),
        )


@dataclass
class Refusals:
    """Which rows a model has no answer for, at run time and at export.

    Parameters
    ----------
    counts : list of str
        Tensors of float64, shape (N, 1): how much is wrong with a row.
    required : set of int
        Declared inputs that must not be missing.
    coded : list of (int, ndarray)
        Declared inputs that an encoder takes as they are, and the values it knows.
    """

    counts: list[str] = field(default_factory=list)
    required: set[int] = field(default_factory=set)
    coded: list[tuple[int, FloatArray]] = field(default_factory=list)

    def where(self, graph: Graph, wrong: str) -> None:
        """Refuse rows in which any value of a bool tensor of shape (N, k) is true."""
        self.counts.append(graph.row_sums(graph.add("Cast", wrong, to=DOUBLE)))

    def missing(self, graph: Graph, columns: Columns) -> None:
        """Refuse rows with a NaN in the columns that can have one, for a model that cannot."""
        at = np.flatnonzero(columns.missing)
        if at.size == 0:
            return
        self.required.update(int(origin) for origin in columns.origin[at])
        self.where(graph, graph.add("IsNaN", columns.take(graph, at).tensor))

    def tensor(self, graph: Graph) -> str | None:
        """Return a bool tensor of shape (N, 1), true for rows that are refused; None when none can be."""
        if not self.counts:
            return None
        total = self.counts[0]
        for more in self.counts[1:]:
            total = graph.add("Add", total, more)
        return graph.add("Greater", total, graph.constant(np.zeros((1, 1))))


@dataclass(frozen=True)
class Lowered:
    """A model written into a graph.

    Parameters
    ----------
    kind : str
        What it is, for people and the file's metadata.
    survival : str
        S(t), shape (N, T).
    cumulative_hazard : str
        Shape (N, T).
    risk_score : str
        Shape (N, 1); higher means an earlier event.
    stand_in : ndarray of float64, shape (p,)
        What a missing declared input counts as; NaN where no single value does.
    refusals : Refusals
        Rows that have no answer.
    contributions : str, optional
        Shape (N, p); they sum to the risk score.
    incidence : str, optional
        Cumulative incidence of each cause, shape (N, C, T).
    causes : int
        C; 1 where events do not compete.
    metadata : mapping of str to str
        Particular to the kind.
    """

    kind: str
    survival: str
    cumulative_hazard: str
    risk_score: str
    stand_in: FloatArray
    refusals: Refusals
    contributions: str | None = None
    incidence: str | None = None
    causes: int = 1
    metadata: Mapping[str, str] = field(default_factory=dict)


def combine_stand_ins(origin: np.ndarray[tuple[int], np.dtype[np.intp]], values: FloatArray, inputs: int) -> FloatArray:
    """Return one stand-in for each declared input: the one all its columns agree on, else NaN; shape (inputs,).

    Parameters
    ----------
    origin : ndarray of int, shape (k,)
        The declared input of each column.
    values : ndarray of float64, shape (k,)
        The stand-in of each column.
    inputs : int
        Number of declared inputs.
    """
    found = np.full(inputs, np.nan)
    for at in range(inputs):
        own = values[origin == at]
        if own.size and np.all(own == own[0]):
            found[at] = own[0]
    return found
