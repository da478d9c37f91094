"""The risk that a patient has no suitable bed by some hour, by simulation.

Who lies in a bed leaves at a time that is not known: the length of stay is log-normal, its median the planned one, and
who has stayed already is conditioned on having done so, by the survival of the stay (S(t + u) / S(t)). Each run draws
when everybody leaves; then beds are given out hour by hour, by urgency, priority and time of waiting, to the first
suitable room by the rules of room, sex and isolation. The risk at a horizon is the share of runs in which the patient
wants a bed by then and has none. What the model leaves out: admissions nobody has announced, deaths, transfers that
nobody has planned, and moves of patients to make room. The spread (`SIGMA`) is an assumption, not a fit, until a
house's own finished stays replace it by :func:`spread_of`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from functions.allocation.ward.fairness import wilson
from functions.allocation.ward.objects import House, Room, Stay
from functions.allocation.ward.rules import broken, group, weight

__all__ = ["HORIZONS", "SIGMA", "Shortage", "remaining", "shortages", "spread_of"]

# Hours.
HORIZONS = (6.0, 12.0, 24.0, 48.0)
RUNS = 400
SIGMA = 0.5
LEAST_STAYS = 30
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Shortage:
    """The risk of one stay at one horizon.

    Parameters
    ----------
    hours : float
    probability : float
    interval : (float, float)
        95%, of the simulation alone.
    """

    hours: float
    probability: float
    interval: tuple[float, float]


def spread_of(lengths: Sequence[float]) -> float | None:
    """Return the spread of the logarithms of finished stays, in hours; None with fewer than 30.

    It is that of the stays around their median; where staff plan ends, the plan explains some of it, so this errs to
    the cautious side.
    """
    positive = [math.log(length) for length in lengths if length > 0]
    return float(np.std(positive, ddof=1)) if len(positive) >= LEAST_STAYS else None


def remaining(stay: Stay, sigma: float, draws: Float64) -> Float64:
    """Return how long a stay goes on, in hours from its start or from now, for draws from (0, 1).

    The inverse of the log-normal survival function, conditional on the time stayed so far.
    """
    from statistics import NormalDist

    normal = NormalDist()
    whole, stayed = stay.end - stay.start, max(0.0, -stay.start)
    median = math.log(whole)
    before = normal.cdf((math.log(stayed) - median) / sigma) if stayed > 0 else 0.0
    levels = np.clip(before + (1.0 - before) * draws, 1e-9, 1.0 - 1e-9)
    quantiles = np.array([normal.inv_cdf(level) for level in levels])
    return np.asarray(np.maximum(np.exp(median + sigma * quantiles) - stayed, 0.0), dtype=np.float64)


def shortages(
    house: House,
    *,
    seed: int = 0,
    runs: int = RUNS,
    sigma: float = SIGMA,
    horizons: Sequence[float] = HORIZONS,
    step: float = 2.0,
) -> Mapping[str, tuple[Shortage, ...]]:
    """Return the risk of every stay that needs a bed it does not have, by horizon.

    Parameters
    ----------
    runs : int
        Of the simulation.
    sigma : float
        Spread of the logarithm of the length of stay.
    step : float
        Hours between two rounds of giving out beds.

    Returns
    -------
    mapping of str to tuple of Shortage
        By stay id: newcomers, and who lies where a rule is broken. Whoever lies by the rules has a suitable bed.
        A horizon before somebody comes is left out.
    """
    waiting = [stay for stay in house.stays if not stay.present or broken(house, stay, house.room[str(stay.room)])]
    waiting.sort(key=lambda stay: (stay.urgency, -stay.priority, stay.start, stay.id))
    lying = [stay for stay in house.stays if stay.present]
    draw = np.random.default_rng(seed)
    lacking = {stay.id: np.zeros(len(horizons), dtype=np.int64) for stay in waiting}
    ends = {stay.id: remaining(stay, sigma, draw.random(runs)) for stay in house.stays}
    suitable = {stay.id: [room for room in house.rooms if not broken(house, stay, room)] for stay in waiting}
    for run in range(runs):
        had = _run(
            house,
            waiting,
            lying,
            {name: float(drawn[run]) for name, drawn in ends.items()},
            suitable,
            max(horizons),
            step,
        )
        for stay in waiting:
            for number, horizon in enumerate(horizons):
                lacking[stay.id][number] += had[stay.id] > horizon
    return {
        stay.id: tuple(
            Shortage(horizon, int(count) / runs, wilson(int(count), runs))
            for horizon, count in zip(horizons, lacking[stay.id], strict=True)
            if stay.start <= horizon
        )
        for stay in waiting
        if any(stay.start <= horizon for horizon in horizons)
    }


def _run(
    house: House,
    waiting: Sequence[Stay],
    lying: Sequence[Stay],
    ends: Mapping[str, float],
    suitable: Mapping[str, Sequence[Room]],
    last: float,
    step: float,
) -> dict[str, float]:
    """One run: when each who waits gets a bed, in hours; infinite where that is never."""
    inside: dict[str, list[tuple[float, Stay]]] = {room.id: [] for room in house.rooms}
    for stay in lying:
        inside[str(stay.room)].append((ends[stay.id], stay))
    had = {stay.id: math.inf for stay in waiting}
    for hour in np.arange(0.0, last + step / 2, step):
        for room, people in inside.items():
            inside[room] = [item for item in people if item[0] > hour]
        for stay in waiting:
            if had[stay.id] < math.inf or stay.start > hour:
                continue
            room_found = _free(house, stay, suitable[stay.id], inside)
            if room_found is not None:
                had[stay.id] = float(hour)
                if stay.present:
                    inside[str(stay.room)] = [item for item in inside[str(stay.room)] if item[1].id != stay.id]
                inside[room_found].append((float(hour) + ends[stay.id], stay))
    return had


def _free(
    house: House, stay: Stay, rooms: Sequence[Room], inside: Mapping[str, list[tuple[float, Stay]]]
) -> str | None:
    for room in rooms:
        there = [other for _, other in inside[room.id] if other.id != stay.id]
        if sum(weight(house, other, room) for other in there) + weight(house, stay, room) > room.beds:
            continue
        own = group(house, stay, room)
        if room.beds == 1 or all(group(house, other, room) == own for other in there):
            return room.id
    return None
