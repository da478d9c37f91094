"""Moves of one or two patients: each tries one change, keeps it when it costs no more than `limit`, returns its cost.

A change that is not possible or not kept leaves the state as it was and returns `NO`.
"""

from __future__ import annotations

from functions.allocation.planner.kernel.assign import NO
from functions.allocation.planner.kernel.compiled import compiled
from functions.allocation.planner.kernel.layout import (
    ABSENT,
    AT_AWAY,
    BUSY,
    DAY,
    DAYS,
    LAST,
    MINUTES,
    OPEN,
    PATIENTS,
    RELEASE,
    ROOM,
    ROOMS,
    STAY,
    THEATRE,
    THEATRES,
    Row,
    below,
    fits,
    stay_at,
    theatre_at,
    who_at,
)
from functions.allocation.planner.kernel.place import (
    bed_price,
    best_theatre,
    lie,
    operate,
    place,
    price,
    put,
    rise,
    room_free,
    surgeon_free,
    take,
    theatre_change,
    theatre_free,
)

__all__ = ["admit_best", "any_day", "any_patient", "change_room", "change_theatre", "drop", "relocate", "swap_rooms"]

# Days around the present one from which a nearby day is drawn.
NEAR = 3


@compiled
def any_patient(m: Row, dice: Row) -> int:
    """Return a random patient; one who is not admitted, a quarter of the time at least."""
    away = m[AT_AWAY]
    if m[away] > 0 and below(dice, 4) == 0:
        return m[away + 1 + below(dice, m[away])]
    return below(dice, m[PATIENTS])


@compiled
def any_day(m: Row, dice: Row, p: int) -> int:
    """Return a random day on which a patient may be admitted; near the present one, half of the time."""
    row = who_at(m, p)
    release, last, day = m[row + RELEASE], m[row + LAST], m[row + DAY]
    if day >= 0 and below(dice, 2) == 0:
        release, last = max(release, day - NEAR), min(last, day + NEAR)
    return release + below(dice, last - release + 1)


@compiled
def admit_best(m: Row, dice: Row, p: int) -> int:
    """Admit a patient where it costs least now; returns the change of cost, 0 where there is no place that pays."""
    row = who_at(m, p)
    least, at, into, by = 0, -1, -1, -1
    for d in range(m[row + RELEASE], m[row + LAST] + 1):
        if not surgeon_free(m, p, d):
            continue
        t = best_theatre(m, dice, p, d)
        if t < 0:
            continue
        for r in range(m[ROOMS]):
            if room_free(m, p, d, r):
                cost = price(m, p, d, r, t)
                if cost < least:
                    least, at, into, by = cost, d, r, t
    if at >= 0:
        put(m, p, at, into, by)
    return least


@compiled
def relocate(m: Row, dice: Row, limit: float) -> int:
    """Admit a patient on another day, or at all."""
    p = any_patient(m, dice)
    row = who_at(m, p)
    day, room, theatre = m[row + DAY], m[row + ROOM], m[row + THEATRE]
    if day < 0:
        return _admit(m, dice, p, limit)
    d = any_day(m, dice, p)
    if d == day or not surgeon_free(m, p, d):
        return NO
    t = best_theatre(m, dice, p, d)
    if t < 0:
        return NO
    cost = take(m, p)
    r = room
    if below(dice, 2) == 0 or not room_free(m, p, d, r):
        r = place(m, dice, p, d)
    if r >= 0:
        cost += price(m, p, d, r, t)
        if cost <= limit:
            put(m, p, d, r, t)
            return cost
    put(m, p, day, room, theatre)
    return NO


@compiled
def _admit(m: Row, dice: Row, p: int, limit: float) -> int:
    """Admit a patient who is away on the first day on which it can be, beginning with a random one."""
    row = who_at(m, p)
    release, last = m[row + RELEASE], m[row + LAST]
    d = release + below(dice, last - release + 1)
    for _ in range(release, last + 1):
        if surgeon_free(m, p, d):
            t = best_theatre(m, dice, p, d)
            if t >= 0:
                r = place(m, dice, p, d)
                if r >= 0:
                    cost = price(m, p, d, r, t)
                    if cost <= limit:
                        put(m, p, d, r, t)
                        return cost
                    return NO
        d += 1
        if d > last:
            d = release
    return NO


@compiled
def change_room(m: Row, dice: Row, limit: float) -> int:
    """Give an admitted patient another room."""
    p = below(dice, m[PATIENTS])
    row = who_at(m, p)
    day, room = m[row + DAY], m[row + ROOM]
    if day < 0:
        return NO
    r = place(m, dice, p, day)
    if r < 0 or r == room:
        return NO
    cost = rise(m, p)
    cost += bed_price(m, p, day, r)
    if cost <= limit:
        lie(m, p, day, r)
        return cost
    lie(m, p, day, room)
    return NO


@compiled
def swap_rooms(m: Row, dice: Row, limit: float) -> int:
    """Have two admitted patients change rooms."""
    p = below(dice, m[PATIENTS])
    row = who_at(m, p)
    day, room = m[row + DAY], m[row + ROOM]
    if day < 0:
        return NO
    # The other lies there on some day of the stay, so that the exchange makes room.
    r = below(dice, m[ROOMS])
    at = stay_at(m, r, min(m[DAYS] - 1, day + below(dice, m[row + STAY])))
    if r == room or m[at] == 0 or not fits(m, p, r):
        return NO
    q = m[at + 1 + below(dice, m[at])]
    if q >= m[PATIENTS] or not fits(m, q, room):
        return NO
    day2 = m[who_at(m, q) + DAY]
    cost = rise(m, p)
    cost += rise(m, q)
    if room_free(m, p, day, r) and room_free(m, q, day2, room):
        # They lie in two rooms: neither's bed changes what the other's costs, but for a nurse whom both share.
        cost += lie(m, p, day, r)
        cost += lie(m, q, day2, room)
        if cost <= limit:
            return cost
        rise(m, q)
        rise(m, p)
    lie(m, p, day, room)
    lie(m, q, day2, r)
    return NO


@compiled
def _transfer(m: Row, p: int, d: int, t: int) -> int:
    """Operate on an admitted patient in another theatre; returns the change of cost."""
    row = who_at(m, p)
    operate(m, p, d, m[row + THEATRE], -1)
    cost = theatre_change(m, p, d, t) - theatre_change(m, p, d, m[row + THEATRE])
    operate(m, p, d, t, 1)
    m[row + THEATRE] = t
    return cost


@compiled
def change_theatre(m: Row, dice: Row, limit: float) -> int:
    """Operate on an admitted patient in another theatre; where it is full, somebody of it has to come over."""
    p = below(dice, m[PATIENTS])
    t = below(dice, m[THEATRES])
    row = who_at(m, p)
    day, theatre = m[row + DAY], m[row + THEATRE]
    if day < 0 or t == theatre:
        return NO
    q = -1
    if not theatre_free(m, p, day, t):
        q = below(dice, m[PATIENTS])
        other = who_at(m, q)
        if m[other + DAY] != day or m[other + THEATRE] != t:
            return NO
        more = m[row + MINUTES] - m[other + MINUTES]
        here, there = theatre_at(m, theatre, day), theatre_at(m, t, day)
        if m[there + BUSY] + more > m[there + OPEN] or m[here + BUSY] - more > m[here + OPEN]:
            return NO
    cost = _transfer(m, p, day, t)
    if q >= 0:
        cost += _transfer(m, q, day, theatre)
    if cost <= limit:
        return cost
    if q >= 0:
        _transfer(m, q, day, t)
    _transfer(m, p, day, theatre)
    return NO


@compiled
def drop(m: Row, dice: Row, limit: float) -> int:
    """Do not admit a patient."""
    p = below(dice, m[PATIENTS])
    row = who_at(m, p)
    day, room, theatre = m[row + DAY], m[row + ROOM], m[row + THEATRE]
    # What a stay costs is a small part of the price of a mandatory patient.
    if day < 0 or m[row + ABSENT] > 2000 + limit:
        return NO
    cost = take(m, p)
    if cost <= limit:
        return cost
    put(m, p, day, room, theatre)
    return NO
