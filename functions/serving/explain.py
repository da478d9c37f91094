"""What each input did to a predicted survival curve: SurvSHAP(t), from the deployed model file itself.

The effect of an input at a time is its Shapley value in the game whose players are the inputs and whose payoff is the
survival probability at that time, the absent inputs taken from reference rows (Krzyzinski, Spytek, Baniecki, Biecek,
"SurvSHAP(t): Time-dependent explanations of machine learning survival models", Knowledge-Based Systems 262:110234,
2023). For few inputs all coalitions are tried; for more, orders of the inputs are sampled, each with its reverse
(Castro, Gomez, Tejada, Computers and Operations Research 36:1726-1730, 2009; antithetic pairs as in Mitchell,
Cooper, Frank, Holmes, Journal of Machine Learning Research 23(43), 2022).
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial

import numpy as np
import numpy.typing as npt

__all__ = ["EXACT_ROWS", "survshap"]

Float64 = npt.NDArray[np.float64]
Run = Callable[[Float64], Float64]

# Up to so many rows to evaluate, nothing is sampled.
EXACT_ROWS = 8192
# Rows in one call of the model: a forest holds a curve per row and tree while it works.
BATCH_ROWS = 256


def survshap(
    run: Run,
    row: Float64,
    background: Float64,
    permutations: int = 32,
    seed: int = 0,
    *,
    exact_rows: int = EXACT_ROWS,
) -> Float64:
    """Explain a survival curve.

    Parameters
    ----------
    run : callable
        Rows, shape (n, p), to their survival probabilities, shape (n, t).
    row : ndarray, shape (p,)
        The patient; NaN where a value is missing, if the model takes that.
    background : ndarray, shape (m, p)
        Reference rows.
    permutations : int
        Orders of the inputs to sample, at least. There are two for every reference row in any case, an order and its
        reverse, and as many for one row as for another.
    seed : int
        Of the sampling.
    exact_rows : int
        Try all coalitions when that takes no more than so many rows.

    Returns
    -------
    ndarray, shape (p, t)
        Effects on the survival probability. At each time they sum to the row's probability minus the mean of the
        reference rows' (efficiency), sampled or not.

    Raises
    ------
    ValueError
        There is no reference row, or the shapes do not go together.
    """
    row, background = np.asarray(row, dtype=np.float64), np.asarray(background, dtype=np.float64)
    if background.ndim != 2 or len(background) == 0 or row.shape != background.shape[1:] or row.size == 0:
        raise ValueError(f"a row of shape {row.shape} cannot be explained against rows of shape {background.shape}")
    if 2**row.size * len(background) <= exact_rows:
        return _exact(run, row, background)
    return _sampled(run, row, background, permutations, seed)


def _exact(run: Run, row: Float64, background: Float64) -> Float64:
    """Weigh every input's part in every coalition (Shapley's formula)."""
    inputs = row.size
    numbers = np.arange(2**inputs)
    members = (numbers[:, None] >> np.arange(inputs)) & 1 == 1
    values = _coalitions(run, row, background, members)
    sizes = members.sum(axis=1)
    weights = np.array([factorial(s) * factorial(inputs - s - 1) / factorial(inputs) for s in range(inputs)])
    effects = np.empty((inputs, values.shape[1]))
    for player in range(inputs):
        without = numbers[~members[:, player]]
        gained = values[without | (1 << player)] - values[without]
        effects[player] = weights[sizes[without]] @ gained
    return effects


def _coalitions(run: Run, row: Float64, background: Float64, members: npt.NDArray[np.bool_]) -> Float64:
    """Return the mean curve over the reference rows for each coalition, shape (k, t)."""
    at_once = max(1, BATCH_ROWS // len(background))
    means = []
    for start in range(0, len(members), at_once):
        chosen = members[start : start + at_once]
        rows = np.where(chosen[:, None, :], row, background)
        curves = run(rows.reshape(-1, row.size))
        means.append(curves.reshape(len(chosen), len(background), -1).mean(axis=1))
    return np.concatenate(means)


def _sampled(run: Run, row: Float64, background: Float64, permutations: int, seed: int) -> Float64:
    """Walk from each reference row to the patient, one input after the other, in sampled orders."""
    references, inputs = background.shape
    pairs = max(1, -(-permutations // (2 * references)))
    draw = np.random.default_rng(seed)
    forward = np.stack([draw.permutation(inputs) for _ in range(pairs * references)])
    orders = np.concatenate([forward, forward[:, ::-1]])
    starts = np.tile(np.arange(references), 2 * pairs)
    first, last = _batched(run, background), run(row[None, :])[0]
    effects = np.zeros((inputs, len(last)))
    at_once = max(1, BATCH_ROWS // max(1, inputs - 1))
    for begin in range(0, len(orders), at_once):
        order, start = orders[begin : begin + at_once], starts[begin : begin + at_once]
        curves = np.empty((len(order), inputs + 1, len(last)))
        curves[:, 0], curves[:, -1] = first[start], last
        if inputs > 1:
            curves[:, 1:-1] = _between(run, row, background[start], order)
        np.add.at(effects, order.ravel(), np.diff(curves, axis=1).reshape(-1, len(last)))
    return effects / len(orders)


def _between(run: Run, row: Float64, starts: Float64, orders: npt.NDArray[np.int64]) -> Float64:
    """Return the curves at the inner points of each walk, shape (k, p - 1, t)."""
    walks, inputs = orders.shape
    place = np.argsort(orders, axis=1)
    taken = place[:, None, :] <= np.arange(inputs - 1)[None, :, None]
    rows = np.where(taken, row, starts[:, None, :])
    return run(rows.reshape(-1, inputs)).reshape(walks, inputs - 1, -1)


def _batched(run: Run, rows: Float64) -> Float64:
    return np.concatenate([run(rows[start : start + BATCH_ROWS]) for start in range(0, len(rows), BATCH_ROWS)])
