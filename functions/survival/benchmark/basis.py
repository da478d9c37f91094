"""Wider descriptions of a patient for a Cox model: curves in each input, or likeness to typical patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from functions.survival.data import FloatArray

__all__ = ["Kernel", "Splines", "fit_kernel", "fit_splines"]

# Scaled inputs beyond this many standard deviations say no more than the bound does.
_BOUND = 3.5


@dataclass(frozen=True)
class _Scaling:
    """Logarithm of skewed inputs, indicators of middle levels, then mean 0 and standard deviation 1."""

    log_unit: FloatArray
    levels: tuple[tuple[int, float], ...]
    centre: FloatArray
    scale: FloatArray

    def logged(self, x: FloatArray) -> FloatArray:
        curved = np.log1p(np.maximum(x, 0.0) / self.log_unit)
        return np.where(np.isfinite(self.log_unit), curved, x)

    def indicators(self, x: FloatArray) -> FloatArray:
        columns = [(x[:, at] == level).astype(np.float64) for at, level in self.levels]
        return np.stack(columns, axis=1) if columns else np.empty((len(x), 0))

    def scaled(self, x: FloatArray) -> FloatArray:
        wide = np.hstack([self.logged(x), self.indicators(x)])
        return np.clip((wide - self.centre) / self.scale, -_BOUND, _BOUND)


def _fit_scaling(x: FloatArray) -> _Scaling:
    levels = [np.unique(column) for column in x.T]
    log_unit = np.array([_log_unit(column, len(found)) for column, found in zip(x.T, levels, strict=True)])
    middle = tuple(
        (at, float(level)) for at, found in enumerate(levels) if 3 <= len(found) <= 5 for level in found[1:-1]
    )
    plain = _Scaling(log_unit, middle, np.zeros(1), np.ones(1))
    wide = np.hstack([plain.logged(x), plain.indicators(x)])
    spread = wide.std(axis=0)
    return _Scaling(log_unit, middle, wide.mean(axis=0), np.where(spread > 0, spread, 1.0))


def _log_unit(column: FloatArray, levels: int) -> float:
    """Return the unit in which an input is logged, infinity when it stays as it is."""
    spread = float(column.std())
    if levels <= 5 or spread == 0 or column.min() < 0:
        return np.inf
    skewness = float(((column - column.mean()) ** 3).mean()) / spread**3
    # A tenth of the median: near a plain logarithm for most values, and finite at zero.
    return float(np.median(column[column > 0])) / 10.0 if skewness > 1.0 else np.inf


@dataclass(frozen=True)
class Splines:
    """Natural cubic splines of each input (Harrell, Regression Modeling Strategies, 2015, sec. 2.4.5).

    Parameters
    ----------
    scaling : object
        Logarithms and indicators.
    knots : tuple of ndarray
        Of each input after logarithms; empty for an input that enters as it is.
    centre, scale : ndarray of float64, shape (features,)
        Features get mean 0 and standard deviation 1 in the training rows, so that a ridge treats them alike.
    """

    scaling: _Scaling
    knots: tuple[FloatArray, ...]
    centre: FloatArray
    scale: FloatArray

    def __call__(self, x: FloatArray) -> FloatArray:
        """Return the features; shape (n, features).

        Parameters
        ----------
        x : ndarray of float64, shape (n, p)
            No NaN.
        """
        return np.asarray((_spline_features(self.scaling, self.knots, x) - self.centre) / self.scale)


def fit_splines(x: FloatArray, knots: int) -> Splines:
    """Place the knots at quantiles of the training rows.

    Parameters
    ----------
    x : ndarray of float64, shape (n, p)
        Training rows; no NaN.
    knots : int
        Of each continuous input, from its 5th to its 95th percentile; ties give fewer.
    """
    scaling = _fit_scaling(x)
    places = []
    for column in scaling.logged(x).T:
        found = np.unique(np.quantile(column, np.linspace(0.05, 0.95, knots)))
        places.append(found if len(np.unique(column)) > 5 and len(found) >= 3 else np.empty(0))
    features = _spline_features(scaling, tuple(places), x)
    spread = features.std(axis=0)
    return Splines(scaling, tuple(places), features.mean(axis=0), np.where(spread > 0, spread, 1.0))


def _spline_features(scaling: _Scaling, knots: tuple[FloatArray, ...], x: FloatArray) -> FloatArray:
    logged = scaling.logged(x)
    parts = [logged, scaling.indicators(x)]
    parts += [_natural(column, places) for column, places in zip(logged.T, knots, strict=True) if len(places)]
    return np.hstack(parts)


def _natural(column: FloatArray, knots: FloatArray) -> FloatArray:
    """Return the nonlinear terms, shape (n, len(knots) - 2); straight beyond the outer knots."""

    def piece(knot: float) -> FloatArray:
        raised = np.maximum(column - knot, 0.0) ** 3 - np.maximum(column - knots[-1], 0.0) ** 3
        return np.asarray(raised / (knots[-1] - knot))

    last = piece(knots[-2])
    terms = np.stack([piece(knot) - last for knot in knots[:-2]], axis=1)
    return np.asarray(terms / (knots[-1] - knots[0]) ** 2, dtype=np.float64)


@dataclass(frozen=True)
class Kernel:
    """Gaussian kernel with landmarks (Nystroem: Williams and Seeger, NIPS 13, 2001), beside the inputs themselves.

    Parameters
    ----------
    scaling : object
        Logarithms, indicators, standard scores.
    landmarks : ndarray of float64, shape (m, p')
        Typical patients: centres of k-means clusters, in standard scores.
    width : float
        Of the kernel, in root-mean-square standard scores an input.
    projection : ndarray of float64, shape (m, features)
        From likeness to landmarks to features.
    centre : ndarray of float64, shape (features,)
        Mean of the features in the training rows.
    """

    scaling: _Scaling
    landmarks: FloatArray
    width: float
    projection: FloatArray
    centre: FloatArray

    def __call__(self, x: FloatArray) -> FloatArray:
        """Return half of each standard score, and the kernel's features; shape (n, p' + features).

        Parameters
        ----------
        x : ndarray of float64, shape (n, p)
            No NaN.
        """
        scores = self.scaling.scaled(x)
        kernel = _gaussian(scores, self.landmarks, self.width) @ self.projection - self.centre
        return np.hstack([0.5 * scores, kernel])


def fit_kernel(x: FloatArray, width: float, landmarks: int, seed: int) -> Kernel:
    """Find the landmarks, and scale the kernel's features to the total variance of the inputs.

    Parameters
    ----------
    x : ndarray of float64, shape (n, p)
        Training rows; no NaN.
    width : float
        Of the kernel, in root-mean-square standard scores an input.
    landmarks : int
        How many; never more than a third of the rows.
    seed : int
        Of k-means.
    """
    from sklearn.cluster import KMeans

    scaling = _fit_scaling(x)
    scores = scaling.scaled(x)
    count = min(landmarks, max(1, len(np.unique(scores, axis=0)) // 3))
    centres = KMeans(count, n_init=1, max_iter=20, random_state=seed).fit(scores).cluster_centers_
    values, vectors = np.linalg.eigh(_gaussian(centres, centres, width))
    # Directions below this share of the strongest are noise, and inverting them would blow it up.
    keep = values > 1e-4 * values[-1]
    projection = vectors[:, keep] / np.sqrt(values[keep])
    features = _gaussian(scores, centres, width) @ projection
    centre = features.mean(axis=0)
    size = float(np.sqrt(((features - centre) ** 2).sum(axis=1).mean() / scores.shape[1]))
    return Kernel(scaling, centres, width, projection / size, centre / size)


def _gaussian(left: FloatArray, right: FloatArray, width: float) -> FloatArray:
    squared = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)[None, :] - 2.0 * left @ right.T
    return np.asarray(np.exp(-np.maximum(squared, 0.0) / (2.0 * width**2 * left.shape[1])))
