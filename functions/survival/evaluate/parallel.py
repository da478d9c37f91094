"""Work in several processes, the results in order."""

from __future__ import annotations

import importlib
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from typing import TypeVar

__all__ = ["ordered"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered(work: Callable[[Item], Result], items: Sequence[Item], jobs: int = 1) -> Iterator[Result]:
    """Yield ``work(item)`` for each item, in order, as they are done.

    Parameters
    ----------
    work : callable
        Can be pickled, when ``jobs`` is more than 1.
    items : sequence
    jobs : int
        Processes; 1 works in this one.
    """
    if jobs <= 1 or len(items) < 2:
        yield from map(work, items)
        return
    waiting = [_pool(jobs).submit(work, item) for item in items]
    try:
        for future in waiting:
            yield future.result()
    finally:
        for future in waiting:
            future.cancel()


@cache
def _pool(jobs: int) -> ProcessPoolExecutor:
    """The processes stay for the next piece of work: each takes seconds to load scikit-survival."""
    # Fresh processes: a fork of one that runs threads may never end.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=_one_thread)


def _one_thread() -> None:
    """As many processes as cores, each with as many threads, would stand in each other's way."""
    importlib.import_module("threadpoolctl").threadpool_limits(1)
