"""How a plan falls on groups of patients, with intervals that say how little a ward's numbers show.

Groups are no part of a house: the model cannot see them. Proportions have Wilson's interval (JASA 1927; 22: 209),
differences Newcombe's hybrid score interval (Stat Med 1998; 17: 873, method 10), both 95%.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from functions.allocation.ward.plan import Plan, Proposal
from functions.allocation.ward.rules import at_home

__all__ = ["Disparity", "disparities", "newcombe", "wilson"]

Z = 1.959963984540054
# Below, a share says nothing of a group and may say much of a patient.
SMALL = 5


@dataclass(frozen=True)
class Disparity:
    """What became of one group, against all others.

    Parameters
    ----------
    attribute, group : str
        ``gender``, ``female``.
    outcome : str
        ``no bed``, ``moved``, ``in another specialty's ward``.
    count, total : int
        Of the group: how many it happened to, of how many it could happen to.
    share : float
    interval : (float, float)
        95%, of the share.
    difference : float or None
        From the share of all others; None where there are none.
    difference_interval : (float, float) or None
        95%.
    """

    attribute: str
    group: str
    outcome: str
    count: int
    total: int
    share: float
    interval: tuple[float, float]
    difference: float | None
    difference_interval: tuple[float, float] | None

    @property
    def small(self) -> bool:
        """Whether the group is too small to say anything of."""
        return self.total < SMALL

    @property
    def differs(self) -> bool:
        """Whether the interval of the difference leaves zero out: worth a look, at 95% and without correction."""
        return self.difference_interval is not None and not (
            self.difference_interval[0] <= 0.0 <= self.difference_interval[1]
        )


def wilson(count: int, total: int) -> tuple[float, float]:
    """Return the 95% score interval of a proportion; of nobody, everything from 0 to 1."""
    if total == 0:
        return 0.0, 1.0
    share = count / total
    centre = share + Z * Z / (2 * total)
    spread = Z * math.sqrt(share * (1 - share) / total + Z * Z / (4 * total * total))
    scale = 1 + Z * Z / total
    # at the ends the bound is the end itself, which rounding may miss
    low = 0.0 if count == 0 else max(0.0, (centre - spread) / scale)
    return low, 1.0 if count == total else min(1.0, (centre + spread) / scale)


def newcombe(first: tuple[int, int], second: tuple[int, int]) -> tuple[float, float]:
    """Return the 95% interval of the difference of two proportions, each as (count, total)."""
    one, two = first[0] / first[1], second[0] / second[1]
    (low1, high1), (low2, high2) = wilson(*first), wilson(*second)
    difference = one - two
    low = difference - math.hypot(one - low1, high2 - two)
    high = difference + math.hypot(high1 - one, two - low2)
    return max(-1.0, low), min(1.0, high)


def disparities(plan: Plan, groups: Mapping[str, Mapping[str, str]]) -> tuple[Disparity, ...]:
    """Return the table of a plan.

    Parameters
    ----------
    groups : mapping of str to mapping of str to str
        Group by attribute and patient: ``{"gender": {"Patient/p1": "female"}}``. A patient who is not there is of the
        group ``unknown``.
    """
    found = []
    for attribute, group_of in groups.items():
        for outcome, (counts, happened) in OUTCOMES.items():
            tallies: dict[str, list[int]] = {}
            for proposal in plan:
                if counts(plan, proposal):
                    tally = tallies.setdefault(group_of.get(proposal.stay.patient, "unknown"), [0, 0])
                    tally[0] += happened(plan, proposal)
                    tally[1] += 1
            found += [_row(attribute, name, outcome, tallies) for name in sorted(tallies)]
    return tuple(found)


def _row(attribute: str, name: str, outcome: str, tallies: Mapping[str, list[int]]) -> Disparity:
    count, total = tallies[name]
    others = sum(tally[0] for tally in tallies.values()) - count, sum(tally[1] for tally in tallies.values()) - total
    difference = interval = None
    if others[1]:
        difference = count / total - others[0] / others[1]
        interval = newcombe((count, total), others)
    return Disparity(attribute, name, outcome, count, total, count / total, wilson(count, total), difference, interval)


def _newcomer(_plan: Plan, proposal: Proposal) -> bool:
    return not proposal.stay.present


def _present(_plan: Plan, proposal: Proposal) -> bool:
    return proposal.stay.present


def _placed(_plan: Plan, proposal: Proposal) -> bool:
    return proposal.room is not None


def _away(plan: Plan, proposal: Proposal) -> bool:
    return proposal.room is not None and not at_home(plan.house, proposal.stay, plan.house.room[proposal.room])


Question = Callable[[Plan, Proposal], bool]
OUTCOMES: dict[str, tuple[Question, Question]] = {
    "no bed": (_newcomer, lambda _plan, proposal: proposal.room is None),
    "moved": (_present, lambda _plan, proposal: proposal.kind == "move"),
    "in another specialty's ward": (_placed, _away),
}
