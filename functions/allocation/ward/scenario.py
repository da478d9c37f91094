"""What if: beds closed, more patients coming. Pure functions of a house; the result is planned like any other."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from functions.allocation.ward.objects import House, Stay

__all__ = ["close_beds", "surge"]


def close_beds(house: House, room: str, beds: int | None = None) -> House:
    """Return the house with fewer beds in a room.

    Parameters
    ----------
    beds : int, optional
        How many are closed; all of them by default.

    Raises
    ------
    KeyError
        There is no such room.
    ValueError
        It has not so many beds.
    """
    chosen = house.room[room]
    closed = chosen.beds if beds is None else beds
    if not 0 <= closed <= chosen.beds:
        raise ValueError(f"{room} has {chosen.beds} beds; {closed} cannot be closed")
    return house.replacing(
        rooms=tuple(replace(item, beds=item.beds - closed) if item.id == room else item for item in house.rooms)
    )


def surge(house: House, patients: int, *, seed: int = 0, within: float = 24.0) -> House:
    """Return the house with more newcomers, each as one of those who are known: drawn with replacement.

    Parameters
    ----------
    patients : int
        How many more.
    within : float
        Hours from now in which they come, evenly.

    Raises
    ------
    ValueError
        Nobody is known to be like.
    """
    if not house.stays:
        raise ValueError("a surge takes after the patients of the house, and there are none")
    draw = random.Random(seed)  # noqa: S311 - a scenario, nothing secret
    waiting: Sequence[Stay] = [stay for stay in house.stays if not stay.present] or house.stays
    more = []
    for number in range(patients):
        like, start = draw.choice(waiting), draw.uniform(0.0, within)
        length = like.end - max(like.start, 0.0)
        more.append(
            replace(
                like,
                id=f"surge-{number + 1}",
                patient=f"surge-{number + 1}",
                start=start,
                end=start + length,
                room=None,
                previous=None,
                follows=None,
                fixed=False,
            )
        )
    return house.replacing(stays=(*house.stays, *more))
