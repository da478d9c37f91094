"""Planning a house: by the solver, in parts when it is large, by hand when the solver fails."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from functions.allocation.ward.decompose import decomposed
from functions.allocation.ward.greedy import greedy
from functions.allocation.ward.levels import optimise
from functions.allocation.ward.model import WardModel
from functions.allocation.ward.objects import House
from functions.allocation.ward.plan import Plan
from functions.allocation.ward.rules import Policy
from functions.allocation.ward.solver import Limits, SolverFailed

__all__ = ["LARGE", "plan_house", "seed_of"]

# Stays from which a house of several wards is planned in parts; a thousand as a whole take seconds, and better plans.
LARGE = 1500


def seed_of(*parts: str) -> int:
    """Return a seed that follows from what is planned: nobody can choose it, and a replay has the same."""
    return int.from_bytes(hashlib.sha256("|".join(parts).encode()).digest()[:4]) >> 1


def plan_house(
    house: House,
    policy: Policy | None = None,
    limits: Limits | None = None,
    *,
    seed: int = 0,
    large: int = LARGE,
) -> Plan:
    """Plan a house; there is always a plan.

    Parameters
    ----------
    house : House
    policy : Policy, optional
    limits : Limits, optional
    seed : int
        Ties are broken with it, and it is recorded in the plan.
    large : int
        From how many stays on a house of several wards is planned in parts.
    """
    policy, limits = policy or Policy(), limits or Limits()
    begin = greedy(house, policy, seed)
    try:
        if len(house.stays) >= large and len(house.wards) > 1:
            return decomposed(house, policy, limits, seed)
        return optimise(WardModel(house, policy, seed), replace(limits, seed=seed), _usable(begin))
    except SolverFailed as failed:
        return replace(begin, method=f"greedy ({failed})")


def _usable(plan: Plan) -> dict[str, str | None] | None:
    """A plan to begin with, unless a rule is broken: then it is no solution without its slacks."""
    return None if plan.breaches else dict(plan.rooms)


def standing(house: House, rooms: Sequence[tuple[str, str | None]]) -> House:
    """Return a house whose stays know the room they were proposed for last."""
    known = dict(rooms)
    return house.replacing(stays=tuple(replace(stay, previous=known.get(stay.id)) for stay in house.stays))
