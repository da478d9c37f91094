"""Why a model is not written as an ONNX file.

::

    ExportError
    ├── UnsupportedModel      a step or estimator that has no translation; names it, and what has one
    ├── NotFitted             a step or estimator that was never fitted
    ├── BaselineMissing       no baseline hazard, so no survival function
    ├── BadTimeGrid           times that are not finite, not negative and rising
    ├── BadSample             the sample rows cannot be compared
    │   ├── WrongColumns      not one column for each declared input
    │   ├── AllMissingRow     a row without any value
    │   ├── MissingValue      a value is missing where the model has no way with that
    │   └── UnseenCategory    a value that an encoder of the model never saw
    ├── BadReplicates         bootstrap replicates that are not of this model
    └── Disagreement          the file and the model it was made from differ by more than the tolerance

Nothing is written when one is raised. Messages name rows and inputs, never a value of a row.
"""

from __future__ import annotations

__all__ = [
    "AllMissingRow",
    "BadReplicates",
    "BadSample",
    "BadTimeGrid",
    "BaselineMissing",
    "Disagreement",
    "ExportError",
    "MissingValue",
    "NotFitted",
    "UnseenCategory",
    "UnsupportedModel",
    "WrongColumns",
]


class ExportError(Exception):
    """Base of the errors of :mod:`functions.survival.export`."""


class UnsupportedModel(ExportError):
    """A step or estimator, or one of its settings, has no translation."""


class NotFitted(ExportError):
    """A step or estimator was never fitted."""


class BaselineMissing(ExportError):
    """The model ranks patients but has no baseline hazard, so no survival function."""


class BadTimeGrid(ExportError):
    """The declared times are not finite, not negative and rising."""


class BadSample(ExportError):
    """The sample rows cannot be compared."""


class WrongColumns(BadSample):
    """The sample or the model does not have one column for each declared input."""


class AllMissingRow(BadSample):
    """A sample row without any value."""


class MissingValue(BadSample):
    """A sample value is missing in an input without which the model gives no answer."""


class UnseenCategory(BadSample):
    """A sample value that an encoder of the model never saw."""


class BadReplicates(ExportError):
    """The bootstrap replicates are too few, or not of this model."""


class Disagreement(ExportError):
    """The file's survival differs from the model's by more than the tolerance.

    Attributes
    ----------
    max_error : float
        The largest difference of survival probabilities.
    """

    def __init__(self, detail: str, max_error: float) -> None:
        super().__init__(detail)
        self.max_error = max_error
