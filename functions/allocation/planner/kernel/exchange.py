"""Moves in which patients take each other's places; as those of :mod:`functions.allocation.planner.kernel.admit`."""

from __future__ import annotations

from functions.allocation.planner.kernel.admit import any_day, any_patient
from functions.allocation.planner.kernel.assign import NO
from functions.allocation.planner.kernel.compiled import compiled
from functions.allocation.planner.kernel.layout import (
    AT_BEDS,
    AT_LOG,
    DAY,
    DAYS,
    GENDER,
    HOURS,
    LAST,
    MINUTES,
    PATIENTS,
    RELEASE,
    ROOM,
    ROOMS,
    SPENT,
    STAY,
    SURGEON,
    THEATRE,
    Row,
    below,
    fits,
    peers_at,
    stay_at,
    surgeon_at,
    who_at,
)
from functions.allocation.planner.kernel.place import best_theatre, place, price, put, room_free, surgeon_free, take

__all__ = ["eject", "swap_cases"]

# How many people a move may push out of their places, and how many places are tried for each of them.
PUSHED = 3
PLACES_TRIED = 4


@compiled
def _allowed(m: Row, p: int, d: int) -> bool:
    row = who_at(m, p)
    return m[row + RELEASE] <= d <= m[row + LAST]


@compiled
def _in_room(m: Row, dice: Row, p: int, d: int, room: int) -> int:
    """Admit a patient on a day, in a room if it is free, else in another; returns the cost, `NO` if it cannot be."""
    t = best_theatre(m, dice, p, d)
    if t < 0:
        return NO
    r = room
    if not room_free(m, p, d, r):
        r = place(m, dice, p, d)
        if r < 0:
            return NO
    return put(m, p, d, r, t)


@compiled
def swap_cases(m: Row, dice: Row, limit: float) -> int:
    """Have two patients of one surgeon change days; one of them may be not admitted."""
    p = any_patient(m, dice)
    row = who_at(m, p)
    u, day = m[row + SURGEON], m[row + DAY]
    peers = peers_at(m, u)
    q = m[peers + 1 + below(dice, m[peers])]
    other = who_at(m, q)
    day2 = m[other + DAY]
    if day == day2 or day2 < 0 or not _allowed(m, p, day2) or (day >= 0 and not _allowed(m, q, day)):
        return NO
    more = m[row + MINUTES] - m[other + MINUTES]
    at = surgeon_at(m, u, day2)
    if m[at + SPENT] + more > m[at + HOURS]:
        return NO
    if day >= 0:
        at = surgeon_at(m, u, day)
        if m[at + SPENT] - more > m[at + HOURS]:
            return NO
    room, theatre, room2, theatre2 = m[row + ROOM], m[row + THEATRE], m[other + ROOM], m[other + THEATRE]
    cost = take(m, q)
    if day >= 0:
        cost += take(m, p)
    change = _in_room(m, dice, p, day2, room2)
    if change != NO:
        cost += change
        change = 0
        if day >= 0:
            change = _in_room(m, dice, q, day, room)
        if change != NO:
            cost += change
            if cost <= limit:
                return cost
            if day >= 0:
                take(m, q)
        take(m, p)
    if day >= 0:
        put(m, p, day, room, theatre)
    put(m, q, day2, room2, theatre2)
    return NO


@compiled
def eject(m: Row, dice: Row, limit: float) -> int:
    """Give a patient a place that others have, and these the best of a few other places (an ejection chain)."""
    p = any_patient(m, dice)
    r = below(dice, m[ROOMS])
    row = who_at(m, p)
    day, room, theatre = m[row + DAY], m[row + ROOM], m[row + THEATRE]
    if not fits(m, p, r):
        return NO
    d = any_day(m, dice, p)
    if d == day and r == room:
        return NO
    count = _in_the_way(m, dice, p, d, r)
    if count < 0:
        return NO
    cost = 0
    if day >= 0:
        cost += take(m, p)
    cost += _push(m, count)
    t = -1
    if surgeon_free(m, p, d) and room_free(m, p, d, r):
        t = best_theatre(m, dice, p, d)
    if t >= 0:
        log = m[AT_LOG]
        cost += put(m, p, d, r, t)
        for at in range(log, log + 4 * count, 4):
            cost += _elsewhere(m, dice, m[at], m[at + 1], day)
        if cost <= limit:
            return cost
        take(m, p)
    _pull(m, count)
    if day >= 0:
        put(m, p, day, room, theatre)
    return NO


@compiled
def _push(m: Row, count: int) -> int:
    """Take out who is listed in the log, and note there their day, room and theatre; returns the change of cost."""
    log = m[AT_LOG]
    cost = 0
    for at in range(log, log + 4 * count, 4):
        other = who_at(m, m[at])
        m[at + 1], m[at + 2], m[at + 3] = m[other + DAY], m[other + ROOM], m[other + THEATRE]
        cost += take(m, m[at])
    return cost


@compiled
def _pull(m: Row, count: int) -> None:
    """Put who is listed in the log back where they were."""
    log = m[AT_LOG]
    for at in range(log, log + 4 * count, 4):
        if m[who_at(m, m[at]) + DAY] >= 0:
            take(m, m[at])
    for at in range(log, log + 4 * count, 4):
        put(m, m[at], m[at + 1], m[at + 2], m[at + 3])


@compiled
def _in_the_way(m: Row, dice: Row, p: int, d: int, r: int) -> int:
    """List in the log who must leave a room, and an operating list, for a patient; -1 where that cannot be."""
    row = who_at(m, p)
    gender, beds, log = m[row + GENDER], m[m[AT_BEDS] + r], m[AT_LOG]
    count = 0
    for day in range(d, min(m[DAYS], d + m[row + STAY])):
        at = stay_at(m, r, day)
        staying = 0
        for i in range(at + 1, at + 1 + m[at]):
            q = m[i]
            if q == p or _listed(m, q, count):
                continue
            if m[who_at(m, q) + GENDER] == gender:
                staying += 1
                continue
            if q >= m[PATIENTS] or count == PUSHED:
                return -1
            m[log + 4 * count] = q
            count += 1
        if staying >= beds:
            q = m[at + 1 + below(dice, m[at])]
            if q == p or q >= m[PATIENTS] or count == PUSHED or _listed(m, q, count):
                return -1
            m[log + 4 * count] = q
            count += 1
    return _in_the_list(m, dice, p, d, count)


@compiled
def _in_the_list(m: Row, dice: Row, p: int, d: int, count: int) -> int:
    """Add somebody to the log where a surgeon has no time for a patient else; -1 where that does not help."""
    row, log = who_at(m, p), m[AT_LOG]
    u = m[row + SURGEON]
    at = surgeon_at(m, u, d)
    free = m[at + HOURS] - m[at + SPENT]
    if m[row + DAY] != d:
        free -= m[row + MINUTES]
    for i in range(count):
        other = who_at(m, m[log + 4 * i])
        if m[other + DAY] == d and m[other + SURGEON] == u:
            free += m[other + MINUTES]
    if free >= 0:
        return count
    if count == PUSHED:
        return -1
    peers = peers_at(m, u)
    size = m[peers]
    i = below(dice, size)
    for _ in range(size):
        q = m[peers + 1 + i]
        other = who_at(m, q)
        if m[other + DAY] == d and free + m[other + MINUTES] >= 0 and q != p and not _listed(m, q, count):
            m[log + 4 * count] = q
            return count + 1
        i += 1
        if i == size:
            i = 0
    return -1


@compiled
def _listed(m: Row, q: int, count: int) -> bool:
    log = m[AT_LOG]
    for at in range(log, log + 4 * count, 4):  # noqa: SIM110 (a generator is not compiled)
        if m[at] == q:
            return True
    return False


@compiled
def _elsewhere(m: Row, dice: Row, q: int, day: int, other: int) -> int:
    """Admit a person at the best of a few places: on their day, on another's, on days from a random one; or not."""
    row = who_at(m, q)
    release, last = m[row + RELEASE], m[row + LAST]
    least, at, into, by = 0, -1, -1, -1
    tried = 0
    later = release + below(dice, last - release + 1)
    for attempt in range(last - release + 3):
        if attempt == 0:
            d = day
        elif attempt == 1:
            d = other
        else:
            d = later
            later += 1
            if later > last:
                later = release
        if not _allowed(m, q, d) or not surgeon_free(m, q, d):
            continue
        t = best_theatre(m, dice, q, d)
        if t < 0:
            continue
        r = place(m, dice, q, d)
        if r < 0:
            continue
        cost = price(m, q, d, r, t)
        if cost < least:
            least, at, into, by = cost, d, r, t
        tried += 1
        if tried == PLACES_TRIED:
            break
    if at < 0:
        return 0
    return put(m, q, at, into, by)
