"""Models of a few laboratory values: multinomial logistic regression, and a small neural network.

Both see the same columns: the logarithm of concentrations, which are skewed, and the inverse hyperbolic sine of a
difference, which may be negative; standardised. Offline only (scikit-learn).
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from functions.diagnosis.data.dataset import Float64, Int64
from functions.diagnosis.models.onnxfile import OnnxFile

__all__ = ["GRID", "LabModel", "Logistic", "Network", "Scaling", "fit_logistic", "fit_network", "softmax"]

Transform = Literal["linear", "log", "asinh"]
TRANSFORMS: Mapping[str, Transform] = {
    "t3_resin_uptake": "linear",
    "thyroxine": "log",
    "triiodothyronine": "log",
    "tsh": "log",
    "tsh_response": "asinh",
}
# Penalties that the inner cross-validation chooses from, weakest first.
GRID: Mapping[str, tuple[float, ...]] = {"logistic": (0.01, 0.1, 1.0, 10.0), "network": (0.1, 1.0, 10.0)}
HIDDEN, MEMBERS = 8, 3
ITERATIONS = 2000


class LabModel(Protocol):
    """A fitted model of laboratory values."""

    def probabilities(self, values: Float64) -> Float64:
        """Return the probability of each class; shape (n, classes)."""

    def onnx(self, metadata: Mapping[str, str]) -> bytes:
        """Write the model: input ``inputs`` (float64, (N, p)), output ``probabilities`` (N, classes)."""


@dataclass(frozen=True)
class Scaling:
    """How a value becomes a column: transformed, less its mean, over its standard deviation.

    Parameters
    ----------
    names : tuple of str
        Inputs; how each is transformed is fixed.
    mean, deviation : ndarray, shape (p,)
        Of the transformed training values.
    """

    names: tuple[str, ...]
    mean: Float64
    deviation: Float64

    @classmethod
    def of(cls, names: Sequence[str], values: Float64) -> Scaling:
        """Take mean and standard deviation from training values of shape (n, p)."""
        columns = _transformed(names, values)
        return cls(tuple(names), columns.mean(axis=0), columns.std(axis=0))

    def __call__(self, values: Float64) -> Float64:
        """Return the columns; shape (n, p)."""
        return (_transformed(self.names, values) - self.mean) / self.deviation

    def write(self, file: OnnxFile) -> str:
        """Add the same to a graph and return the tensor's name."""
        columns = []
        for at, name in enumerate(self.names):
            column = file.add("Gather", "inputs", file.constant(np.array([at], dtype=np.int64)), axis=1)
            columns.append(_TRANSFORMED[TRANSFORMS[name]](file, column))
        stacked = file.add("Concat", *columns, axis=1)
        return file.add(
            "Div", file.add("Sub", stacked, file.constant(self.mean)), file.constant(np.asarray(self.deviation))
        )


def _transformed(names: Sequence[str], values: Float64) -> Float64:
    functions: Mapping[Transform, Callable[[Float64], Float64]] = {
        "linear": lambda x: x,
        "log": np.log,
        "asinh": np.arcsinh,
    }
    return np.column_stack([functions[TRANSFORMS[name]](values[:, at]) for at, name in enumerate(names)])


def _asinh(file: OnnxFile, column: str) -> str:
    """Return asinh x as ln(x + sqrt(x x + 1)), as ONNX Runtime has Asinh for float only."""
    root = file.add("Sqrt", file.add("Add", file.add("Mul", column, column), file.constant(1.0)))
    return file.add("Log", file.add("Add", column, root))


_TRANSFORMED: Mapping[Transform, Callable[[OnnxFile, str], str]] = {
    "linear": lambda _file, column: column,
    "log": lambda file, column: file.add("Log", column),
    "asinh": _asinh,
}


@dataclass(frozen=True)
class Logistic:
    """A multinomial logistic regression.

    Parameters
    ----------
    scaling : Scaling
    coefficients : ndarray, shape (classes, p)
        Sum to 0 over the classes.
    intercepts : ndarray, shape (classes,)
    classes : tuple of str
    penalty : float
    """

    scaling: Scaling
    coefficients: Float64
    intercepts: Float64
    classes: tuple[str, ...]
    penalty: float

    def probabilities(self, values: Float64) -> Float64:
        """Return the probability of each class; shape (n, classes)."""
        return softmax(self.scaling(values) @ self.coefficients.T + self.intercepts)

    def contributions(self, values: Float64) -> Float64:
        """Return what each input adds to each class's score over the mean patient's; shape (n, p, classes)."""
        return np.asarray(self.scaling(values)[:, :, None] * self.coefficients.T[None])

    def onnx(self, metadata: Mapping[str, str]) -> bytes:
        """Write the model; a further output ``contributions`` (N, p, classes) sums over p to score less intercept."""
        file, inputs, classes = _file(self.scaling), len(self.scaling.names), len(self.classes)
        columns = self.scaling.write(file)
        wide = file.add("Unsqueeze", columns, file.constant(np.array([2], dtype=np.int64)))
        contributions = file.add("Mul", wide, file.constant(self.coefficients.T[None]))
        total = file.add("ReduceSum", contributions, file.constant(np.array([1], dtype=np.int64)), keepdims=0)
        score = file.add("Add", total, file.constant(self.intercepts))
        file.output("probabilities", file.add("Softmax", score, axis=1), ["N", classes])
        file.output("contributions", contributions, ["N", inputs, classes])
        return file.build("logistic", _told(metadata, self.scaling.names, self.classes, "logistic"))


@dataclass(frozen=True)
class Network:
    """A few neural networks of one hidden layer (tanh), their probabilities averaged.

    Parameters
    ----------
    scaling : Scaling
    members : tuple of tuple
        Weights (p, h), biases (h,), weights (h, classes), biases (classes,) of each.
    classes : tuple of str
    penalty : float
    """

    scaling: Scaling
    members: tuple[tuple[Float64, Float64, Float64, Float64], ...]
    classes: tuple[str, ...]
    penalty: float

    def probabilities(self, values: Float64) -> Float64:
        """Return the probability of each class; shape (n, classes)."""
        columns = self.scaling(values)
        found = [softmax(np.tanh(columns @ w + b) @ v + c) for w, b, v, c in self.members]
        return np.asarray(np.mean(found, axis=0))

    def onnx(self, metadata: Mapping[str, str]) -> bytes:
        """Write the model."""
        file = _file(self.scaling)
        columns = self.scaling.write(file)
        found = []
        for w, b, v, c in self.members:
            hidden = file.add("Tanh", file.add("Gemm", columns, file.constant(w), file.constant(b)))
            found.append(file.add("Softmax", file.add("Gemm", hidden, file.constant(v), file.constant(c)), axis=1))
        total = found[0]
        for other in found[1:]:
            total = file.add("Add", total, other)
        mean = file.add("Mul", total, file.constant(1.0 / len(found)))
        file.output("probabilities", mean, ["N", len(self.classes)])
        return file.build("network", _told(metadata, self.scaling.names, self.classes, "network"))


def _file(scaling: Scaling) -> OnnxFile:
    return OnnxFile("inputs", "double", ["N", len(scaling.names)])


def _told(metadata: Mapping[str, str], names: Sequence[str], classes: Sequence[str], kind: str) -> dict[str, str]:
    return {**metadata, "inputs": json.dumps(list(names)), "classes": json.dumps(list(classes)), "kind": kind}


def softmax(scores: Float64) -> Float64:
    """Return the softmax over the last axis."""
    raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def fit_logistic(
    names: Sequence[str], values: Float64, labels: Int64, classes: tuple[str, ...], penalty: float
) -> Logistic:
    """Fit a multinomial logistic regression with a ridge penalty.

    Parameters
    ----------
    names : sequence of str
    values : ndarray, shape (n, p)
    labels : ndarray of int64, shape (n,)
    classes : tuple of str
    penalty : float
        On half the squared coefficients of standardised columns, against the summed log loss.
    """
    from sklearn.linear_model import LogisticRegression

    scaling = Scaling.of(names, values)
    fitted = LogisticRegression(C=1.0 / penalty, tol=1e-10, max_iter=10000).fit(scaling(values), labels)
    # the score of all classes may be raised alike without a change: made unique, and the contributions with it
    coefficients = fitted.coef_ - fitted.coef_.mean(axis=0)
    return Logistic(scaling, coefficients, fitted.intercept_ - fitted.intercept_.mean(), classes, penalty)


def fit_network(
    names: Sequence[str], values: Float64, labels: Int64, classes: tuple[str, ...], penalty: float, seed: int = 0
) -> Network:
    """Fit the small network, by L-BFGS from a few starts.

    Parameters
    ----------
    names : sequence of str
    values : ndarray, shape (n, p)
    labels : ndarray of int64, shape (n,)
    classes : tuple of str
    penalty : float
        On half the squared weights, against the summed log loss.
    seed : int
        Of the first start.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    scaling = Scaling.of(names, values)
    columns, members = scaling(values), []
    for number in range(MEMBERS):
        net = MLPClassifier(
            (HIDDEN,), activation="tanh", solver="lbfgs", alpha=penalty, max_iter=ITERATIONS, random_state=seed + number
        )
        with warnings.catch_warnings():
            # a start that has not settled is still a member of the average
            warnings.simplefilter("ignore", ConvergenceWarning)
            net.fit(columns, labels)
        members.append((net.coefs_[0], net.intercepts_[0], net.coefs_[1], net.intercepts_[1]))
    return Network(scaling, tuple(members), classes, penalty)
