"""The weights of a stack: which average of several models' held-out curves errs least."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from functions.survival.data import FloatArray, SurvivalTable
from functions.survival.evaluate.ipcw import Known, weights

__all__ = ["simplex_minimum", "stack_weights"]

# Weights are chosen to this many decimals: the last digits of a linear solver must not decide a file's bytes.
DECIMALS = 2


def stack_weights(table: SurvivalTable, survival: FloatArray, times: FloatArray) -> FloatArray:
    """Return the weights with the lowest Brier score summed over times (Wey, Connett and Rudser, Biostatistics
    16:537-549, 2015); shape (k,), not negative, sum 1.

    Parameters
    ----------
    table : SurvivalTable
        The patients.
    survival : ndarray of float64, shape (k, n, T)
        Each member's curves for them, from models that did not see them.
    times : ndarray of float64, shape (T,)
        Days, evenly spaced.
    """
    known = Known(table.event, table.competing, table.time)
    weight = weights(known, times)
    free = 1.0 - ((table.time[:, None] <= times) & table.event[:, None])
    quadratic = np.einsum("nt,int,jnt->ij", weight, survival, survival, optimize=True) / len(table)
    linear = np.einsum("nt,nt,int->i", weight, free, survival, optimize=True) / len(table)
    exact = simplex_minimum(quadratic, linear)
    rounded = np.round(exact, DECIMALS)
    rounded[int(np.argmax(exact))] += 1.0 - rounded.sum()
    return np.asarray(np.round(rounded, DECIMALS), dtype=np.float64)


def simplex_minimum(quadratic: FloatArray, linear: FloatArray) -> FloatArray:
    """Minimise ``w Q w - 2 c w`` over weights that are not negative and sum to 1.

    Every set of members that may carry weight is solved exactly: for a handful that is quicker than iterating, and
    gives the same answer everywhere.

    Parameters
    ----------
    quadratic : ndarray of float64, shape (k, k)
        Q, positive semidefinite.
    linear : ndarray of float64, shape (k,)
        c.
    """
    size = len(linear)
    best, lowest = np.full(size, 1.0 / size), np.inf
    for count in range(1, size + 1):
        for members in combinations(range(size), count):
            weights = _on_face(quadratic, linear, members)
            if weights is None:
                continue
            loss = float(weights @ quadratic @ weights - 2.0 * linear @ weights)
            # More members only for a gain that is more than rounding.
            if loss < lowest - 1e-12:
                best, lowest = weights, loss
    return best


def _on_face(quadratic: FloatArray, linear: FloatArray, members: tuple[int, ...]) -> FloatArray | None:
    count, at = len(members), list(members)
    system = np.ones((count + 1, count + 1))
    system[:count, :count] = 2.0 * quadratic[np.ix_(at, at)]
    system[count, count] = 0.0
    solution = np.linalg.lstsq(system, np.append(2.0 * linear[at], 1.0), rcond=None)[0][:count]
    if solution.min() < 0 or abs(solution.sum() - 1.0) > 1e-6:
        return None
    weights = np.zeros(len(linear))
    weights[at] = solution
    return weights
