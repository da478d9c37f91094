"""Errors of the serving side, beside those of :mod:`fhir_adapter.errors`.

::

    ServingError
    ├── ModelRefused      a model package breaks a rule of its contract; names the rule
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


class EventRejected(ServingError):
    """The event cannot be answered, however often it is tried."""
