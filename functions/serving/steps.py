"""The steps of a worker, named, so that a test can stop it dead at each of them.

A worker may be killed anywhere: out of memory, time-out, a lost machine. Between any two of these steps nothing
may depend on the process going on: what was promised is in the EHR, in the idempotency record, or in the queue.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

__all__ = ["Checkpoint", "Step", "go_on"]


class Step(StrEnum):
    """Where a worker is, in the order of one event."""

    RECEIVED = "received"
    BEFORE_READ = "before-read"
    AFTER_READ = "after-read"
    AFTER_PREDICT = "after-predict"
    BEFORE_WRITE = "before-write"
    AFTER_WRITE = "after-write"
    BEFORE_REMEMBER = "before-remember"
    BEFORE_LEDGER = "before-ledger"
    BEFORE_MARK = "before-mark"
    BEFORE_ANSWER = "before-answer"


Checkpoint = Callable[[Step], None]


def go_on(_step: Step) -> None:
    """Do nothing: what a worker does at each step outside tests."""
