"""The ward model in PuLP: who lies where, so that no rule is broken at any time.

For each stay *p* and room *r* it may be proposed for, ``x`` says that it is; for each newcomer ``u`` that there is
none. For each room, each time at which somebody arrives (a maximal clique of the intervals, Golumbic: Algorithmic
Graph Theory and Perfect Graphs, ch. 8) and each group of patients who may share it (by pathogen and sex), ``y`` says
that the room is of that group then::

    sum x[p, .] + u[p] = 1                               every stay has a place, or none
    sum x[p, r] over p of group g  <=  beds[r] * y[r, t, g]
    sum y[r, t, .] + sum x[p, r] over p alone  <=  1     one group at a time, or one patient alone
    sum x[p, r] over r of a ward  <=  staffed[t]         nurses

A house is as it is: where patients lie against a rule now, a slack of the rule's name lets them, and only them. All
else can be kept by placing nobody, so no problem is infeasible.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pulp

from functions.allocation.ward.objects import House, Room, Stay, Urgency
from functions.allocation.ward.plan import Breach
from functions.allocation.ward.rules import Policy, Rule, alone, broken, candidates, cost, group
from functions.allocation.ward.solver import Link

__all__ = ["SLOT", "WardModel", "Wish", "slots"]

# Hours that times are rounded to: out for a stay, so that two never share a bed they should not.
SLOT = 12.0
# Aims of one patient and one room that a patient may be left with; the ward's are costs.
TOLERATED = frozenset({Rule.SPECIALTY, Rule.WARD})


@dataclass(frozen=True)
class Wish:
    """A stay that is to have a room, whatever it costs."""

    stay: str
    room: str


@dataclass(frozen=True)
class Slack:
    """By how much a rule is broken, as a variable."""

    variable: Any
    breach: Breach


def slots(stay: Stay, slot: float = SLOT) -> range:
    """Return the slots a stay covers."""
    start, end = int(max(stay.start, 0.0) // slot), int(-(-stay.end // slot))
    return range(start, max(end, start + 1))


def cliques(stays: Sequence[Stay], slot: float = SLOT) -> list[list[int]]:
    """Return the largest sets of stays that are there at one time, as indices; one of them holds every overlap."""
    spans = [slots(stay, slot) for stay in stays]
    found: list[frozenset[int]] = []
    for time in sorted({span.start for span in spans}):
        there = frozenset(number for number, span in enumerate(spans) if time in span)
        found = [other for other in found if not other <= there]
        if not any(there <= other for other in found):
            found.append(there)
    return [sorted(there) for there in found]


@dataclass
class WardModel:
    """A problem and what its variables mean.

    Parameters
    ----------
    house : House
    policy : Policy
    seed : int
        The order of patients and rooms is drawn with it, so that nothing but chance decides between equals.
    wish : Wish, optional
    slot : float
        Hours.
    """

    house: House
    policy: Policy = field(default_factory=Policy)
    seed: int = 0
    wish: Wish | None = None
    slot: float = SLOT
    problem: pulp.LpProblem = field(init=False)
    places: dict[tuple[str, str], Any] = field(init=False, default_factory=dict)
    costs: dict[tuple[str, str], int] = field(init=False, default_factory=dict)
    left: dict[str, Any] = field(init=False, default_factory=dict)
    slacks: list[Slack] = field(init=False, default_factory=list)
    links: list[Link] = field(init=False, default_factory=list)
    hopeless: dict[str, tuple[Rule, ...]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        draw = random.Random(self.seed)  # noqa: S311 - ties need a seed that can be written down, not a secret
        self._stays = draw.sample(self.house.stays, len(self.house.stays))
        self._rooms = draw.sample(self.house.rooms, len(self.house.rooms))
        self._number = 0
        self.problem = pulp.LpProblem("ward", pulp.LpMinimize)
        in_room: dict[str, list[Stay]] = {room.id: [] for room in self._rooms}
        for stay in self._stays:
            for room in self._place(stay):
                in_room[room.id].append(stay)
        for room in self._rooms:
            self._room(room, in_room[room.id])
        for ward in self.house.wards:
            if ward.shifts:
                self._staffing(ward.id)

    # -- rows --

    def _variable(self, kind: str) -> Any:
        self._number += 1
        return self.problem.add_variable(f"{kind}{self._number}", 0, 1, cat=pulp.LpInteger)

    def _row(self, terms: Iterable[tuple[Any, float]], sense: int, right: float) -> None:
        self.problem.addConstraint(pulp.LpConstraint(pulp.LpAffineExpression(list(terms)), sense, None, right))

    def _slack(self, rule: Rule, where: str, most: int, stay: str | None = None) -> Any:
        self._number += 1
        variable = self.problem.add_variable(f"s{self._number}", 0, most, cat=pulp.LpInteger)
        self.slacks.append(Slack(variable, Breach(rule, where, stay)))
        return variable

    def _place(self, stay: Stay) -> list[Room]:
        """The rooms of a stay, each with its variable; the row that says one of them, or none."""
        rooms = self._allowed(stay)
        wished = self.wish is not None and self.wish.stay == stay.id
        if not rooms:
            self.hopeless[stay.id] = self._why(stay)
            return []
        terms = []
        for room in rooms:
            variable = self._variable("x")
            self.places[stay.id, room.id] = variable
            self.costs[stay.id, room.id] = cost(self.house, stay, room, self.policy)
            terms.append((variable, 1))
            if room.id == stay.room:
                for rule in broken(self.house, stay, room):
                    if rule not in TOLERATED:
                        self._row([(variable, 1), (self._slack(rule, room.id, 1, stay.id), -1)], -1, 0)
        if not stay.present and not wished:
            self.left[stay.id] = self._variable("u")
            terms.append((self.left[stay.id], 1))
        self._row(terms, 0, 1)
        return rooms

    def _allowed(self, stay: Stay) -> list[Room]:
        if self.wish is not None and self.wish.stay == stay.id:
            return [self.house.room[self.wish.room]]
        found = candidates(self.house, stay, self._rooms)
        return [room for room in found if room.id == stay.room or room.id not in self._quarrelling]

    @cached_property
    def _quarrelling(self) -> frozenset[str]:
        """Rooms whose patients may not be together now: nobody comes in before that is settled."""
        house = self.house
        return frozenset(
            room.id
            for room in house.rooms
            if room.beds > 1 and len({group(house, stay, room) for stay in house.occupants[room.id]}) > 1
        )

    def _why(self, stay: Stay) -> tuple[Rule, ...]:
        """The rules in the way of the rooms that break fewest."""
        per_room = [broken(self.house, stay, room) or (Rule.SEX,) for room in self.house.rooms]
        fewest = min(map(len, per_room), default=0)
        return tuple(sorted({rule for rules in per_room if len(rules) == fewest for rule in rules}))

    def _room(self, room: Room, stays: list[Stay]) -> None:
        """Beds and groups of one room, whenever somebody arrives."""
        wished = self.wish.stay if self.wish is not None and self.wish.room == room.id else None
        for there in cliques(stays, self.slot):
            by_group: dict[tuple[str, str], list[Stay]] = {}
            lonely: list[Stay] = []
            for stay in (stays[number] for number in there):
                if room.beds > 1 and alone(self.house, stay, room):
                    lonely.append(stay)
                else:
                    key = group(self.house, stay, room) if room.beds > 1 else ("", "")
                    by_group.setdefault(key, []).append(stay)
            here = [stays[number] for number in there if room.id == stays[number].room or stays[number].id == wished]
            self._beds(room, by_group, lonely, here)

    def _beds(
        self, room: Room, by_group: dict[tuple[str, str], list[Stay]], lonely: list[Stay], here: list[Stay]
    ) -> None:
        alone_here = [stay for stay in here if stay in lonely]
        over = max(0, len(here) - room.beds)
        ease = [(self._slack(Rule.BEDS, room.id, over), -1)] if over else []
        single = [(self._at(stay, room), 1) for stay in lonely]
        if len(by_group) == 1:
            together = [(self._at(stay, room), 1) for group in by_group.values() for stay in group]
            blocked = [(variable, max(room.beds, 1)) for variable, _ in single]
            if blocked and alone_here and len(here) > 1:
                ease.append((self._slack(Rule.ISOLATION, room.id, len(here)), -max(room.beds, 1)))
            self._row([*together, *blocked, *ease], -1, room.beds)
            return
        kinds = []
        for members in by_group.values():
            of_group = self._variable("y")
            kinds.append((of_group, 1))
            inside = [self._at(stay, room) for stay in members]
            self._row([*((variable, 1) for variable in inside), (of_group, -room.beds), *ease], -1, 0)
            self.links.extend((variable, of_group) for variable in inside if not ease)
        mixed = self._at_once(by_group, here) + len(alone_here)
        if mixed > 1:
            rule = Rule.ISOLATION if alone_here else self._which(by_group, here)
            kinds.append((self._slack(rule, room.id, mixed - 1), -1))
        self._row([*kinds, *single], -1, 1)

    def _at(self, stay: Stay, room: Room) -> Any:
        return self.places[stay.id, room.id]

    @staticmethod
    def _at_once(by_group: dict[tuple[str, str], list[Stay]], here: list[Stay]) -> int:
        return sum(any(stay in here for stay in members) for members in by_group.values())

    @staticmethod
    def _which(by_group: dict[tuple[str, str], list[Stay]], here: list[Stay]) -> Rule:
        kinds = [key for key, members in by_group.items() if any(stay in here for stay in members)]
        return Rule.ISOLATION if len({key[0] for key in kinds}) > 1 else Rule.SEX

    def _staffing(self, ward: str) -> None:
        """No more patients than the nurses on duty can care for; whoever lies there already may stay."""
        rooms = {room.id for room in self.house.rooms_of(ward)}
        variables = [(stay, variable) for (stay, room), variable in self.places.items() if room in rooms]
        last = max((slots(stay, self.slot).stop for stay in self.house.stays), default=0)
        tightest: dict[tuple[str, ...], int] = {}
        for time in range(last):
            limit = self.house.ward[ward].staffed(time * self.slot)
            if limit is None:
                continue
            there = tuple(sorted({stay for stay, _ in variables if time in slots(self.house.stay[stay], self.slot)}))
            tightest[there] = min(limit, tightest.get(there, limit))
        for there, limit in tightest.items():
            present = sum(self.house.stay[stay].room in rooms for stay in there)
            over = max(0, present - limit)
            ease = [(self._slack(Rule.STAFFING, ward, over), -1)] if over else []
            self._row([*((variable, 1) for stay, variable in variables if stay in there), *ease], -1, limit)

    # -- aims --

    def aim(self, urgency: Urgency) -> list[tuple[Any, int]]:
        """Terms of those of one urgency who get no place, by their priority."""
        stays = self.house.stay
        return [
            (variable, 10 + stays[stay].priority)
            for stay, variable in self.left.items()
            if stays[stay].urgency == urgency
        ]

    @property
    def breaking(self) -> list[tuple[Any, int]]:
        """Terms of the rules that are broken."""
        return [(slack.variable, 1) for slack in self.slacks]

    @property
    def spending(self) -> list[tuple[Any, int]]:
        """Terms of what the places cost."""
        return [(variable, self.costs[key]) for key, variable in self.places.items() if self.costs[key]]

    @property
    def changing(self) -> list[tuple[Any, int]]:
        """Terms of what differs from the standing proposals."""
        earlier = {stay.id: stay.previous for stay in self._stays if stay.previous is not None}
        return [
            (variable, 1) for (stay, room), variable in self.places.items() if stay in earlier and earlier[stay] != room
        ]
