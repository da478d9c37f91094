"""Why a plan is as it is for one patient, and what another room would cost.

A wish is planned anew with the patient in the room and the plan as it stands for everybody else; changes to it weigh
less than any cost, so nobody is moved who need not be. A wish that breaks a rule is not planned around: its rules are
named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from functions.allocation.ward.greedy import fits
from functions.allocation.ward.levels import optimise
from functions.allocation.ward.model import WardModel, Wish
from functions.allocation.ward.objects import House, Room, Stay
from functions.allocation.ward.plan import Plan
from functions.allocation.ward.rules import Policy, Rule, broken, cost
from functions.allocation.ward.solver import Limits

__all__ = ["Change", "Choice", "Explanation", "Forced", "difference", "explain", "force", "stays_of"]


@dataclass(frozen=True)
class Choice:
    """A room, for one stay.

    Parameters
    ----------
    room : str
    state : {"proposed", "free", "blocked", "forbidden"}
        ``free``: the patient could lie there beside all others as proposed. ``blocked``: not beside them.
        ``forbidden``: not at all.
    rules : tuple of Rule
        In the way.
    cost : int or None
        Of the place, by the policy; None where it is forbidden.
    by : tuple of str
        Stay ids of those who are in the way.
    """

    room: str
    state: Literal["proposed", "free", "blocked", "forbidden"]
    rules: tuple[Rule, ...] = ()
    cost: int | None = None
    by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """What binds for one stay.

    Parameters
    ----------
    stay : str
    room : str or None
        Proposed.
    choices : tuple of Choice
        Every room: the proposed one, then by state and cost.
    """

    stay: str
    room: str | None
    choices: tuple[Choice, ...]

    @property
    def binding(self) -> tuple[Choice, ...]:
        """The rooms that would cost less than what is proposed, and what keeps the patient out of them."""
        here = next((choice.cost for choice in self.choices if choice.state == "proposed"), None)
        return tuple(
            choice
            for choice in self.choices
            if choice.state == "blocked" and (here is None or (choice.cost is not None and choice.cost < here))
        )


@dataclass(frozen=True)
class Change:
    """What is different for one stay; None is no bed, and ``absent`` that the stay is not in the plan."""

    stay: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Forced:
    """What it would take to give a stay a room.

    Parameters
    ----------
    stay, room : str
    rules : tuple of Rule
        That the wish breaks; with any of them there is no plan.
    cost : float
        By how much the plan's cost rises.
    displaced : tuple of Change
        Everybody else for whom something changes.
    losing : tuple of str
        Stay ids of those who would have no bed then.
    plan : Plan or None
        The plan with the wish.
    """

    stay: str
    room: str
    rules: tuple[Rule, ...] = ()
    cost: float = 0.0
    displaced: tuple[Change, ...] = ()
    losing: tuple[str, ...] = ()
    plan: Plan | None = field(default=None, repr=False)

    @property
    def possible(self) -> bool:
        """Whether the wish breaks no rule."""
        return not self.rules


def stays_of(house: House, patient: str) -> list[Stay]:
    """Return the stays of a patient, by the reference of the patient or of the stay."""
    return [stay for stay in house.stays if patient in (stay.patient, stay.id, stay.patient.rpartition("/")[2])]


def explain(plan: Plan, stay_id: str, policy: Policy | None = None) -> Explanation:
    """Say what binds for a stay.

    Raises
    ------
    KeyError
        There is no such stay.
    """
    house, policy = plan.house, policy or Policy()
    stay = house.stay[stay_id]
    choices = [_choice(plan, stay, room, policy) for room in house.rooms]
    order = {"proposed": 0, "free": 1, "blocked": 2, "forbidden": 3}
    choices.sort(key=lambda choice: (order[choice.state], choice.cost or 0, choice.room))
    return Explanation(stay_id, plan.rooms[stay_id], tuple(choices))


def _choice(plan: Plan, stay: Stay, room: Room, policy: Policy) -> Choice:
    house = plan.house
    proposed = plan.rooms[stay.id] == room.id
    rules = broken(house, stay, room)
    if rules and not proposed:
        return Choice(room.id, "forbidden", rules)
    price = cost(house, stay, room, policy)
    if proposed:
        return Choice(room.id, "proposed", rules, price)
    others = [other for other in house.stays if other.id != stay.id and plan.rooms[other.id] == room.id]
    rules = fits(house, stay, room, others)
    if not rules:
        return Choice(room.id, "free", (), price)
    return Choice(room.id, "blocked", rules, price, _in_the_way(house, stay, room, others))


def _in_the_way(house: House, stay: Stay, room: Room, others: Sequence[Stay]) -> tuple[str, ...]:
    """Each who is in the way alone; where it is their number, all who are there meanwhile."""
    single = tuple(other.id for other in others if set(fits(house, stay, room, [other])) - {Rule.BEDS})
    return single or tuple(other.id for other in others if other.start < stay.end and stay.start < other.end)


def force(plan: Plan, stay_id: str, room_id: str, policy: Policy | None = None, limits: Limits | None = None) -> Forced:
    """Work out what giving a stay a room would cost, and whom it displaces.

    Raises
    ------
    KeyError
        There is no such stay or room.
    SolverFailed
    """
    house, policy = plan.house, policy or Policy()
    stay, room = house.stay[stay_id], house.room[room_id]
    rules = broken(house, stay, room)
    if stay.fixed and stay.room != room_id:
        rules = (*rules, Rule.FIXED)
    if rules:
        return Forced(stay_id, room_id, rules)
    kept = tuple(replace(other, previous=plan.rooms[other.id]) for other in house.stays)
    model = WardModel(house.replacing(stays=kept), policy, plan.seed, Wish(stay_id, room_id))
    found = optimise(model, replace(limits or Limits(), seed=plan.seed))
    before = {(breach.rule, breach.where) for breach in plan.breaches}
    new = {breach.rule for breach in found.breaches if (breach.rule, breach.where) not in before}
    if new:
        unmoved = [other for other in house.stays if other.fixed and other.room == room_id and other.id != stay_id]
        return Forced(stay_id, room_id, tuple(sorted(new | set(fits(house, stay, room, unmoved)))))
    changes = tuple(change for change in difference(plan, found) if change.stay != stay_id)
    losing = tuple(change.stay for change in changes if change.after is None)
    return Forced(stay_id, room_id, (), found.cost - plan.cost, changes, losing, found)


def difference(before: Plan, after: Plan) -> tuple[Change, ...]:
    """Return what differs between two plans, such as yesterday's and today's; stays of one only are left out."""
    return tuple(
        Change(stay, before.rooms[stay], room)
        for stay, room in after.rooms.items()
        if stay in before.rooms and before.rooms[stay] != room
    )
