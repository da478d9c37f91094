"""When a study may be read: not before it is there, not while it grows, and once more when it grows later.

No message says that a study is complete (DICOM has none; PS3.4, Annex F, MPPS is rarely sent to archives), so it is
seen from outside: the archive holds what the ImagingStudy promises, and nothing has changed for a while.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from fhir_adapter.codes import Json
from fhir_adapter.dicomweb import ImageStore
from fhir_adapter.errors import ConfigurationError

__all__ = ["Decision", "GateState", "StudyCounts", "StudyGate", "Verdict", "count_study"]


@dataclass(frozen=True)
class StudyCounts:
    """How many instances each series of a study has.

    Parameters
    ----------
    series : tuple of (str, int)
        Series Instance UID and instances, by UID.
    """

    series: tuple[tuple[str, int], ...] = ()

    @property
    def instances(self) -> int:
        """Instances in all."""
        return sum(count for _, count in self.series)

    def holds(self, earlier: StudyCounts) -> bool:
        """Return whether every series of an earlier look is here, with at least as many instances."""
        now = dict(self.series)
        return all(now.get(uid, 0) >= count for uid, count in earlier.series)


def count_study(store: ImageStore, study: str) -> StudyCounts:
    """Count what a store holds of a study, by searches for series and, where those do not count, for instances."""
    rows = store.series(study)
    counted = {
        row.series: len(store.instances(study, row.series)) if row.instances is None else row.instances for row in rows
    }
    return StudyCounts(tuple(sorted(counted.items())))


class Decision(StrEnum):
    """What to do with a study now."""

    WAIT = "wait"
    READY = "ready"
    GROWN = "grown"
    DONE = "done"


@dataclass(frozen=True)
class GateState:
    """What is remembered of a study between two looks; the caller keeps it.

    Parameters
    ----------
    counts : StudyCounts
        At the last look.
    since : datetime
        When these counts were first seen; with a time zone.
    scored : StudyCounts or None
        At the time it was last read for a result.
    """

    counts: StudyCounts
    since: datetime
    scored: StudyCounts | None = None

    def after_scoring(self, counts: StudyCounts) -> GateState:
        """Return the state once a result was made from so many images."""
        return GateState(self.counts, self.since, counts)

    def as_dict(self) -> Json:
        """Return it as JSON."""
        scored = None if self.scored is None else dict(self.scored.series)
        return {"counts": dict(self.counts.series), "since": self.since.isoformat(), "scored": scored}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> GateState:
        """Read what :meth:`as_dict` returned."""
        scored = data.get("scored")
        return cls(
            _counts(data["counts"]),
            datetime.fromisoformat(data["since"]),
            None if scored is None else _counts(scored),
        )


@dataclass(frozen=True)
class Verdict:
    """What a look said.

    Parameters
    ----------
    decision : Decision
        ``wait``; ``ready`` to be read for the first time; ``grown``, to be read again; ``done``, nothing new.
    reason : str
        In words, with numbers.
    state : GateState
        To be kept, and given to the next look.
    look_again : timedelta or None
        In which time a look may say something else, None when only a change can.
    """

    decision: Decision
    reason: str
    state: GateState
    look_again: timedelta | None = None

    @property
    def may_read(self) -> bool:
        """Whether the study is to be read now."""
        return self.decision in (Decision.READY, Decision.GROWN)


@dataclass(frozen=True)
class StudyGate:
    """Decides by what was seen and when; asks no clock and no store.

    Parameters
    ----------
    stable : timedelta
        For how long nothing may have changed; set by the tenant.
    patience : timedelta or None
        After how long without a change a study is read although the ImagingStudy promises more, None for never:
        numbers in a resource may be of images that were never sent. Not shorter than `stable`.
    """

    stable: timedelta = timedelta(seconds=60)
    patience: timedelta | None = None

    def __post_init__(self) -> None:
        if self.stable < timedelta(0) or (self.patience is not None and self.patience < self.stable):
            raise ConfigurationError("the gate's stable must not be negative, nor its patience shorter than stable")

    def look(self, state: GateState | None, now: datetime, counts: StudyCounts, study: Json | None = None) -> Verdict:
        """Decide.

        Parameters
        ----------
        state : GateState or None
            Of the look before, None at the first.
        now : datetime
            With a time zone.
        counts : StudyCounts
            From :func:`count_study`.
        study : dict, optional
            The ImagingStudy, for the numbers it promises.
        """
        if now.tzinfo is None:
            raise ValueError("the time of a look needs a time zone")
        state = _seen(state, now, counts)
        if state.scored == counts:
            return Verdict(Decision.DONE, "nothing has changed since it was read", state)
        quiet = max(now - state.since, timedelta(0))
        if not counts.instances:
            return Verdict(Decision.WAIT, "the image store holds none of its instances", state, self.stable)
        if quiet < self.stable:
            seconds = f"{quiet.total_seconds():.0f} of {self.stable.total_seconds():.0f} s"
            return Verdict(Decision.WAIT, f"unchanged for {seconds}", state, self.stable - quiet)
        missing = _missing(counts, study)
        if missing and (self.patience is None or quiet < self.patience):
            left = self.stable if self.patience is None else self.patience - quiet
            return Verdict(Decision.WAIT, missing, state, left)
        held = f"{counts.instances} instances in {len(counts.series)} series"
        reason = f"{held}, unchanged for {quiet.total_seconds():.0f} s" + (f", although {missing}" if missing else "")
        if state.scored is None:
            return Verdict(Decision.READY, reason, state)
        more = "it grew" if counts.holds(state.scored) else "it changed"
        return Verdict(Decision.GROWN, f"{more} after it was read: {reason}", state)


def _seen(state: GateState | None, now: datetime, counts: StudyCounts) -> GateState:
    """A clock that went backwards starts the wait anew."""
    if state is not None and state.counts == counts and state.since <= now:
        return state
    return GateState(counts, now, None if state is None else state.scored)


def _missing(counts: StudyCounts, study: Json | None) -> str | None:
    """Return what the resource promises and the store does not hold, None when it holds all; more is no fault."""
    promised = study or {}
    for element, held in (("numberOfSeries", len(counts.series)), ("numberOfInstances", counts.instances)):
        number = promised.get(element)
        if isinstance(number, int) and held < number:
            return f"the store holds {held}, {element} promises {number}"
    by_uid = dict(counts.series)
    for series in promised.get("series") or ():
        uid, number = str(series.get("uid", "")).removeprefix("urn:oid:"), series.get("numberOfInstances")
        if isinstance(number, int) and by_uid.get(uid, 0) < number:
            return f"the store holds {by_uid.get(uid, 0)} instances of a series, numberOfInstances promises {number}"
    return None


def _counts(data: Mapping[str, int]) -> StudyCounts:
    return StudyCounts(tuple(sorted((str(uid), int(count)) for uid, count in data.items())))
