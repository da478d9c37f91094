"""The state of the search: one row of integers, with names for what stands where.

A compiled function that is given one array is called in a few nanoseconds; one that is given twenty is not. So the
whole state is one row of 64-bit integers: first a header (sizes, weights, and where each table begins), then the
tables. The functions of this module give the place of a table's row; columns are named constants beside it.

Persons are the patients of the instance, then its occupants, who are planned like patients but never moved.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from functions.allocation.planner.kernel.compiled import compiled

Ints = npt.NDArray[np.int64]


class Row(Protocol):
    """What a kernel function works on: integers in an array or, without numba, in a list, which Python reads faster."""

    def __getitem__(self, at: int, /) -> int: ...

    def __setitem__(self, at: int, value: int, /) -> None: ...


# The header: sizes of the instance, ...
(PATIENTS, PERSONS, ROOMS, DAYS, SHIFTS, A_DAY, NURSES, THEATRES, SURGEONS) = range(9)
# ... widths of rows, ...
(NEED_WIDTH, STAY_WIDTH, TEAM_WIDTH, SURGEON_WIDTH, PEERS_WIDTH) = range(9, 14)
# ... the weights of the soft costs S1 to S7, ...
(W_AGE, W_SKILL, W_CARE, W_OVER, W_OPEN, W_MOVE, W_DELAY) = range(14, 21)
# ... and where the tables begin.
(AT_WHO, AT_NEED, AT_FITS, AT_BEDS, AT_STAY, AT_WARD, AT_DUTY, AT_TEAM) = range(21, 29)
(AT_SKILL, AT_CARE, AT_THEATRE, AT_SURGEON, AT_PEERS, AT_AWAY, AT_MARK, AT_LOG) = range(29, 37)
HEADER = 37
TABLES = {
    "who": AT_WHO,
    "need": AT_NEED,
    "fits": AT_FITS,
    "beds": AT_BEDS,
    "stay": AT_STAY,
    "ward": AT_WARD,
    "duty": AT_DUTY,
    "team": AT_TEAM,
    "skill": AT_SKILL,
    "care": AT_CARE,
    "theatre": AT_THEATRE,
    "surgeon": AT_SURGEON,
    "peers": AT_PEERS,
    "away": AT_AWAY,
    "mark": AT_MARK,
    "log": AT_LOG,
}

# who: of each person gender, age group, days of stay, first and last day, minutes of surgery, surgeon, price of not
# being admitted; then the day of admission (-1: not admitted), room, theatre, number of different nurses, and
# where in `away` a patient is.
(GENDER, AGE, STAY, RELEASE, LAST, MINUTES, SURGEON, ABSENT, DAY, ROOM, THEATRE, CARERS, SLOT) = range(13)
WHO_WIDTH = 13
# need: of each person and shift of the stay.
WORK, SKILL = range(2)
# ward: of each room and shift the nurse and the workload.
NURSE, LOAD = range(2)
# duty: of each nurse and shift the largest workload (-1: does not work) and the workload.
MOST, DUTY = range(2)
# theatre: of each theatre and day the minutes open, the minutes used, the patients.
OPEN, BUSY, CASES = range(3)
THEATRE_WIDTH = 3
# surgeon: of each surgeon and day the minutes there, the minutes used, the theatres used, then patients by theatre.
HOURS, SPENT, PLACES, BY_THEATRE = range(4)
# Rows of `stay` (who lies in a room on a day), `team` (who works in a shift), `peers` (a surgeon's patients) and `away`
# (patients who are not admitted) begin with their count. `fits` is 1 where a room suits a patient. `mark` and `log` are
# work space.


@compiled
def who_at(m: Row, p: int) -> int:
    """Return where a person's row begins."""
    return m[AT_WHO] + p * WHO_WIDTH


@compiled
def need_at(m: Row, p: int, k: int) -> int:
    """Return where the need of a person in a shift of the stay begins."""
    return m[AT_NEED] + p * m[NEED_WIDTH] + 2 * k


@compiled
def stay_at(m: Row, r: int, d: int) -> int:
    """Return where the list of who lies in a room on a day begins."""
    return m[AT_STAY] + (r * m[DAYS] + d) * m[STAY_WIDTH]


@compiled
def ward_at(m: Row, r: int, s: int) -> int:
    """Return where a room's nurse and workload in a shift begin."""
    return m[AT_WARD] + 2 * (r * m[SHIFTS] + s)


@compiled
def duty_at(m: Row, n: int, s: int) -> int:
    """Return where a nurse's workloads in a shift begin."""
    return m[AT_DUTY] + 2 * (n * m[SHIFTS] + s)


@compiled
def team_at(m: Row, s: int) -> int:
    """Return where the list of who works in a shift begins."""
    return m[AT_TEAM] + s * m[TEAM_WIDTH]


@compiled
def care_at(m: Row, p: int, n: int) -> int:
    """Return where it stands in how many shifts a nurse has a person."""
    return m[AT_CARE] + p * m[NURSES] + n


@compiled
def theatre_at(m: Row, t: int, d: int) -> int:
    """Return where a theatre's day begins."""
    return m[AT_THEATRE] + (t * m[DAYS] + d) * THEATRE_WIDTH


@compiled
def surgeon_at(m: Row, u: int, d: int) -> int:
    """Return where a surgeon's day begins."""
    return m[AT_SURGEON] + (u * m[DAYS] + d) * m[SURGEON_WIDTH]


@compiled
def peers_at(m: Row, u: int) -> int:
    """Return where the list of a surgeon's patients begins."""
    return m[AT_PEERS] + u * m[PEERS_WIDTH]


@compiled
def fits(m: Row, p: int, r: int) -> bool:
    """Whether a room suits a patient."""
    return m[m[AT_FITS] + p * m[ROOMS] + r] == 1


@compiled
def below(dice: Row, limit: int) -> int:
    """Return a random whole number from 0 to below `limit`: the taus88 generator of L'Ecuyer (1996).

    Its three shift registers are masked to 32 bits, so that the same numbers come with and without numba.
    """
    a, b, c = dice[0], dice[1], dice[2]
    a = (((a & 0xFFFFFFFE) << 12) & 0xFFFFFFFF) ^ ((((a << 13) & 0xFFFFFFFF) ^ a) >> 19)
    b = (((b & 0xFFFFFFF8) << 4) & 0xFFFFFFFF) ^ ((((b << 2) & 0xFFFFFFFF) ^ b) >> 25)
    c = (((c & 0xFFFFFFF0) << 17) & 0xFFFFFFFF) ^ ((((c << 3) & 0xFFFFFFFF) ^ c) >> 11)
    dice[0], dice[1], dice[2] = a, b, c
    return ((a ^ b ^ c) * limit) >> 32
