"""What a plan is: who is to lie where, how good that is, and what stands in the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from functions.allocation.ward.objects import House, Stay
from functions.allocation.ward.rules import Rule
from functions.allocation.ward.solver import relative_gap

__all__ = ["Breach", "Level", "Plan", "Proposal"]


@dataclass(frozen=True)
class Breach:
    """A rule that cannot be kept, however patients are placed.

    Parameters
    ----------
    rule : Rule
    where : str
        Id of the room or ward.
    stay : str or None
        Whose, where the rule is one of a patient and a room.
    amount : int
        Beds, groups or patients too many.
    """

    rule: Rule
    where: str
    stay: str | None = None
    amount: int = 1


@dataclass(frozen=True)
class Level:
    """One of the aims, which are reached one after the other.

    Parameters
    ----------
    name : str
        ``broken rules``, ``unplaced: stat`` and so on, ``cost``, ``changes``.
    value, bound : float
        Reached, and what no plan can beat that is as good on the levels before.
    """

    name: str
    value: float
    bound: float

    @property
    def gap(self) -> float:
        """Relative distance of value and bound."""
        return relative_gap(self.value, self.bound)


@dataclass(frozen=True)
class Proposal:
    """What is proposed for one stay.

    Parameters
    ----------
    stay : Stay
    room : str or None
        None: no bed.
    """

    stay: Stay
    room: str | None

    @property
    def kind(self) -> Literal["stay", "move", "place", "unplaced"]:
        """Whether the patient stays, moves, is newly placed, or has no bed."""
        if self.room is None:
            return "unplaced"
        if self.stay.room is None:
            return "place"
        return "stay" if self.stay.room == self.room else "move"


@dataclass(frozen=True)
class Plan:
    """A plan of a house.

    Parameters
    ----------
    house : House
        That it is of.
    rooms : mapping of str to str or None
        Room by stay id.
    levels : tuple of Level
        In the order of their weight.
    breaches : tuple of Breach
        Rules that cannot be kept.
    method : str
        ``highs``, ``decomposed`` or ``greedy``, and what went wrong when that was not wanted.
    seed : int
        That ties were broken with.
    seconds : float
        That planning took.
    hopeless : mapping of str to tuple of Rule
        Stays that no room is for, with the rules in the way.
    """

    house: House = field(repr=False)
    rooms: Mapping[str, str | None]
    levels: tuple[Level, ...]
    breaches: tuple[Breach, ...] = ()
    method: str = "highs"
    seed: int = 0
    seconds: float = 0.0
    hopeless: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if set(self.rooms) != set(self.house.stay):
            raise ValueError("a plan says something of every stay, and of no other")

    def __iter__(self) -> Iterator[Proposal]:
        return (Proposal(stay, self.rooms[stay.id]) for stay in self.house.stays)

    @cached_property
    def cost(self) -> float:
        """What the places cost, by the policy; comparable between plans of one house that place the same patients."""
        return next((level.value for level in self.levels if level.name == "cost"), 0.0)

    @property
    def gap(self) -> float:
        """The largest gap of any level."""
        return max((level.gap for level in self.levels), default=0.0)

    @cached_property
    def moves(self) -> tuple[Proposal, ...]:
        """Patients who lie in one room and are proposed for another."""
        return tuple(proposal for proposal in self if proposal.kind == "move")

    @cached_property
    def unplaced(self) -> tuple[Proposal, ...]:
        """Patients for whom there is no bed."""
        return tuple(proposal for proposal in self if proposal.kind == "unplaced")

    def occupied(self, hour: float) -> int:
        """Return how many beds are taken at an hour from now, when the plan is followed."""
        return sum(stay.start <= hour < stay.end for stay in self.house.stays if self.rooms[stay.id] is not None)
