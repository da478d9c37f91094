"""Moves of nurses: each tries one change, keeps it when it costs no more than `limit`, and returns its cost or `NO`."""

from __future__ import annotations

from functions.allocation.planner.kernel.compiled import compiled
from functions.allocation.planner.kernel.layout import (
    A_DAY,
    AT_LOG,
    AT_SKILL,
    CARERS,
    DAY,
    DUTY,
    LOAD,
    MOST,
    NURSE,
    PERSONS,
    ROOM,
    ROOMS,
    SHIFTS,
    SKILL,
    STAY,
    W_CARE,
    W_OVER,
    W_SKILL,
    Row,
    below,
    care_at,
    duty_at,
    need_at,
    stay_at,
    team_at,
    ward_at,
    who_at,
)

__all__ = ["NO", "care_for", "change_block", "change_nurse", "set_nurse", "swap_block", "swap_nurses"]

# A change that is not possible or not kept; the state is as it was.
NO = 1 << 40
# The longest run of days that a move of nurses changes at once.
RUN = 5


@compiled
def _over(m: Row, n: int, s: int, change: int) -> int:
    """Return the change in a nurse's excessive workload when the workload of a shift changes."""
    at = duty_at(m, n, s)
    load = m[at + DUTY] - m[at + MOST]
    return max(0, load + change) - max(0, load)


@compiled
def _swapped(m: Row, r: int, s: int, n: int, other: int) -> int:
    """Return the change of the costs of skill and continuity when a nurse follows nurse `n` in a room and shift."""
    a_day = m[A_DAY]
    at = stay_at(m, r, s // a_day)
    old, new = m[m[AT_SKILL] + n], m[m[AT_SKILL] + other]
    skills = nurses = 0
    for i in range(1, m[at] + 1):
        p = m[at + i]
        skill = m[need_at(m, p, s - m[who_at(m, p) + DAY] * a_day) + SKILL]
        skills += max(0, skill - new) - max(0, skill - old)
        if m[care_at(m, p, other)] == 0:
            nurses += 1
        if m[care_at(m, p, n)] == 1:
            nurses -= 1
    return m[W_SKILL] * skills + m[W_CARE] * nurses


@compiled
def _hand_over(m: Row, r: int, s: int, n: int, other: int) -> None:
    """Have a nurse follow nurse `n` in a room and shift."""
    a_day = m[A_DAY]
    at = stay_at(m, r, s // a_day)
    for i in range(1, m[at] + 1):
        p = m[at + i]
        old, new = care_at(m, p, n), care_at(m, p, other)
        m[old] -= 1
        m[new] += 1
        if m[new] == 1:
            m[who_at(m, p) + CARERS] += 1
        if m[old] == 0:
            m[who_at(m, p) + CARERS] -= 1
    at = ward_at(m, r, s)
    m[at + NURSE] = other
    m[duty_at(m, n, s) + DUTY] -= m[at + LOAD]
    m[duty_at(m, other, s) + DUTY] += m[at + LOAD]


@compiled
def set_nurse(m: Row, r: int, s: int, other: int) -> int:
    """Have a nurse take over a room in a shift in which they work; returns the change of cost."""
    at = ward_at(m, r, s)
    n, load = m[at + NURSE], m[at + LOAD]
    if n == other:
        return 0
    cost = m[W_OVER] * (_over(m, n, s, -load) + _over(m, other, s, load)) + _swapped(m, r, s, n, other)
    _hand_over(m, r, s, n, other)
    return cost


@compiled
def change_nurse(m: Row, dice: Row, limit: float) -> int:
    """Give a room another nurse in one shift."""
    r, s = below(dice, m[ROOMS]), below(dice, m[SHIFTS])
    if m[stay_at(m, r, s // m[A_DAY])] == 0:
        return NO
    at, team = ward_at(m, r, s), team_at(m, s)
    n, load = m[at + NURSE], m[at + LOAD]
    other = m[team + 1 + below(dice, m[team])]
    if n == other:
        return NO
    cost = m[W_OVER] * (_over(m, n, s, -load) + _over(m, other, s, load)) + _swapped(m, r, s, n, other)
    if cost > limit:
        return NO
    _hand_over(m, r, s, n, other)
    return cost


@compiled
def swap_nurses(m: Row, dice: Row, limit: float) -> int:
    """Have the nurses of two rooms change places in one shift."""
    r, q, s = below(dice, m[ROOMS]), below(dice, m[ROOMS]), below(dice, m[SHIFTS])
    here, there = ward_at(m, r, s), ward_at(m, q, s)
    n, other = m[here + NURSE], m[there + NURSE]
    if n == other:
        return NO
    more = m[there + LOAD] - m[here + LOAD]
    cost = m[W_OVER] * (_over(m, n, s, more) + _over(m, other, s, -more))
    cost += _swapped(m, r, s, n, other) + _swapped(m, q, s, other, n)
    if cost > limit:
        return NO
    _hand_over(m, r, s, n, other)
    _hand_over(m, q, s, other, n)
    return cost


@compiled
def _try_run(m: Row, r: int, other: int, start: int, end: int, limit: float) -> int:
    """Give a room one nurse in every shift from `start` to `end` in which they work."""
    cost = count = 0
    log = m[AT_LOG]
    for s in range(start, end):
        n = m[ward_at(m, r, s) + NURSE]
        if n != other and m[duty_at(m, other, s) + MOST] >= 0:
            m[log + count], m[log + count + 1] = s, n
            count += 2
            cost += set_nurse(m, r, s, other)
    if count > 0 and cost <= limit:
        return cost
    for i in range(0, count, 2):
        _hand_over(m, r, m[log + i], other, m[log + i + 1])
    return NO


@compiled
def change_block(m: Row, dice: Row, limit: float) -> int:
    """Give a room one nurse for a run of days."""
    r, s = below(dice, m[ROOMS]), below(dice, m[SHIFTS])
    if m[stay_at(m, r, s // m[A_DAY])] == 0:
        return NO
    team = team_at(m, s)
    other = m[team + 1 + below(dice, m[team])]
    end = min(m[SHIFTS], s + 1 + m[A_DAY] * (1 + below(dice, RUN)))
    return _try_run(m, r, other, s, end, limit)


@compiled
def care_for(m: Row, dice: Row, limit: float) -> int:
    """Give a person one nurse in all shifts of the stay in which the nurse works."""
    row = who_at(m, below(dice, m[PERSONS]))
    day, a_day = m[row + DAY], m[A_DAY]
    if day < 0:
        return NO
    start, end = day * a_day, min(m[SHIFTS], (day + m[row + STAY]) * a_day)
    team = team_at(m, start + below(dice, end - start))
    return _try_run(m, m[row + ROOM], m[team + 1 + below(dice, m[team])], start, end, limit)


@compiled
def _exchange(m: Row, r: int, q: int, s: int) -> int:
    """Have the nurses of two rooms change places in a shift; returns the change of cost."""
    here, there = ward_at(m, r, s), ward_at(m, q, s)
    n, other = m[here + NURSE], m[there + NURSE]
    if n == other:
        return 0
    more = m[there + LOAD] - m[here + LOAD]
    cost = m[W_OVER] * (_over(m, n, s, more) + _over(m, other, s, -more))
    cost += _swapped(m, r, s, n, other) + _swapped(m, q, s, other, n)
    _hand_over(m, r, s, n, other)
    _hand_over(m, q, s, other, n)
    return cost


@compiled
def swap_block(m: Row, dice: Row, limit: float) -> int:
    """Have the nurses of two rooms change places in the same shift of a run of days."""
    r, q, start = below(dice, m[ROOMS]), below(dice, m[ROOMS]), below(dice, m[SHIFTS])
    if r == q:
        return NO
    a_day = m[A_DAY]
    end = min(m[SHIFTS], start + 1 + a_day * (1 + below(dice, RUN)))
    cost = 0
    for s in range(start, end, a_day):
        cost += _exchange(m, r, q, s)
    if cost <= limit:
        return cost
    for s in range(start, end, a_day):
        _exchange(m, r, q, s)
    return NO
