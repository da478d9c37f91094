"""Errors of the serving side, beside those of :mod:`fhir_adapter.errors`.

::

    ServingError
    ├── ModelRefused      a model package breaks a rule of its contract; names the rule
    ├── StudyNotReady     a study is not there yet, or still grows (its event waits in the queue)
    └── EventRejected     an event can never be answered (it goes to the dead-letter queue at once)
"""

from __future__ import annotations


class ServingError(Exception):
    """Base of the errors of the model functions."""


class ModelRefused(ServingError):
    """A model package breaks a rule.

    Attributes
    ----------
    rule : str
        Stable name of the rule, such as ``digest``.
    """

    def __init__(self, package: str, rule: str, detail: str) -> None:
        super().__init__(f"model package {package!r} refused by rule '{rule}': {detail}")
        self.rule = rule


class StudyNotReady(ServingError):
    """A study cannot be read yet; its event is to come again later, and that is no failure.

    Attributes
    ----------
    seconds : float
        In which time a look may say something else.
    """

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.seconds = seconds


class EventRejected(ServingError):
    """The event cannot be answered, however often it is tried."""
