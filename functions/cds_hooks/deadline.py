"""Never later than promised: what is not done by then is left, and the EHR goes on without us."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Budget", "OutOfTime", "in_time"]

T = TypeVar("T")


class OutOfTime(Exception):
    """The time for a call is over."""


class Budget:
    """The time a call has.

    Parameters
    ----------
    seconds : float
    started : float, optional
        When it began, on `clock`.
    clock : callable
        Seconds, never going back.
    """

    def __init__(
        self, seconds: float, started: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._end = (clock() if started is None else started) + seconds

    @property
    def left(self) -> float:
        """Seconds left; negative when it is over."""
        return self._end - self._clock()

    def check(self) -> None:
        """Raise when it is over.

        Raises
        ------
        OutOfTime
        """
        if self.left <= 0:
            raise OutOfTime


class _Outcome(Generic[T]):
    def __init__(self) -> None:
        self.value: list[T] = []
        self.error: BaseException | None = None


def in_time(budget: Budget, work: Callable[[], T]) -> T:
    """Do something, and stop waiting for it when the time is over.

    A read that hangs cannot be broken off from outside, so it is left to a thread of its own, whose result nobody
    takes; its own time-outs end it soon after.

    Raises
    ------
    OutOfTime
        And whatever `work` raises.
    """
    outcome: _Outcome[T] = _Outcome()

    def run() -> None:
        try:
            outcome.value.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            outcome.error = error

    thread = threading.Thread(target=run, name="cds-hooks", daemon=True)
    thread.start()
    thread.join(max(budget.left, 0.0))
    if outcome.error is not None:
        raise outcome.error
    if not outcome.value:
        raise OutOfTime
    return outcome.value[0]
