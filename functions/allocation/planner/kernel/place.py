"""Taking a person out of the plan, pricing a place, and putting them there; every change of cost is returned.

The functions work on the row of :mod:`functions.allocation.planner.kernel.layout` and keep its sums true. Names are
short where the thing is small: `p` a person, `d` a day, `s` a shift, `k` a shift of the stay, `r` a room, `t` a
theatre, `n` a nurse; `row` is where a person's row begins.
"""

from __future__ import annotations

from functions.allocation.planner.kernel.compiled import compiled
from functions.allocation.planner.kernel.layout import (
    A_DAY,
    ABSENT,
    AGE,
    AT_AWAY,
    AT_BEDS,
    AT_MARK,
    AT_SKILL,
    BUSY,
    BY_THEATRE,
    CARERS,
    CASES,
    DAY,
    DAYS,
    DUTY,
    GENDER,
    HOURS,
    LOAD,
    MINUTES,
    MOST,
    NURSE,
    NURSES,
    OPEN,
    PLACES,
    RELEASE,
    ROOM,
    ROOMS,
    SKILL,
    SLOT,
    SPENT,
    STAY,
    SURGEON,
    THEATRE,
    THEATRES,
    W_AGE,
    W_CARE,
    W_DELAY,
    W_MOVE,
    W_OPEN,
    W_OVER,
    W_SKILL,
    WORK,
    Row,
    below,
    care_at,
    duty_at,
    fits,
    need_at,
    stay_at,
    surgeon_at,
    theatre_at,
    ward_at,
    who_at,
)

__all__ = [
    "bed_price",
    "best_theatre",
    "lie",
    "operate",
    "place",
    "price",
    "put",
    "rise",
    "room_free",
    "surgeon_free",
    "take",
    "theatre_change",
    "theatre_free",
]


@compiled
def surgeon_free(m: Row, p: int, d: int) -> bool:
    """Whether a person's surgeon has time on a day; the person is not operated on then."""
    row = who_at(m, p)
    at = surgeon_at(m, m[row + SURGEON], d)
    return m[at + SPENT] + m[row + MINUTES] <= m[at + HOURS]


@compiled
def theatre_free(m: Row, p: int, d: int, t: int) -> bool:
    """Whether a theatre has time on a day for a person who is not operated on there."""
    at = theatre_at(m, t, d)
    return m[at + BUSY] + m[who_at(m, p) + MINUTES] <= m[at + OPEN]


@compiled
def theatre_change(m: Row, p: int, d: int, t: int) -> int:
    """Return what one operation more costs in a theatre on a day; the person is not counted there."""
    cost = 0
    if m[theatre_at(m, t, d) + CASES] == 0:
        cost += m[W_OPEN]
    at = surgeon_at(m, m[who_at(m, p) + SURGEON], d)
    if m[at + PLACES] > 0 and m[at + BY_THEATRE + t] == 0:
        cost += m[W_MOVE]
    return cost


@compiled
def operate(m: Row, p: int, d: int, t: int, sign: int) -> None:
    """Book (1) or free (-1) a theatre and the person's surgeon."""
    row = who_at(m, p)
    at = theatre_at(m, t, d)
    m[at + BUSY] += sign * m[row + MINUTES]
    m[at + CASES] += sign
    at = surgeon_at(m, m[row + SURGEON], d)
    m[at + SPENT] += sign * m[row + MINUTES]
    before = m[at + BY_THEATRE + t]
    m[at + BY_THEATRE + t] = before + sign
    if before == 0 or before + sign == 0:
        m[at + PLACES] += sign


@compiled
def best_theatre(m: Row, dice: Row, p: int, d: int) -> int:
    """Return the cheapest theatre with time on a day, -1 where there is none; ties are broken at random."""
    count = m[THEATRES]
    found, least = -1, 1 << 30
    t = below(dice, count)
    for _ in range(count):
        if theatre_free(m, p, d, t):
            cost = theatre_change(m, p, d, t)
            if cost < least:
                found, least = t, cost
        t += 1
        if t == count:
            t = 0
    return found


@compiled
def room_free(m: Row, p: int, d: int, r: int) -> bool:
    """Whether a room has a bed among people of one gender for the whole stay of a person who is not there."""
    if not fits(m, p, r):
        return False
    row = who_at(m, p)
    gender, beds = m[row + GENDER], m[m[AT_BEDS] + r]
    for day in range(d, min(m[DAYS], d + m[row + STAY])):
        at = stay_at(m, r, day)
        count = m[at]
        if count >= beds or (count > 0 and m[who_at(m, m[at + 1]) + GENDER] != gender):
            return False
    return True


@compiled
def place(m: Row, dice: Row, p: int, d: int) -> int:
    """Return a random room that is free for a stay from a day on, -1 where there is none."""
    count = m[ROOMS]
    r = below(dice, count)
    for _ in range(count):
        if room_free(m, p, d, r):
            return r
        r += 1
        if r == count:
            r = 0
    return -1


@compiled
def _wider(m: Row, p: int, at: int) -> int:
    """Return by how much a person widens the span of age groups of those listed at a place of `stay`."""
    count = m[at]
    if count == 0:
        return 0
    age = m[who_at(m, p) + AGE]
    low = high = m[who_at(m, m[at + 1]) + AGE]
    for i in range(2, count + 1):
        other = m[who_at(m, m[at + i]) + AGE]
        low = min(low, other)
        high = max(high, other)
    return max(0, age - high) + max(0, low - age)


@compiled
def bed_price(m: Row, p: int, d: int, r: int) -> int:
    """Return what a person who is in no bed would add to the costs of room and nurses."""
    row = who_at(m, p)
    a_day, mark = m[A_DAY], m[AT_MARK]
    newest = m[mark + m[NURSES]] + 1
    m[mark + m[NURSES]] = newest
    age = skills = more = nurses = 0
    need = need_at(m, p, 0)
    for day in range(d, min(m[DAYS], d + m[row + STAY])):
        age += _wider(m, p, stay_at(m, r, day))
        for s in range(day * a_day, (day + 1) * a_day):
            n = m[ward_at(m, r, s) + NURSE]
            skills += max(0, m[need + SKILL] - m[m[AT_SKILL] + n])
            duty = duty_at(m, n, s)
            room = m[duty + MOST] - m[duty + DUTY]
            more += max(0, m[need + WORK] - room) - max(0, -room)
            if m[mark + n] != newest:
                m[mark + n] = newest
                nurses += 1
            need += 2
    return m[W_AGE] * age + m[W_SKILL] * skills + m[W_OVER] * more + m[W_CARE] * nurses


@compiled
def price(m: Row, p: int, d: int, r: int, t: int) -> int:
    """Return the change of cost by admitting a person who is not planned."""
    row = who_at(m, p)
    cost = m[W_DELAY] * (d - m[row + RELEASE]) - m[row + ABSENT] + theatre_change(m, p, d, t)
    return cost + bed_price(m, p, d, r)


@compiled
def lie(m: Row, p: int, d: int, r: int) -> int:
    """Put a person to bed; returns the change of the costs of room and nurses."""
    row = who_at(m, p)
    a_day = m[A_DAY]
    age = skills = more = nurses = 0
    need = need_at(m, p, 0)
    for day in range(d, min(m[DAYS], d + m[row + STAY])):
        at = stay_at(m, r, day)
        age += _wider(m, p, at)
        count = m[at] + 1
        m[at] = count
        m[at + count] = p
        for s in range(day * a_day, (day + 1) * a_day):
            at = ward_at(m, r, s)
            n, work = m[at + NURSE], m[need + WORK]
            m[at + LOAD] += work
            skills += max(0, m[need + SKILL] - m[m[AT_SKILL] + n])
            duty = duty_at(m, n, s)
            room = m[duty + MOST] - m[duty + DUTY]
            more += max(0, work - room) - max(0, -room)
            m[duty + DUTY] += work
            care = care_at(m, p, n)
            if m[care] == 0:
                nurses += 1
            m[care] += 1
            need += 2
    m[row + DAY], m[row + ROOM], m[row + CARERS] = d, r, nurses
    return m[W_AGE] * age + m[W_SKILL] * skills + m[W_OVER] * more + m[W_CARE] * nurses


@compiled
def rise(m: Row, p: int) -> int:
    """Take a person out of bed; returns the change of the costs of room and nurses."""
    row = who_at(m, p)
    a_day, d, r = m[A_DAY], m[row + DAY], m[row + ROOM]
    age = skills = more = 0
    need = need_at(m, p, 0)
    for day in range(d, min(m[DAYS], d + m[row + STAY])):
        at = stay_at(m, r, day)
        count = m[at]
        for i in range(1, count + 1):
            if m[at + i] == p:
                m[at + i] = m[at + count]
                break
        m[at] = count - 1
        age += _wider(m, p, at)
        for s in range(day * a_day, (day + 1) * a_day):
            at = ward_at(m, r, s)
            n, work = m[at + NURSE], m[need + WORK]
            m[at + LOAD] -= work
            skills += max(0, m[need + SKILL] - m[m[AT_SKILL] + n])
            duty = duty_at(m, n, s)
            m[duty + DUTY] -= work
            room = m[duty + MOST] - m[duty + DUTY]
            more += max(0, work - room) - max(0, -room)
            m[care_at(m, p, n)] = 0
            need += 2
    nurses = m[row + CARERS]
    m[row + DAY], m[row + CARERS] = -1, 0
    return -(m[W_AGE] * age + m[W_SKILL] * skills + m[W_OVER] * more + m[W_CARE] * nurses)


@compiled
def put(m: Row, p: int, d: int, r: int, t: int) -> int:
    """Admit a person who is not planned; returns the change of cost."""
    row = who_at(m, p)
    cost = m[W_DELAY] * (d - m[row + RELEASE]) - m[row + ABSENT] + theatre_change(m, p, d, t)
    operate(m, p, d, t, 1)
    m[row + THEATRE] = t
    # The last of those away takes the place in their list.
    away = m[AT_AWAY]
    other = m[away + m[away]]
    m[away + m[row + SLOT]] = other
    m[who_at(m, other) + SLOT] = m[row + SLOT]
    m[away] -= 1
    return cost + lie(m, p, d, r)


@compiled
def take(m: Row, p: int) -> int:
    """Take an admitted person out of the plan; returns the change of cost. Room and theatre stay in their row."""
    row = who_at(m, p)
    d, t = m[row + DAY], m[row + THEATRE]
    operate(m, p, d, t, -1)
    away = m[AT_AWAY]
    m[away] += 1
    m[away + m[away]], m[row + SLOT] = p, m[away]
    cost = m[row + ABSENT] - m[W_DELAY] * (d - m[row + RELEASE]) - theatre_change(m, p, d, t)
    return cost + rise(m, p)
