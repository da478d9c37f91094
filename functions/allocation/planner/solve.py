"""The any-time search: threads that anneal from different random numbers and share the best plan between phases."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import numpy as np

from functions.allocation.planner.begin import ODDS, begin, compile_kernel, odds
from functions.allocation.planner.errors import PlannerError
from functions.allocation.planner.evaluate import Evaluation, evaluate
from functions.allocation.planner.instance import Instance
from functions.allocation.planner.kernel.anneal import MOVES, search
from functions.allocation.planner.kernel.compiled import COMPILED
from functions.allocation.planner.kernel.layout import Ints
from functions.allocation.planner.kernel.state import State, plan_of
from functions.allocation.planner.solution import Plan

__all__ = ["MOST_THREADS", "Outcome", "Progress", "solve"]

MOST_THREADS = 4


@dataclass(frozen=True)
class Phase:
    """A part of the search.

    Attributes
    ----------
    share : float
        Of time or moves.
    hot, cold : float
        Temperatures at its beginning and end, in units of cost; between them they fall geometrically.
    """

    share: float
    hot: float
    cold: float


# Every thread for itself, from a first plan; more than once where there is time.
ALONE = Phase(0.7, 30.0, 0.5)
# All threads from the best plan of any.
TOGETHER = (Phase(0.3, 5.0, 0.3),)
# What one search of a thread alone should have at least, in seconds a patient, and how many there may be: on small
# instances one search in three ends some percent above the best of a few.
ENOUGH, MOST_STARTS = 0.4, 6
# Moves that count as a second, where the search is counted in moves.
A_SECOND = 1_500_000
# From a plan that is there already, the search stays near it.
WARM = (Phase(0.6, 5.0, 1.0), Phase(0.4, 3.0, 0.4))
# Moves between two looks at the clock.
CHUNK = 20_000 if COMPILED else 100
# Temperatures of a phase that is counted in moves.
STEPS = 100


@dataclass(frozen=True)
class Progress:
    """Where the search stands.

    Attributes
    ----------
    seconds : float
        Since it began.
    cost : int
        Of the best plan, with a high price for every mandatory patient not admitted yet.
    moves : int
        Tried by all threads.
    """

    seconds: float
    cost: int
    moves: int


@dataclass(frozen=True)
class Outcome:
    """What the search found.

    Attributes
    ----------
    plan : Plan
        The best.
    evaluation : Evaluation
        Of it, by :mod:`functions.allocation.planner.evaluate`.
    curve : tuple of (float, int)
        Seconds and cost of each best plan on the way, as in :class:`Progress`.
    seconds : float
    moves : int
    tally : dict of str to (int, int)
        Moves tried and moves kept, by kind.
    """

    plan: Plan
    evaluation: Evaluation
    curve: tuple[tuple[float, int], ...]
    seconds: float
    moves: int
    tally: dict[str, tuple[int, int]]


@dataclass
class _Budget:
    """When a phase ends: on the clock, or, so that a run can be repeated exactly, after a number of moves."""

    start: float
    end: float | None
    moves: int | None

    def spent(self, moves: int) -> float:
        """Return the part that is used up; from 1 on it is all."""
        if self.moves is not None:
            return moves / max(1, self.moves)
        assert self.end is not None
        return (time.monotonic() - self.start) / max(1e-9, self.end - self.start)


@dataclass
class _Run:
    """What the threads of one search share."""

    began: float
    odds: np.ndarray[tuple[int], np.dtype[np.int64]]
    stop: threading.Event = field(default_factory=threading.Event)


class _Worker:
    """One thread's search."""

    def __init__(self, run: _Run, state: State) -> None:
        self.run = run
        self.moves = 0
        self.curve: list[tuple[float, int]] = []
        self.tally = np.zeros(2 * len(MOVES), np.int64)
        self.begin(state)

    def begin(self, state: State) -> None:
        """Go on from a state, which is the best plan so far."""
        self.state = state
        self.score = np.array([state.cost, state.cost], np.int64)
        self.best = state.snapshot()
        self.prices = state.prices()
        self.kept: tuple[int, Ints, Ints] | None = None

    def again(self, state: State) -> None:
        """Begin anew, and keep the best plan so far."""
        kept = min((self.kept, self._now()), key=lambda found: found[0]) if self.kept else self._now()
        self.begin(state)
        self.kept = kept

    def finish(self) -> None:
        """Make the best plan of all starts the best plan."""
        if self.kept is not None and self.kept[0] < self.score[1]:
            self.score[1], self.best, self.prices = self.kept
        self.kept = None

    def _now(self) -> tuple[int, Ints, Ints]:
        return int(self.score[1]), self.best, self.prices

    @property
    def cost(self) -> int:
        """Of the best plan of all starts."""
        return int(self.score[1]) if self.kept is None else min(int(self.score[1]), self.kept[0])

    def anneal(self, phase: Phase, budget: _Budget) -> None:
        """Search until the budget is spent or the run is stopped."""
        done = 0
        while (spent := budget.spent(done)) < 1 and not self.run.stop.is_set():
            temperature = phase.hot * (phase.cold / phase.hot) ** spent
            # Counted in moves, the temperatures are the same on every machine.
            size = CHUNK if budget.moves is None else min(max(1, budget.moves // STEPS), budget.moves - done)
            before = self.score[1]
            search(
                *(self.state.row, self.state.dice, temperature, size),
                *(self.run.odds, self.score, self.best, self.tally),
            )
            done += size
            self.moves += size
            if self.score[1] < before and self.cost == self.score[1]:
                self.curve.append((time.monotonic() - self.run.began, self.cost))


def solve(
    instance: Instance,
    *,
    seconds: float = 60.0,
    moves: int | None = None,
    threads: int = 2,
    seed: int = 0,
    start: Plan | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Outcome:
    """Search for a good plan.

    Parameters
    ----------
    instance : Instance
    seconds : float
        How long; compiling, where the machine code is not there yet, is not counted.
    moves : int, optional
        How many moves each thread tries, instead of a time: with the same seed and threads the same plan comes.
    threads : int
        1 to 4.
    seed : int
        Of the random numbers.
    start : Plan, optional
        A plan to better. What of it breaks a hard constraint is not taken over; if nothing does, what comes is no
        worse.
    progress : callable, optional
        Called about once a second. Ctrl-C ends the search with the best plan so far.

    Returns
    -------
    Outcome
        Whose plan may leave out mandatory patients where no place was found for them: see its violations.

    Raises
    ------
    Unplannable
        When no nurse works in some shift.
    PlannerError
        When the search and the evaluator do not agree on a cost, which is an error of this program.
    """
    threads = max(1, min(MOST_THREADS, threads))
    compile_kernel()
    run = _Run(time.monotonic(), odds(ODDS))
    workers = [_Worker(run, begin(instance, seed * 1000 + at, start)) for at in range(threads)]
    starts = 1 if start is not None else _starts(instance, seconds if moves is None else moves / A_SECOND)
    alone = [Phase(ALONE.share / starts, ALONE.hot, ALONE.cold)] * starts
    passed = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for number, phase in enumerate([*alone, *TOGETHER] if start is None else WARM):
            fresh = seed * 1000 + MOST_THREADS * number
            if start is None and 0 < number < starts:
                for at, worker in enumerate(workers):
                    worker.again(begin(instance, fresh + at, None))
            elif number:
                _share(instance, workers, fresh)
            end = run.began + seconds * (passed + phase.share)
            count = None if moves is None else round(moves * phase.share)
            budget = _Budget(time.monotonic(), end, count)
            _watch([pool.submit(worker.anneal, phase, budget) for worker in workers], run, workers, progress)
            passed += phase.share
            if run.stop.is_set():
                break
    return _outcome(instance, run, workers)


def _starts(instance: Instance, seconds: float) -> int:
    """Return how often a thread searches for itself."""
    return max(1, min(MOST_STARTS, int(ALONE.share * seconds / (ENOUGH * max(1, len(instance.patients))))))


def _best(workers: list[_Worker]) -> _Worker:
    for worker in workers:
        worker.finish()
    return min(workers, key=lambda worker: worker.cost)


def _share(instance: Instance, workers: list[_Worker], seed: int) -> None:
    """Have every thread go on from the best plan of any."""
    best = _best(workers)
    cost, plan, prices = best.cost, plan_of(instance, best.best), best.prices
    for at, worker in enumerate(workers):
        worker.begin(State(instance, seed + at, plan, prices))
        if worker.cost != cost:
            raise PlannerError(
                f"the search of {instance.name} counted {cost} for a plan that costs {worker.cost}; please report this "
                "with the instance and the seed"
            )


def _watch(
    futures: list[Future[None]],
    run: _Run,
    workers: list[_Worker],
    progress: Callable[[Progress], None] | None,
) -> None:
    pending = set(futures)
    while pending:
        try:
            _, pending = wait(pending, timeout=1.0)
        except KeyboardInterrupt:
            run.stop.set()
            continue
        if progress is not None:
            cost, moves = min(worker.cost for worker in workers), sum(worker.moves for worker in workers)
            progress(Progress(time.monotonic() - run.began, cost, moves))
    for future in futures:
        future.result()


def _outcome(instance: Instance, run: _Run, workers: list[_Worker]) -> Outcome:
    best = _best(workers)
    plan = plan_of(instance, best.best)
    found = evaluate(instance, plan)
    if found.total_violations == 0 and found.total_cost != best.cost:
        raise PlannerError(
            f"the search of {instance.name} counted {best.cost} for a plan that costs {found.total_cost}; please "
            "report this with the instance and the seed"
        )
    curve: list[tuple[float, int]] = []
    for second, cost in sorted(point for worker in workers for point in worker.curve):
        if not curve or cost < curve[-1][1]:
            curve.append((round(second, 3), cost))
    tally = sum(worker.tally for worker in workers)
    assert isinstance(tally, np.ndarray)
    return Outcome(
        plan=plan,
        evaluation=found,
        curve=tuple(curve),
        seconds=time.monotonic() - run.began,
        moves=sum(worker.moves for worker in workers),
        tally={name: (int(tally[2 * at]), int(tally[2 * at + 1])) for at, name in enumerate(MOVES)},
    )
